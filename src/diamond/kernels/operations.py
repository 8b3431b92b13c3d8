"""Fused operations for networks that run on a CPU without gradient; the modules in `networks` that ask `usable` say
what they compute.

Images are channels-last in memory. Weights are rearranged once, and again only after they have changed.

Axes   b batch | c d e channels | h w image
"""

import ctypes
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor
from torch.optim.optimizer import register_optimizer_step_post_hook
from torch.utils.weak import WeakTensorKeyDictionary

from diamond.kernels.library import library

_POINTS = (0.0, 5 / 8, -5 / 8, 3 / 2, -3 / 2)
"""Where Winograd's polynomials are evaluated, besides infinity: as in `convolution.h`."""
_enabled = True


class Normalisation(NamedTuple):
    """A group normalisation without weights, then y * (offset + scale) + shift."""

    groups: int
    epsilon: float
    modulation: Float[Tensor, "b twice_c"]
    """Scale and shift of every channel; b is 1 where they hold for all images."""
    offset: float
    """What is added to the scale."""


class Weights(NamedTuple):
    """A convolution's weights as PyTorch keeps them."""

    weight: Float[Tensor, "d c s s"]
    bias: Float[Tensor, "d"]


def enable(on: bool) -> None:
    """Let fused operations be used where they can be, or nowhere in this process."""
    global _enabled
    _enabled = on


@contextmanager
def disabled() -> Iterator[None]:
    """Nothing is fused inside."""
    before = _enabled
    enable(False)
    try:
        yield
    finally:
        enable(before)


def ready() -> bool:
    """Whether fused operations are enabled and could be built; builds them if that was not tried yet."""
    return _enabled and library() is not None


def in_use() -> bool:
    """Whether fused operations are enabled and were built already."""
    return _enabled and library.cache_info().currsize > 0 and library() is not None


def usable(x: Tensor) -> bool:
    """Whether fused operations can stand in for PyTorch's on images like `x`, here and now."""
    return (
        x.device.type == "cpu"
        and x.dtype == torch.float32
        and x.numel() > 0
        and type(x) is Tensor
        and not torch.is_grad_enabled()
        and not torch.compiler.is_compiling()
        and not torch.jit.is_tracing()
        and not torch.is_autocast_enabled("cpu")
        and ready()
    )


def convolution(
    x: Float[Tensor, "b c h w"],
    weights: Weights,
    *,
    normalisation: Normalisation | None = None,
    residual: bool = False,
    shortcut: Weights | None = None,
    upsample: bool = False,
) -> Float[Tensor, "b d h2 w2"]:
    """conv(silu(normalise(x))) + shortcut(x), without what is not given.

    The convolution is 3x3, of stride 1 and padding 1; without normalisation there is no SiLU either; `residual` adds
    `x`, as it is or under the 1x1 convolution `shortcut`; `upsample` doubles every pixel of `x` in both directions.

    Raises:
        ValueError: shapes or types do not fit together.
    """
    x = _channels_last(x)
    batch, inputs, height, width = x.shape
    height, width = (2 * height, 2 * width) if upsample else (height, width)
    channels = _outputs(weights, inputs)
    output = _empty(x, batch, channels, height, width)
    # Worth it before residual blocks; layers that normalise end a network, or are mostly pooled next.
    statistics = None if normalisation else _statistics_for(output)
    groups, epsilon, modulation, offset = normalisation or (0, 0.0, None, 0.0)
    if normalisation is not None:
        modulation = _modulation(normalisation, batch, inputs)
    if residual and shortcut is None and inputs != channels:
        raise ValueError(f"a residual of {inputs} channels needs a shortcut to {channels}")
    weight, bias, matrix, matrix_bias = _rearranged(weights, shortcut, inputs, channels)
    _kernels().diamond_convolution(
        *(x.data_ptr(), _address(_statistics_of(x)), inputs, batch, height, width, upsample),
        *(groups, epsilon, _address(modulation), modulation is not None and len(modulation) == 1, offset),
        *(weight.data_ptr(), bias.data_ptr(), channels, _address(matrix), _address(matrix_bias), residual),
        *(output.data_ptr(), _address(statistics), torch.get_num_threads()),
    )
    return output


def residual_block(
    x: Float[Tensor, "b c h w"],
    skip: Float[Tensor, "b e h w"] | None,
    first: tuple[Normalisation, Weights],
    second: tuple[Normalisation, Weights],
    shortcut: Weights | None,
) -> Float[Tensor, "b d h w"]:
    """conv2(silu(normalise2(conv1(silu(normalise1(cat(x, skip))))))) + shortcut(cat(x, skip)); no shortcut: as it is.

    Raises:
        ValueError: shapes or types do not fit together.
    """
    if skip is not None and (shortcut is None or x.shape[1] != _padded(x.shape[1])):
        x, skip = torch.cat((x, skip), dim=1), None
    x = _channels_last(x)
    batch, inputs, height, width = x.shape
    skipped = 0
    if skip is not None:
        skip, skipped = _channels_last(skip), skip.shape[1]
        if skip.shape != (batch, skipped, height, width):
            raise ValueError(f"the skip is {tuple(skip.shape)}, which does not lie beside {tuple(x.shape)}")
    channels = _outputs(first[1], inputs + skipped)
    if _outputs(second[1], channels) != channels or (shortcut is None and inputs != channels):
        raise ValueError(f"convolutions and shortcut do not all lead to {channels} channels")
    if not (first[0].offset == second[0].offset == 1 and first[0].epsilon == second[0].epsilon):
        raise ValueError("both normalisations must be adaptive, with one epsilon")
    modulations = (
        _modulation(first[0], batch, inputs + skipped, shared=False),
        _modulation(second[0], batch, channels, shared=False),
    )
    inner, output = (_empty(x, batch, channels, height, width) for _ in range(2))
    weight1, bias1, matrix, matrix_bias = _rearranged(first[1], shortcut, inputs + skipped, channels)
    weight2, bias2, *_ = _rearranged(second[1], None, channels, channels)
    _kernels().diamond_residual_block(
        *(x.data_ptr(), _address(_statistics_of(x)), inputs),
        *(_address(skip), _address(_statistics_of(skip)), skipped, batch, height, width),
        *(first[0].groups, modulations[0].data_ptr(), weight1.data_ptr(), bias1.data_ptr()),
        *(second[0].groups, modulations[1].data_ptr(), weight2.data_ptr(), bias2.data_ptr(), first[0].epsilon),
        *(channels, _address(matrix), _address(matrix_bias), inner.data_ptr(), output.data_ptr()),
        *(_address(_statistics_for(output)), torch.get_num_threads()),
    )
    return output


def attention(
    x: Float[Tensor, "b c h w"], normalisation: Normalisation, qkv: Weights, out: Weights, heads: int
) -> Float[Tensor, "b c h w"]:
    """y + out(attention(qkv(y))) with y = normalise(x); both weights are of 1x1 convolutions.

    Raises:
        ValueError: shapes or types do not fit together.
    """
    x = _channels_last(x)
    batch, channels, height, width = x.shape
    if channels % heads:
        raise ValueError(f"{channels} channels are not {heads} heads of equal size")
    if qkv.weight.shape != (3 * channels, channels, 1, 1) or out.weight.shape != (channels, channels, 1, 1):
        raise ValueError(f"weights of {tuple(qkv.weight.shape)} and {tuple(out.weight.shape)} for {channels} channels")
    if normalisation.offset != 0:
        raise ValueError("the normalisation must not be adaptive")
    modulation = _modulation(normalisation, 1, channels)
    output = torch.empty_like(x)
    qkv_weight, qkv_bias = _derived(qkv.weight, _matrix), _whole(qkv.bias)
    out_weight, out_bias = _derived(out.weight, _matrix), _whole(out.bias)
    _kernels().diamond_attention(
        *(x.data_ptr(), _address(_statistics_of(x)), batch, height * width, channels, heads),
        *(normalisation.groups, normalisation.epsilon, modulation.data_ptr()),
        *(qkv_weight.data_ptr(), qkv_bias.data_ptr(), out_weight.data_ptr(), out_bias.data_ptr()),
        *(output.data_ptr(), torch.get_num_threads()),
    )
    return output


def _kernels() -> ctypes.CDLL:
    kernels = library()
    assert kernels is not None, "ask `usable` first"
    return kernels


def _outputs(weights: Weights, inputs: int) -> int:
    """The number of channels that a 3x3 convolution of `inputs` channels gives."""
    weight, bias = weights
    if weight.shape != (len(bias), inputs, 3, 3) or not weight.dtype == bias.dtype == torch.float32:
        raise ValueError(f"weights of {tuple(weight.shape)} in {weight.dtype} for {inputs} channels in float32")
    return len(bias)


def _modulation(normalisation: Normalisation, batch: int, channels: int, shared: bool = True) -> Tensor:
    modulation = normalisation.modulation
    if channels % normalisation.groups:
        raise ValueError(f"{channels} channels are not {normalisation.groups} equal groups")
    rows, columns = modulation.shape
    if columns != 2 * channels or (rows != batch and not (shared and rows == 1)) or modulation.dtype != torch.float32:
        raise ValueError(f"modulation of {tuple(modulation.shape)} for {batch} images of {channels} channels")
    return modulation.contiguous()


def _empty(x: Tensor, *shape: int) -> Tensor:
    return torch.empty(shape, dtype=x.dtype, device=x.device, memory_format=torch.channels_last)


def _channels_last(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last)


def _address(x: Tensor | None) -> int | None:
    return None if x is None else x.data_ptr()


# Statistics of features, for the normalisation that comes next

_statistics = WeakTensorKeyDictionary()
"""Of features that a kernel wrote: mean and variance of each channel, (b, 2, c) in float64."""


def _statistics_for(output: Tensor) -> Tensor | None:
    """Where a kernel may write the statistics of its output."""
    if output.is_inference():  # later changes would not be counted
        return None
    statistics = torch.empty(output.shape[0], 2, output.shape[1], dtype=torch.float64, device=output.device)
    _statistics[output] = statistics
    return statistics


def _statistics_of(x: Tensor | None) -> Tensor | None:
    """Statistics of features if they are known, and the features unchanged since."""
    return None if x is None or x.is_inference() or x._version > 0 else _statistics.get(x)


# Weights, rearranged


class _Entry(NamedTuple):
    """What was derived from a weight, and the weight's state then: PyTorch's own count of changes, the place in memory,
    and, for what goes through `.data` and is not counted, three of the numbers."""

    weight: weakref.ref[Tensor]
    version: int
    address: int
    places: list[ctypes.c_float]
    numbers: list[float]
    derived: Tensor


_cache: dict[int, _Entry] = {}


def _derived(weight: Tensor, derive: Callable[[Tensor], Tensor]) -> Tensor:
    """`derive(weight)`, computed again only after `weight` was changed; a weight is only ever derived in one way."""
    key, entry = id(weight), _cache.get(id(weight))
    version, address = 0 if weight.is_inference() else weight._version, weight.data_ptr()
    if (
        entry is not None
        and entry.weight() is weight
        and entry.version == version
        and entry.address == address
        and [place.value for place in entry.places] == entry.numbers
    ):
        return entry.derived
    last = weight.numel() - 1
    places = [ctypes.c_float.from_address(address + 4 * at) for at in (0, last // 2, last)]
    entry = _Entry(
        weakref.ref(weight, lambda _: _cache.pop(key, None)),
        version,
        address,
        places,
        [place.value for place in places],
        derive(weight.detach()),
    )
    _cache[key] = entry
    return entry.derived


def _count_change(optimizer: torch.optim.Optimizer, *_: object) -> None:
    for group in optimizer.param_groups:
        torch.autograd.graph.increment_version([p for p in group["params"] if p.grad is not None])


# PyTorch's fused optimisers change weights without counting it.
register_optimizer_step_post_hook(_count_change)


def _rearranged(
    weights: Weights, shortcut: Weights | None, inputs: int, channels: int
) -> tuple[Tensor, Tensor, Tensor | None, Tensor | None]:
    weight, bias = _derived(weights.weight, _winograd), _whole(weights.bias)
    if shortcut is None:
        return weight, bias, None, None
    if shortcut.weight.shape != (channels, inputs, 1, 1):
        raise ValueError(f"a shortcut of {tuple(shortcut.weight.shape)} from {inputs} to {channels} channels")
    return weight, bias, _derived(shortcut.weight, _matrix), _whole(shortcut.bias)


def _padded(size: int) -> int:
    return size + -size % _kernels().diamond_lanes()


def _whole(bias: Float[Tensor, "d"]) -> Float[Tensor, "d2"]:
    missing = -len(bias) % _kernels().diamond_lanes()
    return F.pad(bias, (0, missing)) if missing else bias.contiguous()


def _matrix(weight: Float[Tensor, "d c 1 1"]) -> Float[Tensor, "c d2"]:
    matrix = weight[:, :, 0, 0].t()
    return F.pad(matrix, (0, _padded(len(weight)) - len(weight))).contiguous()


def _winograd(weight: Float[Tensor, "d c 3 3"]) -> Float[Tensor, "36 c2 d2"]:
    """The weights at all pairs of points: G w G^T (Lavin and Gray 2016, equation 8)."""
    transform = winograd_matrix()
    at_points = torch.einsum("yi,xj,dcij->yxcd", transform, transform, weight.double()).float().flatten(0, 1)
    channels, outputs = at_points.shape[1:]
    return F.pad(at_points, (0, _padded(outputs) - outputs, 0, _padded(channels) - channels)).contiguous()


def winograd_matrix() -> Float[Tensor, "6 3"]:
    """G of F(4, 3): the values of a quadratic polynomial at the points, over the products of their distances."""
    points = torch.tensor(_POINTS, dtype=torch.float64, device="cpu")
    distances = points[:, None] - points + torch.eye(len(points), dtype=torch.float64, device="cpu")
    finite = points[:, None] ** torch.arange(3, device="cpu") / distances.prod(dim=1, keepdim=True)
    return torch.cat((finite, torch.tensor([[0.0, 0.0, 1.0]], dtype=torch.float64, device="cpu")))
