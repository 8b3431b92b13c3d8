"""Our own kernels compute what PyTorch computes, for every shape."""

import copy
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from random_weights import randomised
from torch import Tensor, nn

from diamond.agents.agent import Agent
from diamond.config.presets import laptop
from diamond.kernels import accelerate
from diamond.kernels.library import library
from diamond.kernels.operations import convolution, residual_block
from diamond.kernels.weights import Normalisation, matrix, normalisation, winograd, winograd_matrix
from diamond.networks.actor_critic import EncoderBlock
from diamond.networks.blocks import Conv1x1, Conv3x3, GroupNorm, ResidualBlock, SelfAttention, Upsample

pytestmark = pytest.mark.skipif(library() is None, reason="no C++ compiler")

sizes = st.integers(1, 19)
channels = st.integers(1, 40)
seeds = st.integers(0, 2**31)


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def images(seed: int, *shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator).contiguous(memory_format=torch.channels_last)


@torch.no_grad()
def assert_fused_as_exact(module: nn.Module, *inputs: Tensor | None, tolerance: float = 5e-6) -> None:
    """The fused result differs from double precision by `tolerance` times the largest number, or times 1 where sums of
    numbers of that size cancel."""
    double = copy.deepcopy(module).double()
    exact = double(*(x if x is None else x.double() for x in inputs))
    fused = accelerate(module)(*inputs)
    plain = module(*inputs)
    assert fused.shape == exact.shape
    largest = exact.abs().max().clamp(min=1)
    assert (fused - exact).abs().max() <= tolerance * largest
    assert (plain - exact).abs().max() <= tolerance * largest


def test_the_transformed_weights_are_values_of_a_polynomial() -> None:
    """At infinity the leading coefficient; at the points the value, over the product of the point's distances."""
    matrix, weights = winograd_matrix(), torch.tensor([3.0, -2.0, 5.0], dtype=torch.float64)
    points = [0, 5 / 8, -5 / 8, 3 / 2, -3 / 2]
    for row, point in zip(matrix, points, strict=False):
        product = 1.0
        for other in points:
            product *= point - other if other != point else 1
        assert float(row @ weights) == pytest.approx((3 - 2 * point + 5 * point**2) / product)
    assert float(matrix[5] @ weights) == 5


@settings(max_examples=50)
@given(sizes, sizes, channels, channels, st.integers(1, 3), seeds)
def test_a_convolution_of_any_shape(h: int, w: int, c: int, d: int, batch: int, seed: int) -> None:
    conv = randomised(Conv3x3(c, d), seed)
    assert_fused_as_exact(conv, images(seed, batch, c, h, w))


@pytest.mark.parametrize("size", [(64, 64), (7, 30), (130, 5)])
def test_a_convolution_that_is_shared_out(size: tuple[int, int]) -> None:
    """Larger than what one thread takes at once."""
    conv = randomised(Conv3x3(24, 48))
    for count in (1, 2, 5):
        torch.set_num_threads(count)
        assert_fused_as_exact(conv, images(1, 3, 24, *size))


@settings(max_examples=25)
@given(sizes, sizes, channels, seeds)
def test_doubling_pixels_before_a_convolution(h: int, w: int, c: int, seed: int) -> None:
    upsample = randomised(Upsample(c), seed)
    assert_fused_as_exact(upsample, images(seed, 2, c, h, w))


@settings(max_examples=50)
@given(
    st.sampled_from(
        [
            (8, 0, 8),
            (16, 0, 32),
            (64, 64, 64),
            (32, 16, 16),
            (3, 5, 7),
            (64, 32, 64),
            (20, 0, 20),
            (12, 12, 5),
            (16, 16, 32),
        ]
    ),
    sizes,
    sizes,
    seeds,
)
def test_a_residual_block(widths: tuple[int, int, int], h: int, w: int, seed: int) -> None:
    """With and without a skip, with the identity and with a linear map as the shortcut."""
    x, skip, out = widths
    block = randomised(ResidualBlock(x + skip, out, condition_channels=12, attention=False), seed)
    skipped = images(seed + 1, 2, skip, h, w) if skip else None
    condition = torch.randn(2, 12, generator=torch.Generator().manual_seed(seed))
    assert_fused_as_exact(block, images(seed, 2, x, h, w), condition, skipped, tolerance=2e-5)


@pytest.mark.parametrize("widths", [(16, 16), (16, 32), (64, 64)])
def test_a_block_of_the_agent(widths: tuple[int, int]) -> None:
    block = randomised(EncoderBlock(*widths))
    assert_fused_as_exact(block, images(1, 3, widths[0], 10, 7))


@settings(max_examples=25)
@given(st.sampled_from([4, 8, 16, 24, 32, 64]), st.integers(1, 9), st.integers(1, 9), seeds)
def test_attention(c: int, h: int, w: int, seed: int) -> None:
    module = randomised(SelfAttention(c), seed)
    assert_fused_as_exact(module, images(seed, 2, c, h, w), tolerance=2e-5)


def identity(channels: int) -> Conv3x3:
    conv = Conv3x3(channels, channels)
    nn.init.dirac_(conv.weight)
    nn.init.zeros_(conv.bias)
    return conv


def test_statistics_of_features_far_from_zero() -> None:
    """A mean a thousand times the spread costs no more digits than the features themselves have."""
    x = 1000 + images(0, 1, 32, 9, 9)
    with torch.no_grad():
        fused = convolution(x, winograd(identity(32)), normalisation=normalisation(GroupNorm(32)))
        exact = F.silu(F.group_norm(x.double(), 1))
    assert (fused - exact).abs().max() < 1e-4


@pytest.mark.parametrize("value", [-1e4, -88.0, -20.0, 0.0, 20.0, 88.0, 1e4])
def test_silu_far_out(value: float) -> None:
    shift = Normalisation(1, 1e-5, torch.tensor([[0.0, value]]), offset=1.0)
    with torch.no_grad():
        fused = convolution(torch.zeros(1, 1, 1, 1), winograd(identity(1)), normalisation=shift)
    expected = F.silu(torch.tensor(value, dtype=torch.float64))
    torch.testing.assert_close(fused.flatten().double()[0], expected, rtol=1e-5, atol=1e-28)


@pytest.mark.parametrize("wrong", [float("nan"), float("inf")])
def test_what_is_not_finite_stays_visible(wrong: float) -> None:
    block = accelerate(randomised(ResidualBlock(16, 16, condition_channels=4, attention=True)))
    x = images(0, 1, 16, 8, 8)
    x[0, 3, 2, 2] = wrong
    with torch.no_grad():
        assert not torch.isfinite(block(x, torch.zeros(1, 4))).all()


def laptop_agent() -> Agent:
    agent = Agent.create(laptop(), num_actions=4, seed=0)
    for network in agent.networks.values():
        randomised(network, 1)
    return agent.to("cpu")


def whole_networks() -> list[tuple[nn.Module, tuple[Tensor, ...]]]:
    agent = laptop_agent()
    noisy, context = images(0, 3, 3, 10, 10), torch.stack([images(i, 3, 3, 10, 10) for i in range(4)], dim=1)
    actions = torch.tensor([[0, 1, 2, 3]] * 3)
    return [
        (agent.denoiser, (noisy, torch.zeros(3), context, actions)),
        (agent.reward_model.encoder, (torch.cat((noisy, noisy), dim=1), torch.ones(3, 64))),
        (agent.actor_critic.encoder, (noisy,)),
    ]


@pytest.mark.parametrize("which", range(3), ids=["denoiser", "reward encoder", "policy encoder"])
@torch.no_grad()
def test_whole_networks(which: int) -> None:
    network, inputs = whole_networks()[which]
    fused, plain = accelerate(network)(*inputs), network(*inputs)
    assert not torch.equal(fused, plain), "the kernels were not used"
    assert (fused - plain).abs().max() <= 2e-5 * plain.abs().max()


@torch.no_grad()
def test_threads_change_no_bit_and_neighbours_nothing() -> None:
    block = accelerate(randomised(ResidualBlock(48, 32, condition_channels=4, attention=True)))
    x, skip, condition = images(0, 5, 32, 33, 21), images(1, 5, 16, 33, 21), torch.ones(5, 4)
    torch.set_num_threads(1)
    together = block(x, condition, skip)
    torch.set_num_threads(3)
    assert torch.equal(block(x, condition, skip), together)
    alone = [block(x[i : i + 1], condition[i : i + 1], skip[i : i + 1]) for i in range(5)]
    torch.testing.assert_close(torch.cat(alone), together)


@torch.no_grad()
def test_other_defaults_and_other_memory_orders_change_nothing() -> None:
    block = accelerate(randomised(ResidualBlock(32, 16, 4, attention=True)))
    x, skip, condition = images(0, 2, 16, 9, 9), images(1, 2, 16, 9, 9), torch.ones(2, 4)
    expected = block(x, condition, skip)
    assert torch.equal(block(x.contiguous(), condition, skip.contiguous()), expected)
    wide = torch.stack((x, x), dim=-1)[..., 0]
    assert torch.equal(block(wide, condition, skip), expected)
    torch.set_default_dtype(torch.float64)
    try:
        assert torch.equal(block(x, condition, skip), expected)
    finally:
        torch.set_default_dtype(torch.float32)


@torch.no_grad()
def test_what_was_not_finite_once_leaves_no_trace() -> None:
    """Two parts that meet within a vector leave gaps, in which nothing may stay from a call before."""
    block = accelerate(randomised(ResidualBlock(24, 24, 4, attention=False)))
    x, condition = images(0, 1, 12, 8, 8), torch.ones(1, 4)
    expected = block(x, condition, x)
    wide = accelerate(randomised(ResidualBlock(64, 64, 4, attention=False)))
    assert wide(torch.full((1, 64, 8, 8), float("nan")), condition).isnan().all()
    assert torch.equal(block(x, condition, x), expected)


@torch.no_grad()
def test_several_threads_of_python_at_once() -> None:
    block, condition = accelerate(randomised(ResidualBlock(16, 16, 4, attention=True))), torch.ones(1, 4)
    inputs = [images(seed, 1, 16, 12, 12) for seed in range(8)]
    expected = [block(x, condition) for x in inputs]

    def alone(x: Tensor) -> Tensor:
        with torch.no_grad():  # a setting of each thread
            return block(x, condition)

    with ThreadPoolExecutor(4) as pool:
        assert all(map(torch.equal, pool.map(alone, inputs), expected))


@pytest.mark.parametrize(
    ("x", "skip", "condition", "complaint"),
    [
        (images(0, 2, 8, 4, 4), None, torch.ones(2, 4), "weights for 16 channels, features of 8"),
        (images(0, 2, 16, 4, 4), None, torch.ones(3, 4), "modulation of (3, 32) for 2 images of 16 channels"),
    ],
)
@torch.no_grad()
def test_what_does_not_fit_is_refused(x: Tensor, skip: Tensor | None, condition: Tensor, complaint: str) -> None:
    block = ResidualBlock(16, 16, 4, attention=False)
    norms = [Normalisation(1, 1e-5, norm.linear(condition), 1.0) for norm in (block.norm1, block.norm2)]
    first, second = zip(norms, map(winograd, (block.conv1, block.conv2)), strict=True)
    with pytest.raises(ValueError, match=re.escape(complaint)):
        residual_block(x, skip, first, second, matrix(Conv1x1(16, 16)))


def test_what_a_kernel_would_misread_is_refused() -> None:
    conv, x = accelerate(Conv3x3(16, 16)), images(0, 1, 16, 4, 4)
    for wrong in (x.double(), x.to("meta")):
        with pytest.raises(ValueError, match=r"the kernels take float32 on a CPU$"):
            conv(wrong)
    with pytest.raises(ValueError, match=r"in torch.float64: give a 3x3 convolution in float32"):
        winograd(Conv3x3(16, 16).double())


@torch.no_grad()
def test_no_image_at_all() -> None:
    block = accelerate(randomised(ResidualBlock(16, 32, 4, attention=True)))
    assert block(images(0, 0, 16, 8, 8), torch.ones(0, 4)).shape == (0, 32, 8, 8)


@torch.no_grad()
def changed(x: Tensor) -> Tensor:
    """In place, by more in one channel than in another."""
    x[:, ::2] *= 3
    return x


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
@pytest.mark.parametrize("change", [lambda x: x, changed, lambda x: 2 * x, lambda x: x[..., 1:]])
def test_statistics_are_of_the_features_as_they_are(
    mode: Callable[[], object], change: Callable[[Tensor], Tensor]
) -> None:
    """A kernel hands the statistics of its output to the next one; whatever happened to the features in between."""
    blocks = (randomised(ResidualBlock(32, 32, condition_channels=4, attention=False), seed) for seed in (0, 1))
    first, second = map(accelerate, blocks)
    x, condition = images(0, 2, 32, 9, 7), torch.ones(2, 4)
    with torch.no_grad():
        features = first(x, condition)
        alone = second(change(features.clone(memory_format=torch.channels_last)), condition)
    with mode():  # type: ignore[attr-defined]
        together = second(change(first(x, condition)), condition)
    torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-5 * float(alone.abs().max()))
