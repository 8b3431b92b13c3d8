"""The building blocks do what their equations say, and start where training expects them to start."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from random_weights import randomised
from torch import Tensor, nn

from diamond.networks.blocks import (
    AdaptiveGroupNorm,
    Downsample,
    FourierFeatures,
    ResidualBlock,
    SelfAttention,
    Upsample,
    initialise_lstm,
    num_groups,
)


def normalised(x: Tensor, groups: int) -> Tensor:
    """Mean 0 and variance 1 over each group of channels."""
    grouped = x.reshape(len(x), groups, -1)
    mean, variance = grouped.mean(dim=2, keepdim=True), grouped.var(dim=2, unbiased=False, keepdim=True)
    return ((grouped - mean) / (variance + 1e-5).sqrt()).reshape(x.shape)


@pytest.mark.parametrize(("channels", "groups"), [(3, 1), (31, 1), (32, 1), (63, 1), (64, 2), (128, 4)])
def test_one_group_for_every_full_32_channels(channels: int, groups: int) -> None:
    assert num_groups(channels) == groups


def test_adaptive_group_norm_is_the_equation(generator: torch.Generator) -> None:
    """y * (1 + scale) + shift, where scale and shift are a linear map of the conditioning."""
    norm = AdaptiveGroupNorm(64, 10)
    x, condition = torch.randn(2, 64, 5, 3, generator=generator), torch.randn(2, 10, generator=generator)
    scale, shift = norm.linear(condition)[..., None, None].split(64, dim=1)
    assert torch.allclose(norm(x, condition), normalised(x, 2) * (1 + scale) + shift, atol=1e-5)


def test_adaptive_group_norm_without_condition_is_group_norm(generator: torch.Generator) -> None:
    """It adds nothing of its own: no scale or shift besides what the conditioning brings."""
    norm = AdaptiveGroupNorm(8, 10)
    nn.init.zeros_(norm.linear.bias)
    x = torch.randn(2, 8, 4, 4, generator=generator)
    assert torch.allclose(norm(x, torch.zeros(2, 10)), normalised(x, 1), atol=1e-5)


def test_attention_starts_as_group_norm(generator: torch.Generator) -> None:
    x = torch.randn(2, 64, 4, 4, generator=generator)
    assert torch.allclose(SelfAttention(64)(x), normalised(x, 2), atol=1e-5)


@pytest.mark.parametrize(("channels", "heads"), [(4, 1), (8, 1), (64, 8)])
def test_attention_is_the_equation(channels: int, heads: int, generator: torch.Generator) -> None:
    """softmax(q k^T / sqrt(d)) v for each head of 8 channels, added to the normalised input."""
    attention = randomised(SelfAttention(channels))
    x = torch.randn(1, channels, 2, 3, generator=generator)
    y = attention.norm(x)
    query, key, value = attention.qkv(y).flatten(2).chunk(3, dim=1)
    outputs = []
    for q, k, v in zip(*(part[0].chunk(heads) for part in (query, key, value)), strict=True):
        weights = (q.T @ k / math.sqrt(channels // heads)).softmax(dim=1)  # (to, from)
        outputs.append(v @ weights.T)
    expected = y + attention.out(torch.cat(outputs).reshape(1, channels, 2, 3))
    assert torch.allclose(attention(x), expected, atol=1e-5)


def test_attention_does_not_know_where_a_pixel_is(generator: torch.Generator) -> None:
    """Shuffled pixels in, the same shuffled pixels out."""
    attention = randomised(SelfAttention(16))
    x = torch.randn(1, 16, 3, 4, generator=generator)
    order = torch.randperm(12, generator=generator)
    shuffled = x.flatten(2)[..., order].reshape(x.shape)
    assert torch.allclose(attention(shuffled).flatten(2), attention(x).flatten(2)[..., order], atol=1e-5)


@pytest.mark.parametrize("out_channels", [8, 16])
def test_residual_block_starts_as_its_shortcut(out_channels: int, generator: torch.Generator) -> None:
    """Up to the bias of the last convolution, whatever the conditioning."""
    block = ResidualBlock(8, out_channels, condition_channels=4, attention=False)
    x, condition = torch.randn(2, 8, 5, 5, generator=generator), torch.randn(2, 4, generator=generator)
    difference = block(x, condition) - block.shortcut(x)
    assert torch.allclose(difference, block.conv2.bias[:, None, None].expand_as(difference), atol=1e-6)
    assert isinstance(block.shortcut, nn.Identity) == (out_channels == 8)


def test_fourier_features(generator: torch.Generator) -> None:
    """[cos, sin](2 pi f x): a point on a circle per frequency, which training does not move."""
    features = FourierFeatures(32)
    x = torch.randn(5, generator=generator)
    cosine, sine = features(x).chunk(2, dim=1)
    assert torch.allclose(cosine**2 + sine**2, torch.ones(5, 16), atol=1e-6)
    assert torch.allclose(
        torch.atan2(sine, cosine).cos(), (2 * math.pi * x[:, None] * features.frequencies).cos(), atol=1e-4
    )
    assert features(torch.zeros(1))[0].tolist() == [1] * 16 + [0] * 16
    assert not list(features.parameters())
    assert "frequencies" in features.state_dict()


@given(st.integers(1, 9), st.integers(1, 9))
def test_resampling_sizes(height: int, width: int) -> None:
    x = torch.zeros(1, 2, height, width)
    assert Downsample(2)(x).shape == (1, 2, (height + 1) // 2, (width + 1) // 2)
    assert Upsample(2)(x).shape == (1, 2, 2 * height, 2 * width)


def test_downsampling_starts_orthogonal() -> None:
    weight = Downsample(16).conv.weight.flatten(1)
    assert torch.allclose(weight @ weight.T, torch.eye(16), atol=1e-5)


@pytest.mark.parametrize("kind", [nn.LSTM, nn.LSTMCell])
def test_lstm_initialisation(kind: type[nn.LSTM] | type[nn.LSTMCell]) -> None:
    """Both weights are drawn over the four stacked gates; the forget gate starts open, by one of the two biases."""
    inputs, size = 96, 16
    lstm = kind(inputs, size)
    initialise_lstm(lstm)
    by_name = {name.removesuffix("_l0"): parameter.detach() for name, parameter in lstm.named_parameters()}
    recurrent = by_name["weight_hh"]
    assert torch.allclose(recurrent.T @ recurrent, torch.eye(size), atol=1e-5)
    bound = math.sqrt(6 / (inputs + 4 * size))
    assert by_name["weight_ih"].abs().max() <= bound
    assert by_name["weight_ih"].std() == pytest.approx(bound / math.sqrt(3), rel=0.05)
    assert by_name["bias_ih"].tolist() == [0] * size + [1] * size + [0] * 2 * size
    assert by_name["bias_hh"].tolist() == [0] * 4 * size
