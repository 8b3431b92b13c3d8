"""One frame of the dream beside the real one, by every measure at once.

Axes   n pairs of frames | g games | h w 3 image
Units  frames are uint8 in 0..255; errors in grey levels, PSNR in decibels
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from diamond.evaluation.fidelity.games import FEWEST_GAMES
from diamond.evaluation.image_metrics import (
    brightness,
    differs,
    mean_error,
    moved_error,
    psnr,
    saturation,
    sharpness,
    ssim,
)
from diamond.evaluation.statistics import bootstrap_mean

Frames = UInt8[np.ndarray, "n h w 3"]
Distance = Callable[[Frames, Frames], Float[np.ndarray, "n"]]
"""LPIPS between frames and true frames."""
Number = dict[str, Any]
"""A mean over games with its 95 % interval: `mean`, `low`, `high`, `n`."""

_DRIFTS = {"brightness": brightness, "saturation": saturation, "sharpness": sharpness}


def compare(
    frames: Frames, truth: Frames, before: Frames, distance: Distance | None = None
) -> dict[str, Float[np.ndarray, "n"]]:
    """How far dreamed frames are from the true ones.

    Args:
        before: real frames that the dream and reality started from: pixels that differ from them have moved.
        distance: LPIPS, if it is to be measured.

    Returns:
        `psnr`, `ssim`, `lpips`, `error` over all pixels, `moved_error` over those that moved (nan where none did), and
        the signed differences dream minus real `brightness`, `saturation` and `sharpness`.
    """
    found = {"psnr": psnr(frames, truth), "ssim": ssim(frames, truth)}
    if distance is not None:
        found["lpips"] = distance(frames, truth)
    found |= {"error": mean_error(frames, truth), "moved_error": error_where_moved(frames, truth, before)}
    return found | {name: measure(frames) - measure(truth) for name, measure in _DRIFTS.items()}


def error_where_moved(frames: Frames, truth: Frames, before: Frames) -> Float[np.ndarray, "n"]:
    """Mean absolute difference over the pixels that differ between `truth` and `before`; nan where none does."""
    moved = differs(truth, before)
    something = moved.any(axis=(1, 2))
    errors = np.full(len(frames), np.nan)
    errors[something] = moved_error(frames[something], truth[something], moved[something])
    return errors


def over_games(values: Float[np.ndarray, "g"], seed: int) -> Number | None:
    """The mean over games with its interval; nan is left out, and fewer than `FEWEST_GAMES` values give no number."""
    known = values[~np.isnan(values)]
    if len(known) < FEWEST_GAMES:
        return None
    return bootstrap_mean(known, np.random.default_rng(seed))._asdict()


def by_game(values: Float[np.ndarray, "n"], numbers: np.ndarray, count: int) -> Float[np.ndarray, "g"]:
    """The mean of each of `count` games' values, nan left out; nan for a game without any. `numbers` (n,) are the
    games' numbers."""
    known = ~np.isnan(values)
    sums = np.bincount(numbers[known], values[known], minlength=count)
    counts = np.bincount(numbers[known], minlength=count)
    return np.divide(sums, counts, out=np.full(count, np.nan), where=counts > 0)
