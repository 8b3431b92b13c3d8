"""Methods side by side: every figure of the benchmark, over all games and over two halves of them."""

import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from diamond.errors import ConfigError
from diamond.evaluation.human_scores import REFERENCE_SCORES
from diamond.evaluation.statistics import CONFIDENCE, Interval
from diamond.lab.atari100k.aggregates import RESAMPLES, aggregate, performance_profile, probability_of_improvement
from diamond.lab.atari100k.methods import GAMES, Method, published_methods, require_games
from diamond.version import __version__

THRESHOLDS = np.linspace(0, 8, 161)
"""Human-normalised scores at which performance profiles are evaluated."""
BASELINE = "DIAMOND"


@dataclass(frozen=True)
class Aggregates:
    """The figures of one method over one set of games; None where a game is missing or single runs are not known."""

    above_human: int | None = None
    mean: Interval | None = None
    median: Interval | None = None
    iqm: Interval | None = None
    optimality_gap: Interval | None = None
    printed: tuple[str, ...] = ()
    """Which of them are as the paper prints them, not computed here."""


@dataclass(frozen=True)
class Row:
    """One method."""

    method: Method
    own: bool
    """Whether it is the caller's, not a published one."""
    played: int
    """How many of the games it has scores for."""
    labels: dict[str, str]
    aggregates: dict[str, Aggregates]
    """By set of games, see `Comparison.sets`."""
    profiles: dict[str, list[Interval]]
    """By set of games: shares of runs above `THRESHOLDS`; none where single runs are not known or games are missing."""
    improvement: Interval | None
    """Probability that a run of the focus beats one of this method; None for itself and without single runs."""


@dataclass(frozen=True)
class Comparison:
    """Everything there is to show."""

    games: tuple[str, ...]
    sets: dict[str, tuple[str, ...]]
    """`all`, and two fixed parts: `above`, games where the published DIAMOND beats humans on average, and `below`."""
    focus: str
    """The method that the others are compared with."""
    resamples: int
    seed: int
    rows: list[Row] = field(default_factory=list)
    """Own runs first, then by falling mean; those with missing games last."""

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "benchmark": "Atari 100k",
            "diamond": __version__,
            "games": list(self.games),
            "reference": {game: REFERENCE_SCORES[game]._asdict() for game in self.games},
            "sets": {name: list(games) for name, games in self.sets.items()},
            "focus": self.focus,
            "intervals": {
                "method": "stratified percentile bootstrap over runs",
                "confidence": CONFIDENCE,
                "resamples": self.resamples,
                "seed": self.seed,
            },
            "thresholds": THRESHOLDS.round(3).tolist(),
            "methods": [_row_as_dict(row, self.games) for row in self.rows],
        }


def compare(
    own: Method | None = None,
    names: Sequence[str] = (),
    games: Sequence[str] = (),
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Comparison:
    """Own runs, if any, beside published methods.

    Args:
        own: see `read_results`.
        names: published methods to show; all if none is named.
        games: games to compare on; all 26 if none is named.
        seed: of the bootstrap. A method's intervals do not depend on which others are shown.
        resamples: of the bootstrap.

    Raises:
        ConfigError: a method or game is unknown or a game named twice, there are fewer than 2 games, or `resamples` is
            less than 100.
    """
    chosen = require_games(games)
    if len(chosen) < 2:
        raise ConfigError(f"--games names {len(chosen)} game: name at least 2, or none for all {len(GAMES)}")
    if resamples < 100:
        raise ConfigError(f"--resamples is {resamples}: the ends of an interval need at least 100")
    if seed < 0:
        raise ConfigError(f"--seed is {seed}: choose 0 or a positive number")
    methods = published_methods(names)
    focus = own or next((method for method in methods if method.name == BASELINE), methods[0])
    shown = [*methods] if own is None else [own, *methods]
    comparison = Comparison(chosen, _sets(chosen), focus.name, resamples, seed)
    rows = [_row(method, method is own, focus, comparison) for method in shown]
    comparison.rows.extend(sorted(rows, key=_place))
    return comparison


def _sets(games: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    """The split is by one published method, whatever else is shown, so that tables can be compared."""
    (baseline,) = published_methods([BASELINE])
    normalised = baseline.normalised_means(games)
    above = tuple(game for game in games if normalised[game] > 1)
    return {"all": games, "above": above, "below": tuple(game for game in games if game not in above)}


def _place(row: Row) -> tuple[bool, bool, float]:
    mean = row.aggregates["all"].mean
    return not row.own, mean is None, 0.0 if mean is None else -mean.value


def _row(method: Method, own: bool, focus: Method, comparison: Comparison) -> Row:
    sets = {name: games for name, games in comparison.sets.items() if games}
    with_runs = {name: games for name, games in sets.items() if method.runs and method.has(games)}
    missing = [game for game in comparison.games if game not in method.means]
    labels = dict(method.labels)
    if missing:
        labels["missing"] = f"No scores of {', '.join(missing)}."
    return Row(
        method=method,
        own=own,
        played=len(comparison.games) - len(missing),
        labels=labels,
        aggregates={name: _aggregates(method, name, games, comparison) for name, games in sets.items()},
        profiles={
            name: performance_profile(
                method.normalised_runs(games),
                THRESHOLDS,
                _rng(comparison, method, name, "profile"),
                comparison.resamples,
            )
            for name, games in with_runs.items()
        },
        improvement=_improvement(focus, method, comparison),
    )


def _aggregates(method: Method, name: str, games: tuple[str, ...], comparison: Comparison) -> Aggregates:
    if not method.has(games):  # an average over the games that are there would be one over easier or harder games
        return Aggregates()
    means = list(method.normalised_means(games).values())
    # As papers count: a game played exactly as well as by a human is among them (IRIS's Pong).
    above = sum(method.means[game] >= REFERENCE_SCORES[game].human for game in games)
    if method.runs:
        rng = _rng(comparison, method, name, "aggregates")
        found = aggregate(method.normalised_runs(games), rng, comparison.resamples)
        return Aggregates(above, found["mean"], found["median"], found["iqm"], found["optimality_gap"])
    # Means and medians follow from the means of games; the others would need single runs, and are only quoted.
    mean, median = Interval(float(np.mean(means))), Interval(float(np.median(means)))
    quoted = {name: _quoted(method, name) if games == GAMES else None for name in ("iqm", "optimality_gap")}
    printed = tuple(name for name, interval in quoted.items() if interval is not None)
    return Aggregates(above, mean, median, quoted["iqm"], quoted["optimality_gap"], printed)


def _quoted(method: Method, figure: str) -> Interval | None:
    value = method.reported.get(figure)
    return Interval(float(value)) if isinstance(value, int | float) else None


def _improvement(focus: Method, method: Method, comparison: Comparison) -> Interval | None:
    games = comparison.games
    if method is focus or not all(one.runs and one.has(games) for one in (focus, method)):
        return None
    rng = _rng(comparison, method, "all", f"improvement of {focus.name}")
    ours, theirs = focus.normalised_runs(games), method.normalised_runs(games)
    return probability_of_improvement(ours, theirs, rng, comparison.resamples)


def _rng(comparison: Comparison, method: Method, games: str, purpose: str) -> np.random.Generator:
    return np.random.default_rng([comparison.seed, zlib.crc32(f"{method.name}/{games}/{purpose}".encode())])


def _row_as_dict(row: Row, games: Sequence[str]) -> dict[str, Any]:
    method = row.method
    return {
        "name": method.name,
        "kind": method.kind,
        "year": method.year,
        "own": row.own,
        "source": method.source,
        "labels": row.labels,
        "reported": dict(method.reported),
        "games_played": row.played,
        "games": {
            game: {
                "mean": method.means[game],
                "human_normalised": method.normalised_means([game])[game],
                "runs": list(method.runs[game]) if method.runs else None,
            }
            if game in method.means
            else None
            for game in games
        },
        "aggregates": {name: _aggregates_as_dict(one) for name, one in row.aggregates.items()},
        "profiles": {
            name: {part: [round(getattr(point, part), 4) for point in profile] for part in ("value", "low", "high")}
            for name, profile in row.profiles.items()
        },
        "probability_that_the_focus_improves": None if row.improvement is None else row.improvement._asdict(),
    }


def _aggregates_as_dict(aggregates: Aggregates) -> dict[str, Any]:
    return {
        name: value._asdict() if isinstance(value, Interval) else value for name, value in asdict(aggregates).items()
    }
