"""Between worlds: dream and real game side by side, from one into the other, and into the denoising."""

import numpy as np
import pytest
from sources import (
    BUTTONS,
    SHADE,
    alike,
    drawn,
    ending_after,
    film,
    hand_drawn,
    level,
    opened,
    shown,
    source,
)

from diamond.play.game.session import Session
from diamond.play.game.worlds import Frame

SOURCE, DRAWN = source(), source(drawn())
COURSE = [BUTTONS[action] for action in (2, 0, 1, 1, 2)]


def lighter(image: Frame, *actions: int) -> Frame:
    return np.clip(image.astype(int) + SHADE * sum(actions), 0, 255).astype(np.uint8)


def steps(session: Session) -> int:
    return session.picture.moment.tally.steps


# Side by side


def test_side_by_side_the_dream_begins_from_the_real_game_and_takes_the_same_actions() -> None:
    session = opened(DRAWN, world="both")
    first = shown(session)
    assert list(first) == ["real", "dream"]
    assert np.array_equal(first["real"], first["dream"])
    for frame in range(1, 5):
        session.advance(BUTTONS[2])
        assert np.array_equal(shown(session)["dream"], lighter(first["real"], *[2] * frame))
    alone = film(opened(DRAWN, world="real"), [BUTTONS[2]] * 4)
    assert np.array_equal(shown(session)["real"], alone[-1]["real"])


def test_side_by_side_the_agent_looks_at_the_real_game() -> None:
    together, alone = (opened(SOURCE, world=world) for world in ("both", "real"))
    for session in (together, alone):
        film(session, COURSE)
    assert together.picture.moment.output.policy == alone.picture.moment.output.policy
    assert together.picture.moment.tally == alone.picture.moment.tally


def test_a_dream_that_ends_beside_a_real_game_begins_again_from_what_that_shows() -> None:
    session = opened(source(drawn(rate=ending_after(2))), world="both")
    images = [shown(session), *film(session, [BUTTONS[2]] * 3)]
    tallies = session.picture.views[1].tally
    assert np.array_equal(images[2]["dream"], lighter(images[0]["real"], 2, 2)), "its last frame is shown"
    assert np.array_equal(images[3]["dream"], images[3]["real"])
    assert tallies is not None
    assert tallies.steps == 0
    assert steps(session) == 3


def test_when_the_real_game_ends_both_begin_anew() -> None:
    session = opened(DRAWN, world="both")
    film(session, [()] * 12)
    assert session.picture.moment.tally.ended == "terminated"
    session.advance(BUTTONS[2])
    images = shown(session)
    assert np.array_equal(images["real"], images["dream"])
    assert [view.tally.steps for view in session.picture.views if view.tally is not None] == [0, 0]
    assert session.picture.moment.action is None


def test_resync_begins_the_dream_again_from_what_the_real_game_shows() -> None:
    session, other = opened(DRAWN, world="both"), opened(DRAWN, world="both")
    for each in (session, other):
        film(each, COURSE)
    before = shown(session)
    assert not np.array_equal(before["real"], before["dream"])
    session.resync()
    now = shown(session)
    assert np.array_equal(now["real"], before["real"])
    assert np.array_equal(now["dream"], before["real"])
    session.advance(BUTTONS[2])
    other.advance(BUTTONS[2])
    assert np.array_equal(shown(session)["dream"], lighter(before["real"], 2))
    assert np.array_equal(shown(session)["real"], shown(other)["real"]), "the real game goes on as it would have"
    assert steps(session) == steps(other) == len(COURSE) + 1


# From one into the other


def test_from_the_real_game_into_a_dream_of_it_and_back() -> None:
    """The dream begins with the real game's last frames and actions; the real game waits where it stood."""
    session, stayed = opened(SOURCE, world="real"), opened(SOURCE, world="real")
    for each in (session, stayed):
        film(each, COURSE)
    real = session.picture.moment.past
    session.set("world", "dream")
    assert list(shown(session)) == ["dream"]
    assert np.array_equal(np.stack(session.picture.moment.past.frames), np.stack(real.frames))
    assert session.picture.moment.past.actions == real.actions == (0, 1, 1)[-len(real.actions) + 1 :] + (2,)
    assert steps(session) == 0
    film(session, COURSE)
    session.set("world", "real")
    assert alike([shown(session)], [shown(stayed)])
    assert steps(session) == len(COURSE)
    assert alike(film(session, COURSE), film(stayed, COURSE))


def test_from_a_dream_into_a_new_real_game() -> None:
    """If none waits; it is the one that the seed gives to this number of game."""
    session = opened(SOURCE)
    film(session, COURSE[:1])
    session.set("world", "real")
    moment = session.picture.moment
    assert (list(shown(session)), moment.tally.steps, moment.action) == (["real"], 0, None)
    assert (shown(session)["real"] == (240, 200, 40)).all(-1)[:2].any(), "the ball is at the top"
    session.set("world", "dream")
    assert np.array_equal(shown(session)["dream"], moment.past.frames[-1])


def test_a_real_game_that_has_ended_begins_anew_when_one_comes_back_to_it() -> None:
    session = opened(SOURCE, world="real")
    film(session, [()] * 12)
    assert session.picture.moment.tally.ended
    session.set("world", "dream")
    session.set("world", "real")
    assert (steps(session), session.picture.moment.tally.ended) == (0, None)


def test_side_by_side_and_on_into_the_dream_alone() -> None:
    session = opened(DRAWN, world="both")
    film(session, COURSE)
    before = shown(session)
    session.set("world", "dream")
    assert np.array_equal(shown(session)["dream"], before["dream"])
    assert steps(session) == len(COURSE)
    session.advance(BUTTONS[2])
    assert np.array_equal(shown(session)["dream"], lighter(before["dream"], 2))
    session.set("world", "both")
    now = shown(session)
    assert np.array_equal(now["real"], before["real"])
    assert np.array_equal(now["dream"], now["real"]), "beside a real game a dream is one of it"


def test_the_world_that_is_played_already_is_no_news() -> None:
    session = opened(SOURCE, world="real")
    film(session, COURSE)
    session.set("world", "real")
    assert session.picture.newest == len(COURSE)


# New games


@pytest.mark.parametrize("world", ["dream", "real", "both"])
def test_another_seed_begins_the_games_of_that_seed(world: str) -> None:
    session, fresh = opened(SOURCE, world=world), opened(SOURCE, world=world, seed=9)
    film(session, COURSE)
    session.reset()
    session.set("seed", 9)
    assert session.picture.moment.frame == len(COURSE) + 2
    assert alike([shown(session)], [shown(fresh)])
    assert alike(film(session, COURSE), film(fresh, COURSE))


def test_another_start_begins_a_game_there() -> None:
    session = opened(SOURCE)
    session.advance(())
    session.set("start", 3)
    assert np.array_equal(shown(session)["dream"], SOURCE.starts[3].frames[-1])
    assert (steps(session), session.picture.moment.game) == (0, 1)


def test_what_is_turned_in_play_counts_from_the_next_frame_on() -> None:
    """No frame is made for it, and none is lost."""
    session = opened(hand_drawn())
    film(session, [BUTTONS[2]] * 3)
    for name, value in (("speed", 60), ("churn", 1.0), ("denoising_steps", 2), ("horizon", 4), ("player", "random")):
        session.set(name, value)
        assert getattr(session.settings, name) == value
    assert (level(session), session.picture.newest) == (6 * SHADE, 3)
    session.advance()
    assert session.picture.moment.tally.ended == "horizon"
    assert session.picture.moment.player == "random"


# The denoising


@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.parametrize("world", ["dream", "both"])
def test_the_denoising_is_shown_from_noise_to_the_frame(world: str, count: int) -> None:
    """One image more than steps, the last of which is the frame."""
    session = opened(SOURCE, world=world, show_denoising=True, denoising_steps=count)
    session.advance(())
    names = list(shown(session))
    assert names[names.index("dream") + 1 :] == ["noise", *(f"step {i}" for i in range(1, count + 1))]
    assert np.array_equal(shown(session)[f"step {count}"], shown(session)["dream"])
    assert all(view.tally is None for view in session.picture.views[-count - 1 :])


def test_the_noise_is_as_wide_as_the_player_sets_it() -> None:
    """Nearly grey where it is narrow."""
    spread = []
    for width in (0.05, 0.5):
        session = opened(SOURCE, show_denoising=True, start_noise=width)
        session.advance(())
        spread.append(shown(session)["noise"].astype(float).std() / 127.5)
    assert spread == pytest.approx([0.05, 0.5], rel=0.1)


def test_denoising_is_shown_only_on_demand_and_where_there_is_any() -> None:
    """A frame that was not denoised just now has none: the first of a dream, one gone back to, one of the real game."""
    session = opened(SOURCE, world="both", denoising_steps=2)
    plain, full = ["real", "dream"], ["real", "dream", "noise", "step 1", "step 2"]
    session.advance(())
    assert list(shown(session)) == plain
    session.set("show_denoising", True)
    assert list(shown(session)) == full
    session.resync()
    assert list(shown(session)) == plain, "the dream shows a real frame"
    session.advance(())
    assert list(shown(session)) == full
    session.rewind(1)
    assert list(shown(session)) == plain
    session.advance(())
    assert list(shown(session)) == full
    session.set("world", "dream")
    assert list(shown(session)) == full[1:], "the dream goes on"
    session.set("world", "real")
    assert list(shown(session)) == ["real"]
    session.set("world", "both")
    assert list(shown(session)) == plain
    session.advance(())
    session.reset()
    assert list(shown(session)) == plain
