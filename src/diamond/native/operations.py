"""Fused operations for networks that run on a CPU without gradient; `networks/blocks.py` says what they compute.

Images are channels-last in memory. Weights are rearranged once, and again only after they have changed.

Axes   b batch | c d e channels | h w image | k conditioning
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ctypes import CDLL
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor
from torch.optim.optimizer import register_optimizer_step_post_hook

from diamond.native.library import library

_POINTS = (0.0, 5 / 8, -5 / 8, 3 / 2, -3 / 2)
"""Where Winograd's polynomials are evaluated, besides infinity: as in `kernels.cpp`."""
_enabled = True


class Normalisation(NamedTuple):
    """A group normalisation without weights, then y * (1 + scale) + shift."""

    groups: int
    epsilon: float
    modulation: Float[Tensor, "b twice_c"]
    """Scale and shift of every channel; b is 1 where they hold for all images."""


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
        and not torch.is_grad_enabled()
        and not torch.compiler.is_compiling()
        and not torch.is_autocast_enabled("cpu")
        and ready()
    )


def convolution(
    x: Float[Tensor, "b c h w"],
    weights: Weights,
    *,
    normalisation: Normalisation | None = None,
    skip: Float[Tensor, "b e h w"] | None = None,
    residual: Float[Tensor, "b c2 h w"] | None = None,
    residual_skip: Float[Tensor, "b e2 h w"] | None = None,
    shortcut: Weights | None = None,
    upsample: bool = False,
) -> Float[Tensor, "b d h2 w2"]:
    """conv(silu(normalise(cat(x, skip)))) + shortcut(cat(residual, residual_skip)), without what is not given.

    The convolution is 3x3, of stride 1 and padding 1; without normalisation there is no SiLU either; without shortcut
    the residual is added as it is; `upsample` doubles every pixel of `x` in both directions before.
    """
    kernels = _kernels()
    x, skip = _channels_last(x), None if skip is None else _channels_last(skip)
    residual = None if residual is None else _channels_last(residual)
    residual_skip = None if residual_skip is None else _channels_last(residual_skip)
    batch, _, height, width = x.shape
    height, width = (2 * height, 2 * width) if upsample else (height, width)
    channels = len(weights.bias)
    output = torch.empty((batch, channels, height, width), memory_format=torch.channels_last)
    groups, epsilon, modulation = normalisation or (0, 0.0, None)
    kept = (  # alive until the call returns
        _derived(weights.weight, _winograd),
        _derived(weights.bias, _padded_vector),
        None if shortcut is None else _derived(shortcut.weight, _matrix),
        None if shortcut is None else _derived(shortcut.bias, _padded_vector),
    )
    kernels.diamond_convolution(
        *(_address(x), _channels(x), _address(skip), _channels(skip)),
        *(groups, epsilon, _address(modulation), modulation is not None and len(modulation) == 1),
        *(_address(kept[0]), _address(kept[1])),
        *(_address(residual), _channels(residual), _address(residual_skip), _channels(residual_skip)),
        *(_address(kept[2]), _address(kept[3])),
        *(_address(output), batch, height, width, channels, upsample),
    )
    return output


def attention(
    x: Float[Tensor, "b c h w"], normalisation: Normalisation, qkv: Weights, out: Weights, heads: int
) -> Float[Tensor, "b c h w"]:
    """y + out(attention(qkv(y))) with y = normalise(x); both weights are of 1x1 convolutions."""
    kernels = _kernels()
    x = _channels_last(x)
    batch, channels, height, width = x.shape
    output = torch.empty_like(x)
    kept = [_derived(w.weight, _matrix) for w in (qkv, out)] + [_derived(w.bias, _padded_vector) for w in (qkv, out)]
    kernels.diamond_attention(
        *(_address(x), normalisation.groups, normalisation.epsilon, _address(normalisation.modulation)),
        *(_address(kept[0]), _address(kept[2]), _address(kept[1]), _address(kept[3])),
        *(_address(output), batch, height * width, channels, heads),
    )
    return output


def _kernels() -> CDLL:
    kernels = library()
    assert kernels is not None, "ask `usable` first"
    return kernels


def _channels_last(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last)


def _address(x: Tensor | None) -> int | None:
    return None if x is None else x.data_ptr()


def _channels(x: Tensor | None) -> int:
    return 0 if x is None else x.shape[1]


# Weights, rearranged


def _note_change(optimizer: torch.optim.Optimizer, *_: object) -> None:
    for group in optimizer.param_groups:
        torch.autograd.graph.increment_version(group["params"])


# PyTorch's fused optimisers change weights without counting it, and `_derived` would go on with the old ones.
register_optimizer_step_post_hook(_note_change)


def _derived(weight: Tensor, derive: Callable[[Tensor], Tensor]) -> Tensor:
    """`derive(weight)`, kept with `weight` and computed again only after that was changed."""
    state, known = (weight._version, weight.data_ptr()), getattr(weight, "_derived", None)
    if known is None or known[0] != state:
        known = (state, derive(weight.detach()))
        weight._derived = known  # type: ignore[attr-defined]
    return known[1]


def _padded(size: int) -> int:
    lanes = _kernels().diamond_lanes()
    return -(-size // lanes) * lanes


def _padded_vector(bias: Float[Tensor, "d"]) -> Float[Tensor, "d2"]:
    return F.pad(bias, (0, _padded(len(bias)) - len(bias)))


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
    points = torch.tensor(_POINTS, dtype=torch.float64)
    distances = points[:, None] - points + torch.eye(len(points), dtype=torch.float64)
    finite = points[:, None] ** torch.arange(3) / distances.prod(dim=1, keepdim=True)
    return torch.cat((finite, torch.tensor([[0.0, 0.0, 1.0]], dtype=torch.float64)))
