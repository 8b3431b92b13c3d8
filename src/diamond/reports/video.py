"""Moving and still pictures of games and dreams.

Axes   t time (_ where clips may differ in length) | h w 3 image (4 with transparency)
Units  frames are uint8 in 0..255
"""

import io
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import av
import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont

from diamond.runs.files import write_bytes

Frames = UInt8[np.ndarray, "_ h w 3"]
FRAMES_PER_SECOND = 15

_BAR = (24, 26, 30)
_BAR_INK = (236, 236, 232)
_STRIP_INK = (128, 128, 128)  # reads on white and on black
_SMALLEST_TEXT, _LARGEST_TEXT = 10, 32
"""Sizes of text in pixels, from the line's top to its bottom."""


def enlarge(frames: UInt8[np.ndarray, "*t h w c"], scale: int) -> UInt8[np.ndarray, "*t h2 w2 c"]:
    """Every pixel becomes a square of `scale` pixels a side."""
    return frames.repeat(scale, axis=-3).repeat(scale, axis=-2)


def write_video(path: Path, frames: Frames, fps: int = FRAMES_PER_SECOND, scale: int = 1) -> None:
    """Write an H.264 MP4; see `encode_video`. The file appears whole or not at all.

    Raises:
        ValueError: there are no frames.
        DiskError: the path cannot be written.
    """
    write_bytes(path, encode_video(frames, fps, scale))


def encode_video(frames: Frames, fps: int = FRAMES_PER_SECOND, scale: int = 1) -> bytes:
    """An MP4 that browsers play at once: H.264, 4:2:0 colour, even sides, the index in front of the data.

    Pixels are enlarged `scale` times by nearest neighbour; a side that is then odd gets its last row or column twice.

    Raises:
        ValueError: there are no frames.
    """
    if len(frames) == 0:
        raise ValueError("a video needs at least one frame")
    height, width = (side * scale for side in frames.shape[1:3])
    odd = ((0, height % 2), (0, width % 2), (0, 0))
    # the index moves to the front in a second pass over the file, which the encoder can only do on disk
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "video.mp4"
        with av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"}) as container:
            stream = container.add_stream("libx264", rate=fps, options={"crf": "16", "preset": "slow"})
            stream.width, stream.height = width + width % 2, height + height % 2
            stream.pix_fmt = "yuv420p"
            for frame in frames:
                picture = np.pad(enlarge(frame, scale), odd, mode="edge")
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
            container.mux(stream.encode())
        return path.read_bytes()


def encode_webp(frames: Frames, fps: int = FRAMES_PER_SECOND, scale: int = 1) -> bytes:
    """An animated WebP without loss, that repeats for ever.

    Raises:
        ValueError: there are no frames.
    """
    if len(frames) == 0:
        raise ValueError("a video needs at least one frame")
    first, *others = (Image.fromarray(enlarge(frame, scale)) for frame in frames)
    file = io.BytesIO()
    first.save(
        file, "WEBP", save_all=True, append_images=others, duration=round(1000 / fps), loop=0, lossless=True, method=0
    )
    return file.getvalue()


def side_by_side(
    real: Frames, dream: Frames, gap: int = 2, scale: int = 1, captions: tuple[str, str] = ("real game", "dream")
) -> UInt8[np.ndarray, "_ h2 w2 3"]:
    """Real frames beside imagined ones, enlarged `scale` times, under a dark bar with captions.

    `gap` is the dark space between them in unenlarged pixels. The longer of the two is cut to the shorter one's length,
    and a caption to the width of its picture.
    """
    length = min(len(real), len(dream))
    pictures = [enlarge(frames[:length], scale) for frames in (real, dream)]
    _, height, width, _ = pictures[0].shape
    font = _font(width // 14)
    bar_height = _line_height(font)
    second = width + gap * scale
    canvas = np.empty((length, bar_height + height, second + pictures[1].shape[2], 3), dtype=np.uint8)
    canvas[:] = _BAR
    for picture, caption, left in zip(pictures, captions, (0, second), strict=True):
        right = left + picture.shape[2]
        canvas[:, bar_height:, left:right] = picture
        title = Image.new("RGB", (picture.shape[2], bar_height), _BAR)
        _write(title, caption, 0, bar_height // 4, font, _BAR_INK)
        canvas[:, :bar_height, left:right] = np.asarray(title)
    return canvas


def filmstrip_png(rows: Mapping[str, Frames], labels: Sequence[str], scale: int = 2, gap: int = 2) -> bytes:
    """A PNG of some frames of several equally sized clips: one row a clip, one column a label, transparent between.

    The rows' names stand above them, the labels below the last one. Text that does not fit is cut.

    Raises:
        ValueError: there is no clip or no label, or a clip has another number of frames than there are labels.
    """
    if not rows or not labels or {len(frames) for frames in rows.values()} != {len(labels)}:
        raise ValueError("a filmstrip needs at least one clip and a frame of each clip for each label")
    clips = {name: enlarge(frames, scale) for name, frames in rows.items()}
    _, height, width, _ = next(iter(clips.values())).shape
    font, space = _font(width // 4), gap * scale
    line = _line_height(font)
    size = (len(labels) * (width + space) - space, len(clips) * (line + height) + line)
    # of the ink's colour, so that the soft edges of letters do not turn dark
    strip = Image.new("RGBA", size, (*_STRIP_INK, 0))
    for row, (name, clip) in enumerate(clips.items()):
        top = row * (line + height)
        _write(strip, name, top, 0, font, _STRIP_INK)
        for column, frame in enumerate(clip):
            strip.paste(Image.fromarray(frame), (column * (width + space), top + line))
    for column, label in enumerate(labels):
        _write(strip, label, size[1] - line, column * (width + space), font, _STRIP_INK)
    file = io.BytesIO()
    strip.save(file, "PNG")
    return file.getvalue()


def _font(size: int) -> ImageFont.FreeTypeFont:
    """Pillow's own font, which needs no file, at a size that can be read."""
    font = ImageFont.load_default(min(max(size, _SMALLEST_TEXT), _LARGEST_TEXT))
    assert isinstance(font, ImageFont.FreeTypeFont)
    return font


def _line_height(font: ImageFont.FreeTypeFont) -> int:
    """A line of text and the air around it."""
    return sum(font.getmetrics()) * 5 // 4


def _write(
    picture: Image.Image, text: str, top: int, left: int, font: ImageFont.FreeTypeFont, ink: tuple[int, int, int]
) -> None:
    """Write into the line that begins at `top`."""
    middle = top + _line_height(font) / 2
    ImageDraw.Draw(picture).text((left, middle), text, ink, font, anchor="lm")
