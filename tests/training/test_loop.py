"""The loop does what algorithm 1 says, in the counts that the configuration says, and ends well when it cannot go
on."""

import errno
import itertools
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_runs import assert_same_run, lasting, measured, newest, resume, silent, start, tiny

import diamond.training.algorithm as algorithm
import diamond.training.loop as loop
import diamond.training.trainer as trainer_module
from diamond.agents.agent import Agent
from diamond.envs import RealEnv
from diamond.errors import DeviceError, DiskError, EnvError, RunError, TrainingError
from diamond.evaluation.scores import evaluate_agent
from diamond.runs.checkpoint import checkpoints, open_checkpoint
from diamond.runs.folder import RunFolder
from diamond.runs.metrics import Row, read_metrics
from diamond.runs.progress import Progress
from diamond.runs.streams import derive_seed

NETWORKS = ("denoiser", "reward_model", "actor_critic")
UNTRAINED = {
    f"updates.{name}.{count}": 0 for name in NETWORKS for count in ("first_epoch_updates", "updates_per_epoch")
}
"""Leaves only the collection of a run."""


class Diary(Progress):
    """Writes down what the loop says it did, epoch by epoch."""

    def __init__(self) -> None:
        super().__init__(quiet=True)
        self.epochs: list[list[tuple[str, int]]] = [[]]

    def advance(self, phase: str, units: int) -> None:
        super().advance(phase, units)
        self.epochs[-1].append((phase, units))

    def epoch(self, row: Row, disk_bytes: int) -> None:
        super().epoch(row, disk_bytes)
        assert disk_bytes > 0
        self.epochs.append([])

    def summary(self) -> list[list[tuple[str, int]]]:
        """Phases in order, each with its steps or updates."""
        return [
            [(phase, sum(units for _, units in group)) for phase, group in itertools.groupby(epoch, lambda e: e[0])]
            for epoch in self.epochs[:-1]
        ]


def epochs_kept(path: Path) -> list[int]:
    return [open_checkpoint(folder).epoch for folder in checkpoints(path / "checkpoints")]


def assert_whole(path: Path, epoch: int) -> None:
    """The newest checkpoint is of that epoch and every file of it is as it was written."""
    checkpoint = newest(path)
    assert checkpoint.epoch == epoch
    for name in checkpoint.facts["sha256"]:
        checkpoint.file(name)


# Order and counts


def test_phases_come_in_the_order_of_the_algorithm_and_in_the_counts_asked_for(tmp_path: Path) -> None:
    counts = {"denoiser": (4, 1), "reward_model": (3, 2), "actor_critic": (2, 3)}
    changes = {
        f"updates.{name}.{field}": count
        for name, pair in counts.items()
        for field, count in zip(("first_epoch_updates", "updates_per_epoch"), pair, strict=True)
    }
    diary = Diary()
    start(tmp_path / "run", {"schedule.epochs": 3} | changes, diary)
    later = [("collect", 10), ("denoiser", 1), ("reward_model", 2), ("actor_critic", 3)]
    first = [("collect", 30), ("denoiser", 4), ("reward_model", 3), ("actor_critic", 2)]
    assert diary.summary() == [first, later, later]
    rows = read_metrics(tmp_path / "run" / "metrics.jsonl")
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    assert all(map(measured, rows))


def test_every_network_learns(tmp_path: Path) -> None:
    run = start(tmp_path / "run")
    before = Agent.create(run.config, run.num_actions, derive_seed(run.config.seed, "weights")).state_dict()
    after = newest(run.path).tensors("agent")
    assert before.keys() == after.keys()
    for name in NETWORKS:
        weights = [key for key in after if key.startswith(f"{name}.")]
        changed = [key for key in weights if not torch.equal(before[key], after[key])]
        assert len(changed) > 0.5 * len(weights), name  # some start behind layers that start at zero


def test_a_row_holds_losses_counts_times_and_memory(tmp_path: Path) -> None:
    start(tmp_path / "run", {"schedule.evaluate_every": 1})
    [row, _] = read_metrics(tmp_path / "run" / "metrics.jsonl")
    expected = {"epoch", "env_steps", "collect/games", "collect/return_mean", "replay/episodes", "disk/episode_bytes"}
    expected |= {f"{name}/{kind}" for name in NETWORKS for kind in ("loss", "gradient_norm")}
    expected |= {"actor_critic/entropy", "evaluation/return_mean", "evaluation/return_low", "evaluation/return_high"}
    expected |= {f"time/{name}_updates_per_second" for name in NETWORKS} | {"time/epoch_seconds"}
    assert expected | {"memory/peak_bytes", "memory/replay_bytes"} <= row.keys()
    assert all(isinstance(value, (int, float)) for value in row.values())


# Collection


def collected(tmp_path: Path, changes: dict[str, Any]) -> list[Row]:
    """The rows of a run that only collects; one reward comes every 12 steps."""
    start(tmp_path / "run", {**UNTRAINED, "schedule.checkpoint_every": 100, "schedule.epochs": 3} | changes)
    rows = lasting(tmp_path / "run")
    for row in rows:
        signs = [row[f"replay/rewards_{sign}"] for sign in ("negative", "zero", "positive")]
        assert sum(signs) == row["env_steps"]
    return rows


@pytest.mark.parametrize(
    ("least", "most", "rewards", "steps"),
    [
        pytest.param(30, 500, 0, 30, id="the fewest steps"),
        pytest.param(30, 500, 2, 30, id="with enough rewards"),
        pytest.param(30, 500, 6, 80, id="until six rewards have come, after 72 steps"),
        pytest.param(30, 55, 6, 55, id="but not beyond the most steps"),
        pytest.param(1, 500, 0, 10, id="in rounds"),
    ],
)
def test_before_training_steps_are_collected_until_rewards_were_seen(
    tmp_path: Path, least: int, most: int, rewards: int, steps: int
) -> None:
    changes = {
        "collection.first_epoch_min_steps": least,
        "collection.first_epoch_max_steps": most,
        "collection.first_epoch_min_rewards": rewards,
    }
    assert [row["env_steps"] for row in collected(tmp_path, changes)] == [steps + 10, steps + 20, steps + 30]


def test_no_step_is_taken_beyond_the_total(tmp_path: Path) -> None:
    rows = collected(tmp_path, {"collection.total_steps": 36})
    assert [row["env_steps"] for row in rows] == [30, 36, 36]
    assert "collect/return_mean" not in rows[-1]
    assert rows[-1]["collect/games"] == 0


def test_several_environments_share_the_steps(tmp_path: Path) -> None:
    rows = collected(tmp_path, {"env.num_envs": 3, "collection.steps_per_epoch": 12, "schedule.epochs": 2})
    assert [row["env_steps"] for row in rows] == [12 + 9 + 12, 45]  # the 8 steps that 20 still lacks are 3 for each
    assert [row["collect/games"] for row in rows] == [0, 3]


# Evaluation and checkpoints


def test_evaluations_come_by_schedule_and_leave_training_alone(tmp_path: Path) -> None:
    start(tmp_path / "plain", {"schedule.epochs": 3})
    start(tmp_path / "run", {"schedule.epochs": 3, "schedule.evaluate_every": 1})
    rows = lasting(tmp_path / "run")
    assert ["evaluation/return_mean" in row for row in rows] == [True, True, True]
    training = [{name: row[name] for name in row if not name.startswith("evaluation/")} for row in rows]
    assert training == lasting(tmp_path / "plain")


def test_each_evaluation_plays_games_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seeds = []

    def watched(*arguments: Any, seed: int, **options: Any) -> Any:
        seeds.append(seed)
        return evaluate_agent(*arguments, seed=seed, **options)

    monkeypatch.setattr(algorithm, "evaluate_agent", watched)
    changes = {**UNTRAINED, "schedule.epochs": 5, "schedule.evaluate_every": 2}
    start(tmp_path / "run", changes)
    assert len(set(seeds)) == len(seeds) == 2


def scores(monkeypatch: pytest.MonkeyPatch, *means: float) -> None:
    """What the evaluations of a run will find."""
    coming = iter(means)
    monkeypatch.setattr(algorithm, "evaluate", lambda *arguments: {"evaluation/return_mean": next(coming)})


@pytest.mark.parametrize(
    ("changes", "kept", "best"),
    [
        pytest.param({"schedule.checkpoint_every": 100}, [2, 5], 2, id="the best and the last"),
        pytest.param({"schedule.checkpoint_every": 1}, [2, 5], 2, id="however many were written"),
        pytest.param({"schedule.keep_every": 3, "schedule.checkpoint_every": 1}, [2, 3, 5], 2, id="every third too"),
        pytest.param({"schedule.evaluate_every": 0}, [5], None, id="without evaluations the last"),
    ],
)
def test_the_best_checkpoint_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], kept: list[int], best: int | None
) -> None:
    scores(monkeypatch, 1.0, 5.0, 3.0, 5.0, 4.0)  # an equal score later is no better
    start(tmp_path / "run", {**UNTRAINED, "schedule.epochs": 5, "schedule.evaluate_every": 1} | changes)
    assert epochs_kept(tmp_path / "run") == kept
    assert newest(tmp_path / "run").facts["best_epoch"] == best


def test_the_best_score_outlives_a_stop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    changes = {**UNTRAINED, "schedule.evaluate_every": 1, "schedule.epochs": 2}
    scores(monkeypatch, 5.0, 4.0)
    start(tmp_path / "run", changes)
    scores(monkeypatch, 3.0, 4.0)
    resume(tmp_path / "run", {"schedule.epochs": 4})
    assert epochs_kept(tmp_path / "run") == [1, 4]
    assert newest(tmp_path / "run").facts["best_score"] == 5.0


# When it cannot go on


def spoil(monkeypatch: pytest.MonkeyPatch, name: str, call: int) -> list[int]:
    """From its `call`-th use on, a loss is not a number; gives the uses so far."""
    original, calls = getattr(trainer_module, name), [0]

    def spoilt(*arguments: Any) -> Any:
        calls[0] += 1
        result = original(*arguments)
        if calls[0] < call:
            return result
        return (result[0] * float("nan"), result[1]) if isinstance(result, tuple) else result * float("nan")

    monkeypatch.setattr(trainer_module, name, spoilt)
    return calls


@pytest.mark.parametrize(
    ("function", "name"),
    [
        ("denoising_loss", "denoiser"),
        ("reward_termination_loss", "reward_model"),
        ("actor_critic_loss", "actor_critic"),
    ],
)
def test_a_loss_that_is_not_finite_ends_the_run_before_it_is_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, function: str, name: str
) -> None:
    start(tmp_path / "whole")
    with monkeypatch.context() as patch:
        spoil(patch, function, call=3)  # in the second epoch
        with pytest.raises(TrainingError, match=f"the {name}'s loss or gradient is nan or infinite") as told:
            start(tmp_path / "run")
    assert "\n" not in str(told.value)
    assert_whole(tmp_path / "run", 1)
    assert [row["epoch"] for row in read_metrics(tmp_path / "run" / "metrics.jsonl")] == [1]
    resume(tmp_path / "run")
    assert_same_run(tmp_path / "run", tmp_path / "whole", but=("disk/",))


def test_in_a_long_epoch_it_is_noticed_on_the_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(algorithm, "UPDATES_BETWEEN_CHECKS", 4)
    calls = spoil(monkeypatch, "reward_termination_loss", call=2)
    with pytest.raises(TrainingError, match="at update 4"):
        start(tmp_path / "run", {"updates.reward_model.first_epoch_updates": 50})
    assert calls == [4]


@pytest.mark.parametrize(
    "file", ["00000[1-9].npz", "agent.safetensors", "environment.npz", "checkpoint.json", "epoch-*"]
)
def test_a_full_disk_ends_the_run_and_leaves_the_last_good_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str
) -> None:
    changes = {"collection.steps_per_epoch": 14}
    start(tmp_path / "whole", changes)
    replace, path = os.replace, tmp_path / "run"

    def full(source: Path, target: Path) -> None:
        if Path(target).match(file) and epochs_kept(path) == [1]:
            raise OSError(errno.ENOSPC, "No space left on device")
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        with pytest.raises(DiskError, match=r"cannot be written \(No space left on device\): free disk space"):
            start(path, changes)
    assert_whole(path, 1)
    resume(path)
    assert_same_run(path, tmp_path / "whole", but=("disk/",))


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"env.id": None, "env.game": "Pongg"}, EnvError),
        ({"env.id": "CartPole-v1"}, EnvError),
        ({"compute.device": "cuda:99"}, DeviceError),
    ],
)
def test_what_cannot_begin_leaves_nothing_behind(tmp_path: Path, changes: dict[str, Any], error: type) -> None:
    with pytest.raises(error):
        start(tmp_path / "run", changes)
    assert list(tmp_path.iterdir()) == []


def test_a_run_is_never_started_where_one_is(tmp_path: Path) -> None:
    RunFolder.create(tmp_path / "run", tiny(), 3, (), fused=False)
    before = (tmp_path / "run" / "run.json").read_bytes()
    with pytest.raises(RunError, match="already exists"):
        start(tmp_path / "run")
    assert (tmp_path / "run" / "run.json").read_bytes() == before


@pytest.mark.parametrize("outcome", ["finished", "stopped", "not begun"])
def test_games_are_closed_and_the_run_is_free_again_however_it_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, outcome: str
) -> None:
    closed: list[str] = []

    class Stop(Progress):
        def advance(self, phase: str, units: int) -> None:
            if outcome == "stopped":
                raise KeyboardInterrupt

    monkeypatch.setattr(RealEnv, "close_extras", lambda self, **options: closed.append(self.name))
    if outcome == "not begun":
        monkeypatch.setattr(loop, "Trainer", lambda *arguments: 1 / 0)
    try:
        loop.train(tiny(UNTRAINED), tmp_path / "run", False, Stop(quiet=True))
    except (KeyboardInterrupt, ZeroDivisionError):
        assert outcome != "finished"
    assert closed == ["diamond/Catch-v0"]
    with RunFolder.open(tmp_path / "run").lock():
        pass


def test_a_run_in_other_hands_is_left_alone(tmp_path: Path) -> None:
    start(tmp_path / "run", UNTRAINED)
    before = {file: file.read_bytes() for file in (tmp_path / "run").rglob("*") if file.is_file()}
    with RunFolder.open(tmp_path / "run").lock(), pytest.raises(RunError, match="being written by another process"):
        resume(tmp_path / "run", {"schedule.epochs": 9}, silent())
    assert {file: file.read_bytes() for file in (tmp_path / "run").rglob("*") if file.is_file()} == before
