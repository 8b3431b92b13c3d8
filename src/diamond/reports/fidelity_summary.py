"""A result in a few lines of text."""

from typing import Any

from diamond.runs.wording import interval_text, number_text

_LABEL, _CELL = 44, 30
_REPORTED = (1, 10, 100, 1000)


def summary(record: dict[str, Any]) -> list[str]:
    """The most important numbers, one column for each set of games."""
    sets = record["sets"]
    lines = [_line(f"{record['game']}, 95 % intervals", [f"{one['name']} games" for one in sets])]
    lines.append(_line("games, mean steps (cut off)", [_played(one) for one in sets]))
    for name, label in (("psnr", "PSNR, dB"), ("ssim", "SSIM"), ("lpips", "LPIPS")):
        lines += _row(f"one step ahead: {label}", [one["one_step"].get(name) for one in sets])
    lines += _row("  error on moving pixels", [one["one_step"].get("moved_error") for one in sets])
    lines += _row("  of repeating the last frame", [one["one_step"].get("repeat_moved_error") for one in sets])
    lines.append(_line("rewards: precision, recall if drawn", [_drawn(one["reward"], (0, 2)) for one in sets]))
    lines.append(_line("ends: precision, recall if drawn", [_drawn(one["termination"], (1,)) for one in sets]))
    for horizon in _REPORTED:
        columns = [_at(one["open_loop"], "error", horizon) for one in sets]
        lines += _row(f"on its own, +{horizon}: error on all pixels", columns)
    for one in sets:
        lines.append(f"{one['name']} games: {one['open_loop']['end']}")
        if one["num_familiar"]:
            same = f"{one['num_familiar']} of {one['num_games']}"
            lines.append(f"{one['name']} games: {same} are equal, frame by frame, to games that the run was trained on")
    actions = record["actions"]
    for row in [] if actions is None else actions["actions"]:
        real = "not asked" if row["real"] is None else _percent(row["real"]["share"])
        dream = _percent(row["dream"]["share"])
        lines.append(f"{row['meaning']} changes the next frame: dream {dream}, real game {real} of moments")
    return lines


def _line(label: str, cells: list[str]) -> str:
    return f"{label:{_LABEL}}" + "".join(f"{cell:>{_CELL}}" for cell in cells)


def _row(label: str, numbers: list[dict[str, Any] | None]) -> list[str]:
    """Nothing where no set of games has the number."""
    if not any(numbers):
        return []
    return [_line(label, ["-" if n is None else interval_text(n["mean"], n["low"], n["high"]) for n in numbers])]


def _played(one: dict[str, Any]) -> str:
    steps = sum(one["lengths"]) / one["num_games"]
    return f"{one['num_games']}, {number_text(steps)} ({one['num_cut']})"


def _drawn(judged: dict[str, Any], classes: tuple[int, ...]) -> str:
    """Of the classes named together."""
    correct, predicted, support = (
        sum(values[c] for c in classes)
        for values in (judged["drawn"]["correct"], judged["drawn"]["predicted"], judged["support"])
    )
    return ", ".join(number_text(correct / whole, 3) if whole else "-" for whole in (predicted, support))


def _at(curves: dict[str, Any], name: str, horizon: int) -> dict[str, Any] | None:
    return curves[name][curves["horizons"].index(horizon)] if horizon in curves["horizons"] else None


def _percent(share: dict[str, Any] | None) -> str:
    return "unknown" if share is None else f"{number_text(100 * share['mean'], 0)} %"
