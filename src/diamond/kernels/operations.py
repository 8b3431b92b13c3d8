"""Fused operations on features of a network that runs on a CPU without gradient.

Images are channels-last in memory. A kernel also measures the mean and variance of what it writes; a normalisation that
comes right after it does not measure them again.

Axes   b batch | c d e channels | h w image
"""

import torch
from jaxtyping import Float
from torch import Tensor

from diamond.errors import DiamondError
from diamond.kernels.library import loaded
from diamond.kernels.weights import Normalisation, Weights, whole_vectors

_STATISTICS = "_diamond_statistics"
"""Attribute of features that a kernel wrote: mean and variance of each channel, (b, 2, c) in float64."""


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
    x = _features(x)
    batch, inputs, height, width = x.shape
    height, width = (2 * height, 2 * width) if upsample else (height, width)
    channels = _outputs(weights, inputs)
    output = _empty(x, batch, channels, height, width)
    # Worth it before residual blocks; layers that normalise end a network, or are mostly pooled next.
    statistics = None if normalisation else _statistics_for(output)
    groups, epsilon, modulation, offset = normalisation or (0, 0.0, None, 0.0)
    if normalisation is not None:
        modulation = _modulation(normalisation, batch, inputs)
    if residual:
        _require_shortcut(shortcut, inputs, channels)
    matrix, matrix_bias = (None, None) if shortcut is None else (shortcut.weight, shortcut.bias)
    loaded().diamond_convolution(
        *(x.data_ptr(), _address(_statistics_of(x)), inputs, batch, height, width, upsample),
        *(groups, epsilon, _address(modulation), modulation is not None and len(modulation) == 1, offset),
        *(weights.weight.data_ptr(), weights.bias.data_ptr(), channels),
        *(_address(matrix), _address(matrix_bias), residual),
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
    if skip is not None and (shortcut is None or not whole_vectors(x.shape[1])):
        x, skip = torch.cat((x, skip), dim=1), None
    x = _features(x)
    batch, inputs, height, width = x.shape
    skipped = 0
    if skip is not None:
        skip, skipped = _features(skip), skip.shape[1]
        if skip.shape != (batch, skipped, height, width):
            raise ValueError(f"the skip is {tuple(skip.shape)}, which does not lie beside {tuple(x.shape)}")
    channels = _outputs(first[1], inputs + skipped)
    if _outputs(second[1], channels) != channels:
        raise ValueError(f"convolutions do not both lead to {channels} channels")
    _require_shortcut(shortcut, inputs + skipped, channels)
    if not (first[0].offset == second[0].offset == 1 and first[0].epsilon == second[0].epsilon):
        raise ValueError("both normalisations must be adaptive, with one epsilon")
    modulations = (
        _modulation(first[0], batch, inputs + skipped, shared=False),
        _modulation(second[0], batch, channels, shared=False),
    )
    inner, output = (_empty(x, batch, channels, height, width) for _ in range(2))
    matrix, matrix_bias = (None, None) if shortcut is None else (shortcut.weight, shortcut.bias)
    loaded().diamond_residual_block(
        *(x.data_ptr(), _address(_statistics_of(x)), inputs),
        *(_address(skip), _address(_statistics_of(skip)), skipped, batch, height, width),
        *(first[0].groups, modulations[0].data_ptr(), first[1].weight.data_ptr(), first[1].bias.data_ptr()),
        *(second[0].groups, modulations[1].data_ptr(), second[1].weight.data_ptr(), second[1].bias.data_ptr()),
        first[0].epsilon,
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
    x = _features(x)
    batch, channels, height, width = x.shape
    if channels % heads:
        raise ValueError(f"{channels} channels are not {heads} heads of equal size")
    if _outputs(qkv, channels) != 3 * channels or _outputs(out, channels) != channels:
        raise ValueError(f"weights that lead to {qkv.outputs} and {out.outputs} channels for {channels} channels")
    if normalisation.offset != 0:
        raise ValueError("the normalisation must not be adaptive")
    modulation = _modulation(normalisation, 1, channels)
    output = torch.empty_like(x)
    loaded().diamond_attention(
        *(x.data_ptr(), _address(_statistics_of(x)), batch, height * width, channels, heads),
        *(normalisation.groups, normalisation.epsilon, modulation.data_ptr()),
        *(qkv.weight.data_ptr(), qkv.bias.data_ptr(), out.weight.data_ptr(), out.bias.data_ptr()),
        *(output.data_ptr(), torch.get_num_threads()),
    )
    return output


def _features(x: Tensor) -> Tensor:
    """`x` as the kernels read it, by its address: whatever else it may be, it must not get there."""
    if x.device.type != "cpu" or x.dtype != torch.float32:
        raise ValueError(f"features in {x.dtype} on {x.device}: the kernels take float32 on a CPU")
    _require_no_gradient(x)
    return x.contiguous(memory_format=torch.channels_last)


def _require_no_gradient(x: Tensor) -> None:
    if x.requires_grad and torch.is_grad_enabled():
        raise DiamondError(
            "gradient through a network that was accelerated for inference: take the plain network, as from "
            "load(..., fused=False), or compute under torch.no_grad()"
        )


def _outputs(weights: Weights, inputs: int) -> int:
    """The number of channels that a convolution makes of `inputs` channels."""
    if weights.inputs != inputs:
        raise ValueError(f"weights for {weights.inputs} channels, features of {inputs}")
    return weights.outputs


def _require_shortcut(shortcut: Weights | None, inputs: int, channels: int) -> None:
    if channels != (inputs if shortcut is None else _outputs(shortcut, inputs)):
        raise ValueError(f"a residual of {inputs} channels needs a shortcut to {channels}")


def _modulation(normalisation: Normalisation, batch: int, channels: int, shared: bool = True) -> Tensor:
    modulation = normalisation.modulation
    if channels % normalisation.groups:
        raise ValueError(f"{channels} channels are not {normalisation.groups} equal groups")
    rows, columns = modulation.shape
    if columns != 2 * channels or (rows != batch and not (shared and rows == 1)) or modulation.dtype != torch.float32:
        raise ValueError(f"modulation of {tuple(modulation.shape)} for {batch} images of {channels} channels")
    _require_no_gradient(modulation)
    return modulation.contiguous()


def _empty(x: Tensor, *shape: int) -> Tensor:
    return torch.empty(shape, dtype=x.dtype, device=x.device, memory_format=torch.channels_last)


def _address(x: Tensor | None) -> int | None:
    return None if x is None else x.data_ptr()


def _statistics_for(output: Tensor) -> Tensor | None:
    """Where a kernel may write the statistics of its output; they stay with it, and not with what is made of it."""
    if output.is_inference():  # PyTorch does not count changes of such a tensor
        return None
    statistics = torch.empty(output.shape[0], 2, output.shape[1], dtype=torch.float64, device=output.device)
    setattr(output, _STATISTICS, statistics)
    return statistics


def _statistics_of(x: Tensor | None) -> Tensor | None:
    """Statistics of features if they are known, and the features unchanged since."""
    return None if x is None or x.is_inference() or x._version > 0 else getattr(x, _STATISTICS, None)
