"""Videos and stills show what they were given."""

import io
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from diamond.errors import DiskError
from diamond.reports.video import encode_video, enlarge, filmstrip_png, side_by_side, write_video


def clip(count: int = 12, height: int = 16, width: int = 24) -> np.ndarray:
    """Large fields of colour, one of which grows."""
    frames = np.empty((count, height, width, 3), dtype=np.uint8)
    frames[:] = (40, 60, 160)
    for t in range(count):
        frames[t, :, : 2 * t] = (220, 180, 60)
    return frames


def decode(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def test_a_video_decodes_to_the_frames_it_was_made_of(tmp_path: Path) -> None:
    frames = clip()
    write_video(tmp_path / "clip.mp4", frames, scale=4)
    shown = decode(tmp_path / "clip.mp4")
    assert shown.shape == (12, 64, 96, 3)
    centres = shown[:, 2::4, 2::4].astype(int)  # away from edges, which compression softens
    assert np.abs(centres - frames).mean() < 4


def test_sides_are_even_and_the_rate_is_kept(tmp_path: Path) -> None:
    write_video(tmp_path / "odd.mp4", clip(5, 15, 21), fps=30)
    with av.open(str(tmp_path / "odd.mp4")) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.pix_fmt, stream.frames) == ("h264", "yuv420p", 5)
        assert (stream.width, stream.height) == (22, 16)
        assert stream.average_rate == 30


def test_a_single_frame_makes_a_video(tmp_path: Path) -> None:
    write_video(tmp_path / "one.mp4", clip(1))
    assert len(decode(tmp_path / "one.mp4")) == 1


def test_browsers_can_start_before_the_whole_file_is_there() -> None:
    content = encode_video(clip())
    assert content.index(b"moov") < content.index(b"mdat")


def test_no_frames_no_video() -> None:
    with pytest.raises(ValueError, match="at least one frame"):
        encode_video(clip()[:0])


def test_a_path_that_cannot_be_written_is_named_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(DiskError, match=r"clip\.mp4 cannot be written") as caught:
        write_video(tmp_path / "file" / "clip.mp4", clip(2))
    assert "\n" not in str(caught.value)


def test_a_failed_write_leaves_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").mkdir()
    with pytest.raises(DiskError):
        write_video(tmp_path / "clip.mp4", clip(2))
    assert [path.name for path in tmp_path.iterdir()] == ["clip.mp4"]


def test_side_by_side_keeps_both_pictures_and_cuts_to_the_shorter() -> None:
    real, dream = clip(8), clip(6)[:, ::-1]
    both = side_by_side(real, dream, gap=2, scale=3)
    assert len(both) == 6 and both.shape[2] == 3 * (24 + 2 + 24)
    np.testing.assert_array_equal(both[:, -48:, :72], enlarge(real[:6], 3))
    np.testing.assert_array_equal(both[:, -48:, -72:], enlarge(dream, 3))


def test_captions_stand_above_and_never_cover_the_picture() -> None:
    plain = side_by_side(clip(2), clip(2), scale=4, captions=("", ""))
    named = side_by_side(clip(2), clip(2), scale=4, captions=("real", "dream"))
    bar = named.shape[1] - 4 * 16
    assert (named[:, :bar] != plain[:, : plain.shape[1] - 4 * 16][:, :bar]).any()
    np.testing.assert_array_equal(named[:, -64:], plain[:, -64:])


def test_a_caption_too_long_is_cut() -> None:
    both = side_by_side(clip(1, 8, 8), clip(1, 8, 8), captions=("a caption much wider than its picture", "b"))
    assert both.shape[2] == 8 + 2 + 8


def pixels(png: bytes) -> np.ndarray:
    picture = Image.open(io.BytesIO(png))
    assert (picture.format, picture.mode) == ("PNG", "RGBA")
    return np.asarray(picture)


def test_a_filmstrip_shows_its_frames_under_names_and_above_labels() -> None:
    steps = [0, 5, 9]
    real, dream = clip(10)[steps], clip(10)[steps][:, ::-1]
    shown = pixels(filmstrip_png({"real game": real, "dream": dream}, ["+0", "+5", "+9"], scale=2, gap=1))
    line = (len(shown) - 2 * 32) // 3
    assert shown.shape == (3 * line + 2 * 32, 3 * 48 + 2 * 2, 4)
    np.testing.assert_array_equal(shown[line : line + 32, 50:98, :3], enlarge(real[1], 2))
    np.testing.assert_array_equal(shown[2 * line + 32 : 2 * line + 64, 100:148, :3], enlarge(dream[2], 2))
    assert (shown[:line, :, 3] > 0).any()  # a name
    assert (shown[-line:, :, 3] > 0).any()  # the labels
    assert (shown[line : line + 32, 48:50, 3] == 0).all()  # transparent between


def test_the_soft_edges_of_letters_keep_their_colour_on_any_background() -> None:
    strip = pixels(filmstrip_png({"real game": clip(1, 64, 64)}, ["+1"], scale=1))
    text = strip[: (len(strip) - 64) // 2]
    assert ((text[..., 3] > 0) & (text[..., 3] < 255)).any()
    assert (text[..., :3] == 128).all()


def test_text_of_any_characters_fits_or_is_cut() -> None:
    rows = {"\N{SNOWMAN} a name much longer than its only frame": clip(1)}
    assert pixels(filmstrip_png(rows, ["a long label"], scale=1)).shape[1] == 24


@pytest.mark.parametrize(("rows", "labels"), [({}, ["+1"]), ({"real": clip(0)}, []), ({"real": clip(2)}, ["+1"])])
def test_a_filmstrip_needs_a_frame_for_each_label(rows: dict[str, np.ndarray], labels: list[str]) -> None:
    with pytest.raises(ValueError, match="at least one clip"):
        filmstrip_png(rows, labels)
