// 3x3 convolutions with what surrounds them.

#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <new>

#include <sys/mman.h>

#include "normalisation.h"
#include "vectors.h"

namespace diamond {

// Winograd's F(4x4, 3x3) with the points 0, +-5/8, +-3/2 and infinity: of all pairs of sixteenths these round least,
// and all constants below are exact. The weights are transformed to match in `operations.py`.
constexpr int TILE = 4, PATCH = 6, POINTS = PATCH * PATCH;
constexpr float A = 5.0f / 8, B = 3.0f / 2, AA = A * A, BB = B * B;

inline void transform_input(Vec& d0, Vec& d1, Vec& d2, Vec& d3, Vec& d4, Vec& d5) {
    const Vec even_a = d4 - BB * d2, odd_a = A * (d3 - BB * d1);
    const Vec even_b = d4 - AA * d2, odd_b = B * (d3 - AA * d1);
    d0 = AA * BB * d0 - (AA + BB) * d2 + d4;
    d5 = AA * BB * d1 - (AA + BB) * d3 + d5;
    d1 = even_a + odd_a;
    d2 = even_a - odd_a;
    d3 = even_b + odd_b;
    d4 = even_b - odd_b;
}

inline void transform_output(const Vec* m, int step, Vec* y, int y_step) {
    const Vec sum_a = m[step] + m[2 * step], difference_a = m[step] - m[2 * step];
    const Vec sum_b = m[3 * step] + m[4 * step], difference_b = m[3 * step] - m[4 * step];
    y[0] = m[0] + sum_a + sum_b;
    y[y_step] = A * difference_a + B * difference_b;
    y[2 * y_step] = AA * sum_a + BB * sum_b;
    y[3 * y_step] = A * AA * difference_a + B * BB * difference_b + m[5 * step];
}

// Memory of a thread, kept from call to call, in pages large enough that few of them are in use.
class Scratch {
  public:
    ~Scratch() { std::free(memory); }

    float* reserve(size_t numbers) {
        constexpr size_t PAGE = size_t(1) << 21;
        const size_t bytes = (numbers * sizeof(float) + PAGE - 1) / PAGE * PAGE;
        if (bytes > size) {
            std::free(memory);
            memory = static_cast<float*>(std::aligned_alloc(PAGE, bytes));
            size = memory ? bytes : 0;
            if (!memory) throw std::bad_alloc();
            madvise(memory, bytes, MADV_HUGEPAGE);
        }
        return memory;
    }

  private:
    float* memory = nullptr;
    size_t size = 0;
};

// One 3x3 convolution of stride 1, zero padding 1; with `upsample`, of the input with every pixel doubled.
struct Convolution {
    Input input;
    const float* weight;  // (36, padded c, padded n), transformed
    const float* bias;    // (padded n)
    float* output;
    int batch, height, width, channels;  // of the output
    int threads;

    bool upsample = false;
    const float *scale = nullptr, *shift = nullptr;  // (b, c): the input is scaled, shifted and passed through SiLU
    Input residual{};                                // what is added to the output; no channels: nothing
    const float* shortcut = nullptr;       // (c', padded n): a linear map of the residual, added in its place
    const float* shortcut_bias = nullptr;  // (padded n)
    Moments* moments = nullptr;            // is told those of the output, a segment a row of tiles

    int tiles_high() const { return (height + TILE - 1) / TILE; }
    int tiles_wide() const { return (width + TILE - 1) / TILE; }

    void run() const {
        constexpr int TILES_AT_ONCE = 32;  // enough to use each weight often, few enough to stay in the cache
        const int rows = batch * tiles_high();
        const int at_once = std::max(1, std::min(TILES_AT_ONCE / tiles_wide(), (rows - 1) / threads + 1));
        const int tasks = (rows - 1) / at_once + 1;
#pragma omp parallel for schedule(static) num_threads(threads)
        for (int task = 0; task < tasks; task++) run_rows(task * at_once, std::min(rows, (task + 1) * at_once));
    }

    // Rows of tiles, counted through all images.
    void run_rows(int first, int last) const {
        const int wide = tiles_wide(), tiles = (last - first) * wide, columns = TILE * wide + 2;
        const int in = padded(input.total()), out = padded(channels);
        // Steps from point to point are no multiple of 4 KiB: else all points compete for the same places in the cache.
        const size_t in_step = size_t(tiles) * in + LANES, out_step = size_t(tiles) * out + LANES;
        const size_t row_size = size_t(columns) * in, added_size = size_t(TILE) * width * out;
        static thread_local Scratch scratch;
        float* strip = scratch.reserve((PATCH + 2) * row_size + POINTS * (in_step + out_step) + added_size + 3 * out);
        float *kept = strip + PATCH * row_size, *patches = kept + 2 * row_size, *products = patches + POINTS * in_step,
              *added = products + POINTS * out_step, *sums = added + added_size;

        for (int row = first; row < last; row++) {
            const int image = row / tiles_high(), top = row % tiles_high() * TILE - 1;
            int known = 0;
            if (row > first && top > 0) {  // the two last rows of the strip before are the first two of this one
                known = 2;
                std::copy_n(kept, 2 * row_size, strip);
            }
            for (int i = known; i < PATCH; i++) read_row(image, top + i, strip + i * row_size);
            std::copy_n(strip + TILE * row_size, 2 * row_size, kept);
            transform_columns(strip, row_size);
            for (int j = 0; j < wide; j++)
                read_tile(strip + size_t(TILE) * j * in, row_size, patches + (size_t(row - first) * wide + j) * in,
                          in_step);
        }
        for (int point = 0; point < POINTS; point++)
            multiply(patches + point * in_step, in, tiles, in, weight + size_t(point) * in * out, out,
                     products + point * out_step, false);
        for (int row = first; row < last; row++) {
            const int image = row / tiles_high(), top = row % tiles_high() * TILE;
            if (shortcut) map_residual(image, top, added);
            for (int j = 0; j < wide; j++)
                write_tile(products + (size_t(row - first) * wide + j) * out, out_step, added, sums, image, top,
                           TILE * j);
            if (moments) {
                double* to = moments->at(image, top / TILE);
                for (int c = 0; c < channels; c++)
                    for (int i = 0; i < 3; i++) *to++ = sums[i * out + c];
            }
        }
    }

    // One row of the input, activated, with a margin of zeros.
    void read_row(int image, int y, float* to) const {
        const int in = padded(input.total()), columns = TILE * tiles_wide() + 2;
        if (y < 0 || y >= height) {
            std::fill_n(to, size_t(columns) * in, 0.0f);
            return;
        }
        std::fill_n(to, in, 0.0f);
        std::fill_n(to + size_t(width + 1) * in, size_t(columns - width - 1) * in, 0.0f);
        const int doubling = upsample ? 2 : 1;
        const size_t pixel = (size_t(image) * (height / doubling) + y / doubling) * (width / doubling);
        for (int p = 0, before = 0; p < 2; before += input.channels[p++]) {
            const int c = input.channels[p];
            const size_t entry = size_t(image) * input.total() + before;
            for (int x = 0; x < width; x++) {
                const float* from = input.part[p] + (pixel + x / doubling) * c;
                float* target = to + size_t(x + 1) * in + before;
                for (int i = 0; i < c; i += LANES) {
                    Vec v = load(from + i, c - i);
                    if (scale) v = silu(v * load(scale + entry + i, c - i) + load(shift + entry + i, c - i));
                    store(target + i, v, in - before - i);
                }
            }
        }
        // Where two parts meet within a vector, the last one may end before the padding does.
        for (int x = 1; x <= width; x++) std::fill(to + size_t(x) * in + input.total(), to + size_t(x + 1) * in, 0.0f);
    }

    // The first half of the input's transform, shared by neighbouring tiles.
    static void transform_columns(float* strip, size_t row_size) {
        for (size_t i = 0; i < row_size; i += LANES) {
            Vec d[PATCH];
            for (int y = 0; y < PATCH; y++) d[y] = load(strip + y * row_size + i);
            transform_input(d[0], d[1], d[2], d[3], d[4], d[5]);
            for (int y = 0; y < PATCH; y++) store(strip + y * row_size + i, d[y]);
        }
    }

    // The second half.
    void read_tile(const float* strip, size_t row_size, float* patches, size_t step) const {
        const int in = padded(input.total());
        for (int y = 0; y < PATCH; y++)
            for (int c = 0; c < in; c += LANES) {
                Vec d[PATCH];
                for (int x = 0; x < PATCH; x++) d[x] = load(strip + y * row_size + x * in + c);
                transform_input(d[0], d[1], d[2], d[3], d[4], d[5]);
                for (int x = 0; x < PATCH; x++) store(patches + (y * PATCH + x) * step + c, d[x]);
            }
    }

    void write_tile(
        const float* products, size_t step, const float* added, float* sums, int image, int top, int left
    ) const {
        const int below = std::min(TILE, height - top), beside = std::min(TILE, width - left), out = padded(channels);
        for (int c = 0; c < channels; c += LANES) {
            Vec m[PATCH][PATCH], half[TILE][PATCH], y[TILE][TILE];
            for (int i = 0; i < PATCH; i++)
                for (int j = 0; j < PATCH; j++) m[i][j] = load(products + (i * PATCH + j) * step + c);
            for (int j = 0; j < PATCH; j++) transform_output(&m[0][j], PATCH, &half[0][j], PATCH);
            for (int i = 0; i < TILE; i++) transform_output(half[i], 1, y[i], 1);
            const Vec b = load(bias + c);
            for (int i = 0; i < below; i++)
                for (int j = 0; j < beside; j++) {
                    const size_t pixel = ((size_t(image) * height + top + i) * width + left + j) * channels + c;
                    y[i][j] += b;
                    if (shortcut)
                        y[i][j] += load(added + (size_t(i) * width + left + j) * out + c) + load(shortcut_bias + c);
                    else if (residual.channels[0])
                        y[i][j] += load(residual.part[0] + pixel, channels - c);
                    store(output + pixel, y[i][j], channels - c);
                }
            if (moments) add_moments(y, below, beside, left == 0, sums + c, out);
        }
    }

    // What a tile adds to the moments of its row, whose origin is the mean of its first tile.
    static void add_moments(const Vec (&y)[TILE][TILE], int below, int beside, bool first, float* sums, int step) {
        if (first) {
            Vec total{};
            for (int i = 0; i < below; i++)
                for (int j = 0; j < beside; j++) total += y[i][j];
            store(sums, total / float(below * beside));
            store(sums + step, Vec{});
            store(sums + 2 * step, Vec{});
        }
        const Vec origin = load(sums);
        Vec s = load(sums + step), q = load(sums + 2 * step);
        for (int i = 0; i < below; i++)
            for (int j = 0; j < beside; j++) {
                const Vec difference = y[i][j] - origin;
                s += difference;
                q += difference * difference;
            }
        store(sums + step, s);
        store(sums + 2 * step, q);
    }

    // The residual of a row of tiles under the shortcut.
    void map_residual(int image, int top, float* added) const {
        const int pixels = std::min(TILE, height - top) * width, out = padded(channels);
        const size_t first = (size_t(image) * height + top) * width;
        const float* rows = shortcut;
        for (int p = 0; p < 2; rows += size_t(residual.channels[p++]) * out) {
            const int c = residual.channels[p];
            if (c) multiply(residual.part[p] + first * c, c, pixels, c, rows, out, added, p > 0);
        }
    }
};

}  // namespace diamond
