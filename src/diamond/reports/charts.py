"""Plots as inline SVG that takes its colours from the page, so that one drawing serves light and dark.

matplotlib draws with stand-in colours, which are then replaced by the names of CSS variables. No text from a file gets
in here: titles and legends are HTML.
"""

import io
import re
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from diamond.reports.page import Html, escape
from diamond.reports.style import LIGHT
from diamond.runs.wording import interval_text, number_text, tick_text

_STAND_INS = {name: f"#0000{i:02x}" for i, name in enumerate(LIGHT, start=1)}
_NAMES = {stand_in: name for name, stand_in in _STAND_INS.items()}
_SETTINGS: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "diamond",
    "text.parse_math": False,
    "font.family": "sans-serif",
    "font.size": 10.5,
    "axes.unicode_minus": True,
    "path.simplify_threshold": 0.2,
}
_WIDTH, _HEIGHT = 330.0, 206.0  # in the SVG's own units, about CSS pixels on a phone
_POINT = 72.0  # SVG units an inch, fixed by matplotlib
_GOLDEN = 0.6180339887498949


DASHED, DOTTED = (4.0, 2.5), (1.0, 1.5)
"""Kinds of lines: lengths of ink and gap, in line widths."""


@dataclass(frozen=True)
class Series:
    """One curve: points in order of x, with the edges of an interval around y where they are known."""

    x: Sequence[float]
    y: Sequence[float]
    colour: str
    low: Sequence[float] = field(default=())
    high: Sequence[float] = field(default=())
    dash: tuple[float, float] | None = None
    """`DASHED` or `DOTTED`; None draws through."""
    marked: bool = True
    """Whether few points are shown as dots."""


@dataclass(frozen=True)
class Bar:
    """One row of a bar plot: a mean with its interval, and the single values behind it as dots."""

    label: str
    colour: str
    mean: float
    low: float | None
    high: float | None
    values: Sequence[float] = field(default=())


def line_chart(
    series: Sequence[Series],
    x_label: str,
    y_label: str,
    description: str,
    *,
    x_ticks: Sequence[float] | None = None,
    levels: Sequence[tuple[str, float]] = (),
    may_be_logarithmic: bool = False,
    logarithmic_x: bool = False,
) -> Html:
    """Curves with their intervals as bands.

    Args:
        x_label: what the x axis shows, with its unit; likewise `y_label`.
        description: the picture in words, for those who do not see it.
        x_ticks: the only places to label on the x axis.
        levels: dashed horizontal lines, as pairs of a name and a value.
        may_be_logarithmic: use a logarithmic y axis if all values are positive and span a factor of 30.
        logarithmic_x: use a logarithmic x axis; all of x is positive then.
    """

    def draw(axes: Axes) -> None:
        for one in series:
            colour = _STAND_INS[one.colour]
            marker = "o" if one.marked and len(one.x) <= 25 else ""
            style = "-" if one.dash is None else (0, one.dash)
            axes.plot(one.x, one.y, color=colour, linewidth=1.6, marker=marker, markersize=3.2, linestyle=style)
            if one.low and one.high and len(one.x) == 1:
                axes.vlines(one.x, one.low, one.high, color=colour, alpha=0.4, linewidth=3)
            elif one.low and one.high:
                axes.fill_between(one.x, one.low, one.high, color=colour, alpha=0.16, linewidth=0)
        for name, value in levels:
            axes.axhline(value, color=_STAND_INS["soft"], linewidth=1, linestyle=(0, (2, 2)))
            axes.annotate(
                name, (1, value), xycoords=("axes fraction", "data"), xytext=(0, 3), textcoords="offset points",
                ha="right", va="bottom", color=_STAND_INS["soft"], fontsize=9.5,
            )  # fmt: skip
        values = [y for one in series for y in (*one.y, *one.low, *one.high)]
        logarithmic = may_be_logarithmic and min(values) > 0 and max(values) > 30 * min(values)
        _scale(axes, logarithmic)
        axes.grid(axis="y", color=_STAND_INS["rule"], linewidth=0.8)
        axes.set_xlabel(x_label)
        axes.set_ylabel(y_label + (" (log scale)" if logarithmic else ""))
        if logarithmic_x:
            axes.set_xscale("log")
            axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: tick_text(value)))
        if x_ticks is not None:
            axes.set_xticks(list(x_ticks))
        else:
            axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))

    return _svg(draw, _HEIGHT, description)


def bar_chart(
    bars: Sequence[Bar],
    x_label: str,
    description: str,
    *,
    marks: Sequence[tuple[str, float]] = (),
    limits: tuple[float, float] | None = None,
) -> Html:
    """Horizontal bars from zero, first one on top, with intervals, single values and marked positions.

    Args:
        marks: dashed vertical lines, as pairs of a name and a position.
        limits: ends of the x axis, to make several plots comparable.
    """

    def draw(axes: Axes) -> None:
        for row, bar in enumerate(bars):
            colour = _STAND_INS[bar.colour]
            axes.barh(row, bar.mean, height=0.56, color=colour, alpha=0.3, linewidth=0)
            axes.plot([bar.mean] * 2, [row - 0.28, row + 0.28], color=colour, linewidth=2.2, solid_capstyle="butt")
            # spread over the bar's height by the golden ratio: regular, dense, and free of chance
            heights = [row + 0.44 * (((i + 1) * _GOLDEN) % 1 - 0.5) for i in range(len(bar.values))]
            axes.plot(bar.values, heights, "o", color=colour, markersize=2.6, markeredgewidth=0, alpha=0.55)
            if bar.low is not None and bar.high is not None:
                axes.plot([bar.low, bar.high], [row, row], color=_STAND_INS["ink"], linewidth=1.6)
        for name, value in marks:
            axes.axvline(value, color=_STAND_INS["soft"], linewidth=1, linestyle=(0, (2, 2)))
            axes.annotate(
                f"{name} {number_text(value)}", (value, 1), xycoords=("data", "axes fraction"), xytext=(0, 2),
                textcoords="offset points", ha="center", va="bottom", color=_STAND_INS["soft"], fontsize=9.5,
            )  # fmt: skip
        axes.axvline(0, color=_STAND_INS["soft"], linewidth=0.8)
        if limits is not None:
            axes.set_xlim(*limits)
        axes.set_ylim(len(bars) - 0.5, -0.5)
        axes.set_yticks(
            range(len(bars)), [f"{bar.label}\n{interval_text(bar.mean, bar.low, bar.high)}" for bar in bars]
        )
        for tick, bar in zip(axes.get_yticklabels(), bars, strict=True):
            tick.set_color(_STAND_INS["soft" if bar.colour == "grey" else "ink"])
        axes.grid(axis="x", color=_STAND_INS["rule"], linewidth=0.8)
        axes.set_xlabel(x_label)
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: tick_text(value)))

    return _svg(draw, 62.0 + 38.0 * len(bars), description)


def interval_chart(
    bars: Sequence[Bar],
    x_label: str,
    description: str,
    *,
    mark: float | None = None,
    limits: tuple[float, float] | None = None,
) -> Html:
    """Many figures with their intervals, one narrow row each, first one on top.

    Args:
        mark: a dashed vertical line.
        limits: ends of the x axis; by default it begins at zero.
    """

    def draw(axes: Axes) -> None:
        for row, bar in enumerate(bars):
            colour = _STAND_INS[bar.colour]
            if bar.low is not None and bar.high is not None:
                axes.plot([bar.low, bar.high], [row, row], color=colour, linewidth=6, alpha=0.35)
            axes.plot([bar.mean] * 2, [row - 0.34, row + 0.34], color=colour, linewidth=2.2)
        if mark is not None:
            axes.axvline(mark, color=_STAND_INS["soft"], linewidth=1, linestyle=(0, (2, 2)))
        if limits is not None:
            axes.set_xlim(*limits)
        else:
            axes.set_xlim(left=min(0.0, axes.get_xlim()[0]) if any((bar.low or bar.mean) < 0 for bar in bars) else 0.0)
        axes.set_ylim(len(bars) - 0.4, -0.6)
        axes.set_yticks(range(len(bars)), [bar.label for bar in bars], fontsize=9)
        for tick, bar in zip(axes.get_yticklabels(), bars, strict=True):
            tick.set_color(_STAND_INS["soft" if bar.colour == "grey" else "ink"])
        axes.grid(axis="x", color=_STAND_INS["rule"], linewidth=0.8)
        axes.set_xlabel(x_label)
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: tick_text(value)))

    return _svg(draw, 42.0 + 15.0 * len(bars), description)


def _scale(axes: Axes, logarithmic: bool) -> None:
    if logarithmic:
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 3.0), numticks=6))
        axes.minorticks_off()
    else:
        axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: tick_text(value)))


def _svg(draw: Callable[[Axes], None], height: float, description: str) -> Html:
    with matplotlib.rc_context(_SETTINGS):
        figure = Figure(figsize=(_WIDTH / _POINT, height / _POINT), layout="constrained")
        axes = figure.add_subplot()
        for spine in axes.spines.values():
            spine.set_visible(False)
        axes.set_axisbelow(True)
        axes.tick_params(length=0, pad=5, colors=_STAND_INS["soft"])
        axes.xaxis.label.set_color(_STAND_INS["soft"])
        axes.yaxis.label.set_color(_STAND_INS["soft"])
        draw(axes)
        axes.patch.set_visible(False)
        figure.patch.set_visible(False)
        target = io.StringIO()
        FigureCanvasSVG(figure).print_svg(target, metadata={"Date": None})
    return _for_page(target.getvalue(), description)


def _for_page(document: str, description: str) -> Html:
    """A standalone SVG document as an element of a page: no namespaces or metadata, the page's colours, its own ids."""
    body = document[document.index("<svg") :]
    box = re.search(r'viewBox="([^"]*)"', body)
    inner = body[body.index(">") + 1 :]
    inner = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->", "", inner, flags=re.DOTALL)
    inner = inner.replace("xlink:href", "href")
    # two charts of one page must not share ids; nothing but clip paths and markers is referred to
    unique = f"c{zlib.crc32(inner.encode()):08x}-"
    referred = set(re.findall(r'href="#([^"]*)"', inner)) | set(re.findall(r"url\(#([^)]*)\)", inner))
    inner = re.sub(r' id="([^"]*)"', lambda m: f' id="{unique}{m[1]}"' if m[1] in referred else "", inner)
    inner = re.sub(r'href="#', f'href="#{unique}', inner)
    inner = re.sub(r"url\(#", f"url(#{unique}", inner)
    inner = re.sub(r"#0000[0-9a-f]{2}", lambda m: f"var(--{_NAMES[m[0]]})" if m[0] in _NAMES else m[0], inner)
    inner = re.sub(r"\s*\n\s*", "\n", inner)
    box_text = box[1] if box else f"0 0 {_WIDTH} {_HEIGHT}"
    return Html(f'<svg class="chart" viewBox="{box_text}" role="img" aria-label="{escape(description)}">{inner}')
