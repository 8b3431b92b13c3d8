"""Weights as the kernels read them: rearranged once, ends filled up with zeros to whole vectors of the processor.

Axes   c inputs | d outputs | c2 d2 the same, filled up
"""

from functools import cache
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from diamond.kernels.library import loaded

_POINTS = (0.0, 5 / 8, -5 / 8, 3 / 2, -3 / 2)
"""Where Winograd's polynomials are evaluated, besides infinity: as in `convolution.h`."""


class Normalisation(NamedTuple):
    """A group normalisation without weights, then y * (offset + scale) + shift."""

    groups: int
    epsilon: float
    modulation: Float[Tensor, "b twice_c"]
    """Scale and shift of every channel; b is 1 if they hold for all images."""
    offset: float
    """What is added to the scale."""


class Weights(NamedTuple):
    """A convolution's weights, rearranged."""

    inputs: int
    outputs: int
    weight: Float[Tensor, "*points c2 d2"]
    bias: Float[Tensor, "d2"]


def normalisation(norm: nn.GroupNorm) -> Normalisation:
    """A group normalisation with a scale and a shift of its own."""
    modulation = torch.cat((norm.weight.detach(), norm.bias.detach()))[None]
    return Normalisation(norm.num_groups, norm.eps, modulation, offset=0.0)


def winograd(conv: nn.Conv2d) -> Weights:
    """A 3x3 convolution at all pairs of points: G w G^T (Lavin and Gray 2016, equation 8).

    Raises:
        ValueError: it is not a 3x3 convolution with a bias, in float32.
    """
    weight, bias = _checked(conv, 3)
    transform = winograd_matrix()
    at_points = torch.einsum("yi,xj,dcij->yxcd", transform, transform, weight.double()).float().flatten(0, 1)
    outputs, inputs = weight.shape[:2]
    padded = F.pad(at_points, (0, _missing(outputs), 0, _missing(inputs))).contiguous()
    return Weights(inputs, outputs, padded, _filled(bias))


def matrix(conv: nn.Conv2d) -> Weights:
    """A 1x1 convolution as a matrix.

    Raises:
        ValueError: it is not a 1x1 convolution with a bias, in float32.
    """
    weight, bias = _checked(conv, 1)
    outputs, inputs = weight.shape[:2]
    return Weights(inputs, outputs, F.pad(weight[:, :, 0, 0].t(), (0, _missing(outputs))).contiguous(), _filled(bias))


@cache
def winograd_matrix() -> Float[Tensor, "6 3"]:
    """G of F(4, 3): the values of a quadratic polynomial at the points, over the products of their distances."""
    points = torch.tensor(_POINTS, dtype=torch.float64, device="cpu")
    distances = points[:, None] - points + torch.eye(len(points), dtype=torch.float64, device="cpu")
    finite = points[:, None] ** torch.arange(3, device="cpu") / distances.prod(dim=1, keepdim=True)
    return torch.cat((finite, torch.tensor([[0.0, 0.0, 1.0]], dtype=torch.float64, device="cpu")))


def whole_vectors(channels: int) -> bool:
    """Whether so many channels fill the processor's vectors."""
    return _missing(channels) == 0


@cache
def _lanes() -> int:
    return int(loaded().diamond_lanes())


def _missing(channels: int) -> int:
    return -channels % _lanes()


def _filled(bias: Float[Tensor, "d"]) -> Float[Tensor, "d2"]:
    return F.pad(bias, (0, _missing(len(bias)))).contiguous()


def _checked(conv: nn.Conv2d, size: int) -> tuple[Tensor, Tensor]:
    weight, bias = conv.weight.detach(), conv.bias
    if bias is None or weight.shape[2:] != (size, size) or not weight.dtype == bias.dtype == torch.float32:
        raise ValueError(
            f"weights of {tuple(weight.shape)} in {weight.dtype}: give a {size}x{size} convolution in float32"
        )
    return weight, bias.detach()
