"""From fingers to actions: which buttons a game has, on which keys they lie, and what they mean together."""

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diamond.play.game.buttons import IDLE, JOYSTICK, Pad, action_for, all_buttons, buttons_of, default_keys

JOYSTICK_ACTIONS = (
    "NOOP", "FIRE", "UP", "RIGHT", "LEFT", "DOWN", "UPRIGHT", "UPLEFT", "DOWNRIGHT", "DOWNLEFT", "UPFIRE",
    "RIGHTFIRE", "LEFTFIRE", "DOWNFIRE", "UPRIGHTFIRE", "UPLEFTFIRE", "DOWNRIGHTFIRE", "DOWNLEFTFIRE",
)  # fmt: skip
"""All 18 of an Atari 2600."""
CATCH = ("LEFT", "NOOP", "RIGHT")
GRID = ("LEFT", "RIGHT", "FORWARD", "PICKUP", "DROP", "TOGGLE", "DONE")
"""MiniGrid's: none of them is to do nothing."""


@pytest.mark.parametrize(
    ("action", "buttons"),
    [
        ("NOOP", ()),
        ("STAY", ()),
        ("FIRE", ("FIRE",)),
        ("UPRIGHTFIRE", ("UP", "RIGHT", "FIRE")),
        ("DOWNLEFT", ("DOWN", "LEFT")),
        ("PICKUP", ("PICKUP",)),
        ("LEFTOVER", ("LEFTOVER",)),
        ("ACTION 3", ("ACTION 3",)),
    ],
)
def test_an_action_is_buttons_of_the_joystick_or_one_of_its_own(action: str, buttons: tuple[str, ...]) -> None:
    assert buttons_of(action) == buttons


def test_all_buttons_of_a_game() -> None:
    """Those of the joystick that it uses, then its own in the game's order."""
    assert all_buttons(JOYSTICK_ACTIONS) == JOYSTICK
    assert all_buttons(CATCH) == ("RIGHT", "LEFT")
    assert all_buttons(GRID) == ("RIGHT", "LEFT", "FORWARD", "PICKUP", "DROP", "TOGGLE", "DONE")
    assert all_buttons(("NOOP", "LEFTFIRE")) == ("LEFT", "FIRE"), "also where no action is a single button"
    assert all_buttons(("NOOP",)) == ()


@pytest.mark.parametrize("action", JOYSTICK_ACTIONS)
def test_holding_the_buttons_of_an_action_means_it_in_whatever_order(action: str) -> None:
    for held in permutations(buttons_of(action)):
        assert JOYSTICK_ACTIONS[action_for(held, JOYSTICK_ACTIONS)] == action


@pytest.mark.parametrize("idle", IDLE)
@pytest.mark.parametrize("place", range(3))
def test_with_nothing_held_the_game_idles(idle: str, place: int) -> None:
    """Wherever the action for that stands in the game's list."""
    actions = ["LEFT", "RIGHT"]
    actions.insert(place, idle)
    assert action_for((), actions) == place


def test_a_game_that_cannot_idle_takes_its_first_action() -> None:
    assert action_for((), GRID) == 0


@pytest.mark.parametrize(
    ("held", "action"),
    [
        (("LEFT", "RIGHT"), "RIGHT"),
        (("RIGHT", "LEFT"), "LEFT"),
        (("UP", "LEFT", "RIGHT"), "UPRIGHT"),
        (("LEFT", "RIGHT", "UP"), "UPRIGHT"),
        (("RIGHT", "LEFT", "UP", "FIRE"), "UPLEFTFIRE"),
        (("LEFT", "DOWN", "UP"), "UPLEFT"),
    ],
)
def test_of_opposite_buttons_the_newest_counts(held: tuple[str, ...], action: str) -> None:
    assert JOYSTICK_ACTIONS[action_for(held, JOYSTICK_ACTIONS)] == action


def test_what_a_game_cannot_do_at_once_is_decided_by_the_newest_button() -> None:
    assert CATCH[action_for(("RIGHT", "LEFT"), CATCH)] == "LEFT"
    assert GRID[action_for(("FORWARD", "PICKUP"), GRID)] == "PICKUP"
    assert action_for(("LEFT", "FIRE"), ("NOOP", "FIRE", "LEFT", "RIGHT")) == 1
    assert action_for(("FIRE",), CATCH) == 1, "a button that the game lacks is as good as none"


@given(st.permutations(JOYSTICK), st.integers(0, 5), st.permutations(JOYSTICK_ACTIONS), st.integers(1, 18))
def test_an_action_never_needs_a_button_that_is_not_held(
    order: list[str], count: int, actions: list[str], kept: int
) -> None:
    """And none of the game's actions that are possible uses more of the buttons."""
    held, actions = order[:count], actions[:kept]
    chosen = actions[action_for(held, actions)]
    possible = [action for action in actions if set(buttons_of(action)) <= set(held)]
    assert chosen in (possible or actions[:1])
    assert all(len(buttons_of(action)) <= len(buttons_of(chosen)) for action in possible)


@pytest.mark.parametrize("actions", [JOYSTICK_ACTIONS, CATCH, GRID, tuple(f"ACTION {i}" for i in range(15))])
def test_every_button_has_a_key_of_its_own(actions: tuple[str, ...]) -> None:
    buttons = all_buttons(actions)
    assert set(default_keys(buttons).values()) == set(buttons)


def test_keys_are_where_players_expect_them() -> None:
    keys = default_keys(JOYSTICK)
    assert {keys["ArrowUp"], keys["KeyW"]} == {"UP"}
    assert {keys["ArrowLeft"], keys["KeyA"]} == {"LEFT"}
    assert {keys["ArrowDown"], keys["KeyS"]} == {"DOWN"}
    assert {keys["ArrowRight"], keys["KeyD"]} == {"RIGHT"}
    assert keys["Space"] == "FIRE"
    assert default_keys(all_buttons(GRID))["ArrowUp"] == "FORWARD"
    assert default_keys(["UP", "FORWARD"]) == {"ArrowUp": "UP", "KeyW": "UP", "Digit1": "FORWARD"}


def test_more_buttons_than_keys_leave_the_last_without() -> None:
    buttons = [f"ACTION {i}" for i in range(100)]
    keys = default_keys(buttons)
    assert list(keys.values()) == buttons[: len(keys)]
    assert 15 < len(keys) < 100


# The pad

BUTTONS = ("UP", "LEFT", "FIRE")


def test_a_tap_between_two_frames_counts_once() -> None:
    pad = Pad(BUTTONS)
    pad.update(held=["FIRE"], pressed=["FIRE"])
    pad.update(held=[], pressed=[])
    assert pad.read() == ("FIRE",)
    assert pad.read() == ()


def test_what_is_held_counts_in_every_frame_until_it_is_let_go() -> None:
    pad = Pad(BUTTONS)
    pad.update(["LEFT"], ["LEFT"])
    assert [pad.read() for _ in range(3)] == [("LEFT",)] * 3
    pad.update([], [])
    assert pad.read() == ("LEFT",), "until the frame in which it was let go"
    assert pad.read() == ()


def test_the_newest_press_comes_last_also_when_it_is_repeated() -> None:
    pad = Pad(BUTTONS)
    pad.update(["LEFT"], ["LEFT"])
    pad.update(["LEFT", "UP"], ["UP"])
    assert pad.read() == ("LEFT", "UP")
    pad.update(["UP", "LEFT"], ["LEFT"])
    assert pad.read() == ("UP", "LEFT")


def test_what_is_held_without_a_press_is_older_than_any_press() -> None:
    """As when a page comes back after its connection was lost."""
    pad = Pad(BUTTONS)
    pad.update(["UP", "FIRE"], ["FIRE"])
    assert pad.read() == ("UP", "FIRE")


def test_letting_go_of_everything_forgets_taps_too() -> None:
    pad = Pad(BUTTONS)
    pad.update(["UP"], ["UP", "FIRE"])
    pad.release()
    assert pad.read() == ()


@given(
    st.lists(
        st.none() | st.tuples(st.lists(st.sampled_from([*BUTTONS, "?"])), st.lists(st.sampled_from([*BUTTONS, "?"])))
    )
)
def test_a_frame_sees_what_is_held_and_what_was_tapped_since_the_last(
    events: list[tuple[list[str], list[str]] | None],
) -> None:
    """None is a frame; buttons that the game lacks are never seen, and none is seen twice."""
    pad, held, since = Pad(BUTTONS), set(), set()
    for event in [*events, None]:
        if event is not None:
            pad.update(*event)
            held = set(event[0])
            since |= held | set(event[1])
            continue
        read = pad.read()
        assert len(read) == len(set(read))
        assert set(read) == since - {"?"}
        since = set(held)
