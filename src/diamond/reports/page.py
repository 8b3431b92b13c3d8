"""HTML in which text is escaped unless it is known to be HTML, and the shell of a page that needs nothing else."""

import html
import unicodedata
from collections.abc import Collection

from diamond.reports.style import STYLE

_VOID = frozenset({"br", "img", "meta"})
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; media-src data:"


_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


class Html(str):
    """Text that is HTML already; everything else is escaped where it enters a page."""

    __slots__ = ()


def escape(text: str) -> Html:
    """Any text as HTML that shows it: no tags, no control characters, no halves of surrogate pairs."""
    whole = text.encode("utf-8", "replace").decode("utf-8")
    shown = "".join(letter if letter in "\n\t" or not _hidden(letter) else _REPLACEMENT for letter in whole)
    return Html(html.escape(shown, quote=True))


def _hidden(letter: str) -> bool:
    """Control, format and unassigned characters: they could reorder or hide what stands around them."""
    return unicodedata.category(letter).startswith("C")


def join(*children: str | None) -> Html:
    """Children one after the other; `Html` stays as it is, other text is escaped, None is left out."""
    return Html("".join(child if isinstance(child, Html) else escape(child) for child in children if child is not None))


def tag(name: str, /, *children: str | None, **attributes: str | bool) -> Html:
    """An element.

    Attributes: `class_` stands for `class`, underscores inside names for hyphens; True is an attribute without a value,
    False and empty text are none at all.
    """
    shown = "".join(
        f" {key.rstrip('_').replace('_', '-')}" + ("" if value is True else f'="{join(str(value))}"')
        for key, value in attributes.items()
        if value
    )
    return Html(f"<{name}{shown}>" if name in _VOID else f"<{name}{shown}>{join(*children)}</{name}>")


def missing(*children: str | None) -> Html:
    """A kind word about a part that is not there (yet)."""
    return tag("p", *children, class_="missing")


def section(title: str, *children: str | None) -> Html:
    """A titled part of the page."""
    return tag("section", tag("h2", title), *children)


def details(title: str, *children: str | None) -> Html:
    """A part that is folded away until someone asks for it."""
    return tag("details", tag("summary", title), *children)


def table(head: list[str], rows: list[list[str]], number_columns: Collection[int] = (), narrow: bool = False) -> Html:
    """A table whose first column names the rows; it scrolls sideways on screens too small for it."""

    def cells(kind: str, row: list[str]) -> Html:
        return tag(
            "tr",
            *(
                tag("th" if i == 0 else kind, cell, class_="number" if i in number_columns else "")
                for i, cell in enumerate(row)
            ),
        )

    body = (cells("td", row) for row in rows)
    return tag(
        "div",
        tag("table", tag("thead", cells("th", head)), tag("tbody", *body), class_="narrow" if narrow else ""),
        class_="scroll",
        tabindex="0",
    )


def figure(picture: Html, caption: str | None, *notes: str | None) -> Html:
    """A picture with its title above."""
    title = None if caption is None else tag("figcaption", caption, *notes)
    return tag("figure", title, picture)


def legend(entries: list[tuple[str, str]]) -> Html:
    """Colour swatches and what they mean; a colour is the name of one of the page's colour variables."""
    return tag(
        "p",
        *(tag("span", tag("i", style=f"background:var(--{colour})"), text) for colour, text in entries),
        class_="legend",
    )


def page(title: str, *body: str | None) -> Html:
    """A whole document. Its security policy forbids loading anything, whatever the body says."""
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        Html(f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", title),
        tag("style", Html(STYLE)),
    )
    return Html(f'<!doctype html>\n<html lang="en">\n{head}\n{tag("body", tag("main", *body))}\n</html>\n')
