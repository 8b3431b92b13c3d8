"""Scores of published methods, shipped with the package: `published_scores.json`.

That file holds, for each method, the returns of every training run where its source has them (`runs`), else the mean
of each game (`means`); where they are from (`source`); what else was reported (`reported`); and in what they are not
like the others (`labels`).
"""

import functools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files

import numpy as np

from diamond.errors import ConfigError
from diamond.evaluation.human_scores import REFERENCE_SCORES
from diamond.evaluation.statistics import human_normalised

GAMES = tuple(REFERENCE_SCORES)
"""The 26 games in alphabetical order."""
LABELS = {
    "rerun": "run by others than its authors",
    "protocol": "measured in another way than by separate whole games",
    "differs": "does not agree with what its paper prints",
    "paper": "no scores of single runs: what the paper prints, without intervals",
    "iqm of means": "the printed IQM is not one of runs, and may be far from that",
    "runs": "another number of runs a game than 5",
    "unchecked": "not read from its source",
    "missing": "some games are missing",
}
"""In what a method's scores are not like the others, and what that means."""


@dataclass(frozen=True)
class Method:
    """What is known about the scores of one method; returns of whole games, unclipped."""

    name: str
    kind: str
    source: str
    year: int | None = None
    runs: Mapping[str, Sequence[float]] = field(default_factory=dict)
    """Mean return of each training run, by game; empty where only means of games are published."""
    means: Mapping[str, float] = field(default_factory=dict)
    """Mean over the runs, by game."""
    reported: Mapping[str, int | float | str] = field(default_factory=dict)
    """Aggregates as printed: `mean`, `median`, `iqm`, `optimality_gap`, `above_human`; and their `source`."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """In what these scores are not like the others: a key of `LABELS`, and a sentence."""

    def has(self, games: Sequence[str]) -> bool:
        """Whether all these games were played."""
        return all(game in self.means for game in games)

    def normalised_means(self, games: Sequence[str]) -> dict[str, float]:
        """Human-normalised means, of those of the games that were played."""
        return {game: normalise(game, self.means[game]) for game in games if game in self.means}

    def normalised_runs(self, games: Sequence[str]) -> list[np.ndarray]:
        """Human-normalised scores of the runs of each game; all of them must be there."""
        return [np.array([normalise(game, score) for score in self.runs[game]]) for game in games]


def normalise(game: str, score: float) -> float:
    """The human-normalised score of one of `GAMES`."""
    normalised = human_normalised(game, score)
    assert normalised is not None, game
    return normalised


@functools.cache
def _all() -> dict[str, Method]:
    text = files("diamond.lab.atari100k").joinpath("published_scores.json").read_text(encoding="utf-8")
    methods = {}
    for record in json.loads(text)["methods"]:
        runs = {game: tuple(map(float, scores)) for game, scores in record.get("runs", {}).items()}
        means = record.get("means") or {game: np.mean(scores) for game, scores in runs.items()}
        means = {game: float(mean) for game, mean in means.items()}
        methods[record["name"]] = Method(**{**record, "runs": runs, "means": means})
    return methods


def published_methods(names: Sequence[str] = ()) -> list[Method]:
    """Published methods, all 30 or those named, in the order of the file.

    Raises:
        ConfigError: a name is unknown.
    """
    methods = _all()
    for name in names:
        if name not in methods:
            raise ConfigError(f"--methods names {name!r}: choose from {', '.join(methods)}")
    return [method for name, method in methods.items() if not names or name in names]


def require_games(names: Sequence[str]) -> tuple[str, ...]:
    """The games named in the order of `GAMES`, all 26 if none is.

    Raises:
        ConfigError: a name is unknown or given twice.
    """
    for name in names:
        if name not in GAMES:
            raise ConfigError(f"--games names {name!r}: choose from {', '.join(GAMES)}")
        if names.count(name) > 1:
            raise ConfigError(f"--games names {name} {names.count(name)} times: name each game once")
    return tuple(game for game in GAMES if not names or game in names)
