"""Stretches of real experience, equally long, side by side: to train on, or to measure on.

Axes   b batch | t time | c h w image | s segments of m frames, h w 3 image
Units  frames are floats in [-1, 1] to train on, uint8 in 0..255 if held out; rewards are as the environment gave them
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Int64, UInt8
from torch import Tensor


@dataclass(frozen=True)
class Segment:
    """A batch of stretches of real episodes; steps outside the episode are padding: grey frames, action 0, not valid.

    `valid[:, t]` says that step t lies inside the episode: its frame is real and its action was taken. Segments for the
    reward model also show the episode's true final frame, one step after the last valid one.
    """

    frames: Float[Tensor, "b t c h w"]
    actions: Int[Tensor, "b t"]
    rewards: Float[Tensor, "b t"]
    terminated: Bool[Tensor, "b t"]
    valid: Bool[Tensor, "b t"]


@dataclass(frozen=True)
class HeldOut:
    """Stretches of real games that no network was trained on: context frames and those that followed, no padding."""

    frames: UInt8[np.ndarray, "s m h w 3"]
    actions: Int64[np.ndarray, "s m-1"]
    """The action taken in each frame but the last."""

    def __len__(self) -> int:
        return len(self.frames)


def reward_sign(reward: Tensor) -> Tensor:
    """The clipping of rewards to -1, 0 or +1 that all models of this package learn from (Mnih et al. 2015)."""
    return torch.sign(reward)
