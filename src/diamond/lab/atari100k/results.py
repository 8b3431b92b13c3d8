"""Our own runs as one method: run folders, and files written by `diamond evaluate --json`.

Each is one training run of one game; its score is the mean return of the games that the trained agent played.
"""

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from diamond.config.presets import atari100k
from diamond.errors import ConfigError, ResultsError, RunError
from diamond.lab.atari100k.methods import GAMES, Method, published_methods
from diamond.runs.folder import EVALUATION, read_json
from diamond.runs.wording import finite, listing, number_text

_LEAST_GAMES, _LEAST_SEEDS, _SEEDS = 2, 2, 5


@dataclass(frozen=True)
class Result:
    """One training run of one game."""

    path: Path
    game: str
    seed: int | None
    """Training seed; None where the file does not say."""
    returns: tuple[float, ...]
    deviations: tuple[str, ...]
    """In what it was not made or measured as in the paper."""


def read_results(paths: Sequence[Path], name: str, games: Sequence[str] = GAMES) -> Method:
    """The runs in these folders and files as one method; those of other games are left out.

    Args:
        paths: run folders, or files written by `diamond evaluate --json`.
        name: what to call the method.
        games: those to compare.

    Raises:
        ResultsError: a path is missing, unfinished or damaged, plays none of the 26 games or is given twice; fewer than
            2 games, or a game with a single run, for neither says how sure a figure is.
        ConfigError: the name is that of a published method.
    """
    if any(name == method.name for method in published_methods()):
        raise ConfigError(f"--name is {name!r}, a published method: choose another name for these runs")
    found: dict[str, list[Result]] = defaultdict(list)
    for result in map(read_result, paths):
        _require_new(result, found[result.game])
        found[result.game].append(result)
    kept = {game: found[game] for game in games if found[game]}
    if len(kept) < _LEAST_GAMES:
        played = f"{len(kept)} of the {len(games)} games" + (f" ({', '.join(kept)})" if kept else "")
        raise ResultsError(
            f"{_paths(paths)}: holds {played}: add runs of other games, at least {_LEAST_GAMES}; "
            "for one game there is `diamond report`"
        )
    for game, results in kept.items():
        if len(results) < _LEAST_SEEDS:
            raise ResultsError(
                f"{results[0].path}: {game} has a single run (seed {_seed_text(results[0])}), and an interval needs at "
                f"least {_LEAST_SEEDS}: add one with `diamond train --preset atari100k --env.game {game} --seed SEED`"
            )
    runs = {game: tuple(sum(one.returns) / len(one.returns) for one in results) for game, results in kept.items()}
    return Method(
        name=name,
        kind="own runs",
        source=_paths(paths),
        runs=runs,
        means={game: sum(scores) / len(scores) for game, scores in runs.items()},
        labels=dict(_labels(list(kept.values()))),
    )


def read_result(path: Path) -> Result:
    """The result in a run folder or a file of `diamond evaluate --json`.

    Raises:
        ResultsError: see `read_results`.
    """
    if not path.exists():
        raise ResultsError(f"{path} does not exist: give run folders, or files written by `diamond evaluate --json`")
    file, config = path, {}
    if path.is_dir():
        file = path / EVALUATION
        if not file.is_file():
            raise ResultsError(f"{file} does not exist: finish the run with `diamond train --resume {path}`")
        config = _object(path / "config.json")
    record = _object(file)
    game, trained = record.get("game"), record.get("trained")
    if not isinstance(game, str) or not isinstance(trained, dict):
        raise ResultsError(f"{file} has no `game` and `trained`: give a file written by `diamond evaluate --json`")
    if game not in GAMES:
        raise ResultsError(f"{file}: game is {game!r}, not one of Atari 100k: choose from {', '.join(GAMES)}")
    seed = config.get("seed", record.get("training_seed"))
    return Result(path, game, seed, _returns(file, trained), tuple(_deviations(trained, config)))


def _object(file: Path) -> dict[str, Any]:
    try:
        return read_json(file)
    except RunError as error:
        raise ResultsError(f"{error}, or give another file written by `diamond evaluate --json`") from error


def _returns(file: Path, trained: dict[str, Any]) -> tuple[float, ...]:
    returns = trained.get("returns")
    if not isinstance(returns, list) or not returns:
        raise ResultsError(f"{file}: trained.returns lists no games: evaluate the run again with `diamond evaluate`")
    for value in returns:
        if finite(value) is None:
            raise ResultsError(
                f"{file}: trained.returns holds {json.dumps(value)}, not a finite number: evaluate the run again with "
                "`diamond evaluate`"
            )
    return tuple(map(float, returns))


def _require_new(result: Result, others: Sequence[Result]) -> None:
    for other in others:
        # Files that do not name their training seed are the same run if they have the same games.
        known = result.seed is not None and other.seed is not None
        if result.path.resolve() == other.path.resolve() or (
            result.seed == other.seed if known else result.returns == other.returns
        ):
            raise ResultsError(
                f"{result.path}: {result.game}, seed {_seed_text(result)}, is given twice, the other time in "
                f"{other.path}: leave one of them out"
            )


def _deviations(trained: dict[str, Any], config: dict[str, Any]) -> Iterator[str]:
    paper = atari100k()
    collection, env = config.get("collection", {}), config.get("env", {})
    facts = [
        ("steps of training", collection.get("total_steps"), paper.collection.total_steps),
        ("emulator frames a step", env.get("frame_skip"), paper.env.frame_skip),
        ("evaluation games a run", len(trained["returns"]), paper.schedule.final_episodes),
        ("steps a game at most", trained.get("max_episode_steps"), paper.env.max_episode_steps),
    ]
    yield from (
        f"{number_text(value)} {what} instead of {number_text(wanted)}"
        for what, value, wanted in facts
        if finite(value) is not None and value != wanted
    )
    if trained.get("mode", "sampled") != "sampled":
        yield f"actions {trained['mode']} instead of sampled"
    if trained.get("temperature", 1) != 1 or trained.get("epsilon", 0) != 0:
        yield f"temperature {trained.get('temperature')} and epsilon {trained.get('epsilon')} instead of 1 and 0"
    if collection.get("recordings"):
        yield "began with recordings"


def _labels(kept: Sequence[Sequence[Result]]) -> Iterator[tuple[str, str]]:
    deviations = list(dict.fromkeys(text for results in kept for result in results for text in result.deviations))
    if deviations:
        yield "protocol", f"Not the paper's protocol: {listing(deviations)}."
    numbers = sorted({len(results) for results in kept})
    if numbers != [_SEEDS]:
        unequal = " Games with more runs weigh more in the IQM and the optimality gap." if len(numbers) > 1 else ""
        yield "runs", f"{' to '.join(map(str, dict.fromkeys((numbers[0], numbers[-1]))))} runs a game.{unequal}"


def _seed_text(result: Result) -> str:
    return "not named" if result.seed is None else str(result.seed)


def _paths(paths: Sequence[Path]) -> str:
    names = [str(path) for path in paths]
    return ", ".join(names) if len(names) <= 3 else f"{names[0]} and {len(names) - 1} more"
