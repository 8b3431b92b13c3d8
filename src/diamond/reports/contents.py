"""What a run holds for its report. Nothing in a folder can break the reader: a damaged part is a missing part."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from diamond.config import flatten
from diamond.errors import RunError
from diamond.runs.folder import EVALUATION, FILMSTRIP, VIDEO, dream_errors_file, read_json
from diamond.runs.metrics import parse_row
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
class RunContents:
    """A run as far as it has come."""

    path: Path
    config: dict[str, Any]
    """Dotted names and values of any type."""
    rows: list[dict[str, float]]
    """Metrics, one row an epoch, in order of epochs."""
    scores: dict[str, Score]
    """By policy: `trained`, `random`, `best_constant`, `untrained`, those that have been measured."""
    published: dict[str, float]
    """Published scores of the game by who plays (`random`, `human`), if there are any."""
    dream_errors: dict[str, Any]
    """See `evaluation.fidelity.segments.dream_errors`; values of any type."""
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


def read_contents(path: Path) -> RunContents:
    """Read the folder of a run, finished or not.

    Raises:
        RunError: there is no such folder, or it has no readable `config.json`.
    """
    if not path.is_dir():
        raise RunError(f"{path} is not a run: give a folder made by `diamond train`")
    if not (path / "config.json").is_file():
        raise RunError(f"{path} is not a run: it holds no config.json; give the folder that training wrote")
    troubles: list[str] = []
    try:
        config = flatten(read_json(path / "config.json"))
    except (RunError, RecursionError) as error:
        raise RunError(f"{path / 'config.json'} is damaged: it is not a JSON table; give another run folder") from error
    evaluation = _table(path / EVALUATION, troubles)
    published = evaluation.get("reference")
    found = {name: finite(value) for name, value in published.items()} if isinstance(published, dict) else {}
    return RunContents(
        path=path,
        config=config,
        rows=_rows(path / "metrics.jsonl", troubles),
        scores={name: score for name, value in evaluation.items() if (score := _score(value)) is not None},
        published={name: value for name, value in found.items() if value is not None},
        dream_errors=_table(dream_errors_file(path), troubles),
        video=_media(path / VIDEO, troubles),
        filmstrip=_media(path / FILMSTRIP, troubles),
        troubles=troubles,
    )


def numbers(value: object) -> list[float]:
    """A list of finite numbers found in a file; empty if it is anything else."""
    found = [finite(item) for item in value] if isinstance(value, list) else []
    return [] if None in found else [item for item in found if item is not None]


def _table(path: Path, troubles: list[str]) -> dict[str, Any]:
    """The object in a JSON file; empty if the file is missing or damaged, which is noted."""
    if not path.is_file():
        return {}
    try:
        return read_json(path)
    except RunError:
        troubles.append(_left_out(path))
        return {}


def _score(value: object) -> Score | None:
    if not isinstance(value, dict) or (mean := finite(value.get("mean"))) is None:
        return None
    returns = tuple(numbers(value.get("returns")))
    n = finite(value.get("n"))
    return Score(mean, finite(value.get("low")), finite(value.get("high")), round(n or len(returns)), returns, value)


def _rows(path: Path, troubles: list[str]) -> list[dict[str, float]]:
    """Rows merged by epoch: an epoch may have several lines, and one repeated after a resume counts as it was last."""
    if not path.is_file():
        return []
    try:
        lines = path.read_bytes().splitlines()
    except OSError:
        troubles.append(_left_out(path))
        return []
    by_epoch: dict[float, dict[str, float]] = {}
    unread = 0
    for line in lines:
        row = parse_row(line)
        if row is None:
            unread += bool(line.strip())
            continue
        known = {key: number for key, value in row.items() if (number := finite(value)) is not None}
        by_epoch.setdefault(known["epoch"], {}).update(known)
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
        troubles.append(_left_out(path))
        return None


def _left_out(path: Path) -> str:
    return f"{path.name} could not be read and was left out."
