"""The compiled kernels of `kernels.cpp`: built once for this processor, kept in the user's cache, called by address.

What cannot be built is not needed: without a C++ compiler the networks run on PyTorch's own operations.
"""

import ctypes
import hashlib
import logging
import os
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

SOURCE = Path(__file__).parent / "kernels.cpp"
FLAGS = ("-O3", "-march=native", "-ffp-contract=fast", "-fopenmp", "-std=c++17", "-shared", "-fPIC")
TIMEOUT_SECONDS = 120


class BuildError(Exception):
    """Why there are no kernels."""


@cache
def library() -> ctypes.CDLL | None:
    """The kernels, or None, after one line of warning, where they cannot be built."""
    try:
        return _load(_build())
    except (BuildError, OSError, subprocess.SubprocessError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        logging.getLogger(__name__).warning("diamond: dreaming on the CPU is slower here: %s", reason)
        return None


def _build() -> Path:
    compiler = os.environ.get("CXX") or next(filter(None, map(shutil.which, ("c++", "g++", "clang++"))), None)
    if compiler is None:
        raise BuildError("no C++ compiler was found (install g++ or clang++, or name one in the variable CXX)")
    # What the compiler says of itself and of the processor: another machine with the same home builds its own.
    facts = _run(compiler, "-march=native", "-dM", "-E", "-x", "c++", os.devnull)
    key = hashlib.sha256(b"\0".join([SOURCE.read_bytes(), " ".join(FLAGS).encode(), facts])).hexdigest()[:16]
    built = cache_folder() / f"kernels-{key}.so"
    if not built.is_file():
        built.parent.mkdir(parents=True, exist_ok=True)
        handle, partial = tempfile.mkstemp(dir=built.parent, suffix=".so")
        os.close(handle)
        try:
            _run(compiler, *FLAGS, str(SOURCE), "-o", partial)
            os.replace(partial, built)
        finally:
            Path(partial).unlink(missing_ok=True)
    return built


def cache_folder() -> Path:
    """Where built kernels are kept."""
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA")
    else:
        base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "diamond-wm"


def _run(*command: str) -> bytes:
    finished = subprocess.run(command, capture_output=True, timeout=TIMEOUT_SECONDS)
    if finished.returncode:
        raise BuildError(f"{command[0]} failed: {finished.stderr.decode(errors='replace')}")
    return finished.stdout


def _load(path: Path) -> ctypes.CDLL:
    kernels = ctypes.CDLL(str(path))
    pointer, integer = ctypes.c_void_p, ctypes.c_int
    kernels.diamond_lanes.restype = integer
    kernels.diamond_lanes.argtypes = []
    kernels.diamond_convolution.restype = None
    kernels.diamond_convolution.argtypes = [
        *(pointer, integer) * 2,
        *(integer, ctypes.c_float, pointer, integer),
        *(pointer, pointer),
        *(pointer, integer) * 2,
        *(pointer, pointer),
        *(pointer, integer, integer, integer, integer, integer),
    ]
    kernels.diamond_attention.restype = None
    kernels.diamond_attention.argtypes = [
        *(pointer, integer, ctypes.c_float, pointer),
        *(pointer,) * 4,
        *(pointer, integer, integer, integer, integer),
    ]
    return kernels
