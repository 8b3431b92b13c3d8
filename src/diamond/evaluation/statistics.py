"""How sure a figure is: percentile bootstrap intervals (Efron & Tibshirani 1993, chapter 13), and the human scale.

Axes   n values, of games where there are several seeds | seeds of training | points of a curve | g strata | r resamples
       k figures
Units  returns are sums of the environment's own rewards over a whole game
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float64, Int64

from diamond.evaluation.human_scores import REFERENCE_SCORES, ReferenceScores

RESAMPLES, CONFIDENCE = 10_000, 0.95
_CHUNK = 1 << 22  # resampled values held in memory at once, 32 MiB


class Interval(NamedTuple):
    """A figure, and the ends of its interval; both None if it has none."""

    value: float
    low: float | None = None
    high: float | None = None


class Estimate(NamedTuple):
    """A mean of `n` values and its interval, by the names that records have."""

    mean: float
    low: float
    high: float
    n: int


def bootstrap_mean(
    values: Float[np.ndarray, "n"], rng: np.random.Generator, resamples: int = RESAMPLES, confidence: float = CONFIDENCE
) -> Estimate:
    """The mean with its percentile bootstrap interval.

    Values are drawn with replacement `resamples` times; the interval spans the middle `confidence` of the means. It is
    as random as `rng`: the same values and generator state give the same interval. One value gives an interval of no
    width, which says nothing about how sure it is: look at `n`.

    Raises:
        ValueError: there are no values, or one is not finite.
    """
    n = len(values)
    if n == 0 or not np.isfinite(values).all():
        raise ValueError(f"a mean needs at least one value and only finite ones, got {values!r}")
    means = [values[rng.integers(n, size=(rows, n))].mean(axis=1) for rows in _chunks(resamples, n)]
    low, high = middle(np.concatenate(means), confidence)
    return Estimate(float(values.mean()), float(low), float(high), n)


def bootstrap_seeds(
    values: Float[np.ndarray, "seeds n"],
    rng: np.random.Generator,
    *,
    same_games: bool,
    resamples: int = RESAMPLES,
    confidence: float = CONFIDENCE,
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
    confidence: float = CONFIDENCE,
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
    low, high = middle(counts @ rows / (seeds * n), confidence)
    points = zip(rows.mean(axis=0).tolist(), low.tolist(), high.tolist(), strict=True)
    return [Estimate(mean, lowest, highest, seeds) for mean, lowest, highest in points]


def bootstrap_strata(
    statistic: Callable[[np.ndarray], np.ndarray],
    values: Float64[np.ndarray, "n"],
    counts: Int64[np.ndarray, "g"],
    rng: np.random.Generator,
    resamples: int,
) -> list[Interval]:
    """Figures of all values, each with its interval: values are drawn with replacement within each stratum.

    Args:
        statistic: from (r, n) values to (r, k) figures.
        values: stratum by stratum.
        counts: how many values each stratum has; it keeps that number.
    """
    size, first = np.repeat(counts, counts), np.repeat(np.cumsum(counts) - counts, counts)
    n = len(size)
    drawn = [
        statistic(values[first + (rng.random((rows, n)) * size).astype(np.int64)]) for rows in _chunks(resamples, n)
    ]
    low, high = middle(np.concatenate(drawn))
    return [Interval(*map(float, figure)) for figure in zip(statistic(values[None])[0], low, high, strict=True)]


def middle(resampled: Float[np.ndarray, "r *k"], confidence: float = CONFIDENCE) -> Float[np.ndarray, "2 *k"]:
    """The ends of the middle `confidence` of what a figure is under resamples: low, then high."""
    return np.quantile(resampled, [(1 - confidence) / 2, (1 + confidence) / 2], axis=0)


def _chunks(resamples: int, n: int) -> Iterator[int]:
    """Numbers of resamples of n values that are held in memory at once."""
    rows = max(1, _CHUNK // n)
    return (min(rows, resamples - start) for start in range(0, resamples, rows))


def reference_scores(game: str) -> ReferenceScores | None:
    """Published random and human scores of an Atari 100k game, None for any other environment."""
    return REFERENCE_SCORES.get(game)


def human_normalised(game: str, score: float) -> float | None:
    """(score - random) / (human - random): 0 plays like the random policy, 1 like a human; None where unpublished."""
    reference = reference_scores(game)
    return None if reference is None else (score - reference.random) / (reference.human - reference.random)
