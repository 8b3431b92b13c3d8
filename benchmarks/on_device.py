"""Everything to measure on a GPU, in one go, each part with a time limit; `--device cpu --preset debug` tries it.

python benchmarks/on_device.py --out results --reference PATH

Every part's output is in OUT/NAME.log, its figures in OUT/NAME.json, and what became of each in OUT/summary.json,
written anew after every part, so that a machine taken away in the middle leaves what was done.
"""

import argparse
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from diamond import kernels
from diamond.compute import choose_device
from diamond.config import ComputeConfig
from diamond.runs.files import write_json
from diamond.runs.provenance import commit, machine

BENCHMARKS = Path(__file__).parent


@dataclass(frozen=True)
class Part:
    """A command and the share of the whole time that it may take."""

    name: str
    words: list[str]
    share: float


def parts(arguments: argparse.Namespace) -> list[Part]:
    """In the order of what is missed most if time runs out."""
    out, python = arguments.out, sys.executable
    where = ["--preset", arguments.preset, "--device", arguments.device]
    reference = [] if arguments.reference is None else ["--reference", str(arguments.reference.absolute())]

    def bench(name: str, *words: str) -> Part:
        main = "from diamond.cli.main import main; main()"
        timing = ["--blocks", str(arguments.blocks), "--json", str(out / f"{name}.json")]
        return Part(name, [python, "-c", main, "bench", *where, *timing, *words], 0.25)

    def profiled(name: str, *words: str) -> Part:
        return Part(name, [python, str(BENCHMARKS / "profile_training.py"), *where, *words], 0.15)

    found = [
        Part("tests", [python, "-m", "pytest", "-m", "gpu", "-p", "no:cacheprovider"], 0.15),
        bench("plain", *reference),
        bench("compiled", "--compute.compile", "--compute.bfloat16"),
        bench("bfloat16", "--compute.bfloat16"),
        bench("compiled-float32", "--compute.compile"),
        profiled("profile"),
        profiled("profile-compiled", "--compile", "--bfloat16"),
    ]
    return [part for part in found if part.name != "tests" or arguments.device != "cpu"]


def run(part: Part, out: Path, limit: float) -> dict[str, object]:
    """One part, to its end or its limit."""
    started = time.monotonic()
    with open(out / f"{part.name}.log", "w", encoding="utf-8") as log:
        process = subprocess.Popen(
            part.words, stdout=log, stderr=subprocess.STDOUT, cwd=BENCHMARKS.parent, start_new_session=True
        )
        try:
            result = f"ended with status {process.wait(limit)}"
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)  # with what it has started
            process.wait()
            result = f"stopped after {limit:.0f} s"
    return {"part": part.name, "result": result, "seconds": round(time.monotonic() - started, 1)}


def main() -> None:
    """Run all parts one after the other, within the time given."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--preset", default="atari100k")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--reference", type=Path)
    parser.add_argument("--blocks", type=int, default=5)
    parser.add_argument("--minutes", type=float, default=25.0)
    arguments = parser.parse_args()
    arguments.out = arguments.out.absolute()
    arguments.out.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + 60 * arguments.minutes
    compute = ComputeConfig(device=arguments.device)
    facts = {"commit": commit(), "machine": machine(kernels.in_use(compute, choose_device(compute)))}
    done: list[dict[str, object]] = []
    for part in parts(arguments):
        limit = min(60 * arguments.minutes * part.share, deadline - time.monotonic())
        late = {"part": part.name, "result": "not begun: no time was left", "seconds": 0.0}
        done.append(run(part, arguments.out, limit) if limit > 1 else late)
        print(done[-1], flush=True)
        write_json(arguments.out / "summary.json", facts | {"parts": done})


if __name__ == "__main__":
    main()
