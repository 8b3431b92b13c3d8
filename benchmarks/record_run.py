"""Turn finished runs into `benchmarks/results/*.json`: one flat record a number, as docs/reproducing.md describes.

python benchmarks/record_run.py runs/seed0 runs/seed1 --out benchmarks/results/laptop.json
"""

import argparse
import subprocess
from pathlib import Path
from typing import Any

from diamond.runs.files import write_json
from diamond.runs.folder import EVALUATION, RunFolder, dream_errors_file, read_json
from diamond.runs.provenance import number

POLICIES = ("trained", "random", "best_constant", "untrained")


def records(path: Path) -> list[dict[str, Any]]:
    """Everything that a finished run measured."""
    run = RunFolder.open(path)
    evaluation, dream_errors = read_json(path / EVALUATION), read_json(dream_errors_file(path))
    common = {name: run.facts[name] for name in ("command", "commit", "machine")} | {"seed": run.config.seed}
    # A package that was not run from its checkout does not know its commit: then it is the one checked out here.
    common["commit"] = common["commit"] or head()

    def row(metric: str, *figures: Any) -> dict[str, Any]:
        return common | number(metric, *figures)

    game = run.config.env.name
    rows = []
    for policy in POLICIES:
        if policy in evaluation:
            score = evaluation[policy]
            rows.append(row(f"{game} return, {policy} policy", score["mean"], score["low"], score["high"], score["n"]))
    curves = {kind: dream_errors[kind] for kind in ("dream", "repeat", "shuffled")}
    curves |= {f"{kind} minus dream, paired": gain for kind, gain in dream_errors["gain"].items()}
    for kind, errors in curves.items():
        for i, (horizon, n) in enumerate(zip(dream_errors["horizons"], dream_errors["num_segments"], strict=True)):
            name = f"{game} error on moved pixels, {horizon} steps ahead, {kind} (grey levels)"
            rows.append(row(name, errors["mean"][i], errors["low"][i], errors["high"][i], n))
    cost = evaluation["cost"]
    rows.append(row("wall time of training (s)", cost["training_seconds"]))
    rows += [row(f"wall time of {phase} (s)", seconds) for phase, seconds in cost["phase_seconds"].items()]
    rows.append(row("wall time of scoring and report (s)", cost["finishing_seconds"]))
    rows.append(row("peak memory (bytes)", cost["peak_memory_bytes"]))
    return rows


def head() -> str:
    """The commit checked out in the current folder."""
    return subprocess.run(["git", "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()


def main() -> None:
    """Read the runs named and write one file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--out", required=True, type=Path)
    arguments = parser.parse_args()
    write_json(arguments.out, [record for path in arguments.runs for record in records(path)])


if __name__ == "__main__":
    main()
