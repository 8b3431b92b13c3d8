"""The page on the studies says what their results say, and shows pictures that are there."""

import json
import re
from pathlib import Path

import pytest

from diamond.lab.studies.run import MODULES
from diamond.lab.studies.scale import STUDIES

DOCS = Path(__file__).parents[3] / "docs"
PAGE = (DOCS / "studies.md").read_text(encoding="utf-8")
RESULTS = sorted((DOCS / "studies").glob("*/results.json"))


def test_every_study_has_results() -> None:
    studies = {json.loads(path.read_text(encoding="utf-8"))["study"] for path in RESULTS}
    assert studies == set(STUDIES)


@pytest.mark.parametrize("path", RESULTS, ids=[path.parent.name for path in RESULTS])
def test_the_page_quotes_what_the_command_printed(path: Path) -> None:
    results = json.loads(path.read_text(encoding="utf-8"))
    lines = MODULES[results["study"]].summary(results)
    assert "\n".join(line.rstrip() for line in lines) in PAGE
    assert results["commit"], "results tell which code they were made with"


def test_every_picture_is_there_and_shown() -> None:
    shown = set(re.findall(r"\]\((studies/[^)]+\.png)\)", PAGE))
    assert shown == {path.relative_to(DOCS).as_posix() for path in (DOCS / "studies").glob("*/*.png")}
