// Group normalisation of images.

#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <utility>
#include <vector>

#include "vectors.h"

namespace diamond {

// Input channels, possibly in two parts, the first of which then has a multiple of LANES.
struct Input {
    const float* part[2];
    int channels[2];
    const double* statistics[2];  // mean and variance of each channel, (b, 2, c); null where they are not known
    int total() const { return channels[0] + channels[1]; }
};

// What an image's mean and variance are put together from. Of each channel in segments that together are the image: an
// origin near the mean, the sum of differences to it and the sum of their squares. Near the mean, few digits are lost.
class Moments {
  public:
    Moments(int batch, int channels, std::vector<int> pixels)
        : channels(channels),
          batch(batch),
          pixels(std::move(pixels)),
          values(size_t(batch) * this->pixels.size() * 3 * step()) {}

    int step() const { return padded(channels); }

    // (3, padded c)
    float* at(int image, int segment) {
        return values.data() + (size_t(image) * pixels.size() + segment) * 3 * step();
    }

    // Mean and variance of each channel, (b, 2, c).
    void combine(double* to, int threads) {
#pragma omp parallel for schedule(static) num_threads(threads)
        for (int image = 0; image < batch; image++) {
            double *mean = to + size_t(image) * 2 * channels, *variance = mean + channels, total = 0;
            std::fill_n(mean, 2 * channels, 0.0);
            for (int segment = 0; segment < int(pixels.size()); segment++) {
                const float* m = at(image, segment);
                const double n = pixels[segment];
                for (int c = 0; c < channels; c++) mean[c] += m[c] * n + m[step() + c];
                total += n;
            }
            for (int c = 0; c < channels; c++) mean[c] /= total;
            for (int segment = 0; segment < int(pixels.size()); segment++) {
                const float* m = at(image, segment);
                const double n = pixels[segment];
                for (int c = 0; c < channels; c++) {
                    const double own = m[step() + c] / n, difference = m[c] + own - mean[c];
                    variance[c] += m[2 * step() + c] + n * (difference * difference - own * own);
                }
            }
            for (int c = 0; c < channels; c++) variance[c] /= total;
        }
    }

  private:
    int channels, batch;
    std::vector<int> pixels;    // in each segment
    std::vector<float> values;  // (b, segments, 3, padded c)
};

// Mean and variance of each channel, (b, 2, c), from segments that do not depend on the number of threads.
inline void measure(const float* features, int channels, int batch, int pixels, double* to, int threads) {
    constexpr int SEGMENT = 256, FIRST = 64;
    std::vector<int> counts;
    for (int first = 0; first < pixels; first += SEGMENT) counts.push_back(std::min(SEGMENT, pixels - first));
    Moments moments(batch, channels, counts);
#pragma omp parallel for schedule(static) collapse(2) num_threads(threads)
    for (int image = 0; image < batch; image++)
        for (int segment = 0; segment < int(counts.size()); segment++) {
            const int n = counts[segment], first = std::min(FIRST, n);
            const float* from = features + (size_t(image) * pixels + segment * SEGMENT) * channels;
            float* into = moments.at(image, segment);
            for (int c = 0; c < channels; c += LANES) {
                Vec origin{}, s{}, q{};
                for (int i = 0; i < first; i++) origin += load(from + size_t(i) * channels + c, channels - c);
                origin /= float(first);
                for (int i = 0; i < n; i++) {
                    const Vec difference = load(from + size_t(i) * channels + c, channels - c) - origin;
                    s += difference;
                    q += difference * difference;
                }
                store(into + c, origin);
                store(into + moments.step() + c, s);
                store(into + 2 * moments.step() + c, q);
            }
        }
    moments.combine(to, threads);
}

// Group normalisation followed by y * (offset + scale) + shift, as one scale and shift per image and channel.
struct Normalisation {
    int groups;
    float epsilon;
    const float* modulation;  // scale and shift: (b, 2 c), or (2 c) for all images
    bool shared;
    float offset;

    void run(Input input, int batch, int pixels, int threads, float* scale, float* shift) const {
        std::vector<double> measured[2];
        for (int p = 0; p < 2; p++) {
            if (input.statistics[p] || !input.channels[p]) continue;
            measured[p].resize(size_t(batch) * 2 * input.channels[p]);
            measure(input.part[p], input.channels[p], batch, pixels, measured[p].data(), threads);
            input.statistics[p] = measured[p].data();
        }
        const int channels = input.total();
#pragma omp parallel for schedule(static) num_threads(threads)
        for (int image = 0; image < batch; image++)
            combine(input, image, scale + size_t(image) * channels, shift + size_t(image) * channels);
    }

  private:
    void combine(const Input& input, int image, float* scale, float* shift) const {
        const int channels = input.total(), size = channels / groups;
        const float* modulate = modulation + (shared ? 0 : size_t(image) * 2 * channels);
        std::vector<double> statistics;  // (c, 2)
        for (int p = 0; p < 2; p++) {
            const double* of_image = input.statistics[p] + size_t(image) * 2 * input.channels[p];
            for (int c = 0; c < input.channels[p]; c++)
                statistics.insert(statistics.end(), {of_image[c], of_image[input.channels[p] + c]});
        }
        for (int group = 0; group < channels; group += size) {
            double mean = 0, variance = 0;
            for (int c = group; c < group + size; c++) mean += statistics[2 * c] / size;
            for (int c = group; c < group + size; c++) {
                const double difference = statistics[2 * c] - mean;
                variance += (statistics[2 * c + 1] + difference * difference) / size;
            }
            const double inverse = 1 / std::sqrt(variance + epsilon);
            for (int c = group; c < group + size; c++) {
                scale[c] = float(inverse * (offset + modulate[c]));
                shift[c] = float(modulate[channels + c] - mean * scale[c]);
            }
        }
    }
};

}  // namespace diamond
