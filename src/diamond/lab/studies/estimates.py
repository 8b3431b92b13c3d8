"""Means over seeds of training and held-out games, with their intervals, as results hold them.

Axes   seeds of training | s games, the same for all seeds | p points of a curve
"""

from typing import Any

import numpy as np
from jaxtyping import Float

from diamond.evaluation.statistics import bootstrap_seed_curves, bootstrap_seeds


def estimate(values: Float[np.ndarray, "seeds s"]) -> dict[str, Any]:
    """`mean`, `low`, `high` and the number of seeds `n`."""
    return bootstrap_seeds(values, np.random.default_rng(0), same_games=True)._asdict()


def curve(values: Float[np.ndarray, "seeds s p"]) -> dict[str, list[float]]:
    """`mean`, `low` and `high` at each point."""
    estimates = bootstrap_seed_curves(values, np.random.default_rng(0), same_games=True)
    return {part: [round(getattr(one, part), 3) for one in estimates] for part in ("mean", "low", "high")}


def estimate_text(found: dict[str, Any]) -> str:
    """A mean with its interval, for people."""
    return f"{found['mean']:.2f} [{found['low']:.2f}, {found['high']:.2f}]"
