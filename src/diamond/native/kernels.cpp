// Networks on a CPU, fused: what PyTorch does in several passes over memory happens here in one, and 3x3 convolutions
// multiply a quarter as often (Winograd's minimal filtering F(4x4, 3x3); Lavin and Gray 2016, arXiv 1509.09308).
//
// Images are (b, h, w, c) in memory ("channels last"), float32. An input may come in two parts that lie side by side on
// the channel axis; they are never copied together. Results do not depend on the number of threads.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>
#include <utility>
#include <vector>

#include <sys/mman.h>

#ifdef __AVX512F__
#include <immintrin.h>
#endif

namespace {

#ifdef __AVX512F__
constexpr int LANES = 16;
#else
constexpr int LANES = 8;
#endif
typedef float Vec __attribute__((vector_size(LANES * sizeof(float))));
typedef int32_t IntVec __attribute__((vector_size(LANES * sizeof(int32_t))));

constexpr int padded(int channels) { return (channels + LANES - 1) / LANES * LANES; }

inline Vec load(const float* from) {
    Vec v;
    std::memcpy(&v, from, sizeof v);
    return v;
}

inline void store(float* to, Vec v) { std::memcpy(to, &v, sizeof v); }

// The first `count` lanes, zeros behind them.
inline Vec load(const float* from, int count) {
    if (count >= LANES) return load(from);
    Vec v{};
    std::memcpy(&v, from, count * sizeof(float));
    return v;
}

inline void store(float* to, Vec v, int count) {
    if (count >= LANES) return store(to, v);
    std::memcpy(to, &v, count * sizeof(float));
}

inline Vec fill(float x) { return x - Vec{}; }

inline float sum(Vec v) {
    float x[LANES];
    store(x, v);
    for (int half = LANES / 2; half > 0; half /= 2)
        for (int i = 0; i < half; i++) x[i] += x[half + i];
    return x[0];
}

// exp(x) for x from -87 to 87, beyond that the value at the bound; relative error 2e-7 near 0, 3e-6 at the bounds.
inline Vec exponential(Vec x) {
    constexpr float ROUND = 12582912.0f;  // 1.5 * 2^23: adding it leaves no bits for a fraction
    Vec t = x * 1.4426950408889634f;      // exp(x) = 2^t
    t = t < fill(-126.0f) ? fill(-126.0f) : t;
    t = t > fill(126.0f) ? fill(126.0f) : t;
    const Vec shifted = t + ROUND;
    IntVec whole;
    std::memcpy(&whole, &shifted, sizeof whole);
    const Vec f = t - (shifted - ROUND);  // in [-1/2, 1/2]
    Vec power = f * 1.34004322e-3f + 9.6760371e-3f;  // 2^f, fitted at Chebyshev's points
    power = power * f + 5.55032721e-2f;
    power = power * f + 2.40221074e-1f;
    power = power * f + 6.93147207e-1f;
    power = power * f + 1.00000008f;
    IntVec bits;
    std::memcpy(&bits, &power, sizeof bits);
    bits += whole << 23;
    std::memcpy(&power, &bits, sizeof power);
    return power;
}

inline Vec silu(Vec x) {
    const Vec denominator = 1.0f + exponential(-x);
#ifdef __AVX512F__
    // A division takes longer than all the rest; 14 good bits become 24 by one of Newton's steps.
    const Vec inverse = (Vec)_mm512_maskz_rcp14_ps(0xffff, (__m512)denominator);
    return x * (inverse * (2.0f - denominator * inverse));
#else
    return x / denominator;
#endif
}

// Input channels, possibly in two parts.
struct Input {
    const float* part[2];
    int channels[2];
    int total() const { return channels[0] + channels[1]; }
};

// rows x k times k x n, n a multiple of LANES; `c` is overwritten, or added to.
template <int ROWS, int VECS>
inline void multiply_tile(
    const float* a, int lda, int k, const float* b, int ldb, float* c, int ldc, bool add
) {
    Vec total[ROWS][VECS];
    for (int i = 0; i < ROWS; i++)
        for (int v = 0; v < VECS; v++) total[i][v] = add ? load(c + i * ldc + v * LANES) : Vec{};
    for (int j = 0; j < k; j++) {
        Vec row[VECS];
        for (int v = 0; v < VECS; v++) row[v] = load(b + j * ldb + v * LANES);
        for (int i = 0; i < ROWS; i++) {
            const float x = a[i * lda + j];
            for (int v = 0; v < VECS; v++) total[i][v] += x * row[v];
        }
    }
    for (int i = 0; i < ROWS; i++)
        for (int v = 0; v < VECS; v++) store(c + i * ldc + v * LANES, total[i][v]);
}

template <int VECS>
inline void multiply_columns(
    const float* a, int lda, int rows, int k, const float* b, int ldb, float* c, int ldc, bool add
) {
    constexpr int ROWS = VECS == 4 ? 4 : 8;  // enough sums in flight, few enough for the registers
    int i = 0;
    for (; i + ROWS <= rows; i += ROWS) multiply_tile<ROWS, VECS>(a + i * lda, lda, k, b, ldb, c + i * ldc, ldc, add);
    for (; i + 2 <= rows; i += 2) multiply_tile<2, VECS>(a + i * lda, lda, k, b, ldb, c + i * ldc, ldc, add);
    if (i < rows) multiply_tile<1, VECS>(a + i * lda, lda, k, b, ldb, c + i * ldc, ldc, add);
}

void multiply(const float* a, int lda, int rows, int k, const float* b, int n, float* c, bool add) {
    int column = 0;
    for (; column + 4 * LANES <= n; column += 4 * LANES)
        multiply_columns<4>(a, lda, rows, k, b + column, n, c + column, n, add);
    for (; column + 2 * LANES <= n; column += 2 * LANES)
        multiply_columns<2>(a, lda, rows, k, b + column, n, c + column, n, add);
    for (; column < n; column += LANES) multiply_columns<1>(a, lda, rows, k, b + column, n, c + column, n, add);
}

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
Moments measure(const Input& input, int batch, int pixels, int threads) {
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
    const float *scale, *shift;  // (b, c), or null: the input is scaled, shifted and passed through SiLU
    const float* weight;  // (36, padded c, padded n), transformed
    const float* bias;    // (padded n)
    Input residual;  // what is added to the output; no channels: nothing
    const float* shortcut;  // (c', padded n), or null: a linear map of the residual, added in its place
    const float* shortcut_bias;  // (padded n)
    float* output;
    int batch, height, width, channels;  // of the output
    bool upsample;
    int threads;
    Moments* moments;  // of the output, a segment a row of tiles, or null

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
                    if (shortcut) y[i][j] += load(added + (size_t(i) * width + left + j) * out + c) + load(shortcut_bias + c);
                    else if (residual.channels[0]) y[i][j] += load(residual.part[0] + pixel, channels - c);
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

// Residual self-attention over all pixels of one image after another; the shortcut carries the normalised features.
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

}  // namespace

extern "C" {

int diamond_lanes() { return LANES; }

// conv(silu(normalise(x))) + shortcut(x); what is null is left out. Height and width are the output's.
void diamond_convolution(
    const float* x, int x_channels, int batch, int height, int width, int upsample,
    int groups, float epsilon, const float* modulation, int shared, float offset,
    const float* weight, const float* bias, int channels,
    const float* shortcut, const float* shortcut_bias, int residual,
    float* output, int threads
) {
    const Input input{{x, nullptr}, {x_channels, 0}};
    std::vector<float> scale(groups ? size_t(batch) * x_channels : 0), shift(scale.size());
    if (groups) {
        Moments moments = measure(input, batch, height * width, threads);
        Normalisation{groups, epsilon, modulation, shared != 0, offset}.run(
            moments, batch, threads, scale.data(), shift.data()
        );
    }
    Convolution{input, groups ? scale.data() : nullptr, groups ? shift.data() : nullptr, weight, bias,
                residual ? input : Input{}, shortcut, shortcut_bias, output, batch, height, width, channels,
                upsample != 0, threads, nullptr}
        .run();
}

// conv2(silu(normalise2(conv1(silu(normalise1(x and skip)))))) + shortcut(x and skip); `inner` has the output's size.
void diamond_residual_block(
    const float* x, int x_channels, const float* skip, int skip_channels, int batch, int height, int width,
    int groups1, const float* modulation1, const float* weight1, const float* bias1,
    int groups2, const float* modulation2, const float* weight2, const float* bias2, float epsilon,
    int channels, const float* shortcut, const float* shortcut_bias, float* inner, float* output, int threads
) {
    const Input input{{x, skip}, {x_channels, skip_channels}}, middle{{inner, nullptr}, {channels, 0}};
    const size_t most = size_t(batch) * std::max(input.total(), channels);
    std::vector<float> scale(most), shift(most);
    Moments before = measure(input, batch, height * width, threads);
    Normalisation{groups1, epsilon, modulation1, false, 1}.run(before, batch, threads, scale.data(), shift.data());
    std::vector<int> row_pixels;
    for (int top = 0; top < height; top += TILE) row_pixels.push_back(std::min(TILE, height - top) * width);
    Moments between(batch, channels, row_pixels);
    Convolution{input, scale.data(), shift.data(), weight1, bias1, Input{}, nullptr, nullptr, inner, batch, height,
                width, channels, false, threads, &between}
        .run();
    Normalisation{groups2, epsilon, modulation2, false, 1}.run(between, batch, threads, scale.data(), shift.data());
    Convolution{middle, scale.data(), shift.data(), weight2, bias2, input, shortcut, shortcut_bias, output, batch,
                height, width, channels, false, threads, nullptr}
        .run();
}

// normalise(x) + out(attention(in(normalise(x)))).
void diamond_attention(
    const float* x, int batch, int pixels, int channels, int heads, int groups, float epsilon, const float* modulation,
    const float* in_weight, const float* in_bias, const float* out_weight, const float* out_bias,
    float* output, int threads
) {
    std::vector<float> scale(size_t(batch) * channels), shift(scale.size());
    Moments moments = measure(Input{{x, nullptr}, {channels, 0}}, batch, pixels, threads);
    Normalisation{groups, epsilon, modulation, true, 0}.run(moments, batch, threads, scale.data(), shift.data());
    Attention{x, scale.data(), shift.data(), in_weight, in_bias, out_weight, out_bias, output, batch, pixels, channels,
              heads, threads}
        .run();
}
}
