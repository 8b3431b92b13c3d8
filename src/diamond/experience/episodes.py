"""Episodes: what happened between two resets, and how it is kept on disk.

Axes   t time: one entry per action taken | frames t + 1 | h w c image
Units  frames are uint8 in 0..255, RGB; rewards are as the environment gave them
"""

import dataclasses
import io
import json
import os
import re
import zipfile
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float32, Int64, UInt8

from diamond.errors import DataError
from diamond.runs.files import write_atomic

FORMAT_VERSION = 1
"""Version of the files of collected episodes."""
RECORDING_VERSION = 2
"""Version of files that also tell their origin; releases before it refuse them rather than take a dream for reality."""


@dataclass(frozen=True)
class Origin:
    """Where an episode comes from that was recorded while somebody played.

    Raises:
        DataError: a value is not one of those that it may be.
    """

    game: str
    world: Literal["real", "dream"]
    players: tuple[str, ...]
    """Who chose actions in it: agent, human, random."""
    model: str
    """SHA-256 of the weights that dreamed or looked on."""
    seed: int
    parent: int | None = None
    """Number of the recording that this one branched off after a rewind."""
    parent_step: int | None = None
    """How many steps into it."""

    def __post_init__(self) -> None:
        _require(self.world in ("real", "dream"), f"episode origin.world is {self.world!r}: give real or dream")


@dataclass(frozen=True, eq=False)
class Episode:
    """One episode of t steps with the t + 1 frames around them.

    `frames[i]` is what was seen before `actions[i]`; `frames[t]` is the true final frame, or the newest frame of an
    unfinished episode (neither `terminated` nor `truncated`). Only an unfinished episode may have no steps.

    Raises:
        DataError: an array has the wrong type or shape, an action is negative, or a reward is not finite.
    """

    frames: UInt8[np.ndarray, "frames h w 3"]
    actions: Int64[np.ndarray, " t"]
    rewards: Float32[np.ndarray, " t"]
    terminated: bool
    truncated: bool
    origin: Origin | None = None
    """None for what training collected: the real game."""

    def __post_init__(self) -> None:
        for name, dtype, ndim in (("frames", np.uint8, 4), ("actions", np.int64, 1), ("rewards", np.float32, 1)):
            array = getattr(self, name)
            found = f"{array.dtype} of shape {array.shape}" if isinstance(array, np.ndarray) else type(array).__name__
            _require(
                isinstance(array, np.ndarray) and array.dtype == dtype and array.ndim == ndim,
                f"episode {name} are {found}: give a {ndim}-dimensional {np.dtype(dtype)} array",
            )
        shape = self.frames.shape
        _require(shape[3] == 3 and min(shape) >= 1, f"episode frames have shape {shape}: give (steps + 1, h, w, 3)")
        for name in ("actions", "rewards"):
            size = len(getattr(self, name))
            _require(size == shape[0] - 1, f"episode has {shape[0]} frames, {size} {name}: give one frame more")
        for name in ("terminated", "truncated"):
            value = getattr(self, name)
            _require(isinstance(value, bool), f"episode {name} is {value!r}: give True or False")
        _require(self.num_steps > 0 or not self.finished, "finished episode has 0 steps: give at least 1")
        _require(not np.any(self.actions < 0), "episode actions contain a negative number: use 0 or more")
        _require(bool(np.isfinite(self.rewards).all()), "episode rewards contain nan or infinity: use finite numbers")

    @property
    def num_steps(self) -> int:
        """Actions taken, t."""
        return len(self.actions)

    @property
    def finished(self) -> bool:
        """Whether the episode has ended, by termination or truncation."""
        return self.terminated or self.truncated


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise DataError(message)


def write_episode(path: Path, episode: Episode) -> None:
    """Write a compressed `.npz` file as one indivisible act: a kill leaves the old file, the new one, or `<name>.tmp`.

    Raises:
        DiskError: the disk refuses the write.
    """
    arrays: dict[str, Any] = {
        "version": np.int64(FORMAT_VERSION if episode.origin is None else RECORDING_VERSION),
        "frames": episode.frames,
        "actions": episode.actions,
        "rewards": episode.rewards,
        "terminated": np.bool_(episode.terminated),
        "truncated": np.bool_(episode.truncated),
    }
    if episode.origin is not None:
        arrays["origin"] = np.frombuffer(json.dumps(dataclasses.asdict(episode.origin)).encode(), np.uint8)
    write_atomic(path, lambda file: np.savez_compressed(file, allow_pickle=False, **arrays))


def read_episode(path: Path) -> Episode:
    """The episode in a file of `write_episode`, checked against the checksums inside.

    Raises:
        DataError: the file is missing, damaged, not an episode, or of a newer version.
    """
    if not path.is_file():
        raise _missing(path)
    try:
        with zipfile.ZipFile(path) as archive:
            version = _read_array(archive, "version").item()
            if version not in (FORMAT_VERSION, RECORDING_VERSION):
                raise DataError(f"format version {version}, this release reads up to {RECORDING_VERSION}")
            return Episode(
                frames=_read_array(archive, "frames"),
                actions=_read_array(archive, "actions"),
                rewards=_read_array(archive, "rewards"),
                terminated=_read_array(archive, "terminated").item(),
                truncated=_read_array(archive, "truncated").item(),
                origin=_read_origin(archive) if version == RECORDING_VERSION else None,
            )
    except Exception as error:  # on damaged bytes the zip and npy parsers raise nearly everything
        reason = str(error) or type(error).__name__
        raise DataError(f"{path} is not a readable episode ({reason}): restore it from a copy, or remove it") from error


def _missing(path: Path) -> DataError:
    return DataError(f"{path} is missing: restore it from a copy, or choose a checkpoint from before it")


def _read_array(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    # The whole member is read before any of it is parsed: only at its end does zipfile compare the checksum.
    return np.lib.format.read_array(io.BytesIO(archive.read(f"{name}.npy")), allow_pickle=False)


def _read_origin(archive: zipfile.ZipFile) -> Origin:
    facts = json.loads(_read_array(archive, "origin").tobytes())
    return Origin(**facts | {"players": tuple(facts["players"])})


class EpisodeFolder:
    """A folder of finished episodes, `000000.npz` and up, numbered in the order of collection.

    One process writes; others may read meanwhile. Making the object touches nothing on disk.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, index: int) -> Path:
        """Where the episode of that number is or would be."""
        return self.folder / f"{index:06d}.npz"

    def write(self, index: int, episode: Episode) -> None:
        """Keep a finished episode under its number; see `write_episode`."""
        write_episode(self.path(index), episode)

    def read(self, index: int) -> Episode:
        """The episode of that number; see `read_episode`."""
        return read_episode(self.path(index))

    def indices(self) -> list[int]:
        """Numbers of the episodes present, in ascending order."""
        if not self.folder.is_dir():
            return []
        names = (re.fullmatch(r"([0-9]{6,})\.npz", path.name) for path in self.folder.iterdir())
        return sorted(int(match[1]) for match in names if match)

    def bytes_on_disk(self) -> int:
        """Size of all episode files, those set aside included."""
        return sum(path.stat().st_size for path in self.folder.rglob("*.npz"))

    def keep_only(self, indices: Collection[int]) -> list[int]:
        """Set aside every episode but these, for instance those written after the checkpoint that a run resumes from.

        With several environments episodes finish in another order than they start, so a list is needed, not a limit.
        Temporary files left by a kill are removed. Returns the numbers set aside.

        Raises:
            DataError: one of the episodes to keep is missing; nothing has been moved then.
        """
        present, keep = self.indices(), set(indices)
        missing = sorted(keep - set(present))
        if missing:
            raise _missing(self.path(missing[0]))
        for leftover in self.folder.glob("*.npz.tmp"):
            leftover.unlink()
        moved = [index for index in present if index not in keep]
        for index in moved:
            self._move_aside(index)
        return moved

    def _move_aside(self, index: int) -> None:
        aside = self.folder / "set_aside"
        aside.mkdir(exist_ok=True)
        source, copy = self.path(index), 0
        target = aside / source.name
        while target.exists():
            copy += 1
            target = aside / f"{source.stem}-{copy}.npz"
        os.replace(source, target)
