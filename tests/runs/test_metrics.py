"""A run leaves its numbers whatever happens: kills, full disks, and services that are not there."""

import errno
import io
import json
import os
import sys
import types
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_runs import lasting, resume, start, tiny

from diamond.errors import DiskError
from diamond.runs.metrics import Mean, MetricsLog, Row, peak_memory, phase_seconds, read_metrics


def row(epoch: int, **values: float) -> Row:
    return {"epoch": epoch, "denoiser/loss": 0.5**epoch, **values}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "metrics.jsonl"


def write(path: Path, epochs: range, last_epoch: int = 0, **logging: bool) -> None:
    log = MetricsLog(path, tiny({f"logging.{name}": value for name, value in logging.items()}), last_epoch)
    for epoch in epochs:
        log.write(row(epoch))
    log.close()


# Means


def test_means_are_taken_by_name() -> None:
    mean = Mean()
    for loss, norm in ((1.0, 10.0), (2.0, 20.0), (6.0, 60.0)):
        mean.add({"loss": torch.tensor(loss), "norm": torch.tensor(norm)})
    assert mean.result("denoiser") == {"denoiser/loss": 3.0, "denoiser/norm": 30.0}


def test_the_mean_of_nothing_is_nothing() -> None:
    assert Mean().result("denoiser") == {}


def test_a_mean_is_not_changed_by_what_becomes_of_its_terms() -> None:
    mean, value = Mean(), torch.tensor(1.0)
    mean.add({"loss": value})
    value.fill_(9.0)
    mean.add({"loss": value})
    assert mean.result("x") == {"x/loss": 5.0}


def test_a_mean_goes_on_where_it_was_saved() -> None:
    """Bit by bit: the sum of many small numbers depends on the order."""
    values = torch.rand(100, generator=torch.Generator().manual_seed(0)).unbind()
    whole, first, second = Mean(), Mean(), Mean()
    for value in values:
        whole.add({"loss": value, "norm": value * 3})
    for value in values[:41]:
        first.add({"loss": value, "norm": value * 3})
    second.load_state_dict(first.state_dict(), torch.device("cpu"))
    for value in values[41:]:
        second.add({"loss": value, "norm": value * 3})
    assert second.result("x") == whole.result("x")
    empty = Mean()
    empty.load_state_dict(Mean().state_dict(), torch.device("cpu"))
    assert empty.result("x") == {}


def test_seconds_are_summed_by_phase_in_their_order() -> None:
    rows: list[Row] = [
        {"epoch": 1, "time/collect_seconds": 1.5, "time/collect_per_second": 9.0, "time/dream_seconds": 4.0},
        {"epoch": 2, "time/collect_seconds": 0.5, "time/evaluation_seconds": 8.0, "time/epoch_seconds": 99.0},
    ]
    assert list(phase_seconds(rows).items()) == [("collect", 2.0), ("dream", 4.0), ("evaluation", 8.0)]
    assert phase_seconds([]) == {}


# The file


def test_rows_are_flat_json_a_line(path: Path) -> None:
    write(path, range(1, 4))
    lines = path.read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in lines] == [row(1), row(2), row(3)] == read_metrics(path)


def test_a_row_can_be_read_as_soon_as_it_is_written(path: Path) -> None:
    log = MetricsLog(path, tiny(), 0)
    log.write(row(1))
    assert read_metrics(path) == [row(1)]
    log.close()


def test_no_file_has_no_rows(path: Path) -> None:
    assert read_metrics(path) == []


@pytest.mark.parametrize("length", [1, 10, 20, -1])
def test_a_torn_last_line_is_ignored_then_removed(path: Path, length: int) -> None:
    write(path, range(1, 3))
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row(3))[:length])
    assert read_metrics(path) == [row(1), row(2)]
    write(path, range(3, 5), last_epoch=2)
    assert read_metrics(path) == [row(1), row(2), row(3), row(4)]


def test_rows_after_the_checkpoint_are_dropped(path: Path) -> None:
    write(path, range(1, 6))
    MetricsLog(path, tiny(), 3).close()
    assert read_metrics(path) == [row(1), row(2), row(3)]


def test_a_full_disk_is_told_and_closing_then_is_quiet(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    class Full(io.StringIO):
        def flush(self) -> None:
            refuse()

        def close(self) -> None:
            super().close()  # as of a real file: closed all the same, so that Python does not try again
            refuse()

    log = MetricsLog(path, tiny(), 0)
    log._file.close()
    log._file = Full()  # a text file tries again to write what it still holds when it is closed
    with pytest.raises(DiskError, match=r"metrics\.jsonl cannot be written \(No space left on device\)"):
        log.write(row(1))
    log.close()
    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(DiskError, match=r"metrics\.jsonl cannot be written"):
        MetricsLog(path, tiny(), 0)


def test_peak_memory_is_that_of_a_process_with_pytorch() -> None:
    assert 50e6 < peak_memory() < 1e12


# TensorBoard


def events(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """All scalars in TensorBoard's files, as TensorBoard reads them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TensorBoard's own imports warn about their dependencies
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        accumulator = EventAccumulator(str(folder)).Reload()
        return {
            name: [(event.step, event.value) for event in accumulator.Scalars(name)]
            for name in accumulator.Tags()["scalars"]
        }


def test_tensorboard_shows_the_same_numbers(path: Path) -> None:
    write(path, range(1, 4), tensorboard=True)
    scalars = events(path.parent / "tensorboard")
    assert scalars == {
        "epoch": [(1, 1.0), (2, 2.0), (3, 3.0)],
        "denoiser/loss": [(1, 0.5), (2, 0.25), (3, 0.125)],
    }


def test_tensorboard_forgets_what_a_resumed_run_does_again(path: Path) -> None:
    write(path, range(1, 4), tensorboard=True)
    write(path, range(2, 4), last_epoch=1, tensorboard=True)
    assert events(path.parent / "tensorboard")["epoch"] == [(1, 1.0), (2, 2.0), (3, 3.0)]


def test_a_disk_that_refuses_tensorboard_is_told(path: Path) -> None:
    class Full:
        def add_scalar(self, name: str, value: float, step: int) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        def close(self) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

    log = MetricsLog(path, tiny(), 0)
    log._tensorboard = Full()
    with pytest.raises(DiskError, match="cannot be written"):
        log.write(row(1))
    log.close()


# Weights & Biases


class FakeService(types.ModuleType):
    """A stand-in that fails where it is told to."""

    def __init__(self, failing: str = "") -> None:
        super().__init__("wandb")
        self.failing = failing
        self.calls: list[Any] = []

    def Settings(self, **options: Any) -> dict[str, Any]:
        return options

    def init(self, **options: Any) -> "FakeService":
        return self._call("init", options)

    def log(self, values: Row, step: int) -> "FakeService":
        return self._call("log", (values, step))

    def finish(self, **options: Any) -> "FakeService":
        return self._call("finish", options)

    def _call(self, name: str, values: Any) -> "FakeService":
        self.calls.append((name, values))
        if name == self.failing:
            raise ConnectionError(f"no {name} today")
        return self


def test_weights_and_biases_gets_every_row(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    service = FakeService()
    monkeypatch.setitem(sys.modules, "wandb", service)
    write(path, range(1, 3), wandb=True)
    assert [name for name, _ in service.calls] == ["init", "log", "log", "finish"]
    assert service.calls[0][1]["config"]["env"]["id"] == "diamond/Catch-v0"
    assert [values for name, values in service.calls if name == "log"] == [(row(1), 1), (row(2), 2)]


@pytest.mark.parametrize("failing", ["missing", "init", "log", "finish"])
def test_weights_and_biases_never_stops_a_run(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], failing: str
) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None if failing == "missing" else FakeService(failing))
    write(path, range(1, 4), wandb=True)
    assert read_metrics(path) == [row(1), row(2), row(3)]
    told = capsys.readouterr().err
    assert told.count("\n") == (failing != "finish")  # once, and not when all is done anyway
    assert ("pip install wandb" in told) == (failing in ("missing", "init"))


def test_without_weights_and_biases_its_package_is_not_even_imported(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = FakeService("init")
    monkeypatch.setitem(sys.modules, "wandb", service)
    write(path, range(1, 2))
    assert service.calls == []


# Whole runs


def test_logging_changes_nothing_and_may_change_on_resume(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wandb", FakeService("log"))
    start(tmp_path / "plain")
    start(tmp_path / "logged", {"logging.tensorboard": True, "schedule.epochs": 1})
    resume(tmp_path / "logged", {"logging.wandb": True, "schedule.epochs": 2})
    assert lasting(tmp_path / "logged") == lasting(tmp_path / "plain")
    scalars, rows = events(tmp_path / "logged" / "tensorboard"), read_metrics(tmp_path / "logged" / "metrics.jsonl")
    assert [step for step, _ in scalars["epoch"]] == [1, 2]
    for name, values in scalars.items():
        expected = [values[name] for values in rows if name in values]
        assert [value for _, value in values] == pytest.approx(expected, rel=1e-6)
