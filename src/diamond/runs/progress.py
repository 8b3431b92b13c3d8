"""What a run tells the person who waits for it."""

import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from diamond.runs.metrics import Row
from diamond.runs.wording import duration_text, size_text

SECONDS_BETWEEN_LINES = 10.0
SECONDS_BETWEEN_REFRESHES = 0.5


@dataclass(frozen=True)
class PlannedWork:
    """What a phase still has to do until the end of the run."""

    phase: str
    label: str
    """What is counted, for example "denoiser updates"."""
    left: int
    imagined_frames: int = 0
    """Frames that are dreamed for each of them."""


class Progress:
    """Prints the phase, its speed and the time left: in place on a terminal, as a line now and then elsewhere."""

    def __init__(self, stream: TextIO | None = None, quiet: bool = False) -> None:
        self._stream = sys.stderr if stream is None else stream
        self._quiet = quiet
        self._terminal = self._stream.isatty()
        self._left: dict[str, float] = {}
        self._seconds: dict[str, float] = {}
        self._units: dict[str, float] = {}
        self._last_advance = self._last_shown = self._begun = time.monotonic()
        self._plan: dict[str, PlannedWork] = {}
        self._epoch = self._epochs = 0
        self._note = ""
        self._disk_bytes = 0

    def begin(self, plan: Iterable[PlannedWork], epoch: int, epochs: int) -> None:
        """After `epoch` of `epochs` epochs, learn what is left to do."""
        self._plan, self._epoch, self._epochs = {work.phase: work for work in plan}, epoch, epochs
        self._left = {name: work.left for name, work in self._plan.items()}
        self._last_advance = time.monotonic()

    def advance(self, phase: str, units: int) -> None:
        """`units` of work of a phase are done; a phase that is not in the plan only passes the time."""
        now = time.monotonic()
        if phase not in self._plan:
            self._last_advance = now
            return
        self._seconds[phase] = self._seconds.get(phase, 0.0) + now - self._last_advance
        self._units[phase] = self._units.get(phase, 0.0) + units
        self._left[phase] = max(0.0, self._left[phase] - units)
        self._last_advance = now
        if now - self._last_shown >= (SECONDS_BETWEEN_REFRESHES if self._terminal else SECONDS_BETWEEN_LINES):
            self._show(self._line(phase))

    def games(self, done: int, wanted: int) -> None:
        """Whole games of an evaluation."""
        now = time.monotonic()
        if now - self._last_shown >= (SECONDS_BETWEEN_REFRESHES if self._terminal else SECONDS_BETWEEN_LINES):
            self._show(f"playing real games to score the agent: {done} of {wanted} done")
        self._last_advance = now

    def counted(self, what: str, done: int, wanted: int) -> None:
        """Work of one kind; nothing done begins it."""
        now = time.monotonic()
        if done == 0:
            self._begun = now
            self.message(what)
        elif now - self._last_shown >= (SECONDS_BETWEEN_REFRESHES if self._terminal else SECONDS_BETWEEN_LINES):
            rate = done / max(now - self._begun, 1e-9)
            left = duration_text((wanted - done) / rate)
            self._show(f"{what}: {done:,} of {wanted:,} | {rate:,.1f}/s | {left} left")

    def epoch(self, row: Row, disk_bytes: int) -> None:
        """An epoch is over; the run now takes `disk_bytes` on disk."""
        self._epoch, self._disk_bytes = int(row["epoch"]), disk_bytes
        score = row.get("evaluation/return_mean", row.get("collect/return_mean"))
        if score is not None:
            self._note = f"return {score:.1f}"
        self._last_advance = time.monotonic()

    def message(self, text: str) -> None:
        """A line to keep on the screen."""
        if not self._quiet:
            print(("\r\033[K" if self._terminal else "") + text, file=self._stream, flush=True)

    def seconds_left(self) -> float | None:
        """Time for the rest at the speeds seen so far; None until every phase has been seen."""
        if any(left > 0 and self._units.get(name, 0) == 0 for name, left in self._left.items()):
            return None
        return self._seconds_left_of_known_phases()

    def _seconds_left_of_known_phases(self) -> float:
        known = (name for name in self._units if self._units[name] > 0)
        return sum(self._left[name] * self._seconds[name] / self._units[name] for name in known)

    def _line(self, phase: str) -> str:
        work, rate = self._plan[phase], self._units[phase] / max(self._seconds[phase], 1e-9)
        parts = [f"epoch {self._epoch + 1}/{self._epochs}", f"{rate:.1f} {work.label}/s"]
        if work.imagined_frames:
            parts.append(f"{rate * work.imagined_frames:,.0f} imagined frames/s")
        left = self.seconds_left()
        parts += [self._note] if self._note else []
        parts += [f"{size_text(self._disk_bytes)} on disk"] if self._disk_bytes else []
        known = f"{duration_text(self._seconds_left_of_known_phases())} left"
        parts.append(known if left is not None else f"more than {known}: not every phase has run yet")
        return " | ".join(parts)

    def _show(self, line: str) -> None:
        self._last_shown = time.monotonic()
        if self._quiet:
            return
        if self._terminal:
            print(f"\r\033[K{line}", end="", file=self._stream, flush=True)
        else:
            print(line, file=self._stream, flush=True)


def size(folder: Path) -> int:
    """Bytes of all files under a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
