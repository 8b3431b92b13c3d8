// Vectors as wide as the processor's, the functions that networks need of them, and the product of two matrices.

#pragma once

#include <cstdint>
#include <cstring>

#ifdef __AVX512F__
#include <immintrin.h>
#endif

namespace diamond {

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

// 2^x for x from -1/2 to 1/2, fitted at Chebyshev's points.
inline Vec power_of_two(Vec x) {
    Vec power = x * 1.34004322e-3f + 9.6760371e-3f;
    power = power * x + 5.55032721e-2f;
    power = power * x + 2.40221074e-1f;
    power = power * x + 6.93147207e-1f;
    return power * x + 1.00000008f;
}

// exp(x) for x from -76 to 76, beyond that the value at the bound: smaller numbers, which count for nothing, are
// slow to compute with. Relative error 2e-7 near 0, 3e-6 at the bounds.
inline Vec exponential(Vec x) {
    Vec t = x * 1.4426950408889634f;  // exp(x) = 2^t
    t = t < fill(-110.0f) ? fill(-110.0f) : t;
    t = t > fill(110.0f) ? fill(110.0f) : t;
#ifdef __AVX512F__
    const Vec whole = (Vec)_mm512_maskz_roundscale_ps(0xffff, (__m512)t, 0);
    return (Vec)_mm512_maskz_scalef_ps(0xffff, (__m512)power_of_two(t - whole), (__m512)whole);
#else
    constexpr float ROUND = 12582912.0f;  // 1.5 * 2^23: adding it leaves no bits for a fraction
    const Vec shifted = t + ROUND;
    Vec power = power_of_two(t - (shifted - ROUND));
    IntVec whole, bits;
    std::memcpy(&whole, &shifted, sizeof whole);
    std::memcpy(&bits, &power, sizeof bits);
    bits += whole << 23;
    std::memcpy(&power, &bits, sizeof power);
    return power;
#endif
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

inline void multiply(const float* a, int lda, int rows, int k, const float* b, int n, float* c, bool add) {
    int column = 0;
    for (; column + 4 * LANES <= n; column += 4 * LANES)
        multiply_columns<4>(a, lda, rows, k, b + column, n, c + column, n, add);
    for (; column + 2 * LANES <= n; column += 2 * LANES)
        multiply_columns<2>(a, lda, rows, k, b + column, n, c + column, n, add);
    for (; column < n; column += LANES) multiply_columns<1>(a, lda, rows, k, b + column, n, c + column, n, add);
}

}  // namespace diamond
