// Networks on a CPU, fused: what PyTorch does in several passes over memory happens here in one, and 3x3 convolutions
// multiply a quarter as often (Winograd's minimal filtering F(4x4, 3x3); Lavin and Gray 2016, arXiv 1509.09308).
//
// Images are (b, h, w, c) in memory ("channels last"), float32. An input may come in two parts that lie side by side on
// the channel axis; they are never copied together. Results do not depend on the number of threads.

#include <algorithm>
#include <cstddef>
#include <vector>

#include "attention.h"
#include "convolution.h"
#include "normalisation.h"
#include "vectors.h"

using namespace diamond;

extern "C" {

int diamond_lanes() { return LANES; }

// conv(silu(normalise(x))) + shortcut(x); what is null is left out. Height and width are the output's. Statistics are
// mean and variance of each channel, (b, 2, c): those of inputs as far as they are known, those of the output if wanted.
void diamond_convolution(
    const float* x, const double* x_statistics, int x_channels, int batch, int height, int width, int upsample,
    int groups, float epsilon, const float* modulation, int shared, float offset,
    const float* weight, const float* bias, int channels,
    const float* shortcut, const float* shortcut_bias, int residual,
    float* output, double* statistics, int threads
) {
    const Input input{{x, nullptr}, {x_channels, 0}, {x_statistics, nullptr}};
    Convolution convolution{input, weight, bias, output, batch, height, width, channels, threads};
    convolution.upsample = upsample;
    std::vector<float> scale, shift;
    if (groups) {
        scale.resize(size_t(batch) * x_channels);
        shift.resize(scale.size());
        const Normalisation normalisation{groups, epsilon, modulation, shared != 0, offset};
        normalisation.run(input, batch, height * width, threads, scale.data(), shift.data());
        convolution.scale = scale.data();
        convolution.shift = shift.data();
    }
    if (residual) convolution.residual = input;
    convolution.shortcut = shortcut;
    convolution.shortcut_bias = shortcut_bias;
    convolution.statistics = statistics;
    convolution.run();
}

// conv2(silu(normalise2(conv1(silu(normalise1(x and skip)))))) + shortcut(x and skip); `inner` has the output's size,
// `x` a multiple of LANES channels if there is a skip.
void diamond_residual_block(
    const float* x, const double* x_statistics, int x_channels,
    const float* skip, const double* skip_statistics, int skip_channels, int batch, int height, int width,
    int groups1, const float* modulation1, const float* weight1, const float* bias1,
    int groups2, const float* modulation2, const float* weight2, const float* bias2, float epsilon,
    int channels, const float* shortcut, const float* shortcut_bias,
    float* inner, float* output, double* statistics, int threads
) {
    const Input input{{x, skip}, {x_channels, skip_channels}, {x_statistics, skip_statistics}};
    const size_t most = size_t(batch) * std::max(input.total(), channels);
    std::vector<float> scale(most), shift(most);
    std::vector<double> between(size_t(batch) * 2 * channels);

    const Normalisation normalise1{groups1, epsilon, modulation1, false, 1};
    normalise1.run(input, batch, height * width, threads, scale.data(), shift.data());
    Convolution first{input, weight1, bias1, inner, batch, height, width, channels, threads};
    first.scale = scale.data();
    first.shift = shift.data();
    first.statistics = between.data();
    first.run();

    const Input middle{{inner, nullptr}, {channels, 0}, {between.data(), nullptr}};
    const Normalisation normalise2{groups2, epsilon, modulation2, false, 1};
    normalise2.run(middle, batch, height * width, threads, scale.data(), shift.data());
    Convolution second{middle, weight2, bias2, output, batch, height, width, channels, threads};
    second.scale = scale.data();
    second.shift = shift.data();
    second.residual = input;
    second.shortcut = shortcut;
    second.shortcut_bias = shortcut_bias;
    second.statistics = statistics;
    second.run();
}

// normalise(x) + out(attention(in(normalise(x)))).
void diamond_attention(
    const float* x, const double* x_statistics, int batch, int pixels, int channels, int heads,
    int groups, float epsilon, const float* modulation,
    const float* in_weight, const float* in_bias, const float* out_weight, const float* out_bias,
    float* output, int threads
) {
    std::vector<float> scale(size_t(batch) * channels), shift(scale.size());
    const Input input{{x, nullptr}, {channels, 0}, {x_statistics, nullptr}};
    Normalisation{groups, epsilon, modulation, true, 0}.run(input, batch, pixels, threads, scale.data(), shift.data());
    Attention{x, scale.data(), shift.data(), in_weight, in_bias, out_weight, out_bias, output, batch, pixels, channels,
              heads, threads}
        .run();
}
}
