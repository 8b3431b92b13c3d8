"""Episodes on disk: what was written is what is read, and damage is never read as data."""

import re
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from diamond.errors import DataError, DiskError
from diamond.experience.episodes import Episode, EpisodeFolder, read_episode, write_episode


def make_episode(num_steps: int = 3, height: int = 2, width: int = 3, **changes: Any) -> Episode:
    count = (num_steps + 1) * height * width * 3
    fields = {
        "frames": (np.arange(count) % 256).astype(np.uint8).reshape(num_steps + 1, height, width, 3),
        "actions": np.arange(num_steps),
        "rewards": np.linspace(-1, 1, num_steps, dtype=np.float32),
        "terminated": True,
        "truncated": False,
    }
    return Episode(**(fields | changes))


def assert_same(a: Episode, b: Episode) -> None:
    for name in ("frames", "actions", "rewards"):
        first, second = getattr(a, name), getattr(b, name)
        assert first.dtype == second.dtype and first.shape == second.shape and first.tobytes() == second.tobytes()
    assert (a.terminated, a.truncated) == (b.terminated, b.truncated)


@st.composite
def episodes(draw: st.DrawFn) -> Episode:
    steps, height, width = draw(st.integers(0, 6)), draw(st.integers(1, 5)), draw(st.integers(1, 5))
    return Episode(
        frames=draw(hnp.arrays(np.uint8, (steps + 1, height, width, 3))),
        actions=draw(hnp.arrays(np.int64, steps, elements=st.integers(0, 2**31 - 1))),
        rewards=draw(hnp.arrays(np.float32, steps, elements=st.floats(-1e6, 1e6, width=32))),
        terminated=steps > 0 and draw(st.booleans()),
        truncated=steps > 0 and draw(st.booleans()),
    )


# What an episode is


def test_frames_surround_the_actions() -> None:
    episode = make_episode(num_steps=5)
    assert episode.num_steps == 5 and len(episode.frames) == 6


@pytest.mark.parametrize(("terminated", "truncated"), [(True, False), (False, True), (True, True), (False, False)])
def test_only_an_unfinished_episode_has_neither_end(terminated: bool, truncated: bool) -> None:
    assert make_episode(terminated=terminated, truncated=truncated).finished == (terminated or truncated)


def test_an_unfinished_episode_may_have_no_steps_yet() -> None:
    assert make_episode(num_steps=0, terminated=False).num_steps == 0
    with pytest.raises(DataError, match="finished episode has 0 steps"):
        make_episode(num_steps=0, terminated=True)


# Wrong types are refused by the shape checker first where it is on; the episode's own checks hold without it.
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"frames": np.zeros((3, 2, 3, 3), np.uint8)}, "3 frames, 3 actions"),
        ({"rewards": np.zeros(2, np.float32)}, "4 frames, 2 rewards"),
        ({"frames": np.zeros((4, 0, 3, 3), np.uint8)}, "frames have shape"),
        ({"frames": np.zeros((4, 2, 3, 1), np.uint8)}, "frames have shape"),
        ({"frames": np.zeros((4, 2, 3, 3), np.float32)}, "frames are float32"),
        ({"actions": np.zeros(3, np.int32)}, "actions are int32"),
        ({"actions": np.array([0, -1, 0])}, "actions contain a negative number"),
        ({"rewards": np.zeros((3, 1), np.float32)}, "rewards are float32 of shape"),
        ({"rewards": np.array([0, np.nan, 0], np.float32)}, "nan or infinity"),
        ({"rewards": np.array([0, np.inf, 0], np.float32)}, "nan or infinity"),
        ({"terminated": 1}, "terminated is 1"),
        ({"actions": [0, 1, 2]}, "actions are list"),
    ],
)
def test_what_does_not_fit_is_refused(changes: dict[str, Any], message: str) -> None:
    sound = make_episode()
    episode = object.__new__(Episode)
    for name in ("frames", "actions", "rewards", "terminated", "truncated"):
        object.__setattr__(episode, name, changes.get(name, getattr(sound, name)))
    with pytest.raises(DataError, match=re.escape(message)):
        episode.__post_init__()


# Files


@given(episode=episodes())
def test_reading_is_the_inverse_of_writing(episode: Episode) -> None:
    with TemporaryDirectory() as folder:
        write_episode(Path(folder) / "episode.npz", episode)
        assert_same(read_episode(Path(folder) / "episode.npz"), episode)


def test_all_grey_levels_survive_any_number_of_saves(tmp_path: Path) -> None:
    frames = np.arange(256, dtype=np.uint8).reshape(2, 1, 128, 1).repeat(3, axis=3)
    episode = make_episode(1, frames=frames)
    for _ in range(5):
        write_episode(tmp_path / "episode.npz", episode)
        episode = read_episode(tmp_path / "episode.npz")
    assert np.array_equal(episode.frames, frames)


def test_equal_episodes_give_equal_bytes(tmp_path: Path) -> None:
    write_episode(tmp_path / "a.npz", make_episode())
    write_episode(tmp_path / "b.npz", make_episode())
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def sound_bytes() -> bytes:
    with TemporaryDirectory() as folder:
        write_episode(Path(folder) / "episode.npz", make_episode())
        return (Path(folder) / "episode.npz").read_bytes()


SOUND = sound_bytes()


def assert_refused_or_unharmed(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    try:
        episode = read_episode(path)
    except DataError as error:
        assert str(path) in str(error) and "restore it from a copy" in str(error)
    else:
        assert_same(episode, make_episode())


@given(changes=st.lists(st.tuples(st.integers(0, len(SOUND) - 1), st.integers(1, 255)), min_size=1, max_size=4))
def test_changed_bytes_never_change_an_episode(changes: list[tuple[int, int]]) -> None:
    content = bytearray(SOUND)
    for position, mask in changes:
        content[position] ^= mask
    with TemporaryDirectory() as folder:
        assert_refused_or_unharmed(Path(folder) / "episode.npz", bytes(content))


def test_no_single_inverted_byte_changes_an_episode(tmp_path: Path) -> None:
    for position in range(len(SOUND)):
        content = bytearray(SOUND)
        content[position] ^= 0xFF
        assert_refused_or_unharmed(tmp_path / "episode.npz", bytes(content))


def test_a_file_cut_off_anywhere_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "episode.npz"
    for size in range(len(SOUND)):
        path.write_bytes(SOUND[:size])
        with pytest.raises(DataError, match="restore it from a copy"):
            read_episode(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"000007\.npz is missing: restore it"):
        EpisodeFolder(tmp_path).read(7)


def test_pickled_content_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "episode.npz"
    np.savez(path, version=np.int64(1), frames=np.array([{"any": "object"}], dtype=object))
    with pytest.raises(DataError, match="not a readable episode"):
        read_episode(path)


def test_another_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "episode.npz"
    np.savez(path, version=np.int64(3))
    with pytest.raises(DataError, match="format version 3, this release reads up to 2"):
        read_episode(path)


def test_arrays_that_make_no_episode_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "episode.npz"
    sound = make_episode()
    np.savez(
        path, version=np.int64(1), frames=sound.frames[:-1], actions=sound.actions, rewards=sound.rewards,
        terminated=True, truncated=False,
    )  # fmt: skip
    with pytest.raises(DataError, match="not a readable episode"):
        read_episode(path)


def test_a_refused_write_is_a_one_line_error(tmp_path: Path) -> None:
    (tmp_path / "episodes").write_text("a file where the folder should be")
    with pytest.raises(DiskError, match="cannot be written"):
        EpisodeFolder(tmp_path / "episodes").write(0, make_episode())


def test_a_failed_write_leaves_the_old_episode(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = EpisodeFolder(tmp_path)
    folder.write(0, make_episode(num_steps=3))

    def half_a_write(file: Any, **arrays: Any) -> None:
        file.write(SOUND[: len(SOUND) // 2])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez_compressed", half_a_write)
    with pytest.raises(DiskError, match="No space left on device"):
        folder.write(0, make_episode(num_steps=5))
    assert_same(folder.read(0), make_episode(num_steps=3))
    assert [path.name for path in tmp_path.iterdir()] == ["000000.npz"]


# The folder


def test_the_folder_lists_episodes_in_numeric_order(tmp_path: Path) -> None:
    folder = EpisodeFolder(tmp_path / "episodes")
    assert folder.indices() == [] and folder.bytes_on_disk() == 0
    assert not folder.folder.exists()
    for index in (2, 0, 1_000_000):
        folder.write(index, make_episode(num_steps=index % 7 + 1))
    (folder.folder / "notes.txt").write_text("not an episode")
    assert folder.indices() == [0, 2, 1_000_000]
    assert folder.read(2).num_steps == 3
    assert folder.bytes_on_disk() == sum(folder.path(index).stat().st_size for index in folder.indices())


def test_what_a_kill_during_a_write_leaves_is_ignored_then_removed(tmp_path: Path) -> None:
    folder = EpisodeFolder(tmp_path)
    folder.write(0, make_episode())
    (tmp_path / "000001.npz.tmp").write_bytes(SOUND[:40])
    assert folder.indices() == [0]
    assert folder.keep_only([0]) == []
    assert [path.name for path in tmp_path.iterdir()] == ["000000.npz"]
    (tmp_path / "000001.npz.tmp").write_bytes(SOUND[:40])
    folder.write(1, make_episode())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["000000.npz", "000001.npz"]


WRITE_FOREVER = """
import sys
from pathlib import Path
import numpy as np
from diamond.experience.episodes import Episode, EpisodeFolder

frames = np.random.default_rng(0).integers(0, 256, (101, 32, 32, 3), np.uint8)
episode = Episode(frames, np.zeros(100, np.int64), np.zeros(100, np.float32), True, False)
for index in range(10**6):
    EpisodeFolder(Path(sys.argv[1])).write(index, episode)
"""


@pytest.mark.slow
def test_a_killed_writer_leaves_only_whole_episodes(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for trial in range(5):
        folder = EpisodeFolder(tmp_path / str(trial))
        with subprocess.Popen([sys.executable, "-c", WRITE_FOREVER, folder.folder]) as writer:
            while writer.poll() is None and not folder.indices():
                time.sleep(0.01)
            time.sleep(random.uniform(0, 0.2))
            writer.kill()
        for index in folder.indices():
            assert folder.read(index).num_steps == 100
        assert folder.keep_only(folder.indices()) == []
        assert not list(folder.folder.glob("*.tmp"))


def test_episodes_are_set_aside_without_overwriting_earlier_ones(tmp_path: Path) -> None:
    folder = EpisodeFolder(tmp_path)
    for steps in (1, 2, 3):  # three resumes, each after collecting other episodes
        for index in range(3):
            folder.write(index, make_episode(num_steps=steps))
        assert folder.keep_only([0]) == [1, 2]
        assert folder.indices() == [0]
    aside = tmp_path / "set_aside"
    for index in (1, 2):
        names = (f"00000{index}.npz", f"00000{index}-1.npz", f"00000{index}-2.npz")
        assert [read_episode(aside / name).num_steps for name in names] == [1, 2, 3]
    assert folder.bytes_on_disk() == sum(path.stat().st_size for path in tmp_path.rglob("*.npz"))


def test_keeping_a_list_sets_aside_episodes_that_finished_out_of_order(tmp_path: Path) -> None:
    folder = EpisodeFolder(tmp_path)
    for index in (0, 2, 1, 3):
        folder.write(index, make_episode())
    assert folder.keep_only({0, 2}) == [1, 3]
    assert folder.keep_only({0, 2}) == []
    assert folder.indices() == [0, 2]


def test_keeping_a_missing_episode_moves_nothing(tmp_path: Path) -> None:
    folder = EpisodeFolder(tmp_path)
    folder.write(0, make_episode())
    folder.write(5, make_episode())
    with pytest.raises(DataError, match=r"000001\.npz is missing"):
        folder.keep_only([0, 1])
    assert folder.indices() == [0, 5]
