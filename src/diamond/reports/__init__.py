"""One self-contained page about one or several runs, finished or not.

Everything is in the file: styles, plots and videos; it loads nothing and runs nothing, and works from a USB stick.
"""

from collections.abc import Sequence
from pathlib import Path

from diamond.errors import RunError
from diamond.reports.contents import RunContents, read_contents
from diamond.reports.dream_sections import dream_errors, videos
from diamond.reports.page import Html, page, tag
from diamond.reports.score_sections import header, scores
from diamond.reports.sections import configuration, cost, curves
from diamond.runs.files import write_bytes
from diamond.runs.wording import listing

__all__ = ["build_report", "render_report"]


def build_report(run_folders: Sequence[Path], out: Path) -> Path:
    """Write an HTML report of the runs to `out` and return its path.

    Reads `config.json` (needed), and whatever is there of `metrics.jsonl`, `evaluation.json`, `dream-errors.json`,
    `dream.mp4` and `dream.png`; the report says kindly what is not.

    Raises:
        RunError: no run is given, or a folder is not a run.
        DiskError: `out` cannot be written.
    """
    if not run_folders:
        raise RunError("a report needs at least one run folder, and no run was given: name one that training wrote")
    write_bytes(out, render_report([read_contents(Path(folder)) for folder in run_folders]).encode("utf-8"))
    return out


def render_report(runs: Sequence[RunContents]) -> Html:
    """The report as HTML."""
    names = listing(list(dict.fromkeys(run.game for run in runs)))
    title = f"{names}: {runs[0].name if len(runs) == 1 else f'{len(runs)} runs'}"
    footer = tag("footer", "Made by diamond-wm from ", listing([str(run.name) for run in runs]), ".")
    sections = (scores, videos, curves, dream_errors, cost, configuration)
    return page(title, header(runs), *(make(runs) for make in sections), footer)
