// Group normalisation of images.

#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <utility>
#include <vector>

#include "vectors.h"

namespace diamond {

// Input channels, possibly in two parts.
struct Input {
    const float* part[2];
    int channels[2];
    int total() const { return channels[0] + channels[1]; }
};

// Of each channel, in segments of an image that together are the whole: an origin near the mean, the sum of differences
// to it and the sum of their squares. Near the mean, few digits are lost.
struct Moments {
    int channels;
    std::vector<int> pixels;  // in each segment
    std::vector<double> values;  // (b, segments, c, 3)

    Moments(int batch, int channels, std::vector<int> pixels)
        : channels(channels), pixels(std::move(pixels)), values(size_t(batch) * this->pixels.size() * channels * 3) {}

    double* at(int image, int segment) {
        return values.data() + (size_t(image) * pixels.size() + segment) * channels * 3;
    }
};

// The moments of an input, in a number of segments that does not depend on the number of threads.
inline Moments measure(const Input& input, int batch, int pixels, int threads) {
    constexpr int SEGMENTS = 8, ROW = 64;
    const int segments = std::min(SEGMENTS, (pixels - 1) / ROW + 1);
    std::vector<int> firsts, counts;
    for (int segment = 0; segment < segments; segment++) {
        firsts.push_back(int64_t(pixels) * segment / segments);
        counts.push_back(int64_t(pixels) * (segment + 1) / segments - firsts.back());
    }
    Moments moments(batch, input.total(), counts);
#pragma omp parallel for schedule(static) collapse(2) num_threads(threads)
    for (int image = 0; image < batch; image++)
        for (int segment = 0; segment < segments; segment++) {
            double* to = moments.at(image, segment);
            for (int p = 0; p < 2; p++)
                for (int c = 0; c < input.channels[p]; c += LANES) {
                    const int step = input.channels[p], count = std::min(LANES, step - c), n = counts[segment];
                    const float* from = input.part[p] + (size_t(image) * pixels + firsts[segment]) * step + c;
                    Vec origin{};
                    for (int i = 0; i < std::min(ROW, n); i++) origin += load(from + size_t(i) * step, count);
                    origin /= float(std::min(ROW, n));
                    for (int lane = 0; lane < count; lane++) to[3 * lane] = origin[lane];
                    for (int start = 0; start < n; start += ROW) {
                        Vec s{}, q{};
                        for (int i = start; i < std::min(n, start + ROW); i++) {
                            const Vec x = load(from + size_t(i) * step, count) - origin;
                            s += x;
                            q += x * x;
                        }
                        for (int lane = 0; lane < count; lane++) {
                            to[3 * lane + 1] += s[lane];
                            to[3 * lane + 2] += q[lane];
                        }
                    }
                    to += 3 * count;
                }
        }
    return moments;
}

// Group normalisation followed by y * (offset + scale) + shift, as one scale and shift per image and channel.
struct Normalisation {
    int groups;
    float epsilon;
    const float* modulation;  // scale and shift: (b, 2 c), or (2 c) for all images
    bool shared;
    float offset;

    void run(Moments& moments, int batch, int threads, float* scale, float* shift) const {
#pragma omp parallel for schedule(static) num_threads(threads)
        for (int image = 0; image < batch; image++)
            combine(moments, image, scale + size_t(image) * moments.channels, shift + size_t(image) * moments.channels);
    }

    void combine(Moments& moments, int image, float* scale, float* shift) const {
        const int channels = moments.channels, group_size = channels / groups, segments = moments.pixels.size();
        const float* modulate = modulation + (shared ? 0 : size_t(image) * 2 * channels);
        for (int group = 0; group < channels; group += group_size) {
            double total = 0, n = 0, squares = 0;
            for (int segment = 0; segment < segments; segment++) {
                const double *m = moments.at(image, segment), count = moments.pixels[segment];
                n += count * group_size;
                for (int c = group; c < group + group_size; c++) total += m[3 * c] * count + m[3 * c + 1];
            }
            const double mean = total / n;
            for (int segment = 0; segment < segments; segment++) {
                const double *m = moments.at(image, segment), count = moments.pixels[segment], inverse = 1 / count;
                for (int c = group; c < group + group_size; c++) {
                    const double own = m[3 * c + 1] * inverse, difference = m[3 * c] + own - mean;
                    squares += m[3 * c + 2] + count * (difference * difference - own * own);
                }
            }
            const double inverse = 1 / std::sqrt(squares / n + epsilon);
            for (int c = group; c < group + group_size; c++) {
                scale[c] = float(inverse * (offset + modulate[c]));
                shift[c] = float(modulate[channels + c] - mean * scale[c]);
            }
        }
    }
};

}  // namespace diamond
