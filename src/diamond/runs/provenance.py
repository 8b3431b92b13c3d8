"""Where a number comes from: what was typed, which code ran, and on what."""

import contextlib
import platform
import shlex
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any


def command() -> str:
    """What was typed to start this process, without the folder of the program."""
    return shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])


def commit() -> str | None:
    """The commit of this package's source where it runs from a git checkout, ending in "+" if the checkout has changes
    of its own; None where it is installed otherwise or git is not there."""
    source = Path(__file__).parent

    def git(*words: str) -> str:
        return subprocess.run(
            ["git", "-C", str(source), *words], check=True, capture_output=True, text=True, encoding="utf-8"
        ).stdout.strip()

    try:
        git("ls-files", "--error-unmatch", Path(__file__).name)  # else it is the commit of whatever lies around it
        return git("rev-parse", "HEAD") + ("+" if git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def origin(seed: int, fused: bool) -> dict[str, Any]:
    """What all numbers measured by this process with a seed have in common (docs/reproducing.md); for `fused` see
    `machine`."""
    return {"command": command(), "commit": commit(), "machine": machine(fused), "seed": seed}


def number(
    metric: str, value: float, low: float | None = None, high: float | None = None, n: int = 1
) -> dict[str, Any]:
    """One number with its interval, for `benchmarks/results`; a single measurement without `low` and `high`."""
    low, high = (value if low is None else low), (value if high is None else high)
    return {"metric": metric, "value": value, "low": low, "high": high, "n": n}


def median(metric: str, values: list[float]) -> dict[str, Any]:
    """The median of several blocks, between the lowest and the highest."""
    return number(metric, statistics.median(values), min(values), max(values), len(values))


def machine(fused: bool) -> dict[str, Any]:
    """Hardware, system and versions, and whether networks run on the fused kernels (`kernels.in_use`)."""
    import torch  # here, because a run folder can be read without it

    return {
        "system": platform.platform(),
        "processor": _processor(),
        "threads": torch.get_num_threads(),
        "fused": fused,
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def _processor() -> str:
    """The processor's model where the system tells it, else its architecture."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
