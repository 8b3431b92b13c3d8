"""Our own runs: how they become one method, and that bad input is answered with file, value and remedy."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from diamond.config import to_dict
from diamond.config.presets import atari100k
from diamond.errors import ConfigError, DiamondError, ResultsError
from diamond.lab.atari100k import read_results
from diamond.lab.atari100k.methods import Method

HUNDRED = [1.0, 3.0] * 50
PROTOCOL = {"mode": "sampled", "temperature": 1.0, "epsilon": 0.0, "max_episode_steps": 27_000}

Write = Callable[..., Path]


@pytest.fixture
def run_folder(tmp_path: Path) -> Write:
    """Writes what is read of a finished run."""

    def write(game: str, seed: int, returns: list[float] = HUNDRED, **changes: Any) -> Path:
        folder = tmp_path / f"{game.replace('/', '-')}-{seed}"
        folder.mkdir()
        config = to_dict(atari100k()) | {"seed": seed}
        for name, value in changes.items():
            group, _, field = name.partition("__")
            config[group][field] = value
        record = {"game": game, "trained": {"returns": returns, **PROTOCOL}}
        (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
        (folder / "evaluation.json").write_text(json.dumps(record), encoding="utf-8")
        return folder

    return write


@pytest.fixture
def file(tmp_path: Path) -> Write:
    """Writes what `diamond evaluate --json` writes."""

    def write(name: str, game: str, seed: int | None, returns: object, **trained: Any) -> Path:
        record = {"game": game, "training_seed": seed, "trained": {"returns": returns, **PROTOCOL, **trained}}
        path = tmp_path / name
        path.write_text(json.dumps(record), encoding="utf-8")
        return path

    return write


@pytest.fixture
def two_games(run_folder: Write) -> list[Path]:
    """Enough for a table."""
    return [
        run_folder(game, seed, [10.0 * seed, 10.0 * seed + 2] * 50) for game in ("Pong", "Boxing") for seed in (0, 1)
    ]


def refuse(paths: list[Path], *parts: str) -> None:
    with pytest.raises(ResultsError) as refused:
        read_results(paths, "mine")
    for part in parts:
        assert part in str(refused.value)


# What is read


def test_the_score_of_a_run_is_the_mean_of_its_games(two_games: list[Path]) -> None:
    mine = read_results(two_games, "mine")
    assert mine.runs == {"Boxing": (1, 11), "Pong": (1, 11)}
    assert mine.means == {"Boxing": 6, "Pong": 6}


def test_run_folders_and_files_go_together(run_folder: Write, file: Write, two_games: list[Path]) -> None:
    more = [file("a.json", "Pong", 2, [7.0]), file("b.json", "Pong", None, [8.0]), run_folder("Pong", 4, [9.0])]
    assert read_results([*two_games, *more], "mine").runs["Pong"] == (1, 11, 7, 8, 9)


def test_only_the_games_asked_for_count(run_folder: Write, two_games: list[Path]) -> None:
    alone = run_folder("Alien", 0)
    assert set(read_results([*two_games, alone], "mine", ("Boxing", "Pong")).runs) == {"Boxing", "Pong"}


def labels(paths: list[Path]) -> dict[str, str]:
    return dict(read_results(paths, "mine").labels)


def test_the_paper_protocol_with_five_runs_needs_no_label(run_folder: Write) -> None:
    assert labels([run_folder(game, seed) for game in ("Pong", "Alien") for seed in range(5)]) == {}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"collection__total_steps": 400_000}, "400,000 steps of training instead of 100,000"),
        ({"env__frame_skip": 2}, "2 emulator frames a step instead of 4"),
        ({"collection__recordings": ["played"]}, "began with recordings"),
        ({"returns": [1.0]}, "1 evaluation games a run instead of 100"),
    ],
)
def test_another_protocol_is_labelled(
    run_folder: Write, two_games: list[Path], changes: dict[str, Any], words: str
) -> None:
    assert words in labels([*two_games, run_folder("Pong", 2, **changes)])["protocol"]


@pytest.mark.parametrize(
    ("trained", "words"),
    [
        ({"mode": "greedy"}, "actions greedy instead of sampled"),
        ({"temperature": 0.5}, "temperature 0.5"),
        ({"max_episode_steps": 200}, "200 steps a game at most instead of 27,000"),
    ],
)
def test_another_evaluation_is_labelled(
    file: Write, two_games: list[Path], trained: dict[str, Any], words: str
) -> None:
    assert words in labels([*two_games, file("a.json", "Pong", 2, HUNDRED, **trained)])["protocol"]


def test_unequal_numbers_of_runs_are_labelled(run_folder: Write, two_games: list[Path]) -> None:
    assert labels(two_games)["runs"] == "2 runs a game."
    assert labels([*two_games, run_folder("Pong", 2)])["runs"].startswith("2 to 3 runs a game. Games with more runs")


# Bad input


def test_no_such_file(tmp_path: Path) -> None:
    refuse([tmp_path / "absent"], "absent does not exist", "diamond evaluate --json")


def test_an_unfinished_run(two_games: list[Path]) -> None:
    (two_games[0] / "evaluation.json").unlink()
    refuse(two_games, "Pong-0/evaluation.json does not exist", f"diamond train --resume {two_games[0]}")


@pytest.mark.parametrize(
    "text", ["{", "", "[1]", '{"game": "Pong"}', '{"trained": {"returns": [1]}}', "\xff", "[" * 9_999]
)
def test_a_damaged_file(tmp_path: Path, text: str) -> None:
    path = tmp_path / "scores.json"
    path.write_text(text, encoding="latin-1")
    refuse([path], "scores.json", "diamond evaluate --json" if text[:1] == "[1" or "game" in text else "")


@pytest.mark.parametrize("game", ["Tetris", "MinAtar/Breakout-v1", "pong"])
def test_a_game_outside_the_benchmark(file: Write, game: str) -> None:
    refuse([file("a.json", game, 0, HUNDRED)], "a.json", repr(game), "choose from Alien")


@pytest.mark.parametrize(
    ("value", "shown"), [(math.nan, "NaN"), (math.inf, "Infinity"), ("many", '"many"'), (None, "null"), (True, "true")]
)
def test_scores_that_are_no_numbers(file: Write, value: object, shown: str) -> None:
    refuse([file("a.json", "Pong", 0, [1.0, value])], "a.json", f"holds {shown}", "evaluate the run again")


@pytest.mark.parametrize("returns", [[], None, 3.0, {}])
def test_a_result_without_games(file: Write, returns: object) -> None:
    refuse([file("a.json", "Pong", 0, returns)], "a.json", "lists no games", "evaluate the run again")


def test_too_few_games(run_folder: Write) -> None:
    refuse(
        [run_folder("Pong", 0), run_folder("Pong", 1)], "Pong-0", "1 of the 26 games (Pong)", "add runs of other games"
    )


def test_a_game_with_a_single_seed(run_folder: Write, two_games: list[Path]) -> None:
    refuse([*two_games, run_folder("Alien", 3)], "Alien-3", "a single run (seed 3)", "--env.game Alien --seed SEED")


def test_the_same_folder_twice(two_games: list[Path]) -> None:
    refuse([*two_games, two_games[0]], "Pong-0", "seed 0, is given twice", "leave one of them out")


def test_the_same_seed_twice(file: Write, two_games: list[Path]) -> None:
    refuse([*two_games, file("again.json", "Pong", 1, [5.0])], "again.json", "Pong-1", "is given twice")


def test_files_that_name_no_seed_are_told_apart_by_their_games(file: Write, two_games: list[Path]) -> None:
    nameless = [file("a.json", "Pong", None, [1.0, 2.0]), file("b.json", "Pong", None, [1.0, 2.5])]
    assert len(read_results([*two_games, *nameless], "mine").runs["Pong"]) == 4
    refuse([*two_games, *nameless, file("c.json", "Pong", None, [1.0, 2.5])], "c.json", "seed not named", "given twice")


def test_a_published_name(two_games: list[Path]) -> None:
    with pytest.raises(ConfigError, match=r"--name is 'IRIS'.*choose another name"):
        read_results(two_games, "IRIS")


def test_all_of_these_are_errors_that_the_command_line_tells() -> None:
    assert issubclass(ResultsError, DiamondError)
    assert isinstance(Method("a", "b", "c").runs, dict)
