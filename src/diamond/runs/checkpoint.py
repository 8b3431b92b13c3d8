"""Checkpoints: everything that decides how a run goes on, written as one indivisible act.

A checkpoint is a folder of safetensors files, unfinished episodes and `checkpoint.json`, which holds the SHA-256 of
each. `checkpoints/epoch-000010` is of the end of epoch 10; `checkpoints/epoch-000010-000423` was written after 423
units of work (updates, rounds of real steps) of the epoch that follows. It is assembled under a temporary name and
renamed when complete, so that a kill leaves either the whole checkpoint or none. Nothing in it is pickled.
"""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diamond.errors import RunError
from diamond.runs.files import cannot_write, write_bytes, write_json

if TYPE_CHECKING:
    import torch

FORMAT_VERSION = 2
"""Version 1 knew checkpoints at the end of an epoch only."""
NAME = re.compile(r"epoch-([0-9]{6,})(?:-([0-9]{6,}))?")
PARTIAL = "partial-"


@dataclass(frozen=True)
class Checkpoint:
    """A complete checkpoint on disk."""

    path: Path
    facts: dict[str, Any]

    @property
    def epoch(self) -> int:
        """Epochs finished when it was written."""
        return int(self.facts["epoch"])

    @property
    def when(self) -> str:
        """When it was written, in words that follow "the checkpoint is"."""
        if not position(self.path)[1]:
            return f"of epoch {self.epoch}"
        return f"in epoch {self.epoch + 1} (phase {self.facts['phase']}, {self.facts['done']} done)"

    def tensors(self, name: str) -> dict[str, "torch.Tensor"]:
        """The tensors of one file, on the CPU.

        Raises:
            RunError: the file is missing or was changed since it was written.
        """
        import safetensors.torch  # here, because checkpoints are listed without PyTorch

        path = self.file(f"{name}.safetensors")
        try:
            loaded = safetensors.torch.load_file(path)
        except safetensors.SafetensorError as error:
            raise _damaged(path, str(error)) from error
        # Copied to where PyTorch would put them: on other memory boundaries, sums differ in their last bits.
        return {key: value.clone() for key, value in loaded.items()}

    def file(self, name: str) -> Path:
        """A file of the checkpoint, after its checksum was compared.

        Raises:
            RunError: the file is missing or was changed since it was written.
        """
        path = self.path / name
        if not path.is_file():
            raise _damaged(path, "missing")
        if _sha256(path) != self.facts["sha256"].get(name):
            raise _damaged(path, "its checksum differs")
        return path


def checkpoint_path(folder: Path, epoch: int, units: int = 0) -> Path:
    """Where the checkpoint is or would be that was written `units` units of work after the end of an epoch."""
    return folder / (f"epoch-{epoch:06d}" + (f"-{units:06d}" if units else ""))


def position(path: Path) -> tuple[int, int]:
    """Epochs finished, and units of work done since, by the name of a checkpoint's folder."""
    match = NAME.fullmatch(path.name)
    assert match is not None, path
    return int(match[1]), int(match[2] or 0)


def write_checkpoint(
    folder: Path,
    epoch: int,
    tensors: dict[str, dict[str, "torch.Tensor"]],
    facts: dict[str, Any],
    extra: Callable[[Path], object],
    units: int = 0,
) -> Checkpoint:
    """Write a checkpoint.

    Args:
        folder: the run's folder of checkpoints.
        epoch: epochs finished.
        tensors: named tensors, one safetensors file a group.
        facts: JSON-ready facts to keep beside them.
        extra: writes further files into the folder it is given.
        units: units of work done since the end of that epoch.

    Raises:
        DiskError: the disk refuses the write; older checkpoints are untouched.
    """
    import safetensors.torch

    final = checkpoint_path(folder, epoch, units)
    partial = folder / f"{PARTIAL}new-{final.name}"
    try:
        remove_partial(folder)
        partial.mkdir(parents=True)
        for name, group in tensors.items():
            content = safetensors.torch.save({key: value.detach().cpu().contiguous() for key, value in group.items()})
            write_bytes(partial / f"{name}.safetensors", content)
        extra(partial)
        checksums = {path.name: _sha256(path) for path in sorted(partial.iterdir())}
        facts = {"format": FORMAT_VERSION, "epoch": epoch, **facts, "sha256": checksums}
        write_json(partial / "checkpoint.json", facts | {"sha256_of_the_above": _facts_sha256(facts)})
        if final.exists():  # written by a run that was resumed from before it
            _remove(final)
        os.replace(partial, final)
    except OSError as error:
        raise cannot_write(final, error) from error
    return Checkpoint(final, facts)


def remove_partial(folder: Path) -> None:
    """Remove what a kill during `write_checkpoint` left behind."""
    for leftover in folder.glob(f"{PARTIAL}*"):
        shutil.rmtree(leftover)


def open_checkpoint(path: Path) -> Checkpoint:
    """A complete checkpoint.

    Raises:
        RunError: it is missing, damaged or from a newer release.
    """
    try:
        facts = json.loads((path / "checkpoint.json").read_text(encoding="utf-8"))
        version = int(facts["format"])
        checksum = facts.pop("sha256_of_the_above", None)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _damaged(path / "checkpoint.json", str(error)) from error
    if version > FORMAT_VERSION:
        raise RunError(f"{path} has checkpoint format {version}, this release reads {FORMAT_VERSION}: use a newer one")
    if checksum != _facts_sha256(facts):
        raise _damaged(path / "checkpoint.json", "its checksum differs")
    return Checkpoint(path, facts)


def checkpoints(folder: Path) -> list[Path]:
    """Folders of all complete checkpoints, oldest first; whatever else lies beside them is not looked at."""
    found = (path for path in folder.glob("epoch-*") if NAME.fullmatch(path.name) and path.is_dir())
    return sorted(found, key=position)


def ends_of_epochs(folder: Path) -> dict[int, Path]:
    """Checkpoints of the end of an epoch, by its number, oldest first."""
    return {epoch: path for path in checkpoints(folder) for epoch, units in [position(path)] if not units}


def newest_checkpoint(folder: Path) -> Checkpoint | None:
    """The checkpoint that a run resumes from; None before the first.

    Raises:
        RunError: it is damaged.
    """
    found = checkpoints(folder)
    return open_checkpoint(found[-1]) if found else None


def prune(folder: Path, keep_every: int, best_epoch: int | None) -> None:
    """Remove all checkpoints but the newest and some ends of epochs.

    These are the newest one, the best one and those at multiples of `keep_every` epochs (0: none). The newest end of an
    epoch is also kept beside a newer checkpoint within an epoch.

    Raises:
        DiskError: the disk refuses to remove one.
    """
    found, ends = checkpoints(folder), ends_of_epochs(folder)
    kept = {path for epoch, path in ends.items() if epoch == best_epoch or (keep_every and epoch % keep_every == 0)}
    for path in found:
        if path not in kept | {*found[-1:], *list(ends.values())[-1:]}:
            _remove(path)


def _remove(path: Path) -> None:
    """Renamed first, so that a kill half-way does not leave a checkpoint that only looks whole."""
    doomed = path.with_name(PARTIAL + path.name)
    try:
        os.replace(path, doomed)
        shutil.rmtree(doomed)
    except OSError as error:
        raise cannot_write(path, error) from error


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _facts_sha256(facts: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode("utf-8")).hexdigest()


def _damaged(path: Path, reason: str) -> RunError:
    return RunError(
        f"{path} is damaged ({reason}): restore it from a copy, or remove the folder {path.parent.name} "
        "to go on from the checkpoint before it"
    )
