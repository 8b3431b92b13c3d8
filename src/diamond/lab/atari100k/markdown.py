"""The comparison as Markdown."""

from diamond.lab.atari100k.comparison import Comparison
from diamond.lab.atari100k.tables import (
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


def markdown(comparison: Comparison) -> str:
    """All tables, their definitions and sources."""
    parts = [f"# {title(comparison)}", _table(headline(comparison))]
    parts += ["## By half", split_text(comparison), _table(halves(comparison))]
    against = improvement(comparison)
    if against.rows:
        parts += ["## Probability of improvement", _table(against)]
    parts += ["## By game", "Mean returns; the best in bold.", _table(games(comparison, columns(comparison)))]
    meanings = "\n".join(f"- **{_escape(term)}**: {_escape(meaning)}" for term, meaning in definitions(comparison))
    parts += ["## What the words mean", meanings, "## Notes and sources", _table(notes(comparison))]
    return "\n\n".join(parts) + "\n"


def _table(table: Table) -> str:
    rule = "|" + "---|" * len(table.head)
    rows = [_row([_cell(cell) for cell in row]) for row in table.rows]
    return "\n".join([_row([_escape(word) for word in table.head]), rule, *rows])


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(cell: Cell) -> str:
    text = f"**{_escape(cell.text)}**" if cell.strong else _escape(cell.text)
    return f"{text} ({_escape(cell.note)})" if cell.note else text


def _escape(text: str) -> str:
    return " ".join(text.replace("|", "\\|").replace("<", "&lt;").split())
