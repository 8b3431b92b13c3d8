"""Numbers say which command, code and machine they come from."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from diamond.runs import provenance


def test_the_command_is_what_was_typed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/somewhere/bin/diamond", "train", "--run", "a folder"])
    assert provenance.command() == "diamond train --run 'a folder'"


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A git repository with the module in it, which believes that it runs from there."""
    module = tmp_path / "provenance.py"
    shutil.copy(provenance.__file__, module)
    monkeypatch.setattr(provenance, "__file__", str(module))
    git(tmp_path, "init", "--quiet")
    return tmp_path


def git(folder: Path, *words: str) -> str:
    identity = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
    command = ["git", *identity, "-C", str(folder), *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def test_a_checkout_knows_its_commit_and_tells_of_changes(checkout: Path) -> None:
    git(checkout, "add", "provenance.py")
    git(checkout, "commit", "--quiet", "-m", "first")
    head = git(checkout, "rev-parse", "HEAD")
    assert provenance.commit() == head
    with (checkout / "provenance.py").open("a") as file:
        file.write("# changed\n")
    assert provenance.commit() == head + "+"


def test_a_package_installed_inside_another_repository_has_no_commit(checkout: Path) -> None:
    assert provenance.commit() is None


def test_without_git_there_is_no_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert provenance.commit() is None
