"""Moving and still pictures of games and dreams.

Axes   t time (_ where clips may differ in length) | h w 3 image (4 with transparency)
Units  frames are uint8 in 0..255
"""

import io
import struct
import tempfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import av
import numpy as np
from jaxtyping import UInt8
from PIL import Image

from diamond.reports.pixel_font import HEIGHT, text_mask
from diamond.runs.files import write_bytes

Frames = UInt8[np.ndarray, "_ h w 3"]
FRAMES_PER_SECOND = 15

_BAR = (24, 26, 30)
_BAR_INK = (236, 236, 232)
_STRIP_INK = (128, 128, 128, 255)  # reads on white and on black


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

    `gap` is the dark space between them in unenlarged pixels. The longer of the two is cut to the shorter one's length.
    """
    length = min(len(real), len(dream))
    room = min(real.shape[2], dream.shape[2]) * scale
    longest = max(text_mask(caption).shape[1] for caption in captions)
    size = max(1, min(scale // 2, room // (longest + 4)))  # of a caption's pixels: no wider than the picture below
    margin = 2 * size
    bar_height = HEIGHT * size + 2 * margin
    pictures = [enlarge(frames[:length], scale) for frames in (real, dream)]
    _, height, width, _ = pictures[0].shape
    second = width + gap * scale
    canvas = np.empty((length, bar_height + height, second + pictures[1].shape[2], 3), dtype=np.uint8)
    canvas[:] = _BAR
    for picture, caption, left in zip(pictures, captions, (0, second), strict=True):
        canvas[:, bar_height:, left : left + picture.shape[2]] = picture
        mask = text_mask(caption, size)[:, : picture.shape[2] - margin].astype(bool)
        canvas[:, margin : margin + mask.shape[0], left + margin : left + margin + mask.shape[1]][:, mask] = _BAR_INK
    return canvas


def filmstrip_png(rows: Mapping[str, Frames], steps: Sequence[int], scale: int = 2, gap: int = 2) -> bytes:
    """A PNG of some moments of several equally sized clips: one row a clip, one column a step, transparent between.

    The rows' names stand above them, the steps below the last one as `+5` (steps ahead of frame 0).

    Raises:
        ValueError: there is no clip or no step.
    """
    chosen = {name: frames[list(steps)] for name, frames in rows.items()}
    return strip_png(chosen, [f"+{step}" for step in steps], scale, gap)


def strip_png(rows: Mapping[str, Frames], labels: Sequence[str], scale: int = 2, gap: int = 2) -> bytes:
    """As `filmstrip_png`, of frames that are chosen already, with a label below each column.

    Raises:
        ValueError: there is no clip or no frame.
    """
    if not rows or not labels:
        raise ValueError("a filmstrip needs at least one clip and one step")
    clips = {name: enlarge(frames, scale) for name, frames in rows.items()}
    _, height, width, _ = next(iter(clips.values())).shape
    size, space = max(1, scale * 2 // 3), gap * scale
    line = HEIGHT * size + 2 * space  # a line of text and the air around it
    strip = np.zeros((len(clips) * (line + height) + line, len(labels) * (width + space) - space, 4), dtype=np.uint8)
    for row, (name, clip) in enumerate(clips.items()):
        top = row * (line + height)
        _write(strip, name, top + space, 0, size)
        for column, frame in enumerate(clip):
            left = column * (width + space)
            strip[top + line : top + line + height, left : left + width, :3] = frame
            strip[top + line : top + line + height, left : left + width, 3] = 255
    for column, label in enumerate(labels):
        _write(strip, label, strip.shape[0] - line + space, column * (width + space), size)
    return encode_png(strip)


def _write(canvas: UInt8[np.ndarray, "h w 4"], text: str, top: int, left: int, size: int) -> None:
    mask = text_mask(text, size)[:, : canvas.shape[1] - left].astype(bool)
    canvas[top : top + mask.shape[0], left : left + mask.shape[1]][mask] = _STRIP_INK


def encode_png(image: UInt8[np.ndarray, "h w c"]) -> bytes:
    """An image of 3 (RGB) or 4 (RGBA) channels as a PNG file's bytes (ISO/IEC 15948)."""
    height, width, channels = image.shape
    colour_type = {3: 2, 4: 6}[channels]
    header = struct.pack(">IIBBBBB", width, height, 8, colour_type, 0, 0, 0)
    unfiltered = np.zeros((height, 1), dtype=np.uint8)  # each row starts with the number of its filter: 0, none
    rows = np.concatenate((unfiltered, image.reshape(height, width * channels)), axis=1)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows.tobytes(), 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, content) for kind, content in chunks)


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
