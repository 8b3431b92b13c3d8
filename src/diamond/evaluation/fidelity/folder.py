"""The folder of a result: `fidelity.json` with all numbers, `report.html` to look at."""

import json
import os
from pathlib import Path
from typing import Any

from diamond.errors import ConfigError
from diamond.evaluation.fidelity.measure import KIND, Result
from diamond.evaluation.report.fidelity_page import render
from diamond.files import write_bytes, write_json

RECORD, PAGE = "fidelity.json", "report.html"


def require_own(folder: Path) -> None:
    """Refuse, before anything takes long, to write where something else is than nothing or an older result.

    Raises:
        ConfigError: the path is a file, a folder that holds other things, or in a place that cannot be written.
    """
    if folder.exists():
        if not folder.is_dir():
            raise ConfigError(f"--out {folder} is a file: name a new folder")
        if any(folder.iterdir()) and not _is_result(folder):
            raise ConfigError(f"--out {folder} holds something else than an older result: name a new folder")
    place = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    if not place.is_dir() or not os.access(place, os.W_OK):
        raise ConfigError(f"--out {folder} cannot be written: {place} is no folder of yours, choose another")


def _is_result(folder: Path) -> bool:
    try:
        found: Any = json.loads((folder / RECORD).read_bytes())
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(found, dict) and found.get("kind") == KIND


def write_result(folder: Path, result: Result) -> Path:
    """Write the folder, in the place of an older result if there is one; returns the page's path.

    Raises:
        ConfigError: see `require_own`.
        DiskError: the disk refuses the write.
    """
    require_own(folder)
    page = render(result).encode("utf-8")
    write_json(folder / RECORD, result.record)  # first, as it tells whose folder this is
    write_bytes(folder / PAGE, page)
    return folder / PAGE
