"""A run's folder: complete from the moment it is there, in one hand at a time, and read only by who can read it."""

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tiny_runs import override, tiny

from diamond.errors import ConfigError, DiamondError, DiskError, RunError
from diamond.runs.folder import RunFolder, new_run_path, newest_run, require_free
from diamond.version import __version__

CONFIG = tiny()


def create(path: Path) -> RunFolder:
    return RunFolder.create(path, CONFIG, 3, ("LEFT", "NOOP", "RIGHT"), fused=False)


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return create(tmp_path / "run")


# Making and opening


def test_what_is_made_can_be_opened(run: RunFolder) -> None:
    opened = RunFolder.open(run.path)
    assert opened == run
    assert opened.config == CONFIG
    assert opened.action_meanings == ("LEFT", "NOOP", "RIGHT")
    assert opened.facts["diamond"] == __version__
    assert {"started", "command", "machine", "format"} <= opened.facts.keys()


def test_an_empty_folder_will_do(tmp_path: Path) -> None:
    create(tmp_path)
    assert RunFolder.open(tmp_path).config == CONFIG


@pytest.mark.parametrize("occupant", ["run", "folder", "file"])
def test_what_exists_is_never_written_over(tmp_path: Path, occupant: str) -> None:
    path = tmp_path / "run"
    if occupant == "run":
        create(path)
    elif occupant == "folder":
        path.mkdir()
        (path / "thesis.txt").write_text("years of work", encoding="utf-8")
    else:
        path.write_text("years of work", encoding="utf-8")
    before = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
    with pytest.raises(RunError, match=f"{path} already exists: choose another --run folder, or continue it with"):
        create(path)
    assert {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()} == before


@pytest.mark.parametrize("call", range(1, 4))
@pytest.mark.parametrize("function", ["replace", "fsync"])
def test_a_kill_leaves_a_whole_run_or_a_free_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, function: str, call: int
) -> None:
    class Killed(BaseException):
        pass

    path, calls, original = tmp_path / "run", 0, getattr(os, function)

    def failing(*arguments: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == call:
            raise Killed
        original(*arguments)

    monkeypatch.setattr(os, function, failing)
    try:
        create(path)
    except Killed:
        require_free(path)
        create(path)
    assert RunFolder.open(path).config == CONFIG
    assert os.listdir(tmp_path) == ["run"]


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DiskError, match="cannot be written .*: free disk space, or choose a place that can be written"):
        create(tmp_path / "file" / "run")


# What is not a run, or not any more


@pytest.mark.parametrize("kind", ["missing", "folder", "file"])
def test_what_is_not_a_run_is_told(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "run"
    if kind == "folder":
        path.mkdir()
    elif kind == "file":
        path.touch()
    with pytest.raises(RunError, match=f"{path} is not a run: give a folder made by `diamond train`"):
        RunFolder.open(path)


def edit(path: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    values = json.loads(path.read_text(encoding="utf-8"))
    change(values)
    path.write_text(json.dumps(values), encoding="utf-8")


@pytest.mark.parametrize("version", [2, 100])
def test_a_run_of_a_newer_release_names_the_release_that_reads_it(run: RunFolder, version: int) -> None:
    edit(run.path / "run.json", lambda facts: facts.update(format=version, diamond="9.8.7"))
    with pytest.raises(RunError, match=r"this release reads up to 1: install diamond-wm 9\.8\.7 or newer"):
        RunFolder.open(run.path)


@pytest.mark.parametrize("name", ["run.json", "config.json"])
@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"format": "1"}', '{"format": 1}', '{"format": 1, "env": 3}', '{"format": 1.5}', "\0"]
)
def test_damage_is_an_error_that_names_the_file_or_field(run: RunFolder, name: str, content: str) -> None:
    if (name, content) == ("config.json", '{"format": 1}'):
        content = '{"environment": {}}'
    (run.path / name).write_text(content, encoding="utf-8")
    with pytest.raises(DiamondError, match=r"run\.json|config\.") as told:
        RunFolder.open(run.path)
    assert "\n" not in str(told.value)


def test_a_configuration_of_an_older_release_is_filled_up_with_defaults(run: RunFolder) -> None:
    edit(run.path / "config.json", lambda values: values["schedule"].pop("fidelity_segments"))
    assert RunFolder.open(run.path).config == override(CONFIG, {"schedule.fidelity_segments": 256})


# Going on


def test_a_longer_schedule_is_taken_over_for_good(run: RunFolder) -> None:
    longer = override(CONFIG, {"schedule.epochs": 50, "compute.threads": 2})
    run.require_same(longer)
    run.keep_config(longer)
    assert run.config == longer == RunFolder.open(run.path).config


def test_other_changes_are_refused(run: RunFolder) -> None:
    with pytest.raises(ConfigError, match=r"sampler\.num_steps was 2, now 5: .* start a new run to change it"):
        run.require_same(override(CONFIG, {"sampler.num_steps": 5, "schedule.epochs": 50}))


# One writer


def test_a_second_writer_is_refused_until_the_first_is_done(run: RunFolder) -> None:
    lock = run.lock()
    words = f"{run.path} is being written by another process: wait for it or stop it"
    with lock, pytest.raises(RunError, match=words):
        RunFolder.open(run.path).lock()
    with RunFolder.open(run.path).lock():
        pass


def test_a_lock_lives_no_longer_than_its_process(run: RunFolder) -> None:
    script = (
        "import filelock, sys; lock = filelock.FileLock(sys.argv[1]); lock.acquire(); "
        "print('held', flush=True); input()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", script, run.path / "run.lock"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline().strip() == b"held"
        with pytest.raises(RunError, match="by another process"):
            run.lock()
        holder.kill()
        holder.wait()
    with run.lock():
        pass


def test_reading_needs_no_lock(run: RunFolder) -> None:
    with run.lock():
        assert RunFolder.open(run.path).config == CONFIG


# Where runs are


def test_the_newest_run_is_the_one_started_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RunError, match="no run found in .*runs: name one, or make one with `diamond train`"):
        newest_run()
    for age, name in ((30, "b"), (10, "c"), (20, "a")):
        create(Path("runs") / name)
        os.utime(Path("runs") / name / "run.json", (1_000 - age, 1_000 - age))
    (Path("runs") / "not a run").mkdir()
    assert newest_run() == Path("runs") / "c"


def test_a_run_without_a_checkpoint_does_not_stand_in_the_way_of_one_that_can_be_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for age, name in ((20, "good"), (10, "aborted")):
        create(Path("runs") / name)
        os.utime(Path("runs") / name / "run.json", (1_000 - age, 1_000 - age))
    with pytest.raises(RunError, match="no run with a checkpoint in .*runs: name one"):
        newest_run(usable=True)
    (Path("runs") / "aborted/checkpoints/epoch-000001.bak").mkdir(parents=True)
    (Path("runs") / "good/checkpoints/epoch-000001").mkdir(parents=True)
    assert newest_run(usable=True) == Path("runs") / "good"
    assert newest_run() == Path("runs") / "aborted"


def test_new_runs_get_free_places_with_telling_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    paths = []
    for _ in range(3):
        paths.append(new_run_path(dataclasses.replace(CONFIG, seed=7)))
        create(paths[-1])
    assert len(set(paths)) == 3
    assert all("tiny-diamond-Catch-v0-seed7" in path.name and path.parent == Path("runs") for path in paths)
