"""A finished run becomes records that docs/reproducing.md describes."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def records(finished_run: Path, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, object]]:
    out = tmp_path_factory.mktemp("results") / "debug.json"
    script = ROOT / "benchmarks" / "record_run.py"
    subprocess.run([sys.executable, script, finished_run, "--out", out], check=True, timeout=120, cwd=ROOT)
    return list(json.loads(out.read_text("utf-8")))


def test_every_record_says_where_it_comes_from(finished_run: Path, records: list[dict[str, object]]) -> None:
    facts = json.loads((finished_run / "run.json").read_text("utf-8"))
    for record in records:
        assert set(record) == {"command", "commit", "machine", "seed", "metric", "value", "low", "high", "n"}
        assert (record["command"], record["machine"]) == (facts["command"], facts["machine"])
        assert re.fullmatch(r"[0-9a-f]{40}\+?", str(record["commit"]))


def test_scores_errors_and_costs_are_recorded(finished_run: Path, records: list[dict[str, object]]) -> None:
    metrics = {str(record["metric"]): record for record in records}
    assert len(metrics) == len(records)
    evaluation = json.loads((finished_run / "evaluation.json").read_text("utf-8"))
    assert metrics["Breakout return, trained policy"]["value"] == evaluation["trained"]["mean"]
    assert metrics["Breakout return, best_constant policy"]["n"] == evaluation["best_constant"]["n"]
    errors = json.loads((finished_run / "dream-errors.json").read_text("utf-8"))
    gain = metrics["Breakout error on moved pixels, 5 steps ahead, shuffled minus dream, paired (grey levels)"]
    assert gain["value"] == errors["gain"]["shuffled"]["mean"][1]
    assert {"wall time of training (s)", "peak memory (bytes)"} <= set(metrics)
