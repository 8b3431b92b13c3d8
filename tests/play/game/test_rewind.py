"""One game backwards: what was seen is seen again bit by bit, and other buttons branch off."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sources import (
    BREAKOUT,
    BUTTONS,
    SHADE,
    alike,
    ending_after,
    film,
    hand_drawn,
    level,
    opened,
    player,
    shown,
    source,
)

from diamond.errors import ConfigError
from diamond.play.game import session as session_module
from diamond.play.game.session import REMEMBERED, Session
from diamond.play.game.source import Source
from diamond.play.game.worlds import Frame

CATCH, ATARI, DRAWN = source(), source(player(BREAKOUT)), hand_drawn()
PLAYED = [(CATCH, "dream"), (CATCH, "real"), (CATCH, "both"), (ATARI, "real"), (ATARI, "both")]
NAMES = [f"{game.title}-{world}" for game, world in PLAYED]
COURSE = [BUTTONS[action] for action in np.random.default_rng(3).integers(3, size=14)]

OTHER = ("LEFT", "FIRE")
"""LEFT in Catch; FIRE in Breakout, of which only NOOP, FIRE and RIGHT are played."""


def numbers(session: Session) -> tuple[Any, ...]:
    """All that is told of a moment besides its images."""
    picture = session.picture
    moment = picture.moment
    told = moment.output.policy, moment.output.value, moment.output.entropy
    return moment.frame, moment.game, moment.action, moment.player, told, [view.tally for view in picture.views]


Course = list[tuple[str, ...]]


def record(session: Session, course: Course) -> tuple[list[dict[str, Frame]], list[tuple[Any, ...]]]:
    images, told = [], []
    for held in course:
        images += film(session, [held])
        told.append(numbers(session))
    return images, told


@pytest.mark.parametrize(("game", "world"), PLAYED, ids=NAMES)
def test_the_same_buttons_after_a_rewind_give_the_same_frames(game: Source, world: str) -> None:
    """Bit by bit and number by number, from any frame and over ends of games (in Atari through emulator clones)."""
    session = opened(game, world=world)
    course = COURSE if world == "real" or game is CATCH else COURSE[:8]
    images, told = record(session, course)
    for back in (len(course) - 1, len(course) - 6):
        session.rewind(back)
        again = record(session, course[back:])
        assert alike(again[0], images[back:])
        assert again[1] == told[back:]


@pytest.mark.parametrize(("game", "world"), PLAYED, ids=NAMES)
def test_a_rewind_shows_what_was_shown(game: Source, world: str) -> None:
    session = opened(game, world=world)
    images, told = record(session, COURSE[:6])
    for back in (4, 1, 6, 2):
        session.rewind(back)
        assert alike([shown(session)], [images[back - 1]])
        assert numbers(session) == told[back - 1]


@pytest.mark.parametrize(("game", "world"), PLAYED, ids=NAMES)
def test_other_buttons_branch_off(game: Source, world: str) -> None:
    """And lead where they would have led if nothing else had been tried."""
    session, straight = opened(game, world=world), opened(game, world=world)
    first, _ = record(session, [("RIGHT",)] * 8)
    session.rewind(3)
    branch, told = record(session, [OTHER] * 5)
    film(straight, [("RIGHT",)] * 3)
    images, expected = record(straight, [OTHER] * 5)
    assert alike(branch, images)
    assert told == expected
    assert not alike(branch, first[3:])


@settings(max_examples=25)
@given(
    st.lists(
        st.integers(0, 2) | st.tuples(st.just("back"), st.integers(0, 30)) | st.just("reset"), min_size=1, max_size=20
    )
)
def test_a_frame_follows_from_the_buttons_on_the_way_to_it_alone(orders: list[Any]) -> None:
    """In a world whose frames count the buttons: however often one goes back, begins anew and branches off."""
    session = opened(DRAWN)
    lines, now = [[]], 0  # the buttons on the way to each frame that is kept
    for order in orders:
        if isinstance(order, tuple):
            now = order[1] % len(lines)
            session.rewind(now)
        else:
            del lines[now + 1 :]
            lines.append([] if order == "reset" else [*lines[now], order])
            now += 1
            if order == "reset":
                session.reset()
            else:
                session.advance(BUTTONS[order])
        picture = session.picture
        assert level(session) == SHADE * sum(lines[now])
        assert (picture.oldest, picture.moment.frame, picture.newest) == (0, now, len(lines) - 1)
        assert picture.moment.tally.steps == len(lines[now])


def test_later_frames_are_kept_until_there_is_a_new_one() -> None:
    session = opened(DRAWN)
    film(session, [("RIGHT",)] * 5)
    session.rewind(1)
    assert session.picture.newest == 5
    session.rewind(4)
    assert level(session) == 4 * 2 * SHADE
    session.rewind(2)
    session.advance(())
    assert (session.picture.moment.frame, session.picture.newest) == (3, 3)
    with pytest.raises(ConfigError, match="frame is 4: those from 0 to 3 are kept"):
        session.rewind(4)


def test_a_rewind_pauses_the_game() -> None:
    session = opened(DRAWN)
    film(session, [()] * 2)
    session.rewind(1)
    assert session.settings.paused


def test_only_the_last_frames_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    assert REMEMBERED >= 60 * 15, "a minute at least"
    monkeypatch.setattr(session_module, "REMEMBERED", 4)
    session = opened(DRAWN)
    spans = []
    for _ in range(7):
        spans.append((session.picture.oldest, session.picture.newest))
        session.advance(())
    assert spans == [(0, 0), (0, 1), (0, 2), (0, 3), (1, 4), (2, 5), (3, 6)]
    assert level(session) == 7 * SHADE
    session.rewind(4)
    assert level(session) == 4 * SHADE, "the oldest that is left"
    session.advance(("RIGHT",))
    assert (session.picture.oldest, session.picture.newest) == (4, 5)
    assert level(session) == 6 * SHADE


def test_one_can_go_back_over_the_end_of_a_game() -> None:
    session = opened(hand_drawn(ending_after(2)))
    film(session, [("RIGHT",)] * 4)
    assert (level(session), session.picture.moment.game) == (2 * SHADE, 1)
    session.rewind(1)
    assert (level(session), session.picture.moment.game) == (2 * SHADE, 0)
    session.advance(())
    assert (level(session), session.picture.moment.tally.ended) == (3 * SHADE, "terminated")


def test_one_can_go_back_to_another_world() -> None:
    """Which is played on from there."""
    session = opened(CATCH)
    film(session, COURSE[:2])
    session.set("world", "real")
    film(session, COURSE[:2])
    session.set("world", "both")
    film(session, COURSE[:2])
    for frame, world, names in ((2, "dream", ["dream"]), (4, "real", ["real"]), (6, "both", ["real", "dream"])):
        session.rewind(frame)
        assert session.settings.world == world
        assert list(shown(session)) == names
    session.rewind(4)
    session.advance(())
    assert list(shown(session)) == ["real"]
    assert session.picture.moment.tally.steps == 2


def test_after_a_rewind_the_policy_is_that_of_the_present_temperature() -> None:
    """What is shown is what the agent would act by, whatever was set when the frame was made."""
    session = opened(CATCH, temperature=5.0)
    session.advance(())
    session.set("temperature", 0.2)
    session.rewind(0)
    assert session.picture.moment.output.policy == opened(CATCH, temperature=0.2).picture.moment.output.policy
    assert session.picture.moment.output.policy != opened(CATCH, temperature=5.0).picture.moment.output.policy
