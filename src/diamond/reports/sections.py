"""The rest of the report: learning curves, what the run cost, and its configuration."""

import json
import statistics
from collections.abc import Sequence

from diamond.reports.charts import Series, line_chart
from diamond.reports.contents import RunContents
from diamond.reports.page import Html, details, figure, join, legend, missing, section, table, tag
from diamond.reports.score_sections import colour_of
from diamond.runs.wording import duration_text, number_text, size_text

_EPOCH, _STEPS = ("epoch", "epoch"), ("env_steps", "real environment steps")
_CURVES = (
    ("Whole games, over real steps", "evaluation/return", _STEPS, "return"),
    ("Whole games, over epochs", "evaluation/return", _EPOCH, "return"),
    ("Games played for training", "collect/return_mean", _STEPS, "return"),
    ("Returns in the dream", "actor_critic/return_mean", _EPOCH, "return, rewards as signs"),
    ("Denoiser", "denoiser/loss", _EPOCH, "loss"),
    ("Reward and termination model", "reward_model/loss", _EPOCH, "loss (nats)"),
    ("Actor-critic", "actor_critic/loss", _EPOCH, "loss"),
    ("Entropy of the policy", "actor_critic/entropy", _EPOCH, "entropy (nats)"),
)
_COSTS = ("time/", "memory/", "disk/")
_MOST_FURTHER_CURVES = 60


def curves(runs: Sequence[RunContents]) -> Html:
    """Learning curves, all runs overlaid; the known ones first, every other metric on demand."""
    title = "Learning curves"
    if not any(run.rows for run in runs):
        return section(title, missing("No metrics yet. The first row appears when the first epoch ends."))
    known = [_curve(runs, *curve) for curve in _CURVES]
    further = [_curve(runs, key, key, _EPOCH, "value") for key in _further_keys(runs)]
    shown = [chart for chart in known if chart is not None]
    more = [chart for chart in further if chart is not None]
    return section(
        title,
        _run_legend(runs),
        tag("div", *shown, class_="grid"),
        details(f"{len(more)} more metrics", tag("div", *more, class_="grid")) if more else None,
    )


def cost(runs: Sequence[RunContents]) -> Html:
    """Time, throughput and memory, one column a run."""
    title = "Time, throughput, memory, disk"
    keys = list(dict.fromkeys(key for run in runs for row in run.rows for key in row))
    keys = [key for key in keys if key.startswith(_COSTS)]
    if not keys:
        return section(title, missing("Not measured yet."))
    keys.sort(key=lambda key: (not key.startswith("time/"), "per_second" in key, key != "time/epoch_seconds"))
    rows = [[_cost_name(key), *(_cost_value(key, run) for run in runs)] for key in keys]
    head = ["Measure", *(run.name if len(runs) > 1 else "Value" for run in runs)]
    return section(title, table(head, rows, range(1, len(runs) + 1), narrow=True))


def configuration(runs: Sequence[RunContents]) -> Html:
    """Every hyper-parameter, collapsed; for several runs, what differs comes first."""
    names = list(dict.fromkeys(name for run in runs for name in run.config))
    rows = [[tag("code", name), *(_plain(run.config.get(name, "\N{EN DASH}")) for run in runs)] for name in names]
    head = ["Field", *(run.name if len(runs) > 1 else "Value" for run in runs)]
    differing = [row for row in rows if len(set(row[1:])) > 1]
    return section(
        "Configuration",
        join(tag("h3", "What differs"), table(head, differing)) if differing else None,
        details(f"All {len(names)} fields", table(head, rows)),
    )


def _curve(runs: Sequence[RunContents], title: str, key: str, x: tuple[str, str], y_label: str) -> Html | None:
    """A chart of one metric; a key `a/b` stands for `a/b_mean` with `a/b_low` and `a/b_high` where those exist."""
    series = []
    for i, run in enumerate(runs):
        banded = f"{key}_mean"
        has_band = any(banded in row for row in run.rows)
        points = run.curve(x[0], banded if has_band else key)
        if not points:
            continue
        low, high = (run.curve(x[0], f"{key}_{edge}") if has_band else [] for edge in ("low", "high"))
        whole = len(low) == len(high) == len(points)
        series.append(
            Series(
                [point[0] for point in points],
                [point[1] for point in points],
                colour_of(i),
                [point[1] for point in low] if whole else (),
                [point[1] for point in high] if whole else (),
            )
        )
    if not series:
        return None
    levels = _random_level(runs) if key == "evaluation/return" else []
    last = "; ".join(f"{number_text(one.y[0])} at first, {number_text(one.y[-1])} at last" for one in series)
    logarithmic = key.endswith(("loss", "norm"))
    chart = line_chart(series, x[1], y_label, f"{title}: {last}.", levels=levels, may_be_logarithmic=logarithmic)
    return figure(chart, title)


def _random_level(runs: Sequence[RunContents]) -> list[tuple[str, float]]:
    if len({run.game for run in runs}) > 1:
        return []
    measured = [run.scores["random"].mean for run in runs if "random" in run.scores]
    return [("random policy", statistics.fmean(measured))] if measured else []


def _further_keys(runs: Sequence[RunContents]) -> list[str]:
    shown = {key for _, key, _, _ in _CURVES} | {f"evaluation/return_{part}" for part in ("mean", "low", "high")}
    keys = {key for run in runs for row in run.rows for key in row} - shown - {"epoch", "env_steps"}
    return sorted(key for key in keys if not key.startswith(_COSTS))[:_MOST_FURTHER_CURVES]


def _run_legend(runs: Sequence[RunContents]) -> Html | None:
    return legend([(colour_of(i), run.name) for i, run in enumerate(runs)]) if len(runs) > 1 else None


def _cost_name(key: str) -> str:
    kind, _, name = key.partition("/")
    words = name.replace("/", ", ").replace("_", " ")
    for unit in (" per second", " seconds", " bytes"):
        words = words.removesuffix(unit)
    if kind != "time":
        return f"{kind.capitalize()}, at most: {words}"
    if "per_second" in name:
        return f"Throughput, median: {words}"
    return "Time of all epochs" if key == "time/epoch_seconds" else f"Time: {words}"


def _cost_value(key: str, run: RunContents) -> str:
    values = [row[key] for row in run.rows if key in row]
    if not values:
        return "\N{EN DASH}"
    if not key.startswith("time/"):
        return size_text(max(values)) if key.endswith("_bytes") else number_text(max(values))
    if "per_second" in key:
        return f"{number_text(statistics.median(values))} /s"
    whole = run.seconds
    share = f" ({number_text(100 * sum(values) / whole, 0)}\N{NO-BREAK SPACE}%)" if whole else ""
    return duration_text(sum(values)) + (share if key != "time/epoch_seconds" else "")


def _plain(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
