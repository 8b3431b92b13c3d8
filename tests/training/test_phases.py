"""An epoch is whatever list of phases it is given; what is planned, and the time it takes, are counted right."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import torch
from tiny_runs import tiny

import diamond.training.phases as phases_module
from diamond.envs import make_env
from diamond.runs.metrics import Row
from diamond.training.algorithm import algorithm_1
from diamond.training.phases import Epoch, Phase
from diamond.training.trainer import Trainer

CPU = torch.device("cpu")


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(phases_module, "time", made)
    return made


class Walk(Phase):
    """So many units of so many seconds each."""

    def __init__(self, name: str, count: int, clock: Clock, seconds: float) -> None:
        self.name, self.count, self.clock, self.pace = name, count, clock, seconds

    def more(self) -> bool:
        return self.done < self.count

    def _unit(self) -> None:
        self.clock.now += self.pace

    def row(self) -> Row:
        return {f"{self.name}/units": self.done, f"time/{self.name}_seconds": self.seconds}

    def left(self, epoch: int, epochs: int) -> int:
        return 0


def test_the_time_of_an_epoch_adds_up_over_a_stop(clock: Clock) -> None:
    def walks() -> Epoch:
        return Epoch([Walk("uphill", 2, clock, 3.0), Walk("downhill", 2, clock, 1.0)])

    epoch = walks()
    epoch.begin(0)
    uphill, downhill = epoch.phases
    assert (epoch.facts()["phase"], epoch.facts()["done"], epoch.units) == ("uphill", 0, 0)
    for phase in (uphill, uphill, downhill):
        phase.step()
    clock.now += 10.0  # such as the time to write a checkpoint, which is no phase's
    facts = epoch.facts()
    assert (facts["phase"], facts["done"], epoch.units) == ("downhill", 1, 3)

    clock.now += 1_000.0
    epoch = walks()
    epoch.begin(0)
    epoch.load(facts, epoch.tensors(), CPU)
    uphill, downhill = epoch.phases
    assert not uphill.more()
    assert downhill.more()
    downhill.step()
    assert epoch.seconds() == 2 * 3.0 + 2 * 1.0 + 10.0
    assert epoch.row() == {
        "uphill/units": 2,
        "time/uphill_seconds": 6.0,
        "downhill/units": 2,
        "time/downhill_seconds": 2.0,
    }


def test_what_was_noted_of_other_phases_does_not_fit(clock: Clock) -> None:
    epoch, other = Epoch([Walk("uphill", 2, clock, 1.0)]), Epoch([Walk("downhill", 2, clock, 1.0)])
    epoch.begin(0)
    other.begin(0)
    with pytest.raises(KeyError, match="downhill"):
        other.load(epoch.facts(), {}, CPU)


# What is planned

COUNTS = {"denoiser": (10, 5), "reward_model": (8, 0), "actor_critic": (0, 3)}
CHANGES = {
    "collection.first_epoch_min_steps": 40,
    "collection.first_epoch_max_steps": 60,
    "collection.first_epoch_min_rewards": 0,
    "collection.steps_per_epoch": 20,
    "collection.total_steps": 90,
    "imagination.num_envs": 8,
    "actor_critic.window": 5,
}
for _name, (_first, _later) in COUNTS.items():
    CHANGES |= {f"updates.{_name}.first_epoch_updates": _first, f"updates.{_name}.updates_per_epoch": _later}


@pytest.fixture
def trainer(tmp_path: Path) -> Iterator[Trainer]:
    config = tiny(CHANGES)
    with closing(make_env(config.env, 2, training=True)) as env:
        made = Trainer(config, env, tmp_path, CPU)
        made.begin()
        yield made


def test_the_work_that_is_left_is_counted_from_any_moment(trainer: Trainer) -> None:
    epoch = Epoch(algorithm_1(trainer))

    def left(epochs: int) -> list[int]:
        return [work.left for work in epoch.plan(trainer.epoch, epochs)]

    epoch.begin(0)
    assert [work.phase for work in epoch.plan(0, 3)] == ["collect", "denoiser", "reward_model", "actor_critic"]
    assert [work.imagined_frames for work in epoch.plan(0, 3)] == [0, 0, 0, 8 * 5]
    assert left(1) == [60, 10, 8, 0]
    assert left(3) == [90, 20, 8, 6]  # not 40 + 3 * 20: 90 real steps are all there are
    collect, denoiser = epoch.phases[:2]
    collect.step()
    denoiser.step()
    assert left(3) == [88, 19, 8, 6]
    while collect.more():
        collect.step()
    trainer.epoch = 1
    epoch.begin(1)
    assert left(3) == [30, 10, 0, 6]
    assert left(1) == [0, 0, 0, 0]


def test_collection_is_the_phases_own_and_an_epoch_can_do_without(trainer: Trainer) -> None:
    """As with experience that is there already: the others need none of it."""
    trainer.collect(30)
    epoch = Epoch(algorithm_1(trainer)[1:])
    epoch.begin(0)
    for phase in epoch.phases:
        while phase.more():
            phase.step()
    assert (epoch.units, trainer.env_steps) == (10 + 8, 30)
    assert {"denoiser/loss", "reward_model/loss"} <= epoch.row().keys()
    assert not any(name.startswith("collect/") for name in epoch.row())
