"""One self-contained page about how far a dream can be trusted; docs/fidelity.md defines its numbers."""

import base64
from typing import Any

from diamond.evaluation.fidelity.games import FEWEST_GAMES
from diamond.evaluation.fidelity.measure import FILM_COLUMNS, Film, Result
from diamond.reports.charts import DASHED, DOTTED, Series, line_chart
from diamond.reports.fidelity_words import DEFINITIONS, lead, percent, tiles
from diamond.reports.page import (
    Html,
    details,
    escape,
    figure,
    join,
    legend,
    missing,
    page,
    section,
    table,
    tag,
)
from diamond.reports.video import filmstrip_png
from diamond.runs.wording import interval_text, number_text

_COLOURS = {"agent": "c1", "random": "c2", "recorded": "c3"}
_PLAYERS = {"agent": "games of the agent", "random": "games of random actions", "recorded": "recorded games"}
_DASH = "\N{EN DASH}"
_ONE_STEP = (
    ("psnr", "PSNR, dB"),
    ("ssim", "SSIM"),
    ("lpips", "LPIPS"),
    ("error", "Error on all pixels"),
    ("moved_error", "Error on moving pixels"),
    ("repeat_moved_error", "\N{HORIZONTAL ELLIPSIS} of repeating the last frame"),
)
_CURVES = (
    ("error", "Error on all pixels", "grey levels", ("repeat_error", "unrelated_error")),
    ("moved_error", "Error on moved pixels", "grey levels", ("repeat_moved_error",)),
    ("psnr", "PSNR", "dB", ()),
    ("ssim", "SSIM", "SSIM", ()),
    ("lpips", "LPIPS", "LPIPS", ()),
    ("brightness", "Brightness, dream minus real", "grey levels", ()),
    ("saturation", "Saturation, dream minus real", "grey levels", ()),
    ("sharpness", "Sharpness, dream minus real", "grey levels a pixel", ()),
)
_REFERENCES = {
    "repeat_error": "start frame repeated",
    "repeat_moved_error": "start frame repeated",
    "unrelated_error": "another real game",
}
_EVENTS = {"reward": "Reward {}", "termination": "The game {}"}
_PROBABILITIES = {"reward": "likeliest reward sign", "termination": "end"}
_TICKS = (1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0)


def render(result: Result) -> Html:
    """The page as HTML."""
    record = result.record
    title = f"{record['game']}: how far the dream can be trusted"
    sections = (_on_its_own, _one_step, _judgement, _actions, _features, _made)
    footer = tag("footer", f"Made by diamond-wm {record['diamond']} from {record['run']}.")
    return page(title, _header(record), _films(result.films), *(make(record) for make in sections), footer)


def _header(record: dict[str, Any]) -> Html:
    epoch = "" if record["checkpoint"] is None else f", epoch {record['checkpoint']}"
    played = [f"{one['num_games']} {_PLAYERS[one['name']]}" for one in record["sets"]]
    facts = [f"{record['run']}{epoch}", *played, f"seed {record['seed']}"]
    shown = [
        tag("div", tag("dt", name), tag("dd", value), tag("dd", note, class_="note"))
        for name, value, note in tiles(record)
    ]
    return tag(
        "header",
        tag("p", "DIAMOND \N{MIDDLE DOT} fidelity", class_="eyebrow"),
        tag("h1", Html(escape(record["game"]).replace("/", "/<wbr>"))),
        tag("p", " \N{MIDDLE DOT} ".join(facts), class_="facts"),
        *(tag("p", text, class_="lead") for text in lead(record)),
        tag("dl", *shown, class_="tiles"),
    )


def _png(film: Film) -> bytes:
    """Real above dreamed, a column a moment."""
    scale = max(1, 96 // film.real.shape[1])
    return filmstrip_png({"real game": film.real, "dream": film.dream}, [f"+{step}" for step in film.steps], scale)


def _films(films: list[Film]) -> Html:
    title = "Real above dreamed"
    if not films:
        return section(title, missing("No game lasted long enough to dream of it."))
    shown = [
        figure(
            tag(
                "img",
                src=f"data:image/png;base64,{base64.b64encode(_png(film)).decode('ascii')}",
                style=f"width:{100 * len(film.steps) / FILM_COLUMNS:.0f}%",
                alt=f"Moments of a real game above those of the dream: {film.caption}",
            ),
            film.caption,
        )
        for film in films
    ]
    text = "Both start from the same real frames (+0 is the last of them) and receive the same actions."
    return section(title, tag("p", text), tag("div", *shown, class_="grid"))


def _on_its_own(record: dict[str, Any]) -> Html:
    sets = record["sets"]
    grids = [chart for measure in _CURVES if (chart := _chart(sets, *measure)) is not None]
    grids += [_counts(sets)] if grids else []
    names = [(_COLOURS[one["name"]], _PLAYERS[one["name"]]) for one in sets if one["open_loop"]["horizons"]]
    ends = [f"{_PLAYERS[one['name']].capitalize()}: {one['open_loop']['end']}" for one in sets]
    return section(
        "On its own",
        tag(
            "p",
            "From the first real frames of each game the dream goes on alone, under the actions that were really "
            "taken. A dream may be perfectly realistic and yet err here, where the game has chance in it: then it "
            "comes to look like another real game, which is the dotted line. Bands are 95\N{NO-BREAK SPACE}% intervals "
            "over games.",
        ),
        *(tag("p", text, class_="missing") for text in ends),
        legend(names) if names else None,
        tag("div", *grids, class_="grid") if grids else None,
        *(details(f"The numbers: {_PLAYERS[one['name']]}", _curve_table(one["open_loop"])) for one in sets),
    )


def _chart(sets: list[dict[str, Any]], name: str, title: str, unit: str, references: tuple[str, ...]) -> Html | None:
    series, last = [], 1.0
    for one in sets:
        curves, colour = one["open_loop"], _COLOURS[one["name"]]
        main = _series(curves, name, colour)
        if main is None:
            continue
        series.append(main)
        last = max(last, main.x[-1])
        for reference, dash in zip(references, (DASHED, DOTTED), strict=False):
            extra = _series(curves, reference, colour, dash)
            series += [] if extra is None else [extra]
    if not series:
        return None
    words = "; ".join(f"{number_text(one.y[0])} at first, {number_text(one.y[-1])} at last" for one in series)
    ticks = [tick for tick in _TICKS if tick <= last]
    levels = [("", 0.0)] if "minus" in title else []
    chart = line_chart(
        series, "steps ahead", unit, f"{title}: {words}.", x_ticks=ticks, levels=levels, logarithmic_x=True
    )
    kinds = ("dashed", "dotted")
    note = ", ".join(f"{kind}: {_REFERENCES[name]}" for kind, name in zip(kinds, references, strict=False))
    return figure(chart, title, tag("span", note) if note else None)


def _counts(sets: list[dict[str, Any]]) -> Html:
    """How many games each point of the curves stands for."""
    shown = [(_COLOURS[one["name"]], one["open_loop"]) for one in sets if one["open_loop"]["horizons"]]
    series = [
        Series([float(t) for t in curves["horizons"]], [float(n) for n in curves["num_games"]], colour)
        for colour, curves in shown
    ]
    last = max(one.x[-1] for one in series)
    words = "; ".join(f"{one.y[0]:.0f} at first, {one.y[-1]:.0f} at last" for one in series)
    ticks = [tick for tick in _TICKS if tick <= last]
    needed = [("needed for a point", float(FEWEST_GAMES)), ("", 0.0)]
    title = "Games that last so long"
    chart = line_chart(
        series, "steps ahead", "games", f"{title}: {words}.", x_ticks=ticks, levels=needed, logarithmic_x=True
    )
    return figure(chart, title)


def _series(curves: dict[str, Any], name: str, colour: str, dash: tuple[float, float] | None = None) -> Series | None:
    points = [(t, n) for t, n in zip(curves["horizons"], curves.get(name, []), strict=False) if n is not None]
    if not points:
        return None
    mean, low, high = ([n[part] for _, n in points] for part in ("mean", "low", "high"))
    steps = [float(t) for t, _ in points]
    return Series(steps, mean, colour, low, high) if dash is None else Series(steps, mean, colour, dash=dash)


def _curve_table(curves: dict[str, Any]) -> Html:
    if not curves["horizons"]:
        return missing(curves["end"])
    columns = [(name, title) for name, title, _, _ in _CURVES if name in curves]
    columns[1:1] = [("repeat_error", "Start frame repeated"), ("unrelated_error", "Another real game")]
    rows = [
        [f"+{t:,}", str(count), *(_number(curves[name][i]) for name, _ in columns)]
        for i, (t, count) in enumerate(zip(curves["horizons"], curves["num_games"], strict=True))
    ]
    return table(["Steps ahead", "Games", *(title for _, title in columns)], rows, range(1, len(columns) + 2))


def _one_step(record: dict[str, Any]) -> Html:
    sets = record["sets"]
    rows = [
        [label, *(_number(one["one_step"].get(name)) for one in sets)]
        for name, label in _ONE_STEP
        if any(one["one_step"].get(name) for one in sets)
    ]
    rows.append(["Frames", *(number_text(one["one_step"]["num_frames"]) for one in sets)])
    head = ["Mean over games (95\N{NO-BREAK SPACE}% interval)", *(_PLAYERS[one["name"]].capitalize() for one in sets)]
    text = "Every context is real here; only the next frame is dreamed, at every step of every game."
    return section("One step ahead", tag("p", text), table(head, rows, range(1, len(head)), narrow=True))


def _judgement(record: dict[str, Any]) -> Html:
    tables, charts = [], []
    for one in record["sets"]:
        players, rows = _PLAYERS[one["name"]], []
        for kind, event in _EVENTS.items():
            judged = one[kind]
            rows += [
                [event.format(label), number_text(judged["support"][c]), *_rates(judged, c)]
                for c, label in enumerate(judged["classes"])
                if judged["support"][c] or judged["drawn"]["predicted"][c] >= 0.5
            ]
            title = f"{_PROBABILITIES[kind].capitalize()}, {players}"
            charts.append(_reliability(judged, title, _COLOURS[one["name"]], _PROBABILITIES[kind]))
        head = [players.capitalize(), "Times", "Precision", "Recall", "Precision, drawn", "Recall, drawn"]
        tables.append(table(head, rows, range(1, 6)))
    return section(
        "Rewards and ends",
        tag(
            "p",
            "The reward and termination model sees the whole real game, true last frame included, and foretells the "
            "sign of each reward and whether the game ends. Counted once with its likeliest answer, once with answers "
            "drawn by its probabilities, as the dream draws them. A game that was cut off did not end.",
        ),
        *tables,
        tag("h3", "Can its probabilities be believed?"),
        tag(
            "p",
            "On the dashed diagonal, what is given a probability happens just as often: for rewards the likeliest "
            "sign, for ends the end itself.",
        ),
        tag("div", *charts, class_="grid"),
    )


def _rates(judged: dict[str, Any], c: int) -> list[str]:
    values = (judged[how][rate][c] for how in ("likeliest", "drawn") for rate in ("precision", "recall"))
    return [_DASH if value is None else number_text(value, 3) for value in values]


def _reliability(judged: dict[str, Any], title: str, colour: str, what: str) -> Html:
    found = judged["reliability"]
    bins = zip(found["confidence"], found["frequency"], found["count"], strict=True)
    points = [(believed, happened, count) for believed, happened, count in bins if count]
    diagonal = Series([0.0, 1.0], [0.0, 1.0], "grey", dash=DASHED, marked=False)
    believed, happened, counts = zip(*points, strict=True)
    words = "; ".join(f"{p[0]:.2f} believed, {p[1]:.2f} happened, {p[2]:,} times" for p in points)
    chart = line_chart(
        [diagonal, Series(believed, happened, colour)],
        f"probability of the {what}",
        "share that happened",
        f"{title}: {words}.",
        x_ticks=(0.0, 0.25, 0.5, 0.75, 1.0),
    )
    errors = f"calibration error {number_text(found['error'], 3)}, Brier score {number_text(judged['brier'], 3)}"
    return figure(chart, title, tag("span", f"{errors}; predictions by point: {', '.join(map(number_text, counts))}"))


def _actions(record: dict[str, Any]) -> Html:
    title, actions = "What an action changes", record["actions"]
    if actions is None:
        return section(title, missing("No real moment to try actions at."))
    real = any(row["real"] is not None for row in actions["actions"])
    head = ["Action", "Dream changes", "Real changes", "Of those in dream", "Change, dream", "Change, real"]
    head += ["Pixel precision", "Pixel recall", "Error"]
    rows = []
    for row in actions["actions"]:
        asked = row["real"] or {"share": None, "change": None}
        shares = [row["dream"]["share"], asked["share"]]
        changes = [row["dream"]["change"], asked["change"]]
        parts = [_share(row.get(name)) for name in ("pixel_precision", "pixel_recall")]
        rows.append(
            [
                f"{row['action']} {row['meaning']}",
                *(percent(share) for share in shares),
                _share(row.get("share_agreed")),
            ]
            + [*(_number(change) for change in changes), *parts, _number(row.get("error"))]
        )
    return section(
        title,
        tag(
            "p",
            f"At {actions['num_moments']} real moments every action is tried, in the dream from the same noise"
            + (" and in the real game, which is taken back to the moment each time" if real else "")
            + f", and compared with action 0 ({actions['compared_with']}). A dream that changes nothing does not heed "
            "the action; one that changes what the real game leaves alone makes things up.",
        ),
        None if real else missing("Recorded games cannot be asked what another action would have done."),
        table(head, rows, range(1, len(head))),
    )


def _share(value: float | None) -> str:
    return _DASH if value is None else f"{number_text(100 * value, 0)}\N{NO-BREAK SPACE}%"


def _features(record: dict[str, Any]) -> Html | None:
    measured = [(one["name"], one["features"]) for one in record["sets"] if one["features"] is not None]
    if not measured:
        return None
    first = measured[0][1]
    rows = [
        [
            _PLAYERS[name].capitalize(),
            f"{found['num_samples']:,}",
            number_text(found["distance"]),
            _DASH if found["between_real"] is None else number_text(found["between_real"]),
        ]
        for name, found in measured
    ]
    return section(
        "Distance of distributions",
        tag(
            "p",
            f"Fréchet distance between real and dreamed {first['takes']} in the features of ",
            tag("code", first["file"]),
            ". Not comparable with published numbers unless the file holds the published network. Few samples make it "
            "too large. The distance between two halves of the real games, beside it, has half as many, which alone "
            "makes it larger.",
        ),
        table(["Games", first["takes"].capitalize(), "Dream to real", "Real to real"], rows, [1, 2, 3], narrow=True),
    )


def _made(record: dict[str, Any]) -> Html:
    facts = {name: str(record[name]) for name in ("command", "commit", "weights", "data", "plan", "sampler")}
    facts |= {f"machine: {name}": str(value) for name, value in record["machine"].items()}
    return join(
        section("How each number was made", table(["Number", "Meaning"], [[*pair] for pair in DEFINITIONS])),
        details("Where they come from", table(["Fact", "Value"], [[name, text] for name, text in facts.items()])),
    )


def _number(number: dict[str, Any] | None) -> str:
    return _DASH if number is None else interval_text(number["mean"], number["low"], number["high"])
