"""Files that someone asked for by name: a report, a video."""

from pathlib import Path

from diamond.errors import RunError, TrainingError
from diamond.files import write_bytes


def write_output(path: Path, content: bytes) -> None:
    """Write a whole file in one step that a crash cannot split.

    Raises:
        RunError: the disk refuses; whatever was at `path` before is untouched.
    """
    try:
        write_bytes(path, content)
    except TrainingError as error:
        cause = error.__cause__
        reason = (cause.strerror if isinstance(cause, OSError) else None) or str(cause)
        raise RunError(f"{path} cannot be written ({reason}): free disk space or choose another path") from error
