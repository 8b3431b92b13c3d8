"""A run may be killed at any moment: it goes on from its newest checkpoint, and ends as the run that nobody killed."""

import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tiny_runs import TINY, as_options, assert_same_run, newest, resume, start

from diamond.runs.checkpoint import PARTIAL, checkpoints, position

pytestmark = pytest.mark.slow

KILLS = 20
ENDLESS = {"schedule.epochs": 100_000, "collection.steps_per_epoch": 7}
"""Epochs of a few steps and updates, a checkpoint after each: much of the time, one is being written."""
COMMAND = (sys.executable, "-W", "error", "-c", "from diamond.cli.main import main; main()", "train")
BEGUN = ("training in", "going on with")


@contextmanager
def training(run: Path) -> Iterator[subprocess.Popen[str]]:
    """The command at work: begun, or begun again if the run is there; killed in the end if it still lives."""
    words = ["--resume", str(run)]
    if not run.exists():
        words = ["--preset", "debug", *as_options(TINY | ENDLESS), "--run", str(run)]
    with subprocess.Popen([*COMMAND, *words], stderr=subprocess.PIPE, text=True, encoding="utf-8") as process:
        try:
            yield process
        finally:
            process.kill()


def wait_until_begun(process: subprocess.Popen[str]) -> None:
    assert process.stderr is not None
    line = process.stderr.readline()
    assert line.startswith(BEGUN), line + process.stderr.read()


def wait_for(condition: Callable[[], object], process: subprocess.Popen[str]) -> None:
    while not condition():
        assert process.poll() is None, process.stderr
        time.sleep(0.0005)


def test_a_run_survives_kills_at_random_moments_and_during_writes(tmp_path: Path) -> None:
    """In turn, kills may fall before training has begun, some time after a new checkpoint, and during a write."""
    run, chance, torn, epochs = tmp_path / "run", random.Random(0), 0, [0]
    folder = run / "checkpoints"
    for kill in range(KILLS):
        with training(run) as process:
            if kill % 3 == 0:
                time.sleep(chance.uniform(0, 6))
            else:
                wait_until_begun(process)
                if kill % 3 == 1:  # however slow the machine, the run gets on
                    wait_for(lambda: max(map(position, checkpoints(folder)), default=(0, 0)) > (epochs[-1], 0), process)
                time.sleep(chance.uniform(0, 1.5))
            if kill % 3 == 2:
                wait_for(lambda: any(folder.glob(f"{PARTIAL}*")), process)
                time.sleep(chance.uniform(0, 0.01))
            assert process.poll() is None, process.communicate()
            process.send_signal(signal.SIGKILL)
            process.wait()
        torn += any(folder.glob(f"{PARTIAL}*"))
        if checkpoints(folder):
            epochs.append(newest(run).epoch)
    assert torn > 0
    assert epochs == sorted(epochs)
    assert len(set(epochs)) > KILLS // 4  # the deaths were spread over the run's life

    resume(run, {"schedule.epochs": epochs[-1] + 1})
    start(tmp_path / "whole", ENDLESS | {"schedule.epochs": epochs[-1] + 1})
    assert_same_run(run, tmp_path / "whole", but=("disk/",))  # what was set aside takes space too


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_a_polite_end_writes_a_checkpoint_and_names_it(tmp_path: Path, sent: signal.Signals) -> None:
    run = tmp_path / "run"
    with training(run) as process:
        wait_until_begun(process)
        wait_for(lambda: checkpoints(run / "checkpoints"), process)
        process.send_signal(sent)
        _, told = process.communicate(timeout=60)
    assert process.returncode == 130
    stopped_at = newest(run)
    assert told.splitlines()[-1] == (
        f"diamond: stopped; the newest checkpoint is {stopped_at.when}, go on with `diamond train --resume {run}`"
    )
    resume(run, {"schedule.epochs": stopped_at.epoch + 1})
    start(tmp_path / "whole", ENDLESS | {"schedule.epochs": stopped_at.epoch + 1})
    assert_same_run(run, tmp_path / "whole")  # nothing was lost, so nothing was set aside


def test_a_second_process_is_kept_out(tmp_path: Path) -> None:
    run = tmp_path / "run"
    with training(run) as first:
        wait_until_begun(first)
        with training(run) as second:
            _, told = second.communicate(timeout=60)
        assert second.returncode == 1
        assert f"{run} is being written by another process: wait for it or stop it" in told.splitlines()[-1]
        assert first.poll() is None
