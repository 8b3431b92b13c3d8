"""Metrics: averaged on the device, written once an epoch as a flat row to `metrics.jsonl` and TensorBoard."""

import contextlib
import json
import os
import re
import sys
import warnings
from collections.abc import Sequence
from math import fsum
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from diamond.config import Config, to_dict
from diamond.runs.files import cannot_write, write_bytes
from diamond.runs.wording import finite

Row = dict[str, float | int]
PHASE_SECONDS = re.compile(r"time/(?!epoch_)\w+_seconds")
"""The key of the time that an epoch spent on one of its phases."""


class Mean:
    """Running means of scalar tensors; nothing is read from the device before `result` or a checkpoint."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._count = 0

    def add(self, values: dict[str, Tensor]) -> None:
        """Count one more set of values, always with the same names."""
        self._count += 1
        for name, value in values.items():
            total = self._sums.get(name)
            self._sums[name] = value.clone() if total is None else total + value

    def result(self, prefix: str) -> Row:
        """Means by name; empty when nothing was added."""
        return {f"{prefix}/{name}": float(total) / self._count for name, total in self._sums.items()}

    def state_dict(self) -> dict[str, Tensor]:
        """The sums by name, and `count`."""
        return {f"sum.{name}": total for name, total in self._sums.items()} | {"count": torch.tensor(self._count)}

    def load_state_dict(self, state: dict[str, Tensor], device: torch.device) -> None:
        """Continue where `state_dict()` was taken."""
        self._count = int(state["count"])
        self._sums = {key.removeprefix("sum."): total.to(device) for key, total in state.items() if key != "count"}


class MetricsLog:
    """Appends rows to `metrics.jsonl`, and mirrors them where the configuration says."""

    def __init__(self, path: Path, config: Config, last_epoch: int) -> None:
        """Open the log; rows after `last_epoch`, left by a run that is now resumed from there, are dropped."""
        self.path = path
        _keep_rows(path, last_epoch)
        events = path.parent / "tensorboard"
        try:
            self._file = open(path, "a", encoding="utf-8")  # noqa: SIM115 (open as long as the run)
            self._tensorboard = _tensorboard(events, last_epoch) if config.logging.tensorboard else None
        except OSError as error:
            raise cannot_write(path, error) from error
        self._wandb = _wandb(path.parent, config) if config.logging.wandb else None

    def write(self, row: Row) -> None:
        """Add the row of one epoch."""
        try:
            self._file.write(json.dumps(row) + "\n")
            self._file.flush()
            os.fsync(self._file.fileno())
            step = int(row["epoch"])
            if self._tensorboard is not None:
                for name, value in row.items():
                    self._tensorboard.add_scalar(name, value, step)
        except OSError as error:
            raise cannot_write(self.path, error) from error
        if self._wandb is not None:
            try:
                self._wandb.log(row, step=step)
            except Exception as error:  # whatever goes wrong there, training goes on
                print(f"Weights & Biases is switched off: {error}", file=sys.stderr)
                self._wandb = None

    def close(self) -> None:
        """Close; all rows are on the disk already, so that a disk that refuses more does no harm now."""
        with contextlib.suppress(OSError):
            self._file.close()
        if self._tensorboard is not None:
            with contextlib.suppress(OSError):
                self._tensorboard.close()
        if self._wandb is not None:
            with contextlib.suppress(Exception):  # whatever goes wrong there, the run is done
                self._wandb.finish(quiet=True)


def read_metrics(path: Path) -> list[Row]:
    """All complete rows; a torn line, left by a kill, is ignored."""
    if not path.is_file():
        return []
    return [row for line in path.read_bytes().splitlines() if (row := parse_row(line)) is not None]


def parse_row(line: bytes) -> Row | None:
    """The row in one line of `metrics.jsonl`; None when the line is torn or names no epoch."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) and finite(row.get("epoch")) is not None else None


def phase_seconds(rows: Sequence[Row]) -> dict[str, float]:
    """Seconds that each phase of the epochs took in all, in the order of the phases."""
    keys = dict.fromkeys(key for row in rows for key in row if PHASE_SECONDS.fullmatch(key))
    return {key[len("time/") : -len("_seconds")]: fsum(row.get(key, 0) for row in rows) for key in keys}


def peak_memory() -> int:
    """The most memory this process has held so far, in bytes: of the GPU where one is used; 0 where unknown."""
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        return torch.cuda.max_memory_allocated()
    try:
        import resource
    except ImportError:  # not on Windows
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _keep_rows(path: Path, last_epoch: int) -> None:
    rows = [row for row in read_metrics(path) if row["epoch"] <= last_epoch]
    write_bytes(path, "".join(json.dumps(row) + "\n" for row in rows).encode("utf-8"))


def _tensorboard(folder: Path, last_epoch: int) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TensorBoard's own imports warn about their dependencies
        from torch.utils.tensorboard import SummaryWriter

        return SummaryWriter(folder, purge_step=last_epoch + 1)


def _wandb(folder: Path, config: Config) -> Any:
    try:
        import wandb

        return wandb.init(
            project="diamond-wm", dir=folder, config=to_dict(config), settings=wandb.Settings(init_timeout=30)
        )
    except Exception as error:  # a missing package, key or network must not stop a run
        print(f"Weights & Biases is not available ({error}): going on without; pip install wandb", file=sys.stderr)
        return None
