"""Dreaming beside a real game: from its frames, under its actions, one step or many.

Axes   s dreams | n context frames | t steps ahead | c h w image in networks, h w 3 elsewhere
Units  frames are uint8 in 0..255, in networks floats in [-1, 1]
"""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from jaxtyping import Int64, UInt8
from torch import Tensor

from diamond.experience.frames import slide, to_network, to_stored
from diamond.imagination.dream import next_frame
from diamond.imagination.world import WorldModel, draw_noise

Predict = Callable[[Tensor, Tensor], Tensor]
"""(last n frames (b n c h w), the actions taken in them (b n)) -> the next frame (b c h w), on the pixel grid."""


def predictor(world: WorldModel, generator: torch.Generator) -> Predict:
    """The dream's next frame, its noise drawn from `generator`."""

    def predict(frames: Tensor, actions: Tensor) -> Tensor:
        return next_frame(world, frames, actions, draw_noise(frames[:, -1].shape, world.sampler_cfg, generator))

    return predict


@torch.no_grad()
def dream_on(
    predict: Predict,
    context: UInt8[np.ndarray, "s n h w 3"],
    actions: Sequence[Int64[np.ndarray, "_"]],
    device: torch.device,
) -> Iterator[UInt8[np.ndarray, "alive h w 3"]]:
    """Dream on from real context frames under given actions, never looking at reality again, a step at a time.

    Dreams may differ in length, the longest come first: each goes on while its actions (n - 1 + t) last, and what is
    yielded are the frames of those that still do.
    """
    frames = to_network(torch.from_numpy(context).to(device))
    n = frames.shape[1]
    moves = torch.zeros(len(actions), len(actions[0]), dtype=torch.long)
    for row, taken in zip(moves, actions, strict=True):
        row[: len(taken)] = torch.from_numpy(taken)
    moves = moves.to(device)
    for t in range(moves.shape[1] - n + 1):
        alive = sum(len(taken) >= n + t for taken in actions)
        frame = predict(frames[:alive], moves[:alive, t : t + n])
        frames = slide(frames[:alive], frame)
        yield to_stored(frame).cpu().numpy()


def open_loop(
    predict: Predict,
    context: UInt8[np.ndarray, "s n h w 3"],
    actions: Int64[np.ndarray, "s moves"],
    device: torch.device,
) -> UInt8[np.ndarray, "s t h w 3"]:
    """The frames of dreams of one length; see `dream_on`."""
    return np.stack(list(dream_on(predict, context, list(actions), device)), axis=1)
