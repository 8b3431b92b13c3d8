"""The compiled kernels of `kernels.cpp`: built once for this processor, kept in the user's cache, called by address.

What cannot be built is not needed: without a C++ compiler the networks run on PyTorch's own operations.
"""

import ctypes
import hashlib
import logging
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

SOURCE = Path(__file__).parent / "kernels.cpp"
"""What is compiled; it includes the headers beside it."""
FLAGS = ("-O3", "-march=native", "-ffp-contract=fast", "-fopenmp", "-std=c++17", "-shared", "-fPIC")
TIMEOUT_SECONDS = 120


class BuildError(Exception):
    """Why there are no kernels."""


@cache
def library() -> ctypes.CDLL | None:
    """The kernels, or None: after one line of warning where they cannot be built, in silence on another system than
    Linux, where they were never tried."""
    if sys.platform != "linux":
        return None
    try:
        built = _build()
        try:
            return _load(built)
        except OSError:  # torn, or built beside another C library
            built.unlink()
            return _load(_build())
    except (BuildError, OSError, RuntimeError, AttributeError, subprocess.SubprocessError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        logging.getLogger(__name__).warning("diamond: no CPU kernels, so dreams are slower: %s", reason)
        return None


def loaded() -> ctypes.CDLL:
    """The kernels, which must be there: `accelerate` is what asks."""
    kernels = library()
    assert kernels is not None
    return kernels


def _build() -> Path:
    found = next(filter(None, map(shutil.which, ("c++", "g++", "clang++"))), "")
    compiler = shlex.split(os.environ.get("CXX", "")) or [found]
    if not compiler[0]:
        raise BuildError("no C++ compiler was found (install g++ or clang++, or name one in the variable CXX)")
    # What the compiler says of itself and of the processor: another machine with the same home builds its own.
    facts = _run(*compiler, "-march=native", "-dM", "-E", "-x", "c++", os.devnull)
    sources = [path.read_bytes() for path in (SOURCE, *sorted(SOURCE.parent.glob("*.h")))]
    key = hashlib.sha256(b"\0".join([*sources, " ".join(FLAGS).encode(), facts])).hexdigest()[:16]
    built = cache_folder() / f"kernels-{key}.so"
    if not built.is_file():
        built.parent.mkdir(parents=True, exist_ok=True)
        handle, partial = tempfile.mkstemp(dir=built.parent, suffix=".so")
        os.close(handle)
        try:
            _run(*compiler, *FLAGS, str(SOURCE), "-o", partial)
            os.replace(partial, built)
        finally:
            Path(partial).unlink(missing_ok=True)
    return built


def cache_folder() -> Path:
    """Where built kernels are kept."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "diamond-wm"


def _run(*command: str) -> bytes:
    finished = subprocess.run(command, capture_output=True, timeout=TIMEOUT_SECONDS)
    if finished.returncode:
        raise BuildError(f"{command[0]} failed: {finished.stderr.decode(errors='replace')}")
    return finished.stdout


def _load(path: Path) -> ctypes.CDLL:
    kernels = ctypes.CDLL(str(path))
    pointer, integer, number = ctypes.c_void_p, ctypes.c_int, ctypes.c_float
    kernels.diamond_lanes.argtypes = []
    kernels.diamond_convolution.argtypes = [
        *(pointer, pointer, integer, integer, integer, integer, integer),
        *(integer, number, pointer, integer, number),
        *(pointer, pointer, integer, pointer, pointer, integer),
        *(pointer, pointer, integer),
    ]
    kernels.diamond_residual_block.argtypes = [
        *(pointer, pointer, integer, pointer, pointer, integer, integer, integer, integer),
        *(integer, pointer, pointer, pointer),
        *(integer, pointer, pointer, pointer, number),
        *(integer, pointer, pointer, pointer, pointer, pointer),
        integer,
    ]
    kernels.diamond_attention.argtypes = [
        *(pointer, pointer, integer, integer, integer, integer),
        *(integer, number, pointer),
        *(pointer, pointer, pointer, pointer),
        *(pointer, integer),
    ]
    for function in (kernels.diamond_convolution, kernels.diamond_residual_block, kernels.diamond_attention):
        function.restype = None
    return kernels
