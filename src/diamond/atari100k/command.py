"""The verb `benchmark` of the command line."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from diamond.atari100k.aggregates import RESAMPLES
from diamond.atari100k.comparison import Comparison, compare
from diamond.atari100k.markdown import markdown
from diamond.atari100k.plan import plan
from diamond.atari100k.published import require_games
from diamond.atari100k.results import read_results
from diamond.errors import ConfigError
from diamond.files import json_text, write_bytes

_FORMATS = {"plan": (".json",), "table": (".md", ".json", ".html")}


@dataclass(frozen=True)
class Benchmark:
    """Atari 100k: plan its 26 x 5 runs, or put results beside 30 published methods, in a table and figures."""

    what: Annotated[Literal["plan", "table"], tyro.conf.Positional]
    """`plan` writes the runs as JSON; `table` compares results, or the published methods alone."""
    results: Annotated[tuple[Path, ...], tyro.conf.Positional] = ()
    """Run folders, or files written by `diamond evaluate --json`: one training run of one game each."""
    out: Path | None = None
    """File to write: `.json` for a plan; `.md`, `.json` or `.html` for a table. By default text is printed."""
    name: str = "this run"
    """What to call these results."""
    methods: tuple[str, ...] = ()
    """Published methods to show; by default all."""
    games: tuple[str, ...] = ()
    """Games to plan or to compare on; by default all 26."""
    resamples: int = RESAMPLES
    """Resamples of the bootstrap behind the intervals."""
    seed: int = 0
    """Seed of the bootstrap."""


def benchmark(args: Benchmark) -> None:
    """Write or print the plan or the table.

    Raises:
        ConfigError, ResultsError: see `plan`, `read_results` and `compare`; or `out` has another ending.
        DiskError: `out` cannot be written.
    """
    formats = _FORMATS[args.what]
    if args.out is not None and args.out.suffix not in formats:
        raise ConfigError(f"--out is {str(args.out)!r}: give a file that ends in {' or '.join(formats)}")
    if args.what == "plan":
        if args.results:
            raise ConfigError(f"{args.results[0]} is given to `plan`, which takes no results: use `table`")
        text = json_text(plan(args.games))
    else:
        own = read_results(args.results, args.name, require_games(args.games)) if args.results else None
        comparison = compare(own, args.methods, args.games, args.seed, args.resamples)
        text = _rendered(comparison, ".md" if args.out is None else args.out.suffix)
    if args.out is None:
        print(text, end="")
    else:
        write_bytes(args.out, text.encode("utf-8"))
        print(f"{args.what}: {args.out}")


def _rendered(comparison: Comparison, suffix: str) -> str:
    if suffix == ".md":
        return markdown(comparison)
    if suffix == ".json":
        return json_text(comparison.as_dict())
    from diamond.atari100k.page import render  # plots are slow to import

    return render(comparison)
