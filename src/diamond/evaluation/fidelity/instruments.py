"""Networks that judge frames: files of the user's, none of them comes with the package.

Axes   n samples | t 16 frames of a clip | d features | h w 3 image
Units  frames are uint8 in 0..255
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64, UInt8

from diamond.compute import parse_device
from diamond.evaluation.fidelity.compare import Distance
from diamond.evaluation.frechet import FeatureNetwork, features_of, frechet_distance
from diamond.evaluation.perceptual import load_lpips

CLIP = 16
"""Frames of a clip, as published FVD has them."""

Frames = UInt8[np.ndarray, "_ h w 3"]


@dataclass(frozen=True)
class Instruments:
    """What is at hand besides plain arithmetic."""

    distance: Distance | None = None
    """LPIPS."""
    features: FeatureNetwork | None = None
    """What FID or FVD compares."""
    features_name: str | None = None
    """The name of its file."""

    @classmethod
    def open(cls, lpips: Path | None, features: Path | None, device: str) -> "Instruments":
        """Read the files that are given.

        Raises:
            DataError: one is missing, or is not what it should be.
            DeviceError: the device is not present.
        """
        return cls(
            None if lpips is None else load_lpips(lpips).to(parse_device(device)).distance,
            None if features is None else features_of(features),
            None if features is None else features.name,
        )

    def require_fitting(self, height: int, width: int) -> None:
        """Try the feature network, before anything takes long.

        Raises:
            DataError: it does not take frames of that size.
        """
        if self.features is not None:
            self.features(_samples(np.zeros((CLIP, height, width, 3), np.uint8), self.features))

    def compare_sets(self, real: Sequence[Frames], dreamed: Sequence[Frames]) -> dict[str, Any] | None:
        """The Fréchet distance between what really followed and what was dreamed, all games and steps together.

        Returns:
            The `distance`, `between_real`, the same between every other real game and the rest, `num_samples` of each
            side, and what the network takes, `frames` or `clips`: 16 frames in a row, each of them in one clip. None
            without a network or with fewer than two samples.
        """
        if self.features is None:
            return None
        happened, imagined = ([_samples(game, self.features) for game in games] for games in (real, dreamed))
        count = sum(len(part) for part in imagined)
        if count < 2:
            return None
        known = [self.features(part) for part in happened if len(part)]
        found = [self.features(part) for part in imagined if len(part)]
        return {
            "file": self.features_name,
            "takes": "clips" if self.features.takes_clips else "frames",
            "num_samples": count,
            "distance": frechet_distance(np.concatenate(found), np.concatenate(known)),
            "between_real": _between_halves(known),
        }


def _between_halves(features: list[Float64[np.ndarray, "_ d"]]) -> float | None:
    halves = [part for part in (features[::2], features[1::2]) if sum(map(len, part)) > 1]
    return frechet_distance(*map(np.concatenate, halves)) if len(halves) == 2 else None


def _samples(frames: Frames, network: FeatureNetwork) -> UInt8[np.ndarray, "n *t h w 3"]:
    """Frames, or clips that do not overlap."""
    return frames[: len(frames) // CLIP * CLIP].reshape(-1, CLIP, *frames.shape[1:]) if network.takes_clips else frames
