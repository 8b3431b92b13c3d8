"""`diamond study` as a user runs it, as small as it goes."""

import json
import random
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
from conftest import COMMAND

from diamond.cli.main import main
from diamond.lab.studies.consistency import study as consistency
from diamond.lab.studies.scale import STUDIES

SMALL = (
    "--data-steps", "80", "--size", "16", "--channels", "8", "8", "--condition-channels", "16", "--updates", "3",
    "--batch-size", "2", "--trajectories", "2", "--horizon", "12", "--seeds", "0", "1",
)  # fmt: skip
OTHERWISE = {"denoising-steps": ("--size", "48"), "consistency": ("--size", "64")}
"""Frames in which there is something to see."""
FIGURES = {
    "consistency": {"filmstrip.png"},
    "edm-vs-ddpm": {"error.png", "distance.png", "filmstrip-edm.png", "filmstrip-ddpm.png"},
    "denoising-steps": {"sharpness.png", "filmstrip.png"},
    "start-noise": {"moved.png", "all.png"},
}


def measured(folder: Path) -> dict:
    """The results without what tells when and where they were made."""
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    return {key: value for key, value in results.items() if key not in ("command", "commit", "machine")}


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.slow if name in ("edm-vs-ddpm", "start-noise") else ()) for name in FIGURES],
)
def test_a_study_leaves_results_and_figures(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consistency, "PROOF_SEEDS", range(1))
    monkeypatch.setattr(consistency, "PROOF_STEPS", 40)
    monkeypatch.setattr(consistency, "PLANTED", 2)
    out = tmp_path / "study"
    words = ["study", name, "--out", str(out), *SMALL, *OTHERWISE.get(name, ())]
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
    assert not (tmp_path / "study" / "models").exists(), "and nothing was trained for that"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["denoising-steps", *SMALL, "--horizon", "9"], "--horizon is 9: use at least 10"),
        ([], "Expected one of {edm-vs-ddpm, denoising-steps"),
        (["--seeds", "1"], "Available subcommands: edm-vs-ddpm, denoising-steps"),
        (["edm-vs-dppm"], "Available subcommands: edm-vs-ddpm, denoising-steps"),
        (["start-noise", "--updates", "0"], "--updates is 0: use at least 1"),
        (["start-noise", "--game", "Breakuot"], "did you mean Breakout"),
        (["start-noise", "--device", "cuda:99"], "cuda:99"),
        (["consistency", "--size", "32"], "--size is 32: objects can be detected only in frames of 64x64 pixels"),
        (
            ["consistency", "--game", "Pong"],
            "--game is 'Pong': objects can be detected only in Asterix, Breakout, RoadRunner",
        ),
        (["consistency", "--horizon", "7"], "--horizon is 7: use at least 8"),
        (["denoising-steps", "--game", "Pong"], "--game is 'Pong': this study tells the boxers of Boxing"),
        (["start-noise", "--agents"], "--agents is given to start-noise: only denoising-steps trains agents"),
        (["consistency", "--frames", "nothing.npy"], "nothing.npy"),
        (["start-noise", "--frames", "frames.npy"], "only consistency looks at frames"),
    ],
)
def test_wrong_words_are_answered(
    words: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    with pytest.raises(SystemExit):
        main(["study", *words])
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir()), "nothing is left behind"


def test_anyone_s_frames_are_looked_at(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.save(tmp_path / "frames.npy", np.zeros((5, 64, 64, 3), np.uint8))
    main(["study", "consistency", "--game", "RoadRunner", "--frames", str(tmp_path / "frames.npy")])
    found = json.loads(capsys.readouterr().out)
    assert (found["game"], found["frames"], found["object_frames"]) == ("RoadRunner", 5, 0)


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
