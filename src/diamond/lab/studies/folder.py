"""Where a study keeps what it has done, so that it can be stopped at any moment and go on."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8

from diamond import kernels
from diamond.compute import choose_device
from diamond.config import ComputeConfig
from diamond.errors import ConfigError, DataError
from diamond.lab.studies.scale import Scale
from diamond.runs.files import write_atomic, write_bytes, write_json
from diamond.runs.folder import read_json
from diamond.runs.provenance import origin

FREE = ("seeds", "agents", "device", "threads")
"""What may differ between two starts of the same study."""


@dataclasses.dataclass(frozen=True)
class StudyFolder:
    """The folder of one study: `study.json`, `data/`, `models/`, finished `parts/`, then `results.json` and figures."""

    path: Path
    game: str
    scale: Scale
    device: torch.device
    """Where networks are trained and dream."""
    say: Callable[[str], None]
    """Tells the user what is being done."""

    @classmethod
    def open(cls, path: Path, name: str, game: str, scale: Scale, say: Callable[[str], None]) -> "StudyFolder":
        """Begin a study in a new folder, or go on in one of the same study and scale.

        Raises:
            ConfigError: the folder holds something else; nothing in it is changed then.
            DeviceError: the device is unknown or not present.
        """
        device = choose_device(ComputeConfig(device=scale.device, threads=scale.threads))
        chosen = {key: _plain(value) for key, value in dataclasses.asdict(scale).items() if key not in FREE}
        settings = {"study": name, "game": game, "scale": chosen}
        facts = path / "study.json"
        if not facts.is_file():
            if path.exists() and (not path.is_dir() or any(path.iterdir())):
                raise ConfigError(f"{path} already contains other files: choose an empty folder for --out")
            write_json(facts, settings)
        elif (before := read_json(facts)) != settings:
            changes = [key for key in ("study", "game") if before.get(key) != settings[key]]
            old = before.get("scale", {})
            changes += [key for key in {**old, **chosen} if old.get(key) != chosen.get(key)]
            raise ConfigError(f"{path} holds a study with another {', '.join(changes)}: choose another --out")
        return cls(path, game, scale, device, say)

    def part(self, name: str, compute: Callable[[], Any]) -> Any:
        """What `compute` returns, JSON-ready; computed once and kept."""
        path = self.path / "parts" / f"{name}.json"
        if not path.is_file():
            write_json(path, compute())
        return read_json(path)

    def keep_frames(self, name: str, frames: UInt8[np.ndarray, "t h w 3"]) -> None:
        """Some frames for a picture, beside the part of the same name."""
        write_atomic(self._frames(name), lambda file: np.save(file, frames, allow_pickle=False))

    def kept_frames(self, name: str) -> UInt8[np.ndarray, "t h w 3"]:
        """What `keep_frames` kept.

        Raises:
            DataError: the file is missing or damaged.
        """
        path = self._frames(name)
        try:
            return np.load(path, allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise DataError(
                f"{path} cannot be read ({error}): remove {path.with_suffix('.json')}, it is made again"
            ) from error

    def _frames(self, name: str) -> Path:
        return self.path / "parts" / f"{name}.npy"

    def finish(self, results: dict[str, Any], figures: dict[str, bytes]) -> Path:
        """Write the results, with where they come from, and the figures; returns the path of the results."""
        for name, picture in figures.items():
            write_bytes(self.path / name, picture)
        facts = read_json(self.path / "study.json")
        seeds = {"seeds": list(self.scale.seeds)}
        measured = origin(self.scale.seeds[0], kernels.in_use(ComputeConfig(), self.device))
        write_json(self.path / "results.json", facts | seeds | measured | results)
        return self.path / "results.json"


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
