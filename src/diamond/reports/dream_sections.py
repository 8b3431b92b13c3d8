"""The dream in the report: seen beside the real game, and measured against it."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass

from diamond.evaluation.statistics import Interval
from diamond.reports.charts import DASHED, Series, line_chart
from diamond.reports.contents import RunContents, numbers
from diamond.reports.page import Html, figure, legend, missing, section, table, tag
from diamond.runs.wording import finite, interval_text, listing, number_text

_KINDS = {
    "dream": ("Dream", "c1"),
    "repeat": ("Repeating the last frame", "grey"),
    "shuffled": ("Dream, actions shuffled", "c2"),
}
_CLAIMS = {
    "repeat": "closer to what really happened than repeating the last frame",
    "shuffled": "closer to it than with its actions shuffled",
}
_YES, _NO, _OPEN = "yes", "no, it is farther", "they cannot be told apart"


def videos(runs: Sequence[RunContents]) -> Html:
    """The real game beside the dream, embedded."""
    title = "Real beside dream"
    shown = [_media(run, len(runs) > 1) for run in runs if run.video or run.filmstrip]
    if not shown:
        return section(title, missing("No video yet. It is made when training ends."))
    explanation = tag(
        "p", "Both start from the same real frames and receive the same actions; from then on the dream is on its own."
    )
    return section(title, explanation, tag("div", *shown, class_="grid" if len(runs) > 1 else ""))


def dream_errors(runs: Sequence[RunContents]) -> Html:
    """How far the dream strays from what really happened, against two yardsticks."""
    title = "How true the dream is"
    measured = [(run, errors) for run in runs if (errors := _read(run)) is not None]
    if not measured:
        return section(
            title, missing("Not measured yet. The dream is compared with held-out real play when training ends.")
        )
    explanation = tag(
        "p",
        "Started from real frames that were kept out of training, the dream is given the actions that were really "
        "taken, and its frames are compared with the real ones, on the pixels that move. Lower is better. Repeating "
        "the last frame is what a model would do that knows nothing of motion; with the actions shuffled, a model "
        "that heeds them must get worse.",
    )
    several = len(runs) > 1
    charts = [_chart(run, errors, several) for run, errors in measured]
    return section(
        title,
        explanation,
        legend([(colour, label) for label, colour in _KINDS.values()]),
        tag("div", *charts, class_="grid" if several else ""),
        _table(measured, several),
    )


@dataclass(frozen=True)
class _Errors:
    """The readable part of a run's `dream-errors.json`."""

    horizons: list[float]
    curves: dict[str, dict[float, Interval]]
    """By kind and horizon; a horizon may lack where nothing moved."""
    gains: dict[str, dict[float, Interval]]
    """What the dream saves against the other kinds, on the same segments."""
    unit: str
    segments: str | None


def _read(run: RunContents) -> _Errors | None:
    record = run.dream_errors
    horizons = numbers(record.get("horizons"))
    curves = {name: curve for name in _KINDS if (curve := _curve(record.get(name), horizons))}
    gain = record.get("gain")
    gains = {name: _curve(gain.get(name), horizons) for name in _CLAIMS} if isinstance(gain, dict) else {}
    unit = record.get("unit")
    label = _axis_text(unit) if isinstance(unit, str) else "mean error (grey levels)"
    return _Errors(horizons, curves, gains, label, _count(record.get("num_segments"))) if curves else None


def _curve(record: object, horizons: list[float]) -> dict[float, Interval]:
    if not isinstance(record, dict):
        return {}
    mean, low, high = (_column(record.get(part), len(horizons)) for part in ("mean", "low", "high"))
    return {
        horizon: Interval(middle, bottom, top)
        for horizon, middle, bottom, top in zip(horizons, mean, low, high, strict=True)
        if middle is not None
    }


def _column(values: object, length: int) -> list[float | None]:
    fits = isinstance(values, list) and len(values) == length
    return [finite(value) for value in values] if isinstance(values, list) and fits else [None] * length


def _count(segments: object) -> str | None:
    """One number, or the least and the most of several."""
    counts = numbers(segments) if isinstance(segments, list) else numbers([segments])
    if not counts:
        return None
    low, high = number_text(min(counts)), number_text(max(counts))
    return low if low == high else f"{low} to {high}"


def _axis_text(text: str) -> str:
    """A label from a file, fit for a plot: short, printable ASCII."""
    return "".join(letter if " " <= letter <= "~" else "?" for letter in text[:60])


def _chart(run: RunContents, errors: _Errors, several: bool) -> Html:
    series = [
        _series(curve, _KINDS[name][1], DASHED if name == "shuffled" else None) for name, curve in errors.curves.items()
    ]
    chart = line_chart(
        series,
        "steps ahead",
        errors.unit,
        "Mean errors by steps ahead; the table below has the numbers.",
        x_ticks=errors.horizons if len(errors.horizons) <= 8 else None,
    )
    note = None
    if errors.segments is not None:
        note = tag("span", f"{errors.segments} held-out segments, 95\N{NO-BREAK SPACE}% intervals")
    verdict = _verdict(errors)
    picture = figure(chart, run.name if several else "Error by steps ahead", note)
    return tag("div", picture, None if verdict is None else tag("p", verdict), class_="" if several else "pair")


def _series(curve: dict[float, Interval], colour: str, dash: tuple[float, float] | None) -> Series:
    low = [point.low for point in curve.values() if point.low is not None]
    high = [point.high for point in curve.values() if point.high is not None]
    bounded = len(low) == len(high) == len(curve)
    mean = [point.value for point in curve.values()]
    return Series(list(curve), mean, colour, low if bounded else (), high if bounded else (), dash)


def _verdict(errors: _Errors) -> str | None:
    """Claims only what the intervals of the paired differences bear out."""
    always, otherwise = [], []
    for name, claim in _CLAIMS.items():
        answers: dict[str, list[str]] = {_YES: [], _NO: [], _OPEN: []}
        for horizon, gain in errors.gains.get(name, {}).items():
            answers[_answer(gain)].append(f"+{number_text(horizon)}")
        given = {answer: where for answer, where in answers.items() if where}
        if set(given) == {_YES}:
            always.append(claim)
        elif given:
            parts = "; ".join(f"{answer} at {listing(where)}" for answer, where in given.items())
            otherwise.append(f"Is the dream {claim}? {parts.capitalize()}.")
    first = [f"At every horizon shown, the dream is clearly {listing(always)}."] if always else []
    return " ".join(first + otherwise) or None


def _answer(gain: Interval) -> str:
    if gain.low is None or gain.high is None:
        return _OPEN
    return _YES if gain.low > 0 else _NO if gain.high < 0 else _OPEN


def _table(measured: list[tuple[RunContents, _Errors]], several: bool) -> Html:
    def cell(curves: dict[str, dict[float, Interval]], name: str, horizon: float) -> str:
        point = curves.get(name, {}).get(horizon)
        return "\N{EN DASH}" if point is None else interval_text(*point)

    rows = [
        [
            f"{run.name}, +{number_text(horizon)}" if several else f"+{number_text(horizon)}",
            *(cell(errors.curves, name, horizon) for name in _KINDS),
            *(cell(errors.gains, name, horizon) for name in _CLAIMS),
        ]
        for run, errors in measured
        for horizon in errors.horizons
    ]
    labels = [label for label, _ in _KINDS.values()]
    saved = ["Saved against repeating", "Saved against shuffled"]
    return table(["Steps ahead", *labels, *saved], rows, range(1, 1 + len(labels) + len(saved)))


def _media(run: RunContents, several: bool) -> Html:
    clip = film = None
    if run.video is not None:
        clip = tag(
            "video",
            src=_data_address("video/mp4", run.video),
            controls=True,
            autoplay=True,
            muted=True,
            loop=True,
            playsinline=True,
            aria_label="The real game on the left, the dream on the right",
        )
    if run.filmstrip is not None:
        film = tag(
            "img", src=_data_address("image/png", run.filmstrip), alt="Moments of the real game and of the dream"
        )
    return figure(tag("div", clip, film, class_="media"), f"{run.name} ({run.game})" if several else None)


def _data_address(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"
