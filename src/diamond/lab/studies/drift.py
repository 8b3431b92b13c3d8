"""How a dream drifts away over a thousand frames (paper section 5.1, appendix K).

Axes   s games | t steps ahead | h w c image
Units  errors and distances are mean absolute differences in grey levels, 0 to 255
"""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, UInt8

from diamond.evaluation.image_metrics import mean_error, nearest_distance

POINTS = (1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 70, 100, 150, 200, 300, 400, 500, 600, 700, 800, 900, 1_000)
"""Steps ahead at which dreams are measured, up to the study's horizon."""
STRIP = (1, 10, 50, 100, 200, 500, 700, 1_000)
"""Steps ahead that filmstrips show."""

Frames = UInt8[np.ndarray, "s t h w 3"]


class Drift(NamedTuple):
    """Measured on each game at each of the points."""

    error: Float[np.ndarray, "s p"]
    """To the real frame at the same step under the same actions."""
    distance: Float[np.ndarray, "s p"]
    """To the nearest of the frames that the model was trained on: far from all of them is off the data."""


def points(horizon: int) -> list[int]:
    """Those of `POINTS` within the horizon, and the horizon itself."""
    return sorted({point for point in POINTS if point < horizon} | {horizon})


def shown(horizon: int) -> list[int]:
    """Those of `STRIP` within the horizon, or the horizon itself."""
    return [step for step in STRIP if step <= horizon] or [horizon]


def measure(frames: Frames, truth: Frames, known: UInt8[np.ndarray, "k h w 3"], horizon: int) -> Drift:
    """The drift of `frames` from `truth` and from `known`, frame i being i + 1 steps ahead."""
    places = [point - 1 for point in points(horizon)]
    error = [mean_error(frames[:, place], truth[:, place]) for place in places]
    distance = [nearest_distance(frames[:, place], known) for place in places]
    return Drift(np.stack(error, axis=1), np.stack(distance, axis=1))


def real_drift(truth: Frames, known: UInt8[np.ndarray, "k h w 3"], horizon: int) -> Drift:
    """What real games score against each other: each one instead of the dream of the next one."""
    return measure(np.roll(truth, 1, axis=0), truth, known, horizon)


def to_json(drift: Drift) -> dict[str, Any]:
    """Rounded to a hundredth of a grey level."""
    return {name: np.round(values, 2).tolist() for name, values in drift._asdict().items()}
