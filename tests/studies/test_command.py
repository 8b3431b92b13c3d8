"""`diamond study` as a user runs it, as small as it goes."""

import json
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest
from conftest import COMMAND

from diamond.cli import main
from diamond.studies.scale import STUDIES

SMALL = (
    "--data-steps", "80", "--size", "16", "--channels", "8", "8", "--condition-channels", "16", "--updates", "3",
    "--batch-size", "2", "--trajectories", "2", "--horizon", "12", "--seeds", "0", "1",
)  # fmt: skip
FIGURES = {
    "edm-vs-ddpm": {"error.png", "distance.png", "filmstrip-edm.png", "filmstrip-ddpm.png"},
    "denoising-steps": {"sharpness.png", "filmstrip.png"},
    "start-noise": {"moved.png", "all.png"},
}


def measured(folder: Path) -> dict:
    """The results without what tells when and where they were made."""
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    return {key: value for key, value in results.items() if key not in ("command", "commit", "machine")}


@pytest.mark.parametrize("name", FIGURES)
def test_a_study_leaves_results_and_figures(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "study"
    words = ["study", name, "--out", str(out), *SMALL, *(["--size", "48"] if name == "denoising-steps" else [])]
    main(words)
    assert f"results and figures: {out}" in capsys.readouterr().out
    assert {path.name for path in out.glob("*.png")} == FIGURES[name]
    results = measured(out)
    assert results["study"] == name
    assert results["game"] == STUDIES[name][0]

    before = {path: path.stat().st_mtime_ns for path in (out / "parts").iterdir()}
    main(words)
    assert {path: path.stat().st_mtime_ns for path in (out / "parts").iterdir()} == before
    assert measured(out) == results


def test_frames_too_small_for_a_boxer_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["study", "denoising-steps", "--out", str(tmp_path / "study"), *SMALL])
    assert "use a larger --size" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["denoising-steps", *SMALL, "--horizon", "9"], "--horizon is too short for this study: use at least 10"),
        ([], "study is None: name one of edm-vs-ddpm"),
        (["--seeds", "1"], "study is '--seeds': name one of"),
        (["edm-vs-dppm"], "study is 'edm-vs-dppm': name one of"),
        (["start-noise", "--updates", "0"], "--updates is 0: use at least 1"),
        (["start-noise", "--game", "Breakuot"], "did you mean Breakout"),
        (["start-noise", "--device", "cuda:99"], "cuda:99"),
    ],
)
def test_wrong_words_are_answered(
    words: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit):
        main(["study", *words])
    assert message in capsys.readouterr().err


def test_help_needs_no_name(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["study", "--help"])
    assert not end.value.code
    assert "start-noise" in capsys.readouterr().out


@pytest.mark.slow
def test_a_study_survives_kills_at_random_moments(tmp_path: Path) -> None:
    chance = random.Random(0)
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    for _ in range(8):
        with subprocess.Popen([*COMMAND, "study", "edm-vs-ddpm", "--out", str(killed), *SMALL]) as process:
            time.sleep(chance.uniform(1, 7))
            process.send_signal(signal.SIGKILL)
    for folder in (killed, whole):
        main(["study", "edm-vs-ddpm", "--out", str(folder), *SMALL])
    assert measured(killed) == measured(whole)
