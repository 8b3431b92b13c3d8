"""Files that appear whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from diamond.errors import RunError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`: what the block writes there takes the place of `path` when it ends well.

    Raises:
        RunError: the disk refuses; whatever was at `path` before is untouched.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise RunError(f"{path} cannot be written ({reason}): choose another path, or make room and allow writing") from error
    finally:
        _remove(temporary)


def write_bytes(path: Path, content: bytes) -> None:
    """Write a whole file in one step that a crash cannot split.

    Raises:
        RunError: the disk refuses.
    """
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError:
        return  # the folder is out of reach, which the caller has been told already
