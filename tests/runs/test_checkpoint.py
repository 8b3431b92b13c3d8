"""A checkpoint is there as a whole or not at all, and what was changed since is never loaded."""

import errno
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from diamond.errors import DiskError, RunError
from diamond.runs.checkpoint import (
    Checkpoint,
    checkpoint_path,
    checkpoints,
    ends_of_epochs,
    newest_checkpoint,
    open_checkpoint,
    position,
    prune,
    remove_partial,
    write_checkpoint,
)
from diamond.runs.files import write_bytes

FILES = ["agent.safetensors", "training.safetensors", "open-0.npz", "checkpoint.json"]
FACTS = {"env_steps": 120, "best_score": 1.5, "best_epoch": None, "episodes": [0, 1, 3]}


class Killed(BaseException):
    """What no `except` is meant to survive."""


def tensors(epoch: int) -> dict[str, dict[str, Tensor]]:
    return {
        "agent": {"w": torch.full((2, 3), float(epoch)), "half": torch.ones(2, dtype=torch.bfloat16)},
        "training": {
            "updates": torch.tensor(epoch),
            "mask": torch.tensor([True, False]),
            "random": torch.arange(4, dtype=torch.uint8),
            "strided": torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(epoch)).to(
                memory_format=torch.channels_last
            ),
            "return": torch.tensor([0.1], dtype=torch.float64),
        },
    }


def write(folder: Path, epoch: int) -> Checkpoint:
    return write_checkpoint(
        folder, epoch, tensors(epoch), FACTS, lambda path: write_bytes(path / "open-0.npz", b"episode" * 9)
    )


def assert_whole(checkpoint: Checkpoint, epoch: int) -> None:
    assert checkpoint.epoch == epoch
    assert {name: checkpoint.facts[name] for name in FACTS} == FACTS
    for name, group in tensors(epoch).items():
        found = checkpoint.tensors(name)
        assert found.keys() == group.keys()
        for key, value in group.items():
            assert found[key].dtype == value.dtype
            assert torch.equal(found[key], value)
    assert checkpoint.file("open-0.npz").read_bytes() == b"episode" * 9


def newest(folder: Path) -> Checkpoint:
    found = newest_checkpoint(folder)
    assert found is not None
    return found


def test_what_is_written_is_read(tmp_path: Path) -> None:
    assert newest_checkpoint(tmp_path / "none") is None
    assert_whole(write(tmp_path, 3), 3)
    assert_whole(open_checkpoint(tmp_path / "epoch-000003"), 3)
    write(tmp_path, 12)
    assert_whole(newest(tmp_path), 12)
    assert [path.name for path in checkpoints(tmp_path)] == ["epoch-000003", "epoch-000012"]
    assert sorted(path.name for path in (tmp_path / "epoch-000012").iterdir()) == sorted(FILES)


def test_a_checkpoint_of_the_same_epoch_is_replaced(tmp_path: Path) -> None:
    """As when a run is resumed from before it."""
    write(tmp_path, 3)
    (tmp_path / "epoch-000003" / "left over").touch()
    assert_whole(write(tmp_path, 3), 3)
    assert not (tmp_path / "epoch-000003" / "left over").exists()


def test_one_within_an_epoch_is_newer_than_its_beginning_and_older_than_its_end(tmp_path: Path) -> None:
    for epoch, units in ((11, 0), (10, 1_000_000), (9, 5), (10, 0), (10, 999_999)):
        write_checkpoint(tmp_path, epoch, {}, {"phase": "denoiser", "done": 4}, lambda path: None, units)
    names = ["9-000005", "10", "10-999999", "10-1000000", "11"]
    expected = ["epoch-" + "-".join([name.split("-")[0].zfill(6), *name.split("-")[1:]]) for name in names]
    assert [path.name for path in checkpoints(tmp_path)] == expected
    assert [position(path) for path in checkpoints(tmp_path)][1:4] == [(10, 0), (10, 999_999), (10, 1_000_000)]
    assert ends_of_epochs(tmp_path) == {epoch: tmp_path / f"epoch-{epoch:06d}" for epoch in (10, 11)}
    assert newest(tmp_path).when == "of epoch 11"
    assert open_checkpoint(tmp_path / "epoch-000009-000005").when == "in epoch 10 (phase denoiser, 4 done)"


OTHERS = ["epoch-000004.bak", "epoch-4", "epoch-000004-copy", "epoch-000009-", "my-epoch-000009", "notes"]


def test_whatever_else_lies_there_is_left_alone(tmp_path: Path) -> None:
    """Such as a copy somebody made: it is never opened, removed, or in the way."""
    for epoch in (3, 4):
        write(tmp_path, epoch)
    for name in OTHERS:
        shutil.copytree(tmp_path / "epoch-000003", tmp_path / name)
    (tmp_path / "epoch-000099").touch()  # a file
    before = {path.name for path in tmp_path.iterdir()}
    assert_whole(newest(tmp_path), 4)
    prune(tmp_path, 0, None)
    write(tmp_path, 5)
    prune(tmp_path, 0, None)
    assert {path.name for path in tmp_path.iterdir()} == before - {"epoch-000003", "epoch-000004"} | {"epoch-000005"}


# Kills and full disks, at every moment


def fail_at(monkeypatch: pytest.MonkeyPatch, function: str, call: int, reason: BaseException) -> None:
    """The `call`-th use of a function of `os` fails, and all that follow."""
    calls, original = 0, getattr(os, function)

    def failing(*arguments: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls >= call:
            raise reason
        return original(*arguments, **options)

    monkeypatch.setattr(os, function, failing)


MOMENTS = [("fsync", call) for call in range(1, 5)] + [("replace", call) for call in range(1, 6)]


@pytest.mark.parametrize(("function", "call"), MOMENTS)
def test_a_kill_leaves_the_checkpoint_before(tmp_path: Path, function: str, call: int) -> None:
    write(tmp_path, 1)
    with pytest.MonkeyPatch.context() as monkeypatch:
        fail_at(monkeypatch, function, call, Killed())
        with pytest.raises(Killed):
            write(tmp_path, 2)
    assert_whole(newest(tmp_path), 1)
    remove_partial(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["epoch-000001"]
    assert_whole(write(tmp_path, 2), 2)


@pytest.mark.parametrize(("function", "call"), MOMENTS)
def test_a_full_disk_is_told_and_leaves_the_checkpoint_before(tmp_path: Path, function: str, call: int) -> None:
    write(tmp_path, 1)
    with pytest.MonkeyPatch.context() as monkeypatch:
        fail_at(monkeypatch, function, call, OSError(errno.ENOSPC, "No space left on device"))
        with pytest.raises(DiskError, match=r"cannot be written \(No space left on device\): free disk space") as told:
            write(tmp_path, 2)
    assert "00002" in str(told.value)
    assert_whole(newest(tmp_path), 1)
    assert_whole(write(tmp_path, 2), 2)
    assert [path.name for path in checkpoints(tmp_path)] == ["epoch-000001", "epoch-000002"]
    assert list(tmp_path.glob("partial-*")) == []


def test_the_moments_above_are_all_there_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = {"fsync": 0, "replace": 0}
    for name in calls:
        original = getattr(os, name)

        def counted(*arguments: Any, name: str = name, original: Any = original) -> Any:
            calls[name] += 1
            return original(*arguments)

        monkeypatch.setattr(os, name, counted)
    write(tmp_path, 1)
    assert sorted(MOMENTS) == sorted((name, call + 1) for name, count in calls.items() for call in range(count))


# Damage


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", ["changed", "cut", "emptied", "removed"])
def test_damage_is_told_with_the_file_and_the_remedy(tmp_path: Path, name: str, damage: str) -> None:
    write(tmp_path, 7)
    path = tmp_path / "epoch-000007" / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes({"changed": content, "cut": content[:-5]}.get(damage, b""))
    if damage == "removed":
        path.unlink()
    with pytest.raises(RunError) as told:
        checkpoint = newest(tmp_path)
        checkpoint.tensors("agent")
        checkpoint.tensors("training")
        checkpoint.file("open-0.npz")
    remedy = "restore it from a copy, or remove the folder epoch-000007 to go on from the checkpoint before it"
    assert str(told.value).startswith(f"{path} is damaged (")
    assert str(told.value).endswith(remedy)


@given(position=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_no_changed_fact_goes_unnoticed(tmp_path_factory: pytest.TempPathFactory, position: float, bit: int) -> None:
    """A change that is accepted is none: white space, or another spelling of the same number."""
    folder = tmp_path_factory.mktemp("run")
    path = write(folder, 1).path / "checkpoint.json"
    content = bytearray(path.read_bytes())
    facts = newest(folder).facts
    content[int(position * len(content))] ^= 1 << bit
    path.write_bytes(content)
    try:
        assert newest(folder).facts == facts
    except RunError as error:
        assert "checkpoint" in str(error)  # damaged, or of a newer format


@pytest.mark.parametrize("content", ["[]", "null", "3", '"format"', "{}", '{"format": "x"}', '{"format": null}'])
def test_facts_of_the_wrong_form_are_damage(tmp_path: Path, content: str) -> None:
    write(tmp_path, 1)
    path = tmp_path / "epoch-000001" / "checkpoint.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(RunError, match=r"checkpoint\.json is damaged"):
        open_checkpoint(path.parent)


def test_tensors_that_are_none_are_damage(tmp_path: Path) -> None:
    """Even where the checksum is right, a file is read as plain data or not at all."""
    checkpoint = write_checkpoint(
        tmp_path, 1, {}, {}, lambda path: write_bytes(path / "agent.safetensors", b"\x80\x04cos\nsystem\n")
    )
    with pytest.raises(RunError, match=r"agent\.safetensors is damaged"):
        checkpoint.tensors("agent")


def test_a_newer_format_is_refused(tmp_path: Path) -> None:
    write(tmp_path, 1)
    path = tmp_path / "epoch-000001" / "checkpoint.json"
    facts = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(facts | {"format": 3}), encoding="utf-8")
    with pytest.raises(RunError, match="has checkpoint format 3, this release reads 2: use a newer one"):
        newest_checkpoint(tmp_path)


# What is kept


@pytest.mark.parametrize(
    ("keep_every", "best", "kept"),
    [(3, 2, [2, 3, 6, 7]), (0, 2, [2, 7]), (0, None, [7]), (2, None, [2, 4, 6, 7]), (1, 5, [1, 2, 3, 4, 5, 6, 7])],
)
def test_the_newest_the_best_and_every_so_many_are_kept(
    tmp_path: Path, keep_every: int, best: int | None, kept: list[int]
) -> None:
    for epoch in range(1, 8):
        (tmp_path / f"epoch-{epoch:06d}").mkdir()
    prune(tmp_path, keep_every, best)
    assert [int(path.name.removeprefix("epoch-")) for path in checkpoints(tmp_path)] == kept


@pytest.mark.parametrize(
    ("names", "kept"),
    [
        (["2", "3", "3-7", "3-9"], ["2", "3", "3-9"]),  # replaced by the next; the end of an epoch before it stays
        (["0-4", "0-8"], ["0-8"]),
        (["2", "3", "3-9", "4"], ["2", "4"]),
        (["2", "2-5", "4", "6-5"], ["2", "4", "6-5"]),  # 2 is the best, and 2-5 has no part in that, nor in multiples
    ],
)
def test_within_an_epoch_only_the_newest_is_kept(tmp_path: Path, names: list[str], kept: list[str]) -> None:
    def path(name: str) -> Path:
        epoch, _, units = name.partition("-")
        return checkpoint_path(tmp_path, int(epoch), int(units or 0))

    for name in names:
        path(name).mkdir()
    prune(tmp_path, 2 if "6-5" in names else 0, 2)
    assert checkpoints(tmp_path) == [path(name) for name in kept]


def test_a_kill_while_one_is_removed_leaves_none_that_only_looks_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for epoch in (1, 2, 3):
        write(tmp_path, epoch)
    remove = shutil.rmtree

    def half_way(path: Path) -> None:
        (path / "agent.safetensors").unlink()
        raise Killed

    monkeypatch.setattr(shutil, "rmtree", half_way)
    with pytest.raises(Killed):
        prune(tmp_path, 0, None)
    monkeypatch.setattr(shutil, "rmtree", remove)
    for path in checkpoints(tmp_path):
        checkpoint = open_checkpoint(path)
        assert_whole(checkpoint, checkpoint.epoch)
    write(tmp_path, 4)
    prune(tmp_path, 0, None)
    assert [path.name for path in tmp_path.iterdir()] == ["epoch-000004"]
