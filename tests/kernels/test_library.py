"""Kernels are built once, kept, and never needed: what goes wrong costs speed and one line."""

import logging
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from diamond.config import ComputeConfig
from diamond.kernels import Copies, accelerate, in_use
from diamond.kernels import library as module
from diamond.kernels.library import cache_folder, library
from diamond.networks.blocks import Conv3x3

COMPILER = os.environ.get("CXX", "c++")
pytestmark = pytest.mark.skipif(library() is None, reason="no C++ compiler")


@pytest.fixture(autouse=True)
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An empty cache, and afterwards the kernels that all tests share."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    library.cache_clear()
    yield
    library.cache_clear()


def program(path: Path, commands: str) -> Path:
    path.write_text(f"#!/bin/sh\n{commands}\n", encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def compiler_that_counts(folder: Path) -> Path:
    """The real one, noting each call that builds."""
    note = f'case "$*" in *-shared*) echo built >> {folder}/log;; esac'
    return program(folder / "counting-c++", f'{note}\nexec {COMPILER} "$@"')


def test_built_once_for_all_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", str(compiler_that_counts(tmp_path)))
    assert library() is not None
    library.cache_clear()  # as another process would start
    assert library() is not None
    assert (tmp_path / "log").read_text(encoding="utf-8") == "built\n"
    [kernels] = cache_folder().iterdir()
    assert kernels.suffix == ".so"


@pytest.mark.parametrize("name", ["kernels.cpp", "convolution.h"])
def test_another_source_is_built_anew(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert library() is not None
    copied = Path(shutil.copytree(module.SOURCE.parent, tmp_path / "kernels"))
    with open(copied / name, "a", encoding="utf-8") as file:
        file.write("// changed\n")
    monkeypatch.setattr(module, "SOURCE", copied / "kernels.cpp")
    library.cache_clear()
    assert library() is not None
    assert len(list(cache_folder().iterdir())) == 2


def test_torn_kernels_are_built_again() -> None:
    assert library() is not None
    [kernels] = cache_folder().iterdir()
    kernels.unlink()  # the open one stays as it is
    kernels.write_bytes(b"torn")
    library.cache_clear()
    assert library() is not None


def test_words_in_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", f"env {COMPILER}")
    assert library() is not None


def test_no_other_system_is_tried(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr("sys.platform", "darwin")
    assert library() is None
    assert not caplog.records


def break_nothing_found(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setenv("PATH", str(folder / "empty"))


def break_compiler_fails(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "false")


def break_compiler_missing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", str(folder / "no-such-compiler"))


def break_cache_is_a_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "file"))


def break_compiler_hangs(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", str(program(folder / "slow-c++", "exec sleep 60")))
    monkeypatch.setattr(module, "TIMEOUT_SECONDS", 0.1)


@pytest.mark.parametrize(
    ("break_it", "reason"),
    [
        (break_nothing_found, "no C++ compiler was found (install g++ or clang++, or name one in the variable CXX)"),
        (break_compiler_fails, "false failed"),
        (break_compiler_missing, "no-such-compiler"),
        (break_cache_is_a_file, "Not a directory"),
        (break_compiler_hangs, "timed out"),
    ],
)
def test_without_kernels_all_goes_on_after_one_line(
    break_it: object, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    break_it(tmp_path, monkeypatch)  # type: ignore[operator]
    conv = Conv3x3(16, 16)
    with caplog.at_level(logging.WARNING):
        assert accelerate(conv) is conv
        assert Copies(wanted=True).of(conv, 0) is conv
        assert not in_use(ComputeConfig(), torch.device("cpu"))
    [record] = caplog.records
    assert record.getMessage().startswith("diamond: no CPU kernels, so dreams are slower: ")
    assert reason in record.getMessage()
    assert "\n" not in record.getMessage()
