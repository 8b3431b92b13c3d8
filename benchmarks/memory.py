"""How much memory a process takes; for the measurements beside this file."""

import os
from pathlib import Path


def resident_bytes() -> int:
    """Physical memory of this process (Linux)."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
