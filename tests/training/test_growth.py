"""What grows while a run goes on: nothing but the replay; and what a GPU must never be asked to do: wait."""

import dataclasses
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import torch
from tiny_runs import tiny

from diamond.config import Config
from diamond.envs import make_env
from diamond.training.trainer import Trainer


@pytest.fixture
def config() -> Config:
    return tiny()


@pytest.fixture
def trainer(config: Config, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Trainer]:
    """On the device that the test asks for, by default the CPU, with some experience."""
    with closing(make_env(config.env, 1, training=True)) as env:
        made = Trainer(config, env, tmp_path, torch.device(getattr(request, "param", "cpu")))
        made.begin()
        made.collect(50)
        yield made


def update_all(trainer: Trainer) -> None:
    trainer.update_denoiser()
    trainer.update_reward_model()
    trainer.update_actor_critic()


MEMORY = """
import os, sys
from contextlib import closing
from pathlib import Path
from tiny_runs import tiny
from diamond.compute import choose_device
from diamond.envs import make_env
from diamond.training.trainer import Trainer

def resident_bytes():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

config = tiny()
with closing(make_env(config.env, 1, training=True)) as env:
    trainer = Trainer(config, env, Path(sys.argv[1]), choose_device(config.compute))
    trainer.begin()
    trainer.collect(50)
    for update in range(800):
        trainer.update_denoiser()
        trainer.update_reward_model()
        trainer.update_actor_critic()
        if update == 100:
            before = resident_bytes()
print(resident_bytes() - before)
"""


@pytest.mark.slow
def test_memory_stays_flat_over_hundreds_of_updates(tmp_path: Path) -> None:
    """In a process of its own, in which nothing was freed before that could be taken again unseen."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    grown = subprocess.run(
        [sys.executable, "-c", MEMORY, tmp_path], check=True, env=environment, capture_output=True, text=True
    )
    assert int(grown.stdout) < 5e6


def test_dreaming_does_as_much_on_a_large_replay_as_on_a_small_one(trainer: Trainer) -> None:
    """The same number of operations, however much was collected and however many episodes it is in."""

    def operations() -> int:
        trainer.dream_window()  # the table of episodes is made anew after collection
        with torch.profiler.profile() as profiler:
            trainer.dream_window()
        return sum(event.name.startswith("aten::") for event in profiler.events())

    few = operations()
    trainer.collect(500)
    assert trainer.replay.num_episodes > 40
    assert operations() == few


@pytest.mark.gpu
@pytest.mark.parametrize("trainer", ["cuda"], indirect=True)
@pytest.mark.parametrize("bfloat16", [False, True])
def test_training_never_waits_for_the_device(trainer: Trainer, bfloat16: bool) -> None:
    compute = dataclasses.replace(trainer.config.compute, bfloat16=bfloat16)
    trainer.config = dataclasses.replace(trainer.config, compute=compute)
    update_all(trainer)
    torch.cuda.set_sync_debug_mode("error")
    try:
        update_all(trainer)
    finally:
        torch.cuda.set_sync_debug_mode("default")
