"""The documentation tells the truth: its commands run, its code runs, what it refers to exists, its tables are current.

Commands are run in the order of the page, in one folder, with the preset `debug` and a few steps and games in place of
what the page says. The two commands that install the package are run by `.ci/run`.
"""

import importlib.util
import os
import re
import shlex
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from conftest import COMMAND

ROOT = Path(__file__).parent.parent
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "benchmarks/README.md",
    *sorted((ROOT / "docs").glob("*.md")),
]
NOT_RUN_HERE = {
    *("python3 -m venv", ". .venv/bin/activate", "pip install", "pre-commit install"),
    *("pytest", ".ci/run", "sphinx-build", "npm"),
}
"""Beginnings of commands that install, check, run the tests themselves or build the documentation."""
SMALL = {"--preset": "debug", "--episodes": "2", "--steps": "4", "--schedule.epochs": "4", "--seconds": "0.01"}
"""Options replaced by small values."""


FULL = re.MULTILINE | re.DOTALL


def name(page: Path) -> str:
    """A page's name in test ids."""
    return page.name


def fenced(page: Path, language: str) -> list[str]:
    """The contents of a page's code blocks in `language`."""
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), FULL)


def commands(page: Path) -> list[list[str]]:
    """The commands in a page's `bash` blocks, as lists of words; continued lines are joined, comments dropped."""
    text = "".join(fenced(page, "bash")).replace("\\\n", " ")
    return [words for line in text.splitlines() for part in line.split("&&") if (words := shlex.split(part, True))]


def diamond_commands(page: Path) -> list[list[str]]:
    """Those that run this package, with environment variables set before them."""
    return [words for words in commands(page) if "diamond" in words]


def in_small(words: list[str]) -> list[str]:
    """A `diamond` command without its first word, cut down to seconds."""
    arguments = words[1:]
    for i, option in enumerate(arguments[:-1]):
        arguments[i + 1] = SMALL.get(option, arguments[i + 1])
    if arguments[0] in ("train", "bench") and not {"--preset", "--resume"} & set(arguments):
        arguments[1:1] = ["--preset", "debug"]
    return arguments


def play_for_a_moment(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """A server is started, asked for its page, and interrupted as by Ctrl-C."""
    words = [*COMMAND, *arguments, "--port", "0"]
    with subprocess.Popen(words, cwd=cwd, stdout=subprocess.PIPE, text=True, encoding="utf-8") as process:
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            lines.append(line)
            if found := re.search(r"http://\S+", line):
                with urllib.request.urlopen(found[0]) as page:
                    assert b"<title>" in page.read()
                process.send_signal(signal.SIGINT)
        return subprocess.CompletedProcess(words, process.wait(), "".join(lines), "")


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("page", [page for page in PAGES if diamond_commands(page) or fenced(page, "python")], ids=name)
def test_commands_and_code_run(
    page: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    diamond_command: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    for file, code in re.findall(r"^```python\n# (\w+\.py)\n(.*?)^```", page.read_text(encoding="utf-8"), FULL):
        (tmp_path / file).write_text(code, encoding="utf-8")
    for words in diamond_commands(page):
        with monkeypatch.context() as context:
            while "=" in words[0]:
                variable, _, value = words.pop(0).partition("=")
                context.setenv(variable, os.pathsep.join(filter(None, (value, os.environ.get(variable)))))
            run = play_for_a_moment if words[1] == "play" else diamond_command
            finished = run(*in_small(words), cwd=tmp_path)
        assert finished.returncode == 0, f"{shlex.join(words)}\n{finished.stdout}\n{finished.stderr}"
    for code in fenced(page, "python"):
        command = [sys.executable, "-W", "error", "-c", code]
        finished = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, encoding="utf-8")
        assert finished.returncode == 0, f"{code}\n{finished.stdout}\n{finished.stderr}"


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_command_is_one_that_is_tested_somewhere(page: Path) -> None:
    for words in commands(page):
        assert "diamond" in words or any(shlex.join(words).startswith(known) for known in NOT_RUN_HERE), words


def test_ci_installs_and_tests_as_the_readme_says() -> None:
    ci = [shlex.split(line, True) for line in (ROOT / ".ci/run").read_text(encoding="utf-8").splitlines()]
    plain = [[word for word in words if word != "--quiet"] for words in ci]
    installs = [words for words in commands(ROOT / "README.md") if words[:2] == ["pip", "install"]]
    assert len(installs) >= 2
    assert all(words in plain for words in installs)
    assert any(words[:1] == ["pytest"] for words in plain)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_and_references_lead_somewhere(page: Path) -> None:
    """Relative links are files; `folder/file.py` exists in the repository or the package; `file.py:name` is in it."""
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!https?://|#)([^)#]+)", text):
        assert (page.parent / target).exists(), target
    for path, names in re.findall(r"`((?:[\w.]+/)*\w+\.py)(?::+(\w[\w.]*))?`", text):
        homes = [home / path for home in (ROOT, ROOT / "src/diamond") if (home / path).is_file()]
        assert homes, f"{path} does not exist"
        for part in names.split(".") if names else []:
            assert re.search(rf"\b{part}\b", homes[0].read_text(encoding="utf-8")), f"{path} has no {part}"


def test_every_deviation_names_its_test() -> None:
    rows = [line for line in (ROOT / "docs/deviations.md").read_text(encoding="utf-8").splitlines() if line[:2] == "| "]
    assert [row for row in rows if "`tests/" not in row and not row.startswith("| published | here | why |")] == []


@pytest.mark.parametrize("script", ["tools/write_configuration.py", "tools/write_results.py"])
def test_written_pages_are_current(script: str) -> None:
    writer = load(ROOT / script)
    assert writer.PAGE.read_text(encoding="utf-8") == writer.page(), f"run python {script}"


def test_every_page_is_on_the_site_and_on_the_first_page() -> None:
    listed = {entry for entries in load(ROOT / "docs/conf.py").PAGES.values() for entry in entries}
    first = (ROOT / "docs/index.md").read_text(encoding="utf-8")
    for page in (ROOT / "docs").glob("*.md"):
        assert page.stem == "index" or (f"docs/{page.stem}" in listed and f"]({page.name})" in first), page.name


def test_changelog_names_the_version() -> None:
    version = re.search(r'__version__ = "([^"]+)"', (ROOT / "src/diamond/version.py").read_text(encoding="utf-8"))
    assert version is not None
    assert f"## {version[1]}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def load(script: Path) -> ModuleType:
    """A script as a module."""
    spec = importlib.util.spec_from_file_location(script.stem, script)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
