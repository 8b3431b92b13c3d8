"""Writing files so that a kill at any moment leaves the old file or the new one, never a torn one."""

import contextlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from diamond.errors import DiskError


def write_atomic(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Let `write` fill a temporary file beside `path`, flush it to the disk, then put it in place in one act.

    Raises:
        DiskError: the disk refuses the write.
    """
    temporary = path.with_name(path.name + ".tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise cannot_write(path, error) from error


def write_bytes(path: Path, content: bytes) -> None:
    """Write a whole file; see `write_atomic`."""
    write_atomic(path, lambda file: file.write(content))


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file a human can read; see `write_atomic`."""
    write_bytes(path, json_text(value).encode("utf-8"))


def json_text(value: Any) -> str:
    """JSON a human can read."""
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def cannot_write(path: Path, error: OSError) -> DiskError:
    """The error to raise when the disk refuses a write, with the remedy."""
    reason = error.strerror or str(error)
    return DiskError(f"{path} cannot be written ({reason}): free disk space, or choose a place that can be written")
