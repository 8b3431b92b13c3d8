"""Frames from files."""

import numpy as np
import pytest
from PIL import Image

from diamond.errors import DataError
from diamond.lab.studies.consistency.clips import read_frames

FRAMES = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), dtype=np.uint8)


def test_frames_come_back_from_every_kind_of_file(tmp_path):
    np.save(tmp_path / "a.npy", FRAMES)
    np.savez(tmp_path / "b.npz", anything=FRAMES)
    np.savez_compressed(tmp_path / "c.npz", frames=FRAMES, rewards=np.zeros(3))
    (tmp_path / "d").mkdir()
    for t, frame in enumerate(FRAMES):
        Image.fromarray(frame).save(tmp_path / "d" / f"{t:05d}.png")
    for name in ("a.npy", "b.npz", "c.npz", "d"):
        np.testing.assert_array_equal(read_frames(tmp_path / name), FRAMES)


def test_nothing_is_resized_cast_or_unpickled(tmp_path):
    np.save(tmp_path / "large.npy", np.zeros((2, 84, 84, 3), np.uint8))
    np.save(tmp_path / "float.npy", FRAMES / 255)
    np.save(tmp_path / "grey.npy", FRAMES[..., 0])
    for name in ("large.npy", "float.npy", "grey.npy"):
        with pytest.raises(DataError, match=r"expected uint8 of \(t, 64, 64, 3\).*not resized here"):
            read_frames(tmp_path / name)
    np.save(tmp_path / "objects.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match="cannot be read"):
        read_frames(tmp_path / "objects.npy")


def test_what_holds_no_frames_is_named(tmp_path):
    np.savez(tmp_path / "two.npz", a=FRAMES, b=FRAMES)
    (tmp_path / "empty").mkdir()
    (tmp_path / "mixed").mkdir()
    for t, frame in enumerate((FRAMES[0], FRAMES[0, :32])):
        Image.fromarray(frame).save(tmp_path / "mixed" / f"{t}.png")
    (tmp_path / "counted").mkdir()
    for t in (2, 10):
        Image.fromarray(FRAMES[0]).save(tmp_path / "counted" / f"{t}.png")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "0.png").write_bytes(b"no picture")
    for name, message in (
        ("two.npz", "holds a, b, but no array 'frames'"),
        ("empty", "no PNG pictures"),
        ("mixed", "1.png: .* differs from 0.png"),
        ("counted", "names differ in length"),
        ("broken", "0.png: cannot be read as a picture"),
        ("missing.npy", "cannot be read"),
        ("film.mp4", "read from a .npy or .npz file or a folder"),
    ):
        with pytest.raises(DataError, match=message):
            read_frames(tmp_path / name)


def test_damaged_files_are_told_and_nothing_else_is_raised(tmp_path):
    """One byte after the other is changed, and the end cut off."""
    small = np.zeros((1, 64, 64, 3), np.uint8)
    np.savez_compressed(tmp_path / "clip.npz", small)
    np.save(tmp_path / "clip.npy", small)
    (tmp_path / "clip").mkdir()
    Image.fromarray(small[0]).save(tmp_path / "clip" / "0.png")
    refused = set()
    for name, file in (("clip.npz", "clip.npz"), ("clip.npy", "clip.npy"), ("clip", "clip/0.png")):
        whole = (tmp_path / file).read_bytes()
        versions = [whole[:length] for length in range(0, len(whole), 1 + len(whole) // 20)]
        for place in range(min(len(whole), 400)):
            versions.append(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
        for damaged in versions:
            (tmp_path / file).write_bytes(damaged)
            try:
                read_frames(tmp_path / name)
            except DataError:
                refused.add(name)
    assert refused == {"clip.npz", "clip.npy", "clip"}
