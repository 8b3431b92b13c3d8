"""The examples run as they are."""

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
