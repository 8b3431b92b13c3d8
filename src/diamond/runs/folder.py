"""A run on disk: a folder a human can read.

config.json     hyper-parameters           run.json      versions, machine, command, commit, number of actions
metrics.jsonl   one flat row an epoch      tensorboard/  the same for TensorBoard
checkpoints/    see `checkpoint`           episodes/     real experience, uint8
evaluation.json, dream-errors.json, dream.mp4, dream.png, report.html   written at the end
"""

import json
import os
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from diamond.config import Config, changes_that_forbid_resume, from_dict, to_dict
from diamond.errors import ConfigError, RunError
from diamond.runs.checkpoint import checkpoints
from diamond.runs.files import cannot_write, write_json
from diamond.runs.provenance import command, commit, machine
from diamond.version import __version__

FORMAT_VERSION = 1
"""Version of the run folder that this release writes and the newest that it reads."""
EVALUATION, DREAM_ERRORS = "evaluation.json", "dream-errors.json"
"""The final scores, and the dream's errors by horizon."""
VIDEO, FILMSTRIP, REPORT = "dream.mp4", "dream.png", "report.html"
RUNS = Path("runs")
"""Where runs are made unless a folder is named."""
Which = Literal["last", "best"] | int
"""A checkpoint: the newest one, the one with the best evaluation, or that of an epoch."""


@dataclass
class RunFolder:
    """One run's folder."""

    path: Path
    config: Config
    num_actions: int
    action_meanings: tuple[str, ...]
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def episodes(self) -> Path:
        """Folder of the finished episodes."""
        return self.path / "episodes"

    @property
    def checkpoints(self) -> Path:
        """Folder of the checkpoints."""
        return self.path / "checkpoints"

    @property
    def metrics(self) -> Path:
        """File of the metrics."""
        return self.path / "metrics.jsonl"

    @classmethod
    def create(
        cls, path: Path, config: Config, num_actions: int, action_meanings: tuple[str, ...], fused: bool
    ) -> "RunFolder":
        """Make a new run; `fused` tells whether it runs on the fused kernels.

        Raises:
            RunError: the folder exists and is not empty.
            DiskError: the disk refuses the write.
        """
        require_free(path)
        partial = path.with_name(f".{path.name}.partial")
        facts = {
            "format": FORMAT_VERSION,
            "diamond": __version__,
            "num_actions": num_actions,
            "action_meanings": list(action_meanings),
            "started": datetime.now(UTC).isoformat(timespec="seconds"),
            "command": command(),
            "commit": commit(),
            "machine": machine(fused),
        }
        # The folder appears complete, so that whatever exists can be resumed.
        write_json(partial / "run.json", facts)
        write_json(partial / "config.json", to_dict(config))
        try:
            if path.exists():
                path.rmdir()
            os.replace(partial, path)
        except OSError as error:
            raise cannot_write(path, error) from error
        return cls(path, config, num_actions, action_meanings, facts)

    @classmethod
    def open(cls, path: Path) -> "RunFolder":
        """Read an existing run.

        Raises:
            RunError: it is not a run, is damaged, or was made by a newer release.
        """
        if not (path / "run.json").is_file():
            hint = "it holds run.json" if path.exists() else "nothing is there now"
            raise RunError(f"{path} is not a run: give a folder made by `diamond train` ({hint})")
        facts = read_json(path / "run.json")
        version = facts.get("format")
        if not isinstance(version, int):
            raise RunError(f"{path / 'run.json'} is damaged (it names no format): restore it from a copy")
        if version > FORMAT_VERSION:
            raise RunError(
                f"{path / 'run.json'} has run format {version!r}, this release reads up to {FORMAT_VERSION}: "
                f"install diamond-wm {facts.get('diamond', 'of the release that made it')} or newer"
            )
        config = from_dict(read_json(path / "config.json"))
        try:
            return cls(path, config, int(facts["num_actions"]), tuple(facts["action_meanings"]), facts)
        except (KeyError, TypeError, ValueError) as error:
            raise RunError(f"{path / 'run.json'} is damaged ({error!r}): restore it from a copy") from error

    def require_same(self, config: Config) -> None:
        """Refuse to go on with changes beyond those that a resumed run may make.

        Raises:
            ConfigError: something else was changed.
        """
        changed = changes_that_forbid_resume(self.config, config)
        if changed:
            raise ConfigError(f"{changed[0]}: this cannot change when a run resumes; start a new run to change it")

    def keep_config(self, config: Config) -> None:
        """Remember, for good, what a resumed run changed, such as a longer schedule.

        Raises:
            DiskError: the disk refuses the write.
        """
        if config != self.config:
            write_json(self.path / "config.json", to_dict(config))
            self.config = config

    def lock(self) -> AbstractContextManager[object]:
        """Hold the run for writing until the context is left or the process ends.

        Raises:
            RunError: another process holds it.
        """
        import filelock  # here, because reading a run needs none

        lock = filelock.FileLock(self.path / "run.lock")
        try:
            return lock.acquire(timeout=0)
        except filelock.Timeout as error:
            raise RunError(f"{self.path} is being written by another process: wait for it or stop it") from error
        except OSError as error:
            raise cannot_write(self.path / "run.lock", error) from error


def require_free(path: Path) -> None:
    """Refuse to put a run where something is.

    Raises:
        RunError: the path exists and is not an empty folder.
    """
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise RunError(f"{path} already exists: choose another --run folder, or continue it with --resume {path}")


def new_run_path(config: Config) -> Path:
    """A free folder under `runs/`, named after the time, the preset, the environment and the seed."""
    stamp = datetime.now().strftime("%Y%m%d-%H%M%S")
    name = f"{stamp}-{config.preset}-{config.env.name.replace('/', '-')}-seed{config.seed}"
    path, copy = RUNS / name, 1
    while path.exists():
        copy += 1
        path = RUNS / f"{name}-{copy}"
    return path


def newest_run(usable: bool = False) -> Path:
    """The run under `runs/` that was started last.

    Args:
        usable: leave out those that hold no checkpoint.

    Raises:
        RunError: there is none.
    """
    found = sorted(RUNS.glob("*/run.json"), key=lambda file: (file.stat().st_mtime, file.parent.name))
    runs = [file.parent for file in found if not usable or _has_checkpoint(file.parent)]
    if not runs:
        what = f"no run with a checkpoint in {RUNS.resolve()}" if found else f"no run found in {RUNS.resolve()}"
        raise RunError(f"{what}: name one, or make one with `diamond train`")
    return runs[-1]


def _has_checkpoint(run: Path) -> bool:
    return bool(checkpoints(run / "checkpoints"))


def dream_errors_file(run: Path) -> Path:
    """The file of the dream's errors in a run's folder; release 0.1 called it `fidelity.json`."""
    old = run / "fidelity.json"
    return old if old.is_file() and not (run / DREAM_ERRORS).is_file() else run / DREAM_ERRORS


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file.

    Raises:
        RunError: the file is missing or is not a JSON object.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise RunError(f"{path} cannot be read ({error}): restore it from a copy") from error
    if not isinstance(value, dict):
        raise RunError(f"{path} does not hold a JSON object: restore it from a copy")
    return value
