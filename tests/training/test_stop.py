"""A run may stop, or write a checkpoint, between any two units of work. It then ends as the run that never stopped,
equal to the last bit in everything but the time it took."""

import json
from pathlib import Path
from typing import Any

import pytest
from tiny_runs import assert_same_run, lasting, newest, resume, start, tiny

import diamond.runs.checkpoint as checkpoint_module
import diamond.training.algorithm as algorithm
import diamond.training.state as state_module
from diamond.errors import RunError, TrainingError
from diamond.loading import load
from diamond.runs.checkpoint import checkpoints, position
from diamond.runs.files import write_json
from diamond.runs.metrics import read_metrics
from diamond.runs.progress import Progress

CHANGES: dict[str, Any] = {
    "collection.first_epoch_min_steps": 5,
    "collection.first_epoch_max_steps": 8,
    "collection.first_epoch_min_rewards": 2,
    "collection.steps_per_epoch": 4,
    "schedule.evaluate_every": 1,
    "schedule.evaluation_episodes": 1,
    "schedule.checkpoint_every": 100,
    "env.num_envs": 2,
    "updates.denoiser.ema_decay": 0.5,
}
FIRST_EPOCH = {"collect": 2 + 2 + 2, "denoiser": 2, "reward_model": 2, "actor_critic": 2, "evaluation": 1}
"""Units of work; a reward comes too late to end the collection early."""
LATER_EPOCH = {"collect": 2, "denoiser": 1, "reward_model": 1, "actor_critic": 1, "evaluation": 1}


class After(Progress):
    """Asks for a stop after so many units of work."""

    def __init__(self, units: int) -> None:
        super().__init__(quiet=True)
        self.left = units

    def advance(self, phase: str, units: int) -> None:
        super().advance(phase, units)
        self.left -= 1

    def asked(self) -> bool:
        return self.left <= 0


def stopped(path: Path, units: int, changes: dict[str, Any] = CHANGES) -> None:
    """Begin a run, or go on with it, and stop after so many units."""
    progress = After(units)
    with pytest.raises(KeyboardInterrupt):
        if path.exists():
            resume(path, progress=progress, stop=progress.asked)
        else:
            start(path, changes, progress, progress.asked)


def written(path: Path) -> list[tuple[int, int]]:
    """Epochs and units of the checkpoints of a run."""
    return [position(folder) for folder in checkpoints(path / "checkpoints")]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that never stopped; shared, so only looked at."""
    return start(tmp_path_factory.mktemp("whole") / "run", CHANGES).path


@pytest.mark.parametrize("every", [5, *(pytest.param(every, marks=pytest.mark.slow) for every in (1, 2, 3, 7))])
def test_a_run_stopped_again_and_again_is_the_run_that_never_stopped(tmp_path: Path, whole: Path, every: int) -> None:
    """After each unit, and after every few, through all phases; `disk/` is equal too, as nothing is set aside."""
    first = [(0, name, done) for name, count in FIRST_EPOCH.items() for done in range(count)]
    later = [(1, name, done) for name, count in LATER_EPOCH.items() for done in range(count)]
    moments = [*first, *later][every::every]
    for epoch, phase, done in moments:
        stopped(tmp_path / "run", every)
        facts = newest(tmp_path / "run").facts
        assert facts["epoch"] == epoch
        assert (epoch, facts.get("phase", "collect"), facts.get("done", 0)) == (epoch, phase, done)
    resume(tmp_path / "run")
    assert_same_run(tmp_path / "run", whole)


@pytest.mark.parametrize("rounds", [1, 3])
def test_a_stop_in_the_first_collection_loses_nothing(tmp_path: Path, whole: Path, rounds: int) -> None:
    path = tmp_path / "run"
    stopped(path, rounds)
    assert written(path) == [(0, rounds)]
    assert newest(path).when == f"in epoch 1 (phase collect, {rounds} done)"
    assert newest(path).facts["env_steps"] == 2 * rounds
    resume(path)
    assert_same_run(path, whole)


def test_nothing_done_needs_no_checkpoint(tmp_path: Path, whole: Path) -> None:
    stopped(tmp_path / "run", 0)
    assert written(tmp_path / "run") == []
    resume(tmp_path / "run")
    assert_same_run(tmp_path / "run", whole)


def test_an_evaluation_that_is_stopped_is_made_anew(
    tmp_path: Path, whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of it is kept; the checkpoint is of the moment before."""
    asked = [False]
    evaluate_agent = algorithm.evaluate_agent

    def stopped_on_the_way(*arguments: Any, **options: Any) -> Any:
        asked[0] = True
        return evaluate_agent(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(algorithm, "evaluate_agent", stopped_on_the_way)
        with pytest.raises(KeyboardInterrupt):
            start(tmp_path / "run", CHANGES, stop=lambda: asked[0])
    facts = newest(tmp_path / "run").facts
    assert (facts["phase"], facts["done"], facts["best_score"]) == ("evaluation", 0, None)
    assert written(tmp_path / "run") == [(0, sum(FIRST_EPOCH.values()) - 1)]
    resume(tmp_path / "run")
    assert_same_run(tmp_path / "run", whole)


def test_an_unfinished_epoch_has_no_row_and_its_time_adds_up(tmp_path: Path) -> None:
    path = tmp_path / "run"
    stopped(path, FIRST_EPOCH["collect"] + 1)
    assert read_metrics(path / "metrics.jsonl") == []
    facts = newest(path).facts
    resume(path)
    row = read_metrics(path / "metrics.jsonl")[0]
    assert row["time/collect_seconds"] == facts["phases"]["collect"]["seconds"] > 0  # it was over
    assert row["time/denoiser_seconds"] >= facts["phases"]["denoiser"]["seconds"] > 0
    assert row["time/epoch_seconds"] > facts["epoch_seconds"] > facts["phases"]["collect"]["seconds"]


class Clock:
    """An hour goes by between two looks."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        self.now += 3_600
        return self.now


@pytest.mark.parametrize("minutes", [0.0, 59.0])
def test_checkpoints_come_by_the_clock(
    tmp_path: Path, whole: Path, monkeypatch: pytest.MonkeyPatch, minutes: float
) -> None:
    """The clock is looked at before every unit; 0 minutes mean that it does not matter."""
    names: list[tuple[int, int]] = []
    write = state_module.write_checkpoint

    def noted(*arguments: Any) -> Any:
        made = write(*arguments)
        names.append(position(made.path))
        return made

    monkeypatch.setattr(state_module, "time", Clock())
    monkeypatch.setattr(state_module, "write_checkpoint", noted)
    start(tmp_path / "run", CHANGES | {"schedule.checkpoint_minutes": minutes})
    first, later = sum(FIRST_EPOCH.values()), sum(LATER_EPOCH.values())
    inside = [(0, units) for units in range(1, first)] + [(1, units) for units in range(1, later)]
    if minutes:
        assert names == sorted([*inside, (1, 0), (2, 0)])
    else:
        assert [units for _, units in names] == [0, 0]
    assert_same_run(tmp_path / "run", whole)
    assert written(tmp_path / "run")[-1] == (2, 0)
    assert all(units == 0 for _, units in written(tmp_path / "run"))  # those inside an epoch make way for the next


def test_a_kill_after_a_checkpoint_by_the_clock_goes_on_from_it(
    tmp_path: Path, whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def killed(*arguments: Any) -> Any:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(state_module, "time", Clock())
        patch.setattr(algorithm, "evaluate", killed)
        with pytest.raises(Killed):
            start(tmp_path / "run", CHANGES | {"schedule.checkpoint_minutes": 1.0})
    assert written(tmp_path / "run") == [(0, sum(FIRST_EPOCH.values()) - 1)]
    resume(tmp_path / "run")
    assert_same_run(tmp_path / "run", whole)


def test_a_loss_that_is_not_finite_is_never_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Though the check by the count of updates is far away."""
    update = algorithm.Trainer.update_denoiser

    def spoilt(self: Any) -> Any:
        self.learners["denoiser"]._finite &= False
        return update(self)

    monkeypatch.setattr(algorithm.Trainer, "update_denoiser", spoilt)
    progress = After(FIRST_EPOCH["collect"] + 1)
    with pytest.raises(TrainingError, match="is nan or infinite at update 1"):
        start(tmp_path / "run", CHANGES, progress, progress.asked)
    assert written(tmp_path / "run") == []


def test_the_newest_end_of_an_epoch_is_kept_beside_one_within(tmp_path: Path) -> None:
    """So that `--checkpoint 1` goes on to mean something, and damage to the newest one can be survived."""
    path = tmp_path / "run"
    changes = CHANGES | {"schedule.epochs": 3, "schedule.checkpoint_every": 1, "schedule.evaluate_every": 0}
    units = sum(FIRST_EPOCH.values()) - 1 + sum(LATER_EPOCH.values()) - 1
    stopped(path, units + 2, changes)
    assert written(path) == [(2, 0), (2, 2)]
    one, other = (load(path, which, "cpu").fingerprint() for which in ("last", 2))
    assert one == other  # two rounds of real steps change no weights
    with pytest.raises(RunError, match="has no checkpoint of epoch 3: choose one of 2"):
        load(path, 3)


def test_in_the_first_epoch_only_the_last_checkpoint_can_be_loaded(tmp_path: Path) -> None:
    stopped(tmp_path / "run", 4)
    load(tmp_path / "run", device="cpu")
    with pytest.raises(RunError, match="has no checkpoint of epoch 1: no epoch has ended yet, load the last"):
        load(tmp_path / "run", 1)
    with pytest.raises(RunError, match="was never evaluated"):
        load(tmp_path / "run", "best")


def test_a_checkpoint_of_the_first_release_still_loads(tmp_path: Path) -> None:
    """Format 1 knew no phases: its facts are those of the end of an epoch."""
    start(tmp_path / "whole", {"schedule.epochs": 2})
    start(tmp_path / "run", {"schedule.epochs": 1})
    path = newest(tmp_path / "run").path / "checkpoint.json"
    facts = json.loads(path.read_text(encoding="utf-8")) | {"format": 1}
    assert "phase" not in facts
    del facts["sha256_of_the_above"]
    write_json(path, facts | {"sha256_of_the_above": checkpoint_module._facts_sha256(facts)})
    resume(tmp_path / "run", {"schedule.epochs": 2})
    assert_same_run(tmp_path / "run", tmp_path / "whole")


def test_a_longer_schedule_is_no_matter_in_the_middle_of_an_epoch(tmp_path: Path) -> None:
    start(tmp_path / "whole", {"schedule.epochs": 2})
    stopped(tmp_path / "run", 33, {"schedule.epochs": 1})
    resume(tmp_path / "run", {"schedule.epochs": 2})
    assert_same_run(tmp_path / "run", tmp_path / "whole")
    assert [row["epoch"] for row in lasting(tmp_path / "run")] == [1, 2]
    assert tiny().schedule.checkpoint_minutes == 30
