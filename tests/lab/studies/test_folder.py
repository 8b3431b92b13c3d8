"""A study's folder: begun once, gone on with at the same scale, never overwritten by another."""

import dataclasses
import json
from pathlib import Path

import pytest

from diamond.errors import ConfigError
from diamond.lab.studies.folder import StudyFolder
from diamond.lab.studies.scale import STUDIES, Scale


def silent(text: str) -> None:
    pass


def opened(path: Path, scale: Scale = Scale(), name: str = "start-noise", game: str = "Breakout") -> StudyFolder:  # noqa: B008
    return StudyFolder.open(path, name, game, scale, silent)


def test_a_part_is_computed_once(tmp_path: Path) -> None:
    calls: list[int] = []

    def compute() -> dict[str, int]:
        calls.append(1)
        return {"answer": 42}

    assert opened(tmp_path).part("one", compute) == {"answer": 42}
    assert opened(tmp_path).part("one", compute) == {"answer": 42}
    assert len(calls) == 1


def test_more_seeds_go_into_the_same_folder(tmp_path: Path) -> None:
    opened(tmp_path)
    opened(tmp_path, Scale(seeds=(0, 1, 2, 3, 4), threads=2))


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"scale": Scale(updates=7, size=64)}, "size, updates"),
        ({"name": "edm-vs-ddpm"}, "study"),
        ({"game": "Pong"}, "game"),
    ],
)
def test_another_study_is_not_mixed_in(tmp_path: Path, change: dict, named: str) -> None:
    opened(tmp_path)
    before = (tmp_path / "study.json").read_bytes()
    with pytest.raises(ConfigError, match=f"holds a study with another {named}: choose another --out"):
        opened(tmp_path, **change)
    assert (tmp_path / "study.json").read_bytes() == before


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear", encoding="utf-8")
    with pytest.raises(ConfigError, match="already contains other files"):
        opened(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


def test_results_tell_where_they_come_from(tmp_path: Path) -> None:
    path = opened(tmp_path, Scale(seeds=(5, 6))).finish({"answer": 42}, {"figure.png": b"png"})
    results = json.loads(path.read_text(encoding="utf-8"))
    assert {"command", "commit", "machine", "seeds", "scale", "study", "game", "answer"} <= set(results)
    assert results["seeds"] == [5, 6]
    assert (tmp_path / "figure.png").read_bytes() == b"png"


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("updates", 0, "--updates is 0: use at least 1"),
        ("trajectories", 1, "--trajectories is 1: use at least 2"),
        ("seeds", (), "--seeds are"),
        ("seeds", (1, 1), "--seeds are"),
        ("size", 4, "--size is 4: choose from 8 to 1024 pixels"),
        ("channels", (), "denoiser.unet.channels"),
        ("learning_rate", -1.0, "--learning-rate is -1.0: use a positive number"),
    ],
)
def test_bad_scales_are_refused(field: str, value: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        dataclasses.replace(Scale(), **{field: value})


def test_every_study_has_a_module() -> None:
    from diamond.lab.studies.run import MODULES

    assert set(MODULES) == set(STUDIES)
