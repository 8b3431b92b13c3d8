"""The folder of a result: `fidelity.json` with all numbers, `report.html` to look at."""

import json
from pathlib import Path
from typing import Any

from diamond.errors import ConfigError
from diamond.evaluation.faithfulness.record import KIND, Result
from diamond.evaluation.report.fidelity_page import render
from diamond.files import write_bytes, write_json

RECORD, PAGE = "fidelity.json", "report.html"


def require_own(folder: Path) -> None:
    """Refuse to write where something else is than nothing or an older result.

    Raises:
        ConfigError: the path is a file, or a folder that holds other things.
    """
    if not folder.exists() or (folder.is_dir() and (_is_result(folder) or not any(folder.iterdir()))):
        return
    what = "holds something else than an older result" if folder.is_dir() else "is a file"
    raise ConfigError(f"--out {folder} {what}: name a new folder")


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
    write_json(folder / RECORD, result.record)
    write_bytes(folder / PAGE, render(result).encode("utf-8"))
    return folder / PAGE
