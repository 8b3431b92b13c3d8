"""What a run folder holds, read so that nothing in it can break the reader: a damaged part is a missing part."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from diamond.errors import RunError
from diamond.runs.wording import finite

_LARGEST_MEDIA = 32 << 20  # bytes; a page that embeds more opens slowly on a phone


@dataclass(frozen=True)
class Score:
    """One policy's result, from `evaluation.json`."""

    mean: float
    low: float | None
    high: float | None
    n: int
    returns: tuple[float, ...]
    details: dict[str, Any]
    """The whole record; values of any type."""

    def number(self, key: str) -> float | None:
        """A finite number from the record."""
        return finite(self.details.get(key))


@dataclass(frozen=True)
class RunFolder:
    """A run as far as it has come."""

    path: Path
    config: dict[str, Any]
    """Dotted names and values of any type."""
    rows: list[dict[str, float]]
    """Metrics, one row an epoch, in order of epochs."""
    scores: dict[str, Score]
    """By policy: `trained`, `random`, `best_constant`, `untrained`, those that have been measured."""
    reference: dict[str, float]
    """Published scores by name (`random`, `human`), where there are any."""
    fidelity: dict[str, Any]
    video: bytes | None
    filmstrip: bytes | None
    troubles: list[str]
    """What could not be read, in words."""

    @property
    def name(self) -> str:
        """The folder's own name."""
        return self.path.resolve().name

    @property
    def game(self) -> str:
        """What the run plays."""
        environment = self.config.get("env.id")
        return str(self.config.get("env.game", "unknown game") if environment is None else environment)

    def curve(self, x: str, y: str) -> list[tuple[float, float]]:
        """Points of one metric over another, from the rows that have both."""
        return [(row[x], row[y]) for row in self.rows if x in row and y in row]

    def last(self, key: str) -> float | None:
        """The newest value of a metric."""
        return next((row[key] for row in reversed(self.rows) if key in row), None)

    @property
    def seconds(self) -> float | None:
        """Time spent in the epochs so far."""
        spent = [row["time/epoch_seconds"] for row in self.rows if "time/epoch_seconds" in row]
        return sum(spent) if spent else None


def read_run(path: Path) -> RunFolder:
    """Read a run folder, finished or not.

    Raises:
        RunError: there is no such folder, or it has no readable `config.json`.
    """
    if not path.is_dir():
        raise RunError(f"{path} is not a run: give a folder made by `diamond train`")
    if not (path / "config.json").is_file():
        raise RunError(f"{path} is not a run: it holds no config.json; give the folder that training wrote")
    troubles: list[str] = []
    config = _json(path / "config.json", troubles)
    if config is None:
        raise RunError(f"{path / 'config.json'} is damaged: it is not a JSON table; give another run folder")
    evaluation = _json(path / "evaluation.json", troubles) or {}
    scores = {name: score for name, value in evaluation.items() if (score := _score(value)) is not None}
    reference = evaluation.get("reference")
    numbers = {name: finite(value) for name, value in reference.items()} if isinstance(reference, dict) else {}
    return RunFolder(
        path=path,
        config=_flat(config),
        rows=_metrics(path / "metrics.jsonl", troubles),
        scores=scores,
        reference={name: value for name, value in numbers.items() if value is not None},
        fidelity=_json(path / "fidelity.json", troubles) or {},
        video=_media(path / "dream.mp4", troubles),
        filmstrip=_media(path / "dream.png", troubles),
        troubles=troubles,
    )


def numbers(value: object) -> list[float]:
    """A list of finite numbers found in a file; empty if it is anything else."""
    found = [finite(item) for item in value] if isinstance(value, list) else []
    return [] if None in found else [item for item in found if item is not None]


def _json(path: Path, troubles: list[str]) -> dict[str, Any] | None:
    """A JSON table, None if the file is not there; a damaged one is noted."""
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        troubles.append(f"{path.name} could not be read and was left out.")
        return None
    return content


def _score(value: object) -> Score | None:
    if not isinstance(value, dict) or (mean := finite(value.get("mean"))) is None:
        return None
    returns = tuple(numbers(value.get("returns")))
    n = finite(value.get("n"))
    return Score(mean, finite(value.get("low")), finite(value.get("high")), round(n or len(returns)), returns, value)


def _metrics(path: Path, troubles: list[str]) -> list[dict[str, float]]:
    """Rows merged by epoch: an epoch may have several lines, and one repeated after a resume counts as it was last."""
    if not path.is_file():
        return []
    try:
        lines = path.read_bytes().splitlines()
    except OSError:
        troubles.append(f"{path.name} could not be read and was left out.")
        return []
    by_epoch: dict[float, dict[str, float]] = {}
    unread = 0
    for line in lines:
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            row = None
        epoch = finite(row.get("epoch")) if isinstance(row, dict) else None
        if epoch is None:
            unread += bool(line.strip())
            continue
        found = {key: number for key, value in row.items() if (number := finite(value)) is not None}
        by_epoch.setdefault(epoch, {}).update(found)
    if unread:
        troubles.append(f"{unread} of {len(lines)} lines of {path.name} could not be read and were left out.")
    return [by_epoch[epoch] for epoch in sorted(by_epoch)]


def _media(path: Path, troubles: list[str]) -> bytes | None:
    if not path.is_file():
        return None
    try:
        if path.stat().st_size > _LARGEST_MEDIA:
            troubles.append(f"{path.name} is too large to be shown here; open the file itself.")
            return None
        return path.read_bytes() or None
    except OSError:
        troubles.append(f"{path.name} could not be read and was left out.")
        return None


def _flat(table: dict[str, Any], prefix: str = "", depth: int = 0) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in table.items():
        if isinstance(value, dict) and value and depth < 20:
            flat.update(_flat(value, f"{prefix}{key}.", depth + 1))
        else:
            flat[prefix + key] = value
    return flat
