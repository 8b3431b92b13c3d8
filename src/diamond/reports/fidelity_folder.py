"""The folder of a result: `fidelity.json` with all numbers, `report.html` to look at."""

import os
from pathlib import Path
from typing import Any

from diamond.errors import ConfigError, RunError
from diamond.evaluation.fidelity.measure import KIND, Result
from diamond.evaluation.fidelity.plan import Plan
from diamond.evaluation.fidelity.run import measure_fidelity, run_of
from diamond.reports.fidelity_page import render
from diamond.runs.files import write_bytes, write_json
from diamond.runs.folder import read_json

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
        return read_json(folder / RECORD).get("kind") == KIND
    except RunError:
        return False


def write_result(folder: Path, result: Result) -> Path:
    """Write the folder; an older result is replaced; returns the page's path.

    Raises:
        ConfigError: see `require_own`.
        DiskError: the disk refuses the write.
    """
    require_own(folder)
    page = render(result).encode("utf-8")
    write_json(folder / RECORD, result.record)  # first, as it tells whose folder this is
    write_bytes(folder / PAGE, page)
    return folder / PAGE


def report_fidelity(path: Path | str, plan: Plan, out: Path | None = None, **how: Any) -> tuple[dict[str, Any], Path]:
    """Measure a dream and write the folder of the result.

    Args:
        path, plan, how: see `evaluation.fidelity.run.measure_fidelity`.
        out: folder to write; by default `fidelity` in the run's folder.

    Returns the record that is written to `fidelity.json` there, and the path of the page beside it.

    Raises:
        ConfigError: `out` holds something else than an older result, or is missing for a file.
        DiskError: the disk refuses the write.
        RunError, DataError, DeviceError, EnvError: see `measure_fidelity`.
    """
    run = run_of(path)
    if out is None:
        if run is None:
            raise ConfigError(f"--out is missing: {path} is no run folder, so name a folder for the result")
        out = run.path / "fidelity"
    require_own(out)
    result = measure_fidelity(path, plan, **how)
    return result.record, write_result(out, result)
