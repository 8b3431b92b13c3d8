"""Networks that judge frames: files of the user's, none of them comes with the package."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from diamond.evaluation.faithfulness.compare import Distance


@dataclass(frozen=True)
class Instruments:
    """What is at hand besides plain arithmetic."""

    distance: Distance | None = None
    """LPIPS."""
    features: Any = None
    """What FID or FVD compares."""
    features_name: str | None = None
    """The name of their file."""

    @classmethod
    def open(cls, lpips: Path | None, features: Path | None) -> "Instruments":
        """Read the files that are given.

        Raises:
            DataError: one is missing, or is not what it should be.
        """
        if lpips is None and features is None:
            return cls()
        from diamond.evaluation.frechet import features_of
        from diamond.evaluation.perceptual import load_lpips

        return cls(
            None if lpips is None else load_lpips(lpips).distance,
            None if features is None else features_of(features),
            None if features is None else features.name,
        )
