"""Frames of anyone's making, from files: a NumPy array (.npy, .npz) or a folder of PNG pictures.

Nothing is unpickled and nothing resized: how a picture is made smaller decides which colours its pixels have.

Axes   t frames | h w rows and columns, 3 colours last
Units  frames are uint8 in 0..255
"""

from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from diamond.errors import DataError
from diamond.lab.studies.consistency.detectors import SIZE

ARRAY = "frames"
"""What the array in an .npz file is called; a file with a single array may call it anything."""


def read_frames(path: Path) -> UInt8[np.ndarray, "t 64 64 3"]:
    """The frames of one unbroken clip: a uint8 array (t, 64, 64, 3), or a folder's PNGs in the order of their names.

    Raises:
        DataError: nothing is there, it cannot be read, or the frames are of another shape or type.
    """
    if path.is_dir():
        frames = _pictures(path)
    elif path.suffix in (".npy", ".npz"):
        frames = _array(path)
    else:
        raise DataError(f"{path}: frames are read from a .npy or .npz file or a folder of PNG pictures")
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[1:] != (SIZE, SIZE, 3):
        raise DataError(
            f"{path}: frames are {frames.dtype} of shape {frames.shape}, expected uint8 of (t, {SIZE}, {SIZE}, 3): RGB,"
            " the whole Atari screen averaged over areas (`diamond.envs.resize.AreaResize`); they are not resized here"
        )
    return frames


def _array(path: Path) -> np.ndarray:
    try:
        with open(path, "rb") as file:  # np.load leaves it open where it fails
            loaded = np.load(file, allow_pickle=False)
            if isinstance(loaded, np.ndarray):
                return loaded
            name = loaded.files[0] if len(loaded.files) == 1 else ARRAY
            if name not in loaded.files:
                raise DataError(f"{path}: holds {', '.join(loaded.files)}, but no array {ARRAY!r}; rename one of them")
            return loaded[name]
    except DataError:
        raise
    except Exception as reason:  # on damaged bytes the zip and npy parsers raise nearly everything
        raise DataError(f"{path}: cannot be read ({reason}); save the frames anew with numpy.save") from reason


def _pictures(folder: Path) -> np.ndarray:
    files = sorted(folder.glob("*.png"))
    if not files:
        raise DataError(f"{folder}: no PNG pictures (*.png) in it; write one a frame, named in their order")
    lengths = {len(file.name) for file in files}
    if len(lengths) > 1:  # 10.png would come before 2.png
        raise DataError(f"{folder}: names differ in length, which hides their order; number them from 0001.png up")
    pictures = []
    for file in files:
        try:
            with Image.open(file) as picture:
                pictures.append(np.asarray(picture.convert("RGB")))
        except Exception as reason:  # damaged bytes raise more than OSError: SyntaxError, struct.error, zlib.error
            raise DataError(f"{file}: cannot be read as a picture ({reason}); write it again") from reason
        if pictures[-1].shape != pictures[0].shape:
            raise DataError(f"{file}: {pictures[-1].shape} differs from {files[0].name}, {pictures[0].shape}")
    return np.stack(pictures)
