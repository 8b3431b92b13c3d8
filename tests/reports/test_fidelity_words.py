"""A result in words: no more is said than the intervals bear out."""

from typing import Any

import pytest

from diamond.reports.fidelity_summary import summary
from diamond.reports.fidelity_words import lead, tiles


def number(mean: float, width: float = 1.0) -> dict[str, Any]:
    return {"mean": mean, "low": mean - width, "high": mean + width, "n": 16}


def judged(support: list[int], correct: list[float]) -> dict[str, Any]:
    return {"support": support, "drawn": {"predicted": support, "correct": correct}}


def one_set(**changes: Any) -> dict[str, Any]:
    curves = {
        "horizons": [1, 10],
        "error": [number(2), number(8)],
        "gain_on_unrelated": [number(9), number(3)],
        "end": "The curves end at 10 steps.",
    }
    steps = {
        "moved_error": number(5),
        "repeat_moved_error": number(50),
        "gain_on_repeat": number(45),
        "psnr": number(30),
    }
    rewards, ends = judged([1, 90, 9], [0.5, 89, 7]), judged([84, 16], [84, 12])
    return {
        "name": "agent", "num_games": 16, "num_cut": 2, "lengths": [10] * 16, "num_familiar": None,
        "one_step": steps, "reward": rewards, "termination": ends, "open_loop": curves | changes.pop("curves", {}),
    } | changes  # fmt: skip


def record(**changes: Any) -> dict[str, Any]:
    share = {"share": number(0.9, 0.05), "change": number(3)}
    rows = [{"action": 1, "meaning": "LEFT", "dream": share, "real": {"share": number(0.8, 0.05)}}]
    actions = {"compared_with": "NOOP", "num_moments": 9, "actions": rows}
    return {"game": "Pong", "sets": [one_set(**changes)], "actions": actions}


def test_what_the_lead_says() -> None:
    assert lead(record()) == [
        "One step ahead, the dream errs by 5 grey levels on the pixels that move; repeating the last frame errs by 50.",
        "On its own, the dream is closer to the real game than another real game is at the same step, as far as was "
        "measured, 10 steps.",
        "Against NOOP, LEFT changes the dream in 90\N{NO-BREAK SPACE}% of moments and the real game in "
        "80\N{NO-BREAK SPACE}%.",
    ]


@pytest.mark.parametrize(
    ("gain", "end"),
    [(number(-45), "The dream is worse."), (number(0.5), "The interval does not tell them apart.")],
)
def test_a_dream_that_saves_nothing_is_called_so(gain: dict[str, Any], end: str) -> None:
    told = lead(record(one_step=one_set()["one_step"] | {"gain_on_repeat": gain}))[0]
    assert told.endswith(f"errs by 50. {end}")


@pytest.mark.parametrize(
    ("gains", "said"),
    [
        ([number(9), number(0.5)], "at the same step for 1 step; later that is not sure."),
        ([number(9), number(-9)], "for 1 step; later that is not sure, and after 10 steps it is farther from it."),
        ([number(0.5), number(9)], "is not clearly closer to the real game than another real game"),
    ],
)
def test_closeness_is_claimed_as_far_as_it_is_sure(gains: list[dict[str, Any]], said: str) -> None:
    assert said in lead(record(curves={"gain_on_unrelated": gains}))[1]


def test_without_curves_the_reason_is_told() -> None:
    nothing = {"horizons": [], "error": [], "gain_on_unrelated": [], "end": "There are no curves: why."}
    assert "There are no curves: why." in lead(record(curves=nothing))


def test_known_games_are_owned_up_to() -> None:
    assert lead(record(num_familiar=3))[-1] == (
        "3 of 16 games are equal, frame by frame, to one that the run was trained on."
    )


def test_headlines_count_what_matters() -> None:
    """Rewards that are not zero, and ends; the rest is easy to foretell."""
    assert tiles(record()) == [
        ("PSNR", "30", "dB, one step ahead"),
        ("Rewards foretold", "75.0 %", "of 10, drawn as the dream draws"),
        ("Ends foretold", "75.0 %", "of 16, drawn as the dream draws"),
        ("Error", "8", "grey levels, 10 steps on its own"),
    ]


def test_the_summary_is_a_table() -> None:
    lines = summary(record())
    assert [line.split("  ")[0] for line in lines] == [
        "Pong, 95 % intervals",
        "games, mean steps (cut off)",
        "one step ahead: PSNR, dB",
        "",
        "",
        "rewards: precision, recall if drawn",
        "ends: precision, recall if drawn",
        "on its own, +1: error on all pixels",
        "on its own, +10: error on all pixels",
        "agent games: The curves end at 10 steps.",
        "LEFT changes the next frame: dream 90 %, real game 80 % of moments",
    ]
    assert lines[1].endswith(" 16, 10 (2)")
    assert lines[6].endswith(" 0.750, 0.750")
