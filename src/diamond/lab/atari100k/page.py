"""The comparison as one self-contained HTML page with plots."""

from collections.abc import Sequence

from diamond.evaluation.statistics import Interval
from diamond.lab.atari100k.comparison import BASELINE, THRESHOLDS, Comparison, Row
from diamond.lab.atari100k.tables import (
    UNKNOWN,
    Cell,
    Table,
    columns,
    definitions,
    games,
    halves,
    headline,
    improvement,
    notes,
    split_text,
    title,
)
from diamond.reports.charts import Bar, Series, interval_chart, line_chart
from diamond.reports.page import Html, details, figure, join, legend, missing, page, section, table, tag
from diamond.reports.style import SERIES
from diamond.runs.wording import number_text

_PROFILED = (BASELINE, "STORM", "IRIS", "Simulus", "DreamerV3 (2025)", "SPR")
_FIGURES = (
    ("mean", "all", "Mean", "all games"),
    ("median", "all", "Median", "all games"),
    ("iqm", "all", "Interquartile mean", "all games"),
    ("optimality_gap", "all", "Optimality gap", "all games; smaller is better"),
    ("iqm", "above", "Interquartile mean", "games where agents are ahead"),
    ("iqm", "below", "Interquartile mean", "games where agents are behind"),
)
_PROFILES = (("all", "all games", 8.0), ("above", "agents ahead", 8.0), ("below", "agents behind", 2.0))


def render(comparison: Comparison) -> Html:
    """The page as HTML."""
    sections = (_headline, _figures, _profiles, _halves, _improvement, _games, _notes)
    footer = tag("footer", "Made by diamond-wm. Definitions: Agarwal et al. 2021, arXiv 2108.13264.")
    return page(title(comparison), _header(comparison), *(make(comparison) for make in sections), footer)


def _header(comparison: Comparison) -> Html:
    focus = _focus(comparison)
    whole = focus.aggregates["all"]
    tiles = [
        _tile("Mean", whole.mean, "human-normalised"),
        _tile("Median", whole.median, "human-normalised"),
        _tile("IQM", whole.iqm, "human-normalised"),
        _tile("Optimality gap", whole.optimality_gap, "smaller is better"),
        tag(
            "div",
            tag("dt", "Above human"),
            tag("dd", UNKNOWN if whole.above_human is None else str(whole.above_human)),
            tag("dd", f"of {len(comparison.games)} games", class_="note"),
        ),
    ]
    return tag(
        "header",
        tag("p", "DIAMOND \N{MIDDLE DOT} benchmark", class_="eyebrow"),
        tag("h1", "Atari 100k"),
        tag("p", title(comparison).partition(": ")[2].capitalize(), class_="facts"),
        tag("p", _lead(focus, comparison), class_="lead"),
        None if whole.mean is None else tag("dl", *tiles, class_="tiles"),
    )


def _lead(focus: Row, comparison: Comparison) -> str:
    name = focus.method.name
    if focus.aggregates["all"].mean is None:
        absent = len(comparison.games) - focus.played
        return (
            f"{name}: {absent} of {len(comparison.games)} games are missing, so nothing is averaged over all of them."
        )
    return f"{name} on the human scale: 0 plays like chance, 1 like a human. With 95\N{NO-BREAK SPACE}% intervals."


def _tile(name: str, interval: Interval | None, note: str) -> Html:
    known = interval is not None and interval.low is not None and interval.high is not None
    return tag(
        "div",
        tag("dt", name),
        tag("dd", UNKNOWN if interval is None else number_text(interval.value, 3)),
        tag("dd", f"{interval.low:.3f} to {interval.high:.3f}", class_="note") if interval and known else None,
        tag("dd", note, class_="note"),
    )


def _headline(comparison: Comparison) -> Html:
    return section(
        "All games",
        tag(
            "p",
            "Small print: 95\N{NO-BREAK SPACE}% intervals. \N{DAGGER} as the paper prints it. Notes are explained "
            "below. Protocols differ between papers; take differences of 0.1 in the mean as noise.",
        ),
        _table(headline(comparison), range(1, 8)),
    )


def _figures(comparison: Comparison) -> Html:
    charts = [chart for wanted in _FIGURES if (chart := _interval_figure(comparison, *wanted)) is not None]
    if not charts:
        return section("With intervals", missing("No method shown has scores of single runs of all games."))
    return section(
        "With intervals",
        tag("p", "Methods with scores of single runs. Lines are 95\N{NO-BREAK SPACE}% intervals."),
        tag("div", *charts, class_="grid"),
    )


def _interval_figure(comparison: Comparison, figure_name: str, part: str, name: str, scope: str) -> Html | None:
    rows = [
        (row, interval)
        for row in comparison.rows
        if part in row.profiles and (interval := getattr(row.aggregates[part], figure_name)) is not None
    ]
    if not rows:
        return None
    rows.sort(key=lambda pair: pair[1].value, reverse=figure_name != "optimality_gap")
    bars = [_bar(row, interval, comparison) for row, interval in rows]
    words = "; ".join(f"{bar.label} {bar.mean:.3f}" for bar in bars)
    chart = interval_chart(bars, "human-normalised score", f"{name}, {scope}: {words}.")
    return figure(chart, name, tag("span", scope))


def _bar(row: Row, interval: Interval, comparison: Comparison) -> Bar:
    name = row.method.name
    # The plots' font has no more letters, and a line break would need room.
    label = name if name.isascii() and name.isprintable() else "own runs"
    return Bar(label, "c1" if _stands_out(row, comparison) else "grey", *interval)


def _profiles(comparison: Comparison) -> Html | None:
    rows = _profiled(comparison)
    if not rows:
        return None
    charts = []
    for part, scope, end in _PROFILES:
        shown = [(row, colour) for row, colour in rows if part in row.profiles]
        if not shown:
            continue
        last = int((end >= THRESHOLDS).sum())
        series = [_curve(row.profiles[part][:last], colour) for row, colour in shown]
        names = ", ".join(row.method.name for row, _ in shown)
        chart = line_chart(
            series, "human-normalised score", "share of runs above", f"Performance profiles, {scope}: {names}."
        )
        charts.append(figure(chart, "Performance profile", tag("span", scope)))
    return section(
        "Performance profiles",
        tag(
            "p",
            "How large a share of all runs scores more than a threshold. Bands are 95\N{NO-BREAK SPACE}% intervals.",
        ),
        legend([(colour, row.method.name) for row, colour in rows]),
        tag("div", *charts, class_="grid"),
    )


def _curve(profile: Sequence[Interval], colour: str) -> Series:
    low, high = ([getattr(point, part) for point in profile] for part in ("low", "high"))
    return Series(THRESHOLDS[: len(profile)].tolist(), [point.value for point in profile], colour, low, high)


def _profiled(comparison: Comparison) -> list[tuple[Row, str]]:
    """As many methods as there are colours: our own, then well-known ones, then others."""
    known = [row for row in comparison.rows if row.profiles]
    order = {name: place for place, name in enumerate(_PROFILED)}
    known.sort(key=lambda row: (not row.own, order.get(row.method.name, len(order))))
    return list(zip(known, SERIES, strict=False))


def _halves(comparison: Comparison) -> Html:
    return section("Two halves", tag("p", split_text(comparison)), _table(halves(comparison), range(1, 7)))


def _improvement(comparison: Comparison) -> Html | None:
    against = [(row, row.improvement) for row in comparison.rows if row.improvement is not None]
    if not against:
        return None
    bars = [_bar(row, interval, comparison) for row, interval in against]
    words = "; ".join(f"{bar.label} {bar.mean:.2f}" for bar in bars)
    chart = interval_chart(
        bars, "probability of improvement", f"{comparison.focus} against others: {words}.", mark=0.5, limits=(0.0, 1.0)
    )
    text = (
        f"The chance that a run of {comparison.focus} scores more than one of the other method in the same game, "
        "averaged over games. Right of the middle it is more likely than not; it does not say by how much."
    )
    return section(
        "Probability of improvement",
        tag("div", figure(chart, f"{comparison.focus} against"), tag("p", text), class_="pair"),
        details("The numbers", _table(improvement(comparison), [1])),
    )


def _games(comparison: Comparison) -> Html:
    shown = columns(comparison)
    whole = games(comparison, comparison.rows)
    few = games(comparison, shown)
    return section(
        "By game",
        tag("p", "Mean returns of whole games. The best of the methods shown stands out."),
        _table(few, range(1, len(few.head))),
        details(f"All {len(comparison.rows)} methods", _table(whole, range(1, len(whole.head))))
        if len(shown) < len(comparison.rows)
        else None,
    )


def _notes(comparison: Comparison) -> Html:
    meanings = [[term, meaning] for term, meaning in definitions(comparison)]
    return join(
        section("What the words mean", table(["Word", "Meaning"], meanings, narrow=True)),
        section("Notes and sources", _table(notes(comparison), [])),
    )


def _table(content: Table, number_columns: Sequence[int]) -> Html:
    return table(content.head, [[_cell(cell) for cell in row] for row in content.rows], number_columns)


def _cell(cell: Cell) -> str:
    text = tag("strong", cell.text) if cell.strong else cell.text
    return join(text, tag("small", cell.note)) if cell.note else text


def _focus(comparison: Comparison) -> Row:
    return next(row for row in comparison.rows if row.method.name == comparison.focus)


def _stands_out(row: Row, comparison: Comparison) -> bool:
    return row.own or row.method.name == comparison.focus
