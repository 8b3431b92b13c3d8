"""Writes benchmarks/README.md from `benchmarks/results/*.json`; run it after adding results."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"
PAGE = BENCHMARKS / "README.md"
INTRODUCTION = """\
# Results

All numbers of `benchmarks/results/`, one section for each file. `python tools/write_results.py` writes this page, and a
test checks that both agree. Values are followed by their 95 % interval, speeds by the lowest and the highest of n
blocks. n is the number of games, segments or repetitions behind each value.

[Reproducing](../docs/reproducing.md#results) explains the fields, and how the files are made.
"""


def page() -> str:
    """The whole page."""
    return INTRODUCTION + "".join(part for file in sorted(BENCHMARKS.glob("results/*.json")) for part in section(file))


def section(file: Path) -> Iterator[str]:
    """One file: what it was measured on, and a table of metrics by seed."""
    records = json.loads(file.read_text(encoding="utf-8"))
    seeds = sorted({record["seed"] for record in records})
    yield f"\n## {file.name}\n\n"
    for fact in dict.fromkeys((record["commit"], machine(record["machine"])) for record in records):
        yield f"Commit {fact[0]}, {fact[1]}.\n"
    yield "\n" + "".join(f"- `{command}`\n" for command in dict.fromkeys(record["command"] for record in records))
    yield f"\n| metric | {' | '.join(f'seed {seed}' for seed in seeds)} | n |\n|{'---|' * (len(seeds) + 2)}\n"
    for metric in dict.fromkeys(record["metric"] for record in records):
        rows = {record["seed"]: record for record in records if record["metric"] == metric}
        cells = " | ".join(figure(rows[seed]) if seed in rows else "" for seed in seeds)
        numbers = ", ".join(str(n) for n in dict.fromkeys(row["n"] for row in rows.values()))
        yield f"| {metric} | {cells} | {numbers} |\n"


def machine(facts: dict[str, Any]) -> str:
    """Hardware and versions in a line."""
    hardware = facts["gpu"] or f"{facts['processor']}, {facts['threads']} threads"
    hardware += ", fused kernels" if facts.get("fused") else ""
    return f"{hardware}, Python {facts['python']}, PyTorch {facts['torch']}, {facts['system']}"


def figure(record: dict[str, Any]) -> str:
    """Value and interval; the value alone where it is a single measurement."""
    value, low, high = (f"{record[part]:.4g}" for part in ("value", "low", "high"))
    return value if record["low"] == record["high"] else f"{value} [{low}, {high}]"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8", newline="\n")
