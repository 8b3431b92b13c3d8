"""What the numbers of a dream's fidelity come to, in words."""

from typing import Any

from diamond.runs.wording import listing, number_text

DEFINITIONS = (
    ("Mean and interval", "Each game gives one value; the mean is over games, with a 95 % percentile bootstrap "
     "interval over games. Fewer than 10 games give no number."),
    ("Error", "Mean absolute difference of the three colours, in grey levels from 0 to 255."),
    ("Moving, moved pixels", "Pixels of which a colour differs by more than 8 grey levels between the true frame and "
     "the last real frame that the dream has seen."),
    ("PSNR", "10 log10(255\N{SUPERSCRIPT TWO} / mean squared error) in dB; equal frames count as if a single value "
     "were off by half a grey level."),
    ("SSIM", "Structural similarity (Wang et al. 2004), window 11 x 11, or the largest odd size that fits."),
    ("LPIPS", "Distance in the features of a network (Zhang et al. 2018); only with --lpips."),
    ("Brightness, saturation, sharpness", "Mean luma (BT.601); mean of strongest minus weakest colour; mean length of "
     "the luma's gradient. Shown as dream minus real: 0 is right."),
    ("Another real game", "Mean error between frames of different real games at the same step: what a perfectly "
     "realistic dream of a game that has nothing to do with this one would score."),
    ("Precision, recall", "Of what was foretold, the share that happened; of what happened, the share that was "
     "foretold. Drawn: expected counts when the answer is drawn by its probability."),
    ("Brier score", "Mean squared distance of the probabilities from what happened, summed over classes: 0 is perfect, "
     "2 sure and wrong."),
    ("Calibration error", "Mean of |share that happened minus mean probability| over ten equal bins, weighted by "
     "predictions (ECE, Guo et al. 2017)."),
    ("Changes", "Share of moments in which an action moves a pixel by more than 8 grey levels, compared with action "
     "0; `of those in dream`: of the moments in which the real game changes, those in which the dream does."),
    ("Pixel precision, recall", "Of the pixels that an action changes in the dream, the share that it changes in the "
     "real game; and the other way round. Pooled over moments."),
)  # fmt: skip


_ALONE, _OTHER = "On its own, the dream is", "another real game is at the same step"


def lead(record: dict[str, Any]) -> list[str]:
    """The result in a few sentences, none of which says more than the intervals bear out."""
    one = record["sets"][0]
    return [text for text in (_frames(one), _alone(one), _heeds(record["actions"]), _familiar(record)) if text]


def _frames(one: dict[str, Any]) -> str | None:
    names = ("moved_error", "repeat_moved_error", "gain_on_repeat")
    dream, repeat, gain = (one["one_step"].get(name) for name in names)
    if dream is None or repeat is None or gain is None:
        return None
    text = (
        f"One step ahead, the dream errs by {number_text(dream['mean'])} grey levels on the pixels that move; "
        f"repeating the last frame errs by {number_text(repeat['mean'])}."
    )
    if gain["low"] > 0:
        return text
    return f"{text} {'The dream is worse.' if gain['high'] < 0 else 'The interval does not tell them apart.'}"


def _alone(one: dict[str, Any]) -> str | None:
    """Up to which step the paired difference to another real game is surely positive."""
    curves = one["open_loop"]
    horizons, gains = curves["horizons"], curves.get("gain_on_unrelated", [])
    until = None
    for horizon, gain in zip(horizons, gains, strict=True):
        if gain["low"] <= 0:
            break
        until = horizon
    if not horizons:
        return curves["end"]
    if until == horizons[-1]:
        return f"{_ALONE} closer to the real game than {_OTHER}, as far as was measured, {_steps(until)}."
    sure = f"not clearly closer to the real game than {_OTHER}"
    if until is not None:
        sure = f"closer to the real game than {_OTHER} for {_steps(until)}; later that is not sure"
    farther = f", and after {_steps(horizons[-1])} it is farther from it" if gains[-1]["high"] < 0 else ""
    return f"{_ALONE} {sure}{farther}."


def _steps(count: int) -> str:
    return "1 step" if count == 1 else f"{count:,} steps"


def _heeds(actions: dict[str, Any] | None) -> str | None:
    if actions is None:
        return None
    parts = []
    for row in actions["actions"]:
        real = "" if row["real"] is None else f" and the real game in {percent(row['real']['share'])}"
        parts.append(f"{row['meaning']} changes the dream in {percent(row['dream']['share'])} of moments{real}")
    more = "" if len(parts) <= 3 else f" ({len(parts) - 3} more actions below)"
    return f"Against {actions['compared_with']}, {listing(parts[:3])}{more}."


def _familiar(record: dict[str, Any]) -> str | None:
    known = [(one["num_familiar"], one["num_games"]) for one in record["sets"] if one["num_familiar"]]
    if not known:
        return None
    same, games = (sum(column) for column in zip(*known, strict=True))
    return f"{same} of {games} games are equal, frame by frame, to one that the run was trained on."


def tiles(record: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Headline numbers of the first set of games: name, value, note."""
    one = record["sets"][0]
    shown = []
    for name, title, unit in (("psnr", "PSNR", "dB, one step ahead"), ("ssim", "SSIM", "one step ahead")):
        number = one["one_step"].get(name)
        if number is not None:
            shown.append((title, number_text(number["mean"]), unit))
    for kind, title, classes in (("reward", "Rewards foretold", (0, 2)), ("termination", "Ends foretold", (1,))):
        correct, support = (
            sum(values[c] for c in classes) for values in (one[kind]["drawn"]["correct"], one[kind]["support"])
        )
        if support:
            shown.append((title, f"{100 * correct / support:.1f} %", f"of {support}, drawn as the dream draws"))
    curves = one["open_loop"]
    if curves["horizons"]:
        number = curves["error"][-1]
        note = f"grey levels, {curves['horizons'][-1]:,} steps on its own"
        shown.append(("Error", number_text(number["mean"]), note))
    return shown


def percent(share: dict[str, Any] | None) -> str:
    """A share in percent."""
    return "\N{EN DASH}" if share is None else f"{number_text(100 * share['mean'], 0)}\N{NO-BREAK SPACE}%"
