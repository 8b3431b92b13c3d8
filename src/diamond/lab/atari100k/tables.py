"""What the tables say, the same in Markdown and on the page."""

from collections.abc import Sequence
from typing import NamedTuple

from diamond.evaluation.human_scores import REFERENCE_SCORES
from diamond.evaluation.human_scores import SOURCE as REFERENCE_SOURCE
from diamond.evaluation.statistics import Interval
from diamond.lab.atari100k.comparison import BASELINE, Aggregates, Comparison, Row
from diamond.lab.atari100k.methods import GAMES, LABELS
from diamond.runs.wording import number_text

UNKNOWN = "\N{EN DASH}"
PRINTED = "\N{DAGGER}"
_PAPER_COLUMNS = ("SimPLe", "TWM", "IRIS", "DreamerV3 (2023, printed)", "STORM (printed)", BASELINE)
_MOST_COLUMNS = 8
_SHOWN_OTHERWISE = ("paper",)
"""The dagger and the number of runs say it."""


class Cell(NamedTuple):
    """A table's cell: a figure, its interval in words, and whether it stands out."""

    text: str
    note: str = ""
    strong: bool = False


class Table(NamedTuple):
    """A titled table; the first column names the rows."""

    head: list[str]
    rows: list[list[Cell]]


def headline(comparison: Comparison) -> Table:
    """Every method over all games."""
    head = ["Method", "Year", "Runs a game", "Mean", "Median", "IQM", "Optimality gap", "Games above human", "Notes"]
    rows = []
    for row in comparison.rows:
        whole = row.aggregates["all"]
        figures = [_figure(whole, name) for name in ("mean", "median", "iqm", "optimality_gap")]
        above = Cell(UNKNOWN if whole.above_human is None else str(whole.above_human))
        year = Cell("" if row.method.year is None else str(row.method.year))
        rows.append([_name(row, comparison), year, Cell(_runs(row)), *figures, above, Cell(_tags(row, comparison))])
    return Table(head, rows)


def halves(comparison: Comparison) -> Table:
    """Every method over the games where agents beat humans, and over those where they do not."""
    sets = [name for name in ("above", "below") if comparison.sets[name]]
    short = {"above": "Ahead", "below": "Behind"}
    names = {"mean": "mean", "median": "median", "iqm": "IQM"}
    head = ["Method", *(f"{short[part]}: {word}" for part in sets for word in names.values())]
    rows = [
        [_name(row, comparison), *(_figure(row.aggregates[part], name) for part in sets for name in names)]
        for row in comparison.rows
    ]
    return Table(head, rows)


def improvement(comparison: Comparison) -> Table:
    """How often a run of the focus beats one of each other method."""
    rows = [
        [Cell(row.method.name), _interval(row.improvement, 2)] for row in comparison.rows if row.improvement is not None
    ]
    return Table([f"{comparison.focus} against", "Probability of improvement"], rows)


def games(comparison: Comparison, shown: Sequence[Row]) -> Table:
    """Mean returns by game, the best of the methods shown standing out."""
    head = ["Game", "Random", "Human", *(row.method.name for row in shown)]
    rows = []
    for game in comparison.games:
        scores = [row.method.means.get(game) for row in shown]
        best = max((score for score in scores if score is not None), default=None)
        cells = [Cell("missing") if score is None else Cell(_score(score), "", score == best) for score in scores]
        rows.append([Cell(game), *(Cell(_score(score)) for score in REFERENCE_SCORES[game]), *cells])
    return Table(head, rows)


def columns(comparison: Comparison) -> list[Row]:
    """Methods that fit side by side: all if they are few, else our own and those of the paper's table 1."""
    if len(comparison.rows) <= _MOST_COLUMNS:
        return comparison.rows
    order = {name: place for place, name in enumerate(_PAPER_COLUMNS)}
    named = sorted((row for row in comparison.rows if row.method.name in order), key=lambda row: order[row.method.name])
    return [*named, *(row for row in comparison.rows if row.own)] or comparison.rows[:_MOST_COLUMNS]


def notes(comparison: Comparison) -> Table:
    """In what each method's scores are not like the others, and where they are from."""
    rows = [
        [Cell(row.method.name), Cell(row.method.kind), Cell(" ".join(row.labels.values())), Cell(row.method.source)]
        for row in comparison.rows
    ]
    return Table(["Method", "Kind", "Not like the others", "Source"], rows)


def definitions(comparison: Comparison) -> list[tuple[str, str]]:
    """What the words mean, with the settings of this table."""
    labels = {name for row in comparison.rows for name in row.labels}.difference(_SHOWN_OTHERWISE)
    used = [name for name in LABELS if name in labels]
    return [
        ("Human-normalised", f"(score - random) / (human - random), with the scores {REFERENCE_SOURCE}."),
        ("Mean, median", "Over the games' means; a single game can carry the mean."),
        ("IQM", "Interquartile mean: of all runs of all games together, without the best and the worst quarter."),
        ("Optimality gap", "Mean of 1 - min(score, 1) over all runs: what is missing to a human; smaller is better."),
        ("Games above human", "Games whose mean is at least the human score."),
        (
            "Intervals",
            "95 %, by percentile bootstrap over the runs of each game (stratified, "
            f"{comparison.resamples:,} resamples, seed {comparison.seed}); only where single runs are known.",
        ),
        (
            "Probability of improvement",
            f"That a run of {comparison.focus} scores more than one of the other method in the same game, averaged "
            "over games; ties count half. 0.5 is no difference.",
        ),
        ("Performance profile", "Share of all runs that score more than a threshold."),
        (PRINTED, "As the paper prints it: single runs are not known. No interval."),
        *((name, f"{LABELS[name][0].upper()}{LABELS[name][1:]}.") for name in used),
    ]


def title(comparison: Comparison) -> str:
    """What is compared."""
    count, n = len(comparison.rows), len(comparison.games)
    return f"Atari 100k: {count} method{'s' if count > 1 else ''} on {n}{'' if n == len(GAMES) else ' of 26'} games"


def split_text(comparison: Comparison) -> str:
    """How the games are parted."""
    above, below = comparison.sets["above"], comparison.sets["below"]
    return (
        "Aggregates hide that agents are far above humans in some games and far below in others. The split is fixed: "
        f"agents are ahead in the {len(above)} games where the mean of the published {BASELINE} is above the human's "
        f"({', '.join(above) or 'none here'}), and behind in the other {len(below)}."
    )


def _name(row: Row, comparison: Comparison) -> Cell:
    return Cell(row.method.name, "", row.own or row.method.name == comparison.focus)


def _runs(row: Row) -> str:
    counts = sorted({len(scores) for scores in row.method.runs.values()})
    return " to ".join(map(str, dict.fromkeys((counts[0], counts[-1])))) if counts else UNKNOWN


def _tags(row: Row, comparison: Comparison) -> str:
    return ", ".join(
        f"{len(comparison.games) - row.played} of {len(comparison.games)} games missing" if tag == "missing" else tag
        for tag in row.labels
        if tag not in _SHOWN_OTHERWISE
    )


def _figure(aggregates: Aggregates, name: str) -> Cell:
    cell = _interval(getattr(aggregates, name))
    return cell._replace(text=cell.text + PRINTED) if name in aggregates.printed else cell


def _interval(interval: Interval | None, decimals: int = 3) -> Cell:
    if interval is None:
        return Cell(UNKNOWN)
    text = number_text(interval.value, decimals)
    if interval.low is None or interval.high is None:
        return Cell(text)
    return Cell(text, f"{number_text(interval.low, decimals)} to {number_text(interval.high, decimals)}")


def _score(score: float) -> str:
    return number_text(score, 1)
