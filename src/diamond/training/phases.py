"""An epoch is a list of phases; a phase is one unit of work, repeated.

A unit is a gradient step, a round of real steps, or a whole evaluation. Between any two units a run can be written to
the disk, stopped and resumed. All that reads the list (the loop, the progress line, the metrics, the benchmark) knows
no network by name; `algorithm` builds it.
"""

import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from diamond.runs.metrics import Row
from diamond.runs.progress import PlannedWork


class Phase(ABC):
    """Some work of each epoch, unit by unit; it counts what it has done in the epoch under way."""

    name: str
    """Its key in metrics and checkpoints."""
    label = ""
    """What progress counts, for example "denoiser updates"; empty for a phase that has no part in it."""
    size = 1
    """How many of them one unit is."""
    per_epoch = 0
    """How many an epoch after the first does."""
    imagined_frames = 0
    """Frames that one unit dreams."""

    def begin(self, epoch: int) -> None:
        """Nothing is done yet of the epoch after `epoch` finished ones."""
        self.done, self.seconds = 0, 0.0

    @abstractmethod
    def more(self) -> bool:
        """Whether the epoch under way needs another unit."""

    def step(self) -> None:
        """Do one unit."""
        started = time.monotonic()
        try:
            self._unit()
            self.done += 1
        finally:
            self.seconds += time.monotonic() - started

    @abstractmethod
    def _unit(self) -> None: ...

    @abstractmethod
    def row(self) -> Row:
        """What the phase adds to the epoch's metrics."""

    @abstractmethod
    def left(self, epoch: int, epochs: int) -> int:
        """What progress still has to count after `epoch` epochs and this phase's part of the next, of `epochs`."""

    def facts(self) -> dict[str, Any]:
        """What a checkpoint in the middle of an epoch must know, ready for JSON."""
        return {"done": self.done, "seconds": self.seconds}

    def tensors(self) -> dict[str, Tensor]:
        """The same, as tensors."""
        return {}

    def load(self, facts: dict[str, Any], tensors: dict[str, Tensor], device: torch.device) -> None:
        """After `begin`, go on where `facts` and `tensors` were taken."""
        self.done, self.seconds = int(facts["done"]), float(facts["seconds"])


class Epoch:
    """The epoch under way: its phases and the time it has taken, a stop in the middle not counted."""

    def __init__(self, phases: Sequence[Phase]) -> None:
        self.phases = phases

    def begin(self, epoch: int) -> None:
        """Start the epoch after `epoch` finished ones."""
        self._started = time.monotonic()
        for phase in self.phases:
            phase.begin(epoch)

    @property
    def units(self) -> int:
        """Units of work done in it."""
        return sum(phase.done for phase in self.phases)

    def row(self) -> Row:
        """What its phases add to the metrics."""
        return {name: value for phase in self.phases for name, value in phase.row().items()}

    def seconds(self) -> float:
        """Time since it began."""
        return time.monotonic() - self._started

    def plan(self, epoch: int, epochs: int) -> list[PlannedWork]:
        """What is left to do until the end of the run, for the progress line."""
        return [
            PlannedWork(phase.name, phase.label, phase.left(epoch, epochs), phase.imagined_frames)
            for phase in self.phases
            if phase.label
        ]

    def facts(self) -> dict[str, Any]:
        """What a checkpoint in its middle must know: the phase, the units done of it, and what each phase noted."""
        phase = next((phase for phase in self.phases if phase.more()), self.phases[-1])
        noted = {phase.name: phase.facts() for phase in self.phases}
        return {"phase": phase.name, "done": phase.done, "epoch_seconds": self.seconds(), "phases": noted}

    def tensors(self) -> dict[str, Tensor]:
        """The running sums of all phases, with the phase's name as prefix."""
        return {f"{phase.name}.{name}": value for phase in self.phases for name, value in phase.tensors().items()}

    def load(self, facts: dict[str, Any], tensors: dict[str, Tensor], device: torch.device) -> None:
        """After `begin`, go on where `facts` and `tensors` were taken; raises KeyError if a phase is not in them."""
        self._started = time.monotonic() - float(facts["epoch_seconds"])
        for phase in self.phases:
            prefix = f"{phase.name}."
            own = {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
            phase.load(facts["phases"][phase.name], own, device)
