"""Images compared."""

import numpy as np
from jaxtyping import Float, UInt8


def mean_error(frames: UInt8[np.ndarray, "n h w 3"], truth: UInt8[np.ndarray, "n h w 3"]) -> Float[np.ndarray, "n"]:
    """Mean absolute difference."""
    return np.abs(frames.astype(float) - truth).mean(axis=(1, 2, 3))


def nearest_distance(
    frames: UInt8[np.ndarray, "n h w 3"], reference: UInt8[np.ndarray, "m h w 3"]
) -> Float[np.ndarray, "n"]:
    """Mean absolute difference to the nearest reference frame."""
    return np.array([np.abs(reference.astype(np.int16) - frame).mean(axis=(1, 2, 3)).min() for frame in frames])
