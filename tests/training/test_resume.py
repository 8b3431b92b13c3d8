"""A run that was stopped and resumed is, on a CPU, the run that never stopped: to the last bit of everything it
leaves."""

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_runs import assert_same_run, lasting, newest, override, resume, start, tiny

from diamond.config import from_dict, to_dict
from diamond.errors import ConfigError, DataError, RunError
from diamond.experience.episodes import EpisodeFolder, read_episode
from diamond.runs.files import write_json
from diamond.runs.folder import RunFolder, read_json
from diamond.runs.metrics import Row, read_metrics
from diamond.runs.progress import Progress
from diamond.training.loop import train

EPOCHS = 3
SETTINGS: dict[str, dict[str, Any]] = {
    "Catch": {},
    "Catch, 3 environments, averaged weights": {
        "env.num_envs": 3,
        "collection.steps_per_epoch": 15,
        "updates.denoiser.ema_decay": 0.5,
        "updates.actor_critic.ema_decay": 0.9,
    },
    "Breakout, 2 environments, evaluations": {
        "env.id": None,
        "env.num_envs": 2,
        "env.max_episode_steps": 22,
        "schedule.evaluate_every": 2,
        "schedule.evaluation_episodes": 1,
    },
    "Breakout, other sizes and sampler": {
        "env.id": None,
        "env.height": 24,
        "env.width": 20,
        "actor_critic.channels": [16, 64],
        "actor_critic.window": 4,
        "imagination.horizon": 2,
        "denoiser.unet.channels": [64, 8],
        "denoiser.unet.attention": [False, True],
        "sampler.order": 2,
        "sampler.s_churn": 1.0,
    },
}
MOMENTS = {
    "in the first collection": (0, 2),
    "in the first updates": (0, 32),
    "in a later collection": (1, 4),
    "in later updates": (1, 12),
}
"""After how many epochs, and units of the next, a run is stopped: 36 in the first epoch, 13 in each other."""


class Stop(Progress):
    """Stops a run at once, as a second Ctrl-C does, after some epochs and units of the next: nothing is written."""

    def __init__(self, epochs: int, units: int) -> None:
        super().__init__(quiet=True)
        self.epochs, self.units = epochs, units

    def advance(self, phase: str, units: int) -> None:
        super().advance(phase, units)
        self.units -= self.epochs == 0
        if self.units == 0:
            raise KeyboardInterrupt

    def epoch(self, row: Row, disk_bytes: int) -> None:
        super().epoch(row, disk_bytes)
        self.epochs -= 1


@pytest.fixture(scope="module", params=SETTINGS, ids=lambda name: name)
def uninterrupted(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, Any]]:
    """A run that never stopped, and what it changes in the tiny configuration; shared, so only looked at."""
    path, changes = tmp_path_factory.mktemp("uninterrupted") / "run", SETTINGS[request.param]
    start(path, changes | {"schedule.epochs": EPOCHS})
    return path, changes


def test_a_longer_schedule_goes_on_as_if_it_had_been_meant_so(
    tmp_path: Path, uninterrupted: tuple[Path, dict[str, Any]]
) -> None:
    whole, changes = uninterrupted
    start(tmp_path / "run", changes | {"schedule.epochs": 1})
    resume(tmp_path / "run", {"schedule.epochs": EPOCHS})
    assert_same_run(tmp_path / "run", whole)


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("uninterrupted", ["Catch"], indirect=True)
def test_a_run_stopped_at_any_moment_goes_on_from_its_checkpoint(
    tmp_path: Path, uninterrupted: tuple[Path, dict[str, Any]], moment: str
) -> None:
    """And again if it is stopped again; what a stop left over is set aside."""
    with pytest.raises(KeyboardInterrupt):
        start(tmp_path / "run", {"schedule.epochs": EPOCHS}, Stop(*MOMENTS[moment]))
    with pytest.raises(KeyboardInterrupt):
        resume(tmp_path / "run", progress=Stop(0, 1))
    resume(tmp_path / "run")
    assert_same_run(tmp_path / "run", uninterrupted[0], but=("disk/",))  # what was set aside takes space too


def test_every_setting_survives_a_stop(tmp_path: Path, uninterrupted: tuple[Path, dict[str, Any]]) -> None:
    whole, changes = uninterrupted
    with pytest.raises(KeyboardInterrupt):
        start(tmp_path / "run", changes | {"schedule.epochs": EPOCHS}, Stop(2, 1))
    resume(tmp_path / "run")
    assert_same_run(tmp_path / "run", whole, but=("disk/",))


def test_the_checkpoint_of_a_stopped_run_lies_within_an_episode(uninterrupted: tuple[Path, dict[str, Any]]) -> None:
    """Else the tests above would show less than they say."""
    checkpoint = newest(uninterrupted[0])
    lengths = [
        read_episode(checkpoint.file(f"open-{lane}.npz")).num_steps
        for lane in range(len(checkpoint.facts["open_episodes"]))
    ]
    assert any(lengths)
    assert {"dream.frames", "policy.hidden", "collector.hidden"} <= checkpoint.tensors("training").keys()
    assert checkpoint.tensors("training")["collector.hidden"].any()


def test_episodes_written_after_the_checkpoint_are_set_aside(tmp_path: Path) -> None:
    changes = {"collection.steps_per_epoch": 30, "schedule.epochs": 2}
    with pytest.raises(KeyboardInterrupt):
        start(tmp_path / "run", changes, Stop(1, 30))  # after the second epoch's collection
    folder = EpisodeFolder(tmp_path / "run" / "episodes")
    written, kept = folder.indices(), newest(tmp_path / "run").facts["episodes"]
    assert set(kept) < set(written)
    with pytest.raises(KeyboardInterrupt):
        resume(tmp_path / "run", progress=Stop(0, 30))
    aside = EpisodeFolder(folder.folder / "set_aside")
    assert aside.indices() == sorted(set(written) - set(kept))
    for index in aside.indices():  # and what comes instead is the same
        assert aside.path(index).read_bytes() == folder.path(index).read_bytes()


def test_rows_written_after_the_checkpoint_are_replaced(tmp_path: Path) -> None:
    start(tmp_path / "whole")
    shutil.copytree(tmp_path / "whole", tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "checkpoints")  # all of them: everything starts again
    resume(tmp_path / "run")
    assert_same_run(tmp_path / "run", tmp_path / "whole", but=("disk/",))
    assert [row["epoch"] for row in read_metrics(tmp_path / "run" / "metrics.jsonl")] == [1, 2]


def test_without_its_newest_checkpoint_a_run_goes_on_from_the_one_before(tmp_path: Path) -> None:
    """As the error about a damaged one advises."""
    start(tmp_path / "whole", {"schedule.keep_every": 1, "collection.steps_per_epoch": 14})
    shutil.copytree(tmp_path / "whole", tmp_path / "run")
    damaged = tmp_path / "run" / "checkpoints" / "epoch-000002" / "agent.safetensors"
    damaged.write_bytes(damaged.read_bytes()[:-1])
    with pytest.raises(RunError, match="remove the folder epoch-000002 to go on from the checkpoint before it"):
        resume(tmp_path / "run")
    shutil.rmtree(damaged.parent)
    resume(tmp_path / "run")
    assert_same_run(tmp_path / "run", tmp_path / "whole", but=("disk/",))


def test_a_finished_run_can_be_resumed_and_has_nothing_to_do(tmp_path: Path) -> None:
    start(tmp_path / "run")
    shutil.copytree(tmp_path / "run", tmp_path / "copy")
    resume(tmp_path / "run")
    assert_same_run(tmp_path / "run", tmp_path / "copy")


def test_a_longer_schedule_is_remembered(tmp_path: Path) -> None:
    """A second resume, without any option, goes on to the end that the first one set."""
    start(tmp_path / "run", {"schedule.epochs": 1})
    with pytest.raises(KeyboardInterrupt):
        resume(tmp_path / "run", {"schedule.epochs": 3}, Stop(1, 2))
    assert resume(tmp_path / "run").config.schedule.epochs == 3
    assert [row["epoch"] for row in lasting(tmp_path / "run")] == [1, 2, 3]
    assert from_dict(read_json(tmp_path / "run" / "config.json")).schedule.epochs == 3


# What may change and what not


def contents(path: Path) -> dict[Path, bytes]:
    return {file: file.read_bytes() for file in path.rglob("*") if file.is_file()}


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 1},
        {"env.num_envs": 2},
        {"updates.denoiser.learning_rate": 2e-3},
        {"collection.steps_per_epoch": 11},
        {"sampler.num_steps": 3},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_changed_hyper_parameter_is_refused_and_nothing_is_touched(tmp_path: Path, change: dict[str, Any]) -> None:
    run = RunFolder.create(tmp_path / "run", tiny(), 3, ("LEFT", "NOOP", "RIGHT"), fused=False)
    before = contents(run.path)
    (name, value), old = next(iter(change.items())), tiny()
    for part in name.split("."):
        old = getattr(old, part)
    with pytest.raises(ConfigError, match=f"{name} was {old}, now {value}: this cannot change when a run resumes"):
        train(override(tiny(), {**change, "schedule.epochs": 9}), run.path, True, Progress(quiet=True))
    (run.path / "run.lock").unlink(missing_ok=True)
    assert contents(run.path) == before


def test_more_real_steps_may_be_allowed(tmp_path: Path) -> None:
    start(tmp_path / "run", {"collection.total_steps": 35})
    assert [row["env_steps"] for row in lasting(tmp_path / "run")] == [30, 35]
    resume(tmp_path / "run", {"schedule.epochs": 4, "collection.total_steps": 50})
    assert [row["env_steps"] for row in lasting(tmp_path / "run")] == [30, 35, 45, 50]


# Damage found on resume


@pytest.mark.parametrize("kind", ["changed", "cut", "missing", "not an episode"])
def test_a_damaged_episode_is_told_with_its_file(tmp_path: Path, kind: str) -> None:
    start(tmp_path / "run")
    path = sorted((tmp_path / "run" / "episodes").glob("*.npz"))[0]
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 255
    path.write_bytes({"changed": content, "cut": content[: len(content) // 2]}.get(kind, b"nothing"))
    if kind == "missing":
        path.unlink()
    with pytest.raises(DataError, match=f"{path} is .*: restore it from a copy"):
        resume(tmp_path / "run", {"schedule.epochs": 3})


@pytest.mark.parametrize("change", [{"actor_critic.lstm_size": 8}, {"updates.denoiser.ema_decay": 0.5}], ids=str)
def test_a_checkpoint_that_does_not_fit_the_configuration_is_told(tmp_path: Path, change: dict[str, Any]) -> None:
    """As when `config.json` was edited by hand."""
    run = start(tmp_path / "run", {"schedule.epochs": 1})
    write_json(run.path / "config.json", to_dict(override(run.config, {"schedule.epochs": 2} | change)))
    with pytest.raises(RunError, match=r"epoch-000001 does not fit the run's config\.json .*: restore both"):
        resume(run.path)


# One seed, one run


def test_one_seed_gives_one_run_whatever_the_global_streams_are(tmp_path: Path) -> None:
    start(tmp_path / "one")
    with torch.random.fork_rng():
        torch.manual_seed(123)
        state = np.random.get_state()
        np.random.seed(123)
        try:
            start(tmp_path / "two")
        finally:
            np.random.set_state(state)
    assert_same_run(tmp_path / "one", tmp_path / "two")
    start(tmp_path / "three", {"seed": 1})
    assert lasting(tmp_path / "three") != lasting(tmp_path / "one")


def test_a_moved_run_goes_on_elsewhere(tmp_path: Path) -> None:
    """Nothing in the folder depends on where it is or on the times of its files."""
    start(tmp_path / "whole", {"schedule.epochs": 2})
    start(tmp_path / "run", {"schedule.epochs": 1})
    for path in (tmp_path / "run").rglob("*"):
        os.utime(path, (0, 0))
    shutil.move(tmp_path / "run", tmp_path / "moved")
    resume(tmp_path / "moved", {"schedule.epochs": 2})
    assert_same_run(tmp_path / "moved", tmp_path / "whole")
