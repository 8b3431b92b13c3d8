"""What travels between the rooms: segments of real experience, trajectories of imagined experience.

Axes   b batch | t time | c h w image
Units  frames are floats in [-1, 1]; rewards are as the environment gave them
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
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


def reward_sign(reward: Tensor) -> Tensor:
    """The clipping of rewards to -1, 0 or +1 that all models of this package learn from (Mnih et al. 2015)."""
    return torch.sign(reward)
