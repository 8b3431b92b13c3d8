"""The report's first page: what was trained, how well it plays, and against whom."""

from collections.abc import Iterator, Sequence

from diamond.reports.charts import Bar, bar_chart
from diamond.reports.contents import RunContents, Score
from diamond.reports.page import Html, details, figure, join, missing, section, table, tag
from diamond.reports.style import SERIES
from diamond.runs.wording import duration_text, finite, interval_text, listing, number_text

POLICIES = {
    "trained": "Agent",
    "best_constant": "Best constant action",
    "untrained": "Untrained network",
    "random": "Random policy",
}
_UNKNOWN = "\N{EN DASH}"
_ENOUGH = 10
"""Games below which a bootstrap interval is too narrow to found a claim on."""
_BASELINES = ("random", "best_constant", "untrained")


def colour_of(position: int) -> str:
    """The colour of the run at a position in the report."""
    return SERIES[position % len(SERIES)]


def header(runs: Sequence[RunContents]) -> Html:
    """Title, what was run, and the result in a sentence and in four numbers."""
    games = list(dict.fromkeys(run.game for run in runs))
    if len(runs) == 1:
        title, facts = games[0], _facts(runs[0])
    else:
        title, facts = listing(games), f"{len(runs)} runs"
    top = tag(
        "header",
        tag("p", "DIAMOND \N{MIDDLE DOT} learned in a dream", class_="eyebrow"),
        tag("h1", title),
        tag("p", facts, class_="facts"),
        *(_trouble(run, len(runs)) for run in runs if run.troubles),
    )
    return join(top, _single(runs[0])) if len(runs) == 1 else join(top, _overview(runs))


def scores(runs: Sequence[RunContents]) -> Html:
    """Bar plots and tables of every policy's score."""
    scored = [(i, run) for i, run in enumerate(runs) if run.scores]
    if not scored:
        return section("Scores", missing("No final scores yet. They are measured when training ends."))
    charts = [figure(_bars(run, colour_of(i), _limits(run, runs)), *_chart_title(run, runs)) for i, run in scored]
    note = tag(
        "div",
        tag(
            "p",
            "Bars are mean returns of whole games, lines their 95\N{NO-BREAK SPACE}% bootstrap intervals, dots single "
            "games. The best constant action was chosen on other games than those it is measured on.",
        ),
        tag("p", _protocol(scored[0][1])) if len(runs) == 1 else None,
    )
    rows = [cells for _, run in scored for cells in _score_rows(run, len(runs) > 1)]
    interval = "Mean return (95\N{NO-BREAK SPACE}% interval)"
    head = ["Who plays", interval, "Games", "Human-normalised", "Steps a game", "Cut by the step cap"]
    numbers = table(head, rows, range(1, 6))
    if len(runs) == 1:
        return section("Scores", tag("div", *charts, note, class_="pair"), numbers)
    return section("Scores", note, tag("div", *charts, class_="grid"), details("The numbers", numbers))


def _facts(run: RunContents) -> str:
    facts = [f"seed {run.config['seed']}"] if "seed" in run.config else []
    facts += [f"preset {run.config['preset']}"] if "preset" in run.config else []
    epoch, epochs = run.last("epoch"), finite(run.config.get("schedule.epochs"))
    if epoch is None:
        facts.append("training has not finished its first epoch")
    elif epochs is not None:
        facts.append(f"epoch {number_text(epoch)} of {number_text(epochs)}")
    steps, seconds = run.last("env_steps"), run.seconds
    if steps is not None:
        facts.append(f"{number_text(steps)} real steps")
    if seconds is not None:
        facts.append(f"trained for {duration_text(seconds)}")
    return " \N{MIDDLE DOT} ".join(facts)


def _trouble(run: RunContents, count: int) -> Html:
    prefix = f"{run.name}: " if count > 1 else ""
    return missing(prefix + " ".join(run.troubles))


def _single(run: RunContents) -> Html:
    trained = run.scores.get("trained")
    if trained is None:
        return join(tag("p", _score_so_far(run), class_="lead"), _tiles(run))
    return join(tag("p", _verdict(run, trained), class_="lead"), _tiles(run))


def _score_so_far(run: RunContents) -> str:
    mean, games = run.last("evaluation/return_mean"), run.last("evaluation/episodes")
    if mean is None:
        return "The agent has not been evaluated yet."
    row = next(row for row in reversed(run.rows) if "evaluation/return_mean" in row)
    text = interval_text(mean, row.get("evaluation/return_low"), row.get("evaluation/return_high"))
    over = "" if games is None else f" over {number_text(games)} games"
    return f"No final scores yet. At epoch {number_text(row['epoch'])} the agent scored {text}{over}."


def _verdict(run: RunContents, trained: Score) -> str:
    mean = interval_text(trained.mean, trained.low, trained.high)
    text = f"Over {_games(trained.n)}, the agent scores {mean} on average."
    if min(score.n for score in (trained, *(run.scores[name] for name in _BASELINES if name in run.scores))) < _ENOUGH:
        return f"{text} Fewer than {_ENOUGH} games do not tell it from its baselines."
    groups: dict[str, list[str]] = {"above": [], "below": [], "overlaps": []}
    for name in _BASELINES:
        if name in run.scores:
            groups[_relation(trained, run.scores[name])].append(f"the {POLICIES[name].lower()}")
    parts = [f"lies {where} that of {listing(groups[where])}" for where in ("above", "below") if groups[where]]
    if groups["overlaps"]:
        parts.append(f"overlaps that of {listing(groups['overlaps'])}")
    if parts:
        text += f" Its 95\N{NO-BREAK SPACE}% interval {listing(parts)}."
    return text


def _relation(ours: Score, theirs: Score) -> str:
    bounds = (ours.low, ours.high, theirs.low, theirs.high)
    low, high, their_low, their_high = (0.0 if bound is None else bound for bound in bounds)
    if None in bounds:  # without an interval nothing can be told apart
        return "overlaps"
    return "above" if low > their_high else "below" if high < their_low else "overlaps"


def _tiles(run: RunContents) -> Html:
    trained, tiles = run.scores.get("trained"), []
    if trained is not None:
        tiles.append(_tile("Mean return", trained.mean, trained.low, trained.high, _games(trained.n)))
        keys = ("human_normalised", "human_normalised_low", "human_normalised_high")
        mean, low, high = (trained.number(key) for key in keys)
        if mean is not None:
            tiles.append(_tile("Human-normalised", mean, low, high, "0 random, 1 human"))
    for name in ("random", "best_constant"):
        baseline = run.scores.get(name)
        if baseline is not None:
            tiles.append(_tile(POLICIES[name], baseline.mean, baseline.low, baseline.high, _games(baseline.n)))
    if "human" in run.published and tiles:
        tiles.append(_tile("Human", run.published["human"], None, None, "published"))
    return tag("dl", *tiles, class_="tiles") if tiles else Html("")


def _tile(name: str, mean: float, low: float | None, high: float | None, note: str) -> Html:
    shown, _, interval = interval_text(mean, low, high).partition(" (")
    return tag(
        "div",
        tag("dt", name),
        tag("dd", shown),
        tag("dd", interval.rstrip(")"), class_="note") if interval else None,
        tag("dd", note, class_="note"),
    )


def _overview(runs: Sequence[RunContents]) -> Html:
    rows = []
    for i, run in enumerate(runs):
        trained, chance = run.scores.get("trained"), run.scores.get("random")
        keys = ("human_normalised", "human_normalised_low", "human_normalised_high")
        normal = [trained.number(key) if trained else None for key in keys]
        epoch, steps = run.last("epoch"), run.last("env_steps")
        rows.append(
            [
                join(tag("i", style=f"background:var(--{colour_of(i)})"), run.name),
                run.game,
                str(run.config.get("seed", _UNKNOWN)),
                _UNKNOWN if epoch is None else number_text(epoch),
                _UNKNOWN if steps is None else number_text(steps),
                _score_text(trained),
                _score_text(chance),
                _UNKNOWN if normal[0] is None else interval_text(normal[0], normal[1], normal[2]),
            ]
        )
    head = ["Run", "Game", "Seed", "Epochs", "Real steps", "Mean return", "Random policy", "Human-normalised"]
    return table(head, rows, range(2, 8))


def _score_text(score: Score | None) -> str:
    return _UNKNOWN if score is None else interval_text(score.mean, score.low, score.high)


def _bars(run: RunContents, colour: str, limits: tuple[float, float]) -> Html:
    bars = [
        Bar(label, colour if name == "trained" else "grey", score.mean, score.low, score.high, score.returns)
        for name, label in POLICIES.items()
        if (score := run.scores.get(name)) is not None
    ]
    marks = [("human", run.published["human"])] if _human_fits(run, limits) else []
    words = "; ".join(f"{bar.label} {interval_text(bar.mean, bar.low, bar.high)}" for bar in bars)
    return bar_chart(
        bars, "return of a whole game", f"Mean returns with intervals. {words}.", marks=marks, limits=limits
    )


def _limits(run: RunContents, runs: Sequence[RunContents]) -> tuple[float, float]:
    """One x axis for all runs of a game; it reaches out to the human score unless that would flatten the rest."""
    peers = [peer for peer in runs if peer.game == run.game]
    values = [
        value
        for peer in peers
        for name in POLICIES
        if (score := peer.scores.get(name)) is not None
        for value in (score.mean, score.low, score.high, *score.returns)
        if value is not None
    ]
    low, high = min(0.0, *values), max(0.0, *values)
    human = run.published.get("human")
    if human is not None and 2 * low - high <= human <= 2 * high - low:
        low, high = min(low, human), max(high, human)
    if low == high:  # nothing but zeros
        return 0.0, 1.0
    margin = 0.04 * (high - low)
    return (low - margin if low < 0 else 0.0), (high + margin if high > 0 else 0.0)


def _human_fits(run: RunContents, limits: tuple[float, float]) -> bool:
    return "human" in run.published and limits[0] <= run.published["human"] <= limits[1]


def _chart_title(run: RunContents, runs: Sequence[RunContents]) -> list[str]:
    title = f"{run.name} ({run.game})" if len(runs) > 1 else "Return of whole games, by who plays"
    if "human" not in run.published or _human_fits(run, _limits(run, runs)):
        return [title]
    return [
        title,
        tag("span", f"The published human score, {number_text(run.published['human'])}, lies beyond the plot."),
    ]


def _protocol(run: RunContents) -> str | None:
    """How the agent's games were played, as far as the record tells."""
    trained = run.scores.get("trained")
    if trained is None:
        return None
    parts = [f"The agent played {_games(trained.n)}"]
    cap, seed = trained.number("max_episode_steps"), trained.number("seed")
    if cap is not None:
        parts.append(f"of at most {number_text(cap)} steps")
    if seed is not None:
        parts.append(f"on evaluation seed {seed:.0f}")
    return " ".join(parts) + "."


def _score_rows(run: RunContents, name_run: bool) -> Iterator[list[str]]:
    prefix = f"{run.name}: " if name_run else ""
    for name, label in POLICIES.items():
        score = run.scores.get(name)
        if score is None:
            continue
        length, capped, normal = _mean_length(score), score.number("capped"), score.number("human_normalised")
        yield [
            prefix + _policy_label(label, score),
            _score_text(score),
            number_text(score.n),
            _UNKNOWN if normal is None else number_text(normal, 3),
            _UNKNOWN if length is None else number_text(length, 0),
            _UNKNOWN if capped is None else number_text(capped),
        ]
    for name, value in run.published.items():
        yield [f"{prefix}{name.capitalize()} (published)", number_text(value, 1), *[_UNKNOWN] * 4]


def _policy_label(label: str, score: Score) -> str:
    meaning, mode = score.details.get("action_meaning"), score.details.get("mode")
    if meaning is not None:
        return f"{label}: {meaning}"
    temperature = score.number("temperature")
    if mode == "greedy":
        return f"{label}, greedy"
    return label if temperature in (None, 1.0) else f"{label}, temperature {number_text(temperature or 0.0)}"


def _mean_length(score: Score) -> float | None:
    lengths = score.details.get("lengths")
    known = [number for item in lengths if (number := finite(item)) is not None] if isinstance(lengths, list) else []
    return sum(known) / len(known) if known else None


def _games(n: int) -> str:
    return "1 game" if n == 1 else f"{number_text(n)} games"
