"""Many runs of many games in a few numbers, and how sure these are (Agarwal et al. 2021, arXiv 2108.13264).

A method's runs are given as one array a game; games may have different numbers of runs. All figures are equal to those
of the authors' library rliable where every game has the same number.

Axes   n runs of all games, game by game | g games | r resamples | k figures | t thresholds | x y runs of a game
Units  scores are human-normalised: 0 plays like the random policy, 1 like a human
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Float64, Int64

from diamond.evaluation.statistics import Interval, bootstrap_strata, middle

RESAMPLES = 2_000
"""Enough for ends of intervals that repeat within about a twentieth of their width; rliable's profiles use as many."""
FIGURES = ("mean", "median", "iqm", "optimality_gap")

Runs = Sequence[np.ndarray]
"""Scores of each game's runs."""


def interquartile_mean(scores: Float[np.ndarray, "r n"]) -> Float[np.ndarray, "r"]:
    """The mean without the lowest and the highest quarter of all runs, of all games together (IQM).

    As in rliable, whole runs are left out at either end: n / 4 of them, rounded down.
    """
    n = scores.shape[-1]
    cut = n // 4
    return np.partition(scores, (cut, n - cut - 1), axis=-1)[..., cut : n - cut].mean(axis=-1)


def optimality_gap(scores: Float[np.ndarray, "r n"]) -> Float[np.ndarray, "r"]:
    """How far runs fall short of a human on average; what exceeds a human makes up for nothing. 0 is the best."""
    return 1 - np.minimum(scores, 1).mean(axis=-1)


def figures(scores: Float[np.ndarray, "r n"], counts: Int64[np.ndarray, "g"]) -> Float[np.ndarray, "r k"]:
    """Mean and median over the means of games, interquartile mean and optimality gap over runs, as in `FIGURES`."""
    starts = np.cumsum(counts) - counts
    means = np.add.reduceat(scores, starts, axis=-1) / counts
    parts = (means.mean(axis=-1), np.median(means, axis=-1), interquartile_mean(scores), optimality_gap(scores))
    return np.stack(parts, axis=-1)


def aggregate(runs: Runs, rng: np.random.Generator, resamples: int = RESAMPLES) -> dict[str, Interval]:
    """The figures of `FIGURES` with their intervals by stratified bootstrap.

    Raises:
        ValueError: there is no game, a game without a run, or a score that is not finite.
    """
    scores, counts = _flat(runs)
    intervals = bootstrap_strata(lambda drawn: figures(drawn, counts), scores, counts, rng, resamples)
    return dict(zip(FIGURES, intervals, strict=True))


def performance_profile(
    runs: Runs, thresholds: Float64[np.ndarray, "t"], rng: np.random.Generator, resamples: int = RESAMPLES
) -> list[Interval]:
    """The share of runs, of all games together, that score more than each threshold, with pointwise intervals.

    Args:
        runs: see `aggregate`.
        thresholds: in rising order.
    """
    scores, counts = _flat(runs)
    t = len(thresholds)

    def shares(exceeded: Float[np.ndarray, "r n"]) -> Float[np.ndarray, "r t"]:
        rows = np.arange(len(exceeded))[:, None] * (t + 1)
        histogram = np.bincount((exceeded.astype(np.int64) + rows).ravel(), minlength=len(exceeded) * (t + 1))
        return 1 - np.cumsum(histogram.reshape(-1, t + 1), axis=1)[:, :t] / len(scores)

    # A run counts for the first so many thresholds: resampling these numbers spares comparing all runs with each one.
    exceeded = np.searchsorted(thresholds, scores, side="left").astype(np.float64)
    return bootstrap_strata(shares, exceeded, counts, rng, resamples)


def probability_of_improvement(
    ours: Runs, theirs: Runs, rng: np.random.Generator, resamples: int = RESAMPLES
) -> Interval:
    """The chance that a run of ours beats a run of theirs, averaged over the same games in the same order.

    Equal scores count one half (the statistic of Mann & Whitney 1947). 0.5 is no difference; it says nothing about how
    large a difference is.
    """
    if len(ours) != len(theirs):
        raise ValueError(f"the methods have {len(ours)} and {len(theirs)} games, and only equal games can be compared")
    value, drawn = 0.0, np.zeros(resamples)
    for x, y in zip(ours, theirs, strict=True):
        wins = (x[:, None] > y) + 0.5 * (x[:, None] == y)
        value += wins.mean() / len(ours)
        # How often each run is drawn says all about a resample of it.
        times_x = rng.multinomial(len(x), np.full(len(x), 1 / len(x)), size=resamples)
        times_y = rng.multinomial(len(y), np.full(len(y), 1 / len(y)), size=resamples)
        drawn += ((times_x.astype(np.float64) @ wins) * times_y).sum(axis=1) / (wins.size * len(ours))
    low, high = middle(drawn)
    return Interval(float(value), float(low), float(high))


def _flat(runs: Runs) -> tuple[Float64[np.ndarray, "n"], Int64[np.ndarray, "g"]]:
    counts = np.array([len(game) for game in runs], dtype=np.int64)
    if not len(counts) or not counts.all():
        raise ValueError(f"every game needs a run, got {counts.tolist()} runs")
    scores = np.concatenate(runs).astype(np.float64)
    if not np.isfinite(scores).all():
        raise ValueError("scores must be finite")
    return scores, counts
