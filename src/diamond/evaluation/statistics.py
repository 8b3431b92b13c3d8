"""How sure a score is: means with 95 % intervals, and scores on the human scale.

Axes   n values, of games where there are several seeds | seeds of training | points of a curve
Units  returns are sums of the environment's own rewards over a whole game
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from diamond.evaluation.human_scores import REFERENCE_SCORES, ReferenceScores

RESAMPLES = 10_000
_CHUNK = 1 << 22  # resampled values held in memory at once, 32 MiB


class Estimate(NamedTuple):
    """A mean of `n` values and the interval that holds the true mean with the stated confidence."""

    mean: float
    low: float
    high: float
    n: int


def bootstrap_mean(
    values: Float[np.ndarray, "n"], rng: np.random.Generator, resamples: int = RESAMPLES, confidence: float = 0.95
) -> Estimate:
    """The mean with its percentile bootstrap interval (Efron & Tibshirani 1993, chapter 13).

    Values are drawn with replacement `resamples` times; the interval spans the middle `confidence` of the means. It is
    as random as `rng`: the same values and generator state give the same interval. One value gives an interval of no
    width, which says nothing about how sure it is: look at `n`.

    Raises:
        ValueError: there are no values, or one is not finite.
    """
    n = len(values)
    if n == 0 or not np.isfinite(values).all():
        raise ValueError(f"a mean needs at least one value and only finite ones, got {values!r}")
    rows = max(1, _CHUNK // n)
    means = np.concatenate(
        [
            values[rng.integers(n, size=(min(rows, resamples - start), n))].mean(axis=1)
            for start in range(0, resamples, rows)
        ]
    )
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Estimate(float(values.mean()), float(low), float(high), n)


def bootstrap_seeds(
    values: Float[np.ndarray, "seeds n"],
    rng: np.random.Generator,
    *,
    same_games: bool,
    resamples: int = RESAMPLES,
    confidence: float = 0.95,
) -> Estimate:
    """The mean over training seeds and n games of each; both are resampled.

    With few seeds such an interval is rough, and one seed's says nothing about training: look at `n`, which counts
    seeds.

    Args:
        values: one of each seed's games a column.
        rng: source of the resamples.
        same_games: whether a column is the same game for all seeds. Then games are drawn for all seeds together (the
            pigeonhole bootstrap, Owen 2007): each counts once, however many seeds dreamed it. Otherwise every seed's
            games are drawn on their own.
        resamples, confidence: see `bootstrap_mean`.

    Raises:
        ValueError: there are no values, or one is not finite.
    """
    return bootstrap_seed_curves(
        values[..., None], rng, same_games=same_games, resamples=resamples, confidence=confidence
    )[0]


def bootstrap_seed_curves(
    values: Float[np.ndarray, "seeds n points"],
    rng: np.random.Generator,
    *,
    same_games: bool,
    resamples: int = RESAMPLES,
    confidence: float = 0.95,
) -> list[Estimate]:
    """`bootstrap_seeds` at each point of a curve, with the same resamples at all of them."""
    seeds, n, _ = values.shape
    if values.size == 0 or not np.isfinite(values).all():
        raise ValueError(f"a mean needs at least one value and only finite ones, got {values!r}")
    of_seed = rng.integers(seeds, size=(resamples, seeds, 1))
    chosen = of_seed * n + rng.integers(n, size=(resamples, 1 if same_games else seeds, n))
    counts = np.zeros((resamples, seeds * n))
    np.add.at(counts, (np.arange(resamples)[:, None], chosen.reshape(resamples, -1)), 1)
    rows = values.reshape(seeds * n, -1)
    low, high = np.quantile(counts @ rows / (seeds * n), [(1 - confidence) / 2, (1 + confidence) / 2], axis=0)
    points = zip(rows.mean(axis=0).tolist(), low.tolist(), high.tolist(), strict=True)
    return [Estimate(mean, lowest, highest, seeds) for mean, lowest, highest in points]


def reference_scores(game: str) -> ReferenceScores | None:
    """Published random and human scores of an Atari 100k game, None for any other environment."""
    return REFERENCE_SCORES.get(game)


def human_normalised(game: str, score: float) -> float | None:
    """(score - random) / (human - random): 0 plays like the random policy, 1 like a human; None where unpublished."""
    reference = reference_scores(game)
    return None if reference is None else (score - reference.random) / (reference.human - reference.random)
