"""What all tests share: a quiet, repeatable machine and small runs to work on."""

import os

# Before PyTorch is imported, and inherited by every command that a test starts.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.setdefault("WANDB_MODE", "disabled")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")  # or huggingface_hub asks the real hub who is calling

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import hypothesis
import pytest
import torch

from diamond.config import Config
from diamond.config.presets import debug

hypothesis.settings.register_profile("local", deadline=None)
hypothesis.settings.register_profile("ci", deadline=None, derandomize=True, database=None)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "local")

torch.set_num_threads(1)  # as many threads as in every other run, so that results are equal to the last bit

COMMAND = (sys.executable, "-W", "error", "-c", "import sys; from diamond.cli.main import main; sys.exit(main())")
"""The command line program, started so that it also works where the package is only on the path."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--forbid-skips", action="store_true", help="fail if any test is skipped or expected to fail")


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    if session.config.getoption("--forbid-skips") and _skipped(session.config) and not session.exitstatus:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if config.getoption("--forbid-skips") and (skipped := _skipped(config)):
        terminalreporter.section("skipped tests are forbidden here", red=True)
        for report in skipped:
            terminalreporter.line(f"{report.nodeid}: {getattr(report, 'wasxfail', report.longrepr)}")


def _skipped(config: pytest.Config) -> list[pytest.TestReport]:
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None:  # a worker process of pytest-xdist: the main process counts
        return []
    return [report for outcome in ("skipped", "xfailed") for report in reporter.stats.get(outcome, [])]


@pytest.fixture
def generator() -> torch.Generator:
    """A seeded source of random tensors on the CPU."""
    return torch.Generator().manual_seed(0)


@pytest.fixture
def debug_config() -> Config:
    """The smallest configuration that runs end to end."""
    return debug()


@pytest.fixture(scope="session")
def diamond_command() -> Callable[..., subprocess.CompletedProcess[str]]:
    """The command line: `diamond_command("train", "--preset", "debug", cwd=folder)` gives the finished process."""

    def run(*arguments: str | Path, cwd: Path, timeout: float = 280) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*COMMAND, *map(str, arguments)], cwd=cwd, timeout=timeout, capture_output=True, text=True, encoding="utf-8"
        )

    return run


@pytest.fixture(scope="session")
def finished_run(
    tmp_path_factory: pytest.TempPathFactory, diamond_command: Callable[..., subprocess.CompletedProcess[str]]
) -> Path:
    """The folder of a finished `debug` run, shared by all tests: read it, copy it, never change it."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    finished = diamond_command("train", "--preset", "debug", "--run", folder, cwd=folder.parent)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return folder
