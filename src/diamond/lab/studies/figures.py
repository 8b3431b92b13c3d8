"""Figures of studies as PNG files: curves with their intervals, several panels side by side."""

import io
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure

_COLOURS = {"another real game": "grey"}
_CYCLE = ("tab:blue", "tab:orange", "tab:green", "tab:red", "tab:purple", "tab:brown")


@dataclass(frozen=True)
class Curve:
    """One line, with the edges of an interval where they are known."""

    name: str
    x: Sequence[int]
    mean: Sequence[float]
    low: Sequence[float] = ()
    high: Sequence[float] = ()


@dataclass(frozen=True)
class Panel:
    """One plot among several."""

    title: str
    curves: Sequence[Curve]


def panels_png(panels: Sequence[Panel], x_label: str, y_label: str) -> bytes:
    """Panels in a row with the same axes; curves of the same name have the same colour. Real games are grey."""
    names = dict.fromkeys(curve.name for panel in panels for curve in panel.curves)
    others = [name for name in names if name not in _COLOURS]
    colours = _COLOURS | {name: _CYCLE[place % len(_CYCLE)] for place, name in enumerate(others)}
    figure = Figure(figsize=(2.6 * len(panels) + 0.8, 3.2), layout="constrained")
    for place, axes in enumerate(figure.subplots(1, len(panels), sharex=True, sharey=True, squeeze=False)[0]):
        panel = panels[place]
        for curve in panel.curves:
            style = "--" if curve.name in _COLOURS else "-"
            axes.plot(curve.x, curve.mean, style, color=colours[curve.name], label=curve.name)
            if curve.low and curve.high:
                axes.fill_between(curve.x, curve.low, curve.high, color=colours[curve.name], alpha=0.2, linewidth=0)
        axes.set_title(panel.title, fontsize=10)
        axes.grid(alpha=0.3)
        axes.set_xscale("log")
        if place == 0:
            axes.set_ylabel(y_label)
    figure.axes[0].set_ylim(bottom=0)  # of all panels, once everything is drawn
    figure.supxlabel(x_label, fontsize=10)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=max(3, len(panels)), frameon=False)
    target = io.BytesIO()
    figure.savefig(target, format="png", dpi=110)
    return target.getvalue()
