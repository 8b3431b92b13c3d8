"""The examples run as they are."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import tiny_runs

EXAMPLES = Path(__file__).parent.parent / "examples"


@pytest.mark.slow
def test_ppo_learns_in_the_dream(tmp_path: Path) -> None:
    """Stable-Baselines3's PPO, in the newest run of the folder; a warning would be an error."""
    tiny_runs.start(tmp_path / "runs" / "catch")
    small = ("--updates", "2", "--dreams", "2", "--steps", "8", "--horizon", "4", "--device", "cpu")
    command = [sys.executable, "-W", "error", str(EXAMPLES / "ppo_in_the_dream.py"), *small]
    finished = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, encoding="utf-8", timeout=250)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert "learned from 32 imagined steps in 2 updates" in finished.stdout
    assert "ep_rew_mean" in finished.stdout


@pytest.mark.slow
@pytest.mark.timeout(1200)  # a minute on a quiet core
def test_diamond_in_one_file_learns_a_game_in_its_dream(tmp_path: Path) -> None:
    """The command as it stands in the file; no interval of chance or of a held button reaches the agent's."""
    command = [sys.executable, "-W", "error", str(EXAMPLES / "diamond_in_one_file.py")]
    finished = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, encoding="utf-8", timeout=1100)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert len(re.findall(r"^epoch \d", finished.stdout, re.M)) == 6
    scores = dict(re.findall(r"^(\w[\w ]+?) +-?\d\.\d\d \[ *(-?\d\.\d\d, +-?\d\.\d\d)\]$", finished.stdout, re.M))
    intervals = {name: [float(end) for end in ends.split(",")] for name, ends in scores.items()}
    assert set(intervals) == {"always LEFT", "always NOOP", "always RIGHT", "random", "learned in the dream"}
    learned, _ = intervals.pop("learned in the dream")
    assert learned > max(high for _, high in intervals.values())


def test_diamond_in_one_file_fits_on_a_few_screens() -> None:
    assert len((EXAMPLES / "diamond_in_one_file.py").read_text(encoding="utf-8").splitlines()) <= 200
