"""Pixels: the only module that knows how frames are stored and how networks see them.

Axes   b batch | t time | n past frames | c h w image in networks | h w c image everywhere else
Units  stored frames are uint8 in 0..255; network frames are floats in [-1, 1], one grey level is 2 / 255
"""

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

PADDING_VALUE = 0.0
"""Network value of a step before an episode's start or after its end: mid-grey."""


def to_network(frames: UInt8[Tensor, "*batch h w c"]) -> Float[Tensor, "*batch c h w"]:
    """Stored frames as floats in [-1, 1], channels before rows (a view in channels-last memory order)."""
    return frames.movedim(-1, -3).float().div_(127.5).sub_(1)


def to_stored(frames: Float[Tensor, "*batch c h w"]) -> UInt8[Tensor, "*batch h w c"]:
    """Network frames as uint8, rounded to the nearest of the 256 levels; exact inverse of `to_network`."""
    levels = frames.clamp(-1, 1).add(1).mul(127.5).round()
    return levels.to(torch.uint8).movedim(-3, -1).contiguous()


def to_pixel_grid(frames: Float[Tensor, "*batch c h w"], truncate: bool = False) -> Float[Tensor, "*batch c h w"]:
    """Clamp to [-1, 1] and snap to the 256 grey levels, staying a float.

    `truncate=True` rounds down, as the published code does; it darkens every frame by half a level on average and
    exists to load published weights faithfully.
    """
    levels = frames.clamp(-1, 1).add(1).div(2).mul(255)
    levels = levels.floor() if truncate else levels.round()
    return levels.div(255).mul(2).sub(1)


def slide(past: Float[Tensor, "b n c h w"], newest: Float[Tensor, "b c h w"]) -> Float[Tensor, "b n c h w"]:
    """The next context: the oldest frame leaves, `newest` enters at the end."""
    return torch.cat((past[:, 1:], newest.unsqueeze(1)), dim=1)
