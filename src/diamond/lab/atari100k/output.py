"""The plan and the table as texts, in the formats that their files have."""

from collections.abc import Sequence
from pathlib import Path

from diamond.errors import ConfigError
from diamond.lab.atari100k.comparison import compare
from diamond.lab.atari100k.markdown import markdown
from diamond.lab.atari100k.methods import require_games
from diamond.lab.atari100k.plan import plan
from diamond.lab.atari100k.results import read_results
from diamond.runs.files import json_text

_FORMATS = {"plan": (".json",), "table": (".md", ".json", ".html")}


def require_format(what: str, out: Path | None) -> None:
    """Refuse a file whose ending tells no format that a plan or a table has.

    Raises:
        ConfigError: so it is.
    """
    formats = _FORMATS[what]
    if out is not None and out.suffix not in formats:
        raise ConfigError(f"--out is {str(out)!r}: give a file that ends in {' or '.join(formats)}")


def plan_text(games: Sequence[str]) -> str:
    """The runs as JSON; see `plan`."""
    return json_text(plan(games))


def table_text(
    results: Sequence[Path],
    name: str,
    methods: Sequence[str],
    games: Sequence[str],
    seed: int,
    resamples: int,
    suffix: str,
) -> str:
    """Results beside published methods, as Markdown, JSON or HTML by the ending of a file.

    Raises:
        ConfigError, ResultsError: see `read_results` and `compare`.
    """
    own = read_results(results, name, require_games(games)) if results else None
    comparison = compare(own, methods, games, seed, resamples)
    if suffix == ".md":
        return markdown(comparison)
    if suffix == ".json":
        return json_text(comparison.as_dict())
    from diamond.lab.atari100k.page import render  # plots are slow to import

    return render(comparison)
