// Self-attention over the pixels of images.

#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

#include "vectors.h"

namespace diamond {

// Residual self-attention over all pixels of each image; the shortcut carries the normalised features.
struct Attention {
    const float* input;
    const float *scale, *shift;  // (b, c)
    const float* in_weight;   // (c, padded 3 c): query, key and value
    const float* in_bias;     // (padded 3 c)
    const float* out_weight;  // (c, padded c)
    const float* out_bias;    // (padded c)
    float* output;
    int batch, pixels, channels, heads, threads;

    void run() const {
#pragma omp parallel for schedule(static) num_threads(threads)
        for (int image = 0; image < batch; image++) attend(image);
    }

    void attend(int image) const {
        const int c = padded(channels), wide = padded(3 * channels), keys = padded(pixels);
        const int size = channels / heads, depth = padded(size);
        std::vector<float> memory(size_t(pixels) * (2 * c + wide) + size_t(keys) * (size + depth + 2) + LANES);
        float *normalised = memory.data(), *mixed = normalised + size_t(pixels) * c, *qkv = mixed + size_t(pixels) * c,
              *key = qkv + size_t(pixels) * wide, *value = key + size_t(size) * keys,
              *share = value + size_t(depth) * keys,
              *absent = share + keys;  // minus infinity where there is no pixel
        std::fill(absent + pixels, absent + keys, -INFINITY);
        for (int i = 0; i < pixels; i++) {
            const float* from = input + (size_t(image) * pixels + i) * channels;
            for (int j = 0; j < channels; j++)
                normalised[size_t(i) * c + j] = from[j] * scale[image * channels + j] + shift[image * channels + j];
            std::copy_n(in_bias, wide, qkv + size_t(i) * wide);
        }
        multiply(normalised, c, pixels, channels, in_weight, wide, qkv, true);
        for (int head = 0; head < heads; head++) {
            for (int i = 0; i < pixels; i++) {
                const float* from = qkv + size_t(i) * wide + channels + head * size;
                for (int d = 0; d < size; d++) key[size_t(d) * keys + i] = from[d];
                std::copy_n(from + channels, size, value + size_t(i) * depth);
            }
            for (int i = 0; i < pixels; i++)
                mix(qkv + size_t(i) * wide + head * size, key, value, absent, share, size,
                    mixed + size_t(i) * c + head * size);
        }
        for (int i = 0; i < pixels; i++)
            for (int j = 0; j < c; j += LANES)
                store(normalised + size_t(i) * c + j, load(normalised + size_t(i) * c + j) + load(out_bias + j));
        multiply(mixed, c, pixels, channels, out_weight, c, normalised, true);
        for (int i = 0; i < pixels; i++)
            std::copy_n(normalised + size_t(i) * c, channels, output + (size_t(image) * pixels + i) * channels);
    }

    // The mean of all values, weighted by softmax(query . key / sqrt(size)).
    void mix(
        const float* query, const float* key, const float* value, const float* absent, float* share, int size,
        float* mixed
    ) const {
        const int keys = padded(pixels), depth = padded(size);
        const float factor = 1 / std::sqrt(float(size));
        Vec most = fill(-INFINITY);
        for (int i = 0; i < keys; i += LANES) {
            Vec score = load(absent + i);
            for (int d = 0; d < size; d++) score += query[d] * load(key + size_t(d) * keys + i);
            store(share + i, score * factor);
            most = score > most ? score : most;
        }
        float highest = most[0] * factor;
        for (int lane = 1; lane < LANES; lane++) highest = std::max(highest, most[lane] * factor);
        Vec total{};
        for (int i = 0; i < keys; i += LANES) {
            store(share + i, exponential(load(share + i) - highest));
            total += load(share + i);
        }
        const float inverse = 1 / sum(total);
        for (int c = 0; c < depth; c += LANES) {
            Vec mean{};
            for (int i = 0; i < pixels; i++) mean += share[i] * load(value + size_t(i) * depth + c);
            store(mixed + c, mean * inverse, size - c);
        }
    }
};

}  // namespace diamond
