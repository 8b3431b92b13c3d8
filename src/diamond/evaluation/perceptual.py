"""LPIPS: how different frames look to a network that was trained on photographs (Zhang et al. 2018, equation 1).

    distance = sum over stages of mean over places of  head . (unit(features of a frame) - unit(those of the truth))^2

The weights are not part of this package; `tools/convert_lpips.py` says where they are and makes a file of them.

Axes   n frames | h w 3 image | d y x features of a stage
Units  frames are uint8 outside and floats in [-1, 1] inside; distances have no unit: 0 is equal, 1 is very different
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import safetensors
import safetensors.torch
import torch
import torch.nn.functional as F
from jaxtyping import Float, Float64, UInt8
from torch import Tensor, nn

from diamond.errors import DataError
from diamond.evaluation.batching import batches
from diamond.experience.frames import to_network

SMALLEST = 64
"""Pixels that the shorter side of a frame has at least when the network looks at it."""
_MEAN, _DEVIATION = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)  # ImageNet's, for pixels in [-1, 1]
_EPSILON = 1e-10


class Stage(NamedTuple):
    """Convolutions, each with a ReLU, after an optional max-pooling with stride 2; its last output is compared."""

    pool: int
    """Window of the max-pooling, 0 for none."""
    channels: tuple[int, ...]
    """Outputs of each convolution."""
    kernel: int = 3
    stride: int = 1


ALEXNET = (
    Stage(0, (64,), kernel=11, stride=4),
    Stage(3, (192,), kernel=5),
    Stage(3, (384,)),
    Stage(0, (256,)),
    Stage(0, (256,)),
)
VGG16 = (Stage(0, (64, 64)), Stage(2, (128, 128)), Stage(2, (256,) * 3), Stage(2, (512,) * 3), Stage(2, (512,) * 3))
NETWORKS = {"AlexNet": ALEXNET, "VGG16": VGG16}
"""AlexNet is what published figures mostly use; VGG16 is some ten times as slow."""


class LPIPS(nn.Module):
    """The distance, as a network of these stages gives it; its weights say nothing until some are loaded.

    They are named `convolutions.<i>.weight` and `.bias`, counted through all stages, and `heads.<stage>` (d).
    """

    def __init__(self, stages: tuple[Stage, ...] = ALEXNET) -> None:
        super().__init__()
        self.stages, inputs, convolutions = stages, 3, []
        for stage in stages:
            # AlexNet's first convolution, of stride 4, has a padding of 2; the others keep the size.
            padding = stage.kernel // 2 if stage.stride == 1 else 2
            for outputs in stage.channels:
                convolutions.append(nn.Conv2d(inputs, outputs, stage.kernel, stage.stride, padding))
                inputs = outputs
        self.convolutions = nn.ModuleList(convolutions)
        self.heads = nn.ParameterList([nn.Parameter(torch.ones(stage.channels[-1])) for stage in stages])

    def features(self, frames: Float[Tensor, "n 3 h w"]) -> list[Float[Tensor, "n d y x"]]:
        """What each stage sees, as unit vectors over its channels."""
        mean, deviation = (frames.new_tensor(values)[:, None, None] for values in (_MEAN, _DEVIATION))
        x, seen, convolutions = (frames - mean) / deviation, [], iter(self.convolutions)
        for stage in self.stages:
            if stage.pool:
                x = F.max_pool2d(x, stage.pool, stride=2)
            for _ in stage.channels:
                x = F.relu(next(convolutions)(x))
            seen.append(x / (torch.linalg.vector_norm(x, dim=1, keepdim=True) + _EPSILON))
        return seen

    def forward(self, frames: Float[Tensor, "n 3 h w"], truth: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n"]:
        """The distance of each frame to its true one."""
        total = frames.new_zeros(len(frames))
        for head, a, b in zip(self.heads, self.features(frames), self.features(truth), strict=True):
            total = total + torch.einsum("d,ndyx->nyx", head, (a - b).square()).mean(dim=(1, 2))
        return total

    @torch.no_grad()
    def distance(
        self, frames: UInt8[np.ndarray, "n h w 3"], truth: UInt8[np.ndarray, "n h w 3"]
    ) -> Float64[np.ndarray, "n"]:
        """The distance of each frame to its true one, some frames at a time, wherever the weights are.

        A frame whose shorter side has less than 64 pixels is enlarged first, each pixel to a square of the least whole
        size that suffices: the network cannot look at less. Such distances do not compare with those of other sizes.
        """
        height, width = frames.shape[1:3]
        factor = -(-SMALLEST // min(height, width))
        found = [np.zeros(0)]
        for part in batches(len(frames), height * width * factor**2):
            pair = (self._look(each[part], factor) for each in (frames, truth))
            found.append(self(*pair).double().cpu().numpy())
        return np.concatenate(found)

    def _look(self, frames: UInt8[np.ndarray, "n h w 3"], factor: int) -> Float[Tensor, "n 3 y x"]:
        images = torch.from_numpy(np.ascontiguousarray(frames)).to(self.heads[0].device)
        return F.interpolate(to_network(images), scale_factor=float(factor), mode="nearest")


def load_lpips(path: Path) -> LPIPS:
    """The distance with the weights of a file; which network it is, AlexNet or VGG16, is known by their shapes.

    Raises:
        DataError: there is no such file, or it holds something else.
    """
    if not path.is_file():
        raise DataError(f"{path} is no file: tools/convert_lpips.py says how to make one of LPIPS weights")
    try:
        weights = safetensors.torch.load_file(path)
    except safetensors.SafetensorError as error:
        raise DataError(
            f"{path} cannot be read as safetensors ({error}): make it anew, see tools/convert_lpips.py"
        ) from error
    for stages in NETWORKS.values():
        network = LPIPS(stages)
        wanted = {name: (value.shape, value.dtype) for name, value in network.state_dict().items()}
        if wanted == {name: (value.shape, value.dtype) for name, value in weights.items()}:
            network.load_state_dict(weights)
            return network.requires_grad_(False)
    raise DataError(
        f"{path} does not hold the LPIPS weights of {' or '.join(NETWORKS)} but {len(weights)} other tensors: "
        "make it anew, see tools/convert_lpips.py"
    )
