// 3x3 convolutions with what surrounds them.

#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <new>
#include <utility>
#include <vector>

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
    double* statistics = nullptr;          // (b, 2, c): where mean and variance of the output's channels are written

    int tiles_high() const { return (height + TILE - 1) / TILE; }
    int tiles_wide() const { return (width + TILE - 1) / TILE; }

    void run() const {
        constexpr int TILES_AT_ONCE = 32;  // enough to use each weight often, few enough to stay in the cache
        const int rows = batch * tiles_high();
        const int at_once = std::max(1, std::min(TILES_AT_ONCE / tiles_wide(), (rows - 1) / threads + 1));
        const int tasks = (rows - 1) / at_once + 1;
        std::vector<int> row_pixels;
        for (int top = 0; top < height; top += TILE) row_pixels.push_back(std::min(TILE, height - top) * width);
        Moments moments(statistics ? batch : 0, channels, row_pixels);
#pragma omp parallel for schedule(static) num_threads(threads)
        for (int task = 0; task < tasks; task++) run_rows(task * at_once, std::min(rows, (task + 1) * at_once), moments);
        if (statistics) moments.combine(statistics, threads);
    }

  private:
    // Rows of tiles, counted through all images.
    void run_rows(int first, int last, Moments& moments) const {
        const int wide = tiles_wide(), tiles = (last - first) * wide;
        const int in = padded(input.total()), out = padded(channels);
        // Steps from point to point are no multiple of 4 KiB: else all points compete for the same places in the cache.
        const size_t in_step = size_t(tiles) * in + LANES, out_step = size_t(tiles) * out + LANES;
        const size_t kept_size = size_t(PATCH - TILE) * width * in, columns_size = size_t(POINTS) * in;
        const size_t added_size = size_t(TILE) * width * out;
        static thread_local Scratch scratch;
        float* patches = scratch.reserve(POINTS * (in_step + out_step) + kept_size + columns_size + added_size);
        float *products = patches + POINTS * in_step, *kept = products + POINTS * out_step,
              *columns = kept + kept_size, *added = columns + columns_size;

        for (int row = first; row < last; row++)
            read_patches(row, row > first, kept, columns, patches + size_t(row - first) * wide * in, in_step);
        for (int point = 0; point < POINTS; point++)
            multiply(patches + point * in_step, in, tiles, in, weight + size_t(point) * in * out, out,
                     products + point * out_step, false);
        for (int row = first; row < last; row++) {
            const int image = row / tiles_high(), top = row % tiles_high() * TILE;
            if (shortcut) map_residual(image, top, added);
            for (int j = 0; j < wide; j++)
                write_tile(products + (size_t(row - first) * wide + j) * out, out_step, added, image, top, TILE * j,
                           statistics ? moments.at(image, top / TILE) : nullptr);
        }
    }

    // The input under a row of tiles, activated and transformed. `kept` holds the last two rows of pixels under the row
    // of tiles before, if that was read (`follows`), and then those under this one.
    void read_patches(int row, bool follows, float* kept, float* columns, float* patches, size_t step) const {
        const int in = padded(input.total());
        float* column[PATCH];
        for (int x = 0; x < PATCH; x++) column[x] = columns + size_t(x) * PATCH * in;
        for (int tile = 0; tile < tiles_wide(); tile++, patches += in) {
            if (tile) {  // the last two columns under the tile before are the first two under this one
                std::swap(column[0], column[TILE]);
                std::swap(column[1], column[TILE + 1]);
            }
            for (int x = tile ? PATCH - TILE : 0; x < PATCH; x++)
                read_column(row, TILE * tile + x - 1, follows, kept, column[x]);
            for (int y = 0; y < PATCH; y++)
                for (int c = 0; c < in; c += LANES) {
                    Vec d[PATCH];
                    for (int x = 0; x < PATCH; x++) d[x] = load(column[x] + y * in + c);
                    transform_input(d[0], d[1], d[2], d[3], d[4], d[5]);
                    for (int x = 0; x < PATCH; x++) store(patches + (y * PATCH + x) * step + c, d[x]);
                }
        }
    }

    // One column of it, under the first half of the transform; zeros outside the image.
    void read_column(int row, int x, bool follows, float* kept, float* to) const {
        const int in = padded(input.total()), image = row / tiles_high(), top = row % tiles_high() * TILE - 1;
        if (x < 0 || x >= width) {
            std::fill_n(to, size_t(PATCH) * in, 0.0f);
            return;
        }
        kept += size_t(x) * (PATCH - TILE) * in;
        const bool known = follows && top >= 0;
        const int from = top < 0 ? 1 : known ? PATCH - TILE : 0, until = std::min(PATCH, height - top);
        const int doubling = upsample ? 2 : 1;
        for (int p = 0, before = 0; p < 2; before += input.channels[p++]) {
            const int c = input.channels[p];
            const size_t entry = size_t(image) * input.total() + before, line = size_t(width / doubling) * c;
            const float* pixel = input.part[p] + size_t(image) * (height / doubling) * line + size_t(x / doubling) * c;
            for (int i = 0; i < c; i += LANES) {
                Vec d[PATCH]{}, by{}, plus{};
                if (scale) {
                    by = load(scale + entry + i, c - i);
                    plus = load(shift + entry + i, c - i);
                }
                if (known)
                    for (int y = 0; y < from; y++) d[y] = load(kept + y * in + before + i);
                for (int y = from; y < until; y++) {
                    d[y] = load(pixel + size_t((top + y) / doubling) * line + i, c - i);
                    if (scale) d[y] = silu(d[y] * by + plus);
                }
                for (int y = 0; y < PATCH - TILE; y++) store(kept + y * in + before + i, d[TILE + y]);
                transform_input(d[0], d[1], d[2], d[3], d[4], d[5]);
                for (int y = 0; y < PATCH; y++) store(to + y * in + before + i, d[y]);
            }
        }
    }

    void write_tile(
        const float* products, size_t step, const float* added, int image, int top, int left, float* moments
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
            if (moments) add_moments(y, below, beside, left == 0, moments + c, out);
        }
    }

    // What a tile adds to the moments of its row, whose origin is the mean of its first tile.
    static void add_moments(const Vec (&y)[TILE][TILE], int below, int beside, bool first, float* moments, int step) {
        if (first) {
            Vec total{};
            for (int i = 0; i < below; i++)
                for (int j = 0; j < beside; j++) total += y[i][j];
            store(moments, total / float(below * beside));
            store(moments + step, Vec{});
            store(moments + 2 * step, Vec{});
        }
        const Vec origin = load(moments);
        Vec s = load(moments + step), q = load(moments + 2 * step);
        for (int i = 0; i < below; i++)
            for (int j = 0; j < beside; j++) {
                const Vec difference = y[i][j] - origin;
                s += difference;
                q += difference * difference;
            }
        store(moments + step, s);
        store(moments + 2 * step, q);
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
