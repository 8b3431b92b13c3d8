"""What cannot be done is refused with a reason, and the game goes on as if it had not been asked for."""

import math
from collections.abc import Callable
from typing import Any

import pytest
from sources import alike, film, opened, shown, source, starts

from diamond.errors import ConfigError, EnvError
from diamond.play.game.session import Session
from diamond.play.game.worlds import RealMoment

LONELY, SOURCE = source(real=False), source()
COURSE: list[tuple[str, ...]] = [("LEFT",), ("RIGHT",)]


def state(session: Session) -> tuple[Any, ...]:
    picture = session.picture
    moment = picture.moment
    return session.settings, picture.oldest, picture.newest, moment.frame, moment.game, moment.world, moment.tally


def assert_refused(error: type[Exception], reason: str, ask: Callable[[Session], None], **settings: object) -> None:
    """In the middle of the past, where frames still lie ahead that it must not cost."""
    session, twin = (opened(LONELY if error is EnvError else SOURCE, **settings) for _ in range(2))
    for each in (session, twin):
        film(each, COURSE)
        each.rewind(1)
    with pytest.raises(error, match=reason) as caught:
        ask(session)
    assert "\n" not in str(caught.value)
    assert state(session) == state(twin)
    assert alike([shown(session)], [shown(twin)])
    assert alike(film(session, COURSE[1:]), film(twin, COURSE[1:]))


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("fps", 3, "setting is 'fps': choose one of player, world"),
        ("speed", 0, "speed is 0: give a whole number from 1 to 60"),
        ("seed", -1, "seed is -1: give a whole number from 0"),
        ("seed", 2**31, "seed is 2147483648"),
        ("start", len(starts()), "start is 5: give a whole number from -1 to 4"),
        ("horizon", 1.5, "horizon is 1.5: give a whole number"),
        ("denoising_steps", True, "denoising_steps is True: give a whole number"),
        ("temperature", math.nan, "temperature is nan: give a number from 0.05 to 5"),
        ("churn", math.inf, "churn is inf: give a number"),
        ("start_noise", [1.0], r"start_noise is \[1.0\]: give a number"),
        ("order", "2", "order is '2': give a whole number from 1 to 2"),
        ("player", "nobody", "player is 'nobody': choose agent, human, random"),
        ("world", None, "world is None: choose dream, real, both"),
        ("paused", 1, "paused is 1: give true or false"),
    ],
)
def test_bad_settings(name: str, value: Any, reason: str) -> None:
    assert_refused(ConfigError, reason, lambda session: session.set(name, value), world="real")


@pytest.mark.parametrize("frame", [-1, 3, 10**30])
def test_frames_that_are_not_kept(frame: int) -> None:
    reason = f"frame is {frame}: those from 0 to 2 are kept"
    assert_refused(ConfigError, reason, lambda session: session.rewind(frame), world="real")


@pytest.mark.parametrize("world", ["dream", "real"])
def test_resync_with_nothing_beside(world: str) -> None:
    assert_refused(ConfigError, f"world is '{world}': play both side by side", Session.resync, world=world)


@pytest.mark.parametrize("world", ["real", "both"])
def test_a_real_game_that_cannot_be_had(world: str) -> None:
    assert_refused(EnvError, "there is no real game", lambda session: session.set("world", world))
    with pytest.raises(EnvError, match="there is no real game"):
        opened(LONELY, world=world)


def test_without_a_real_game_dreams_are_played_as_ever() -> None:
    assert alike(film(opened(LONELY), COURSE), film(opened(SOURCE), COURSE))
    opened(LONELY).close()


def test_closing_a_session_closes_its_real_game() -> None:
    """Every session has one of its own."""
    one, two = opened(SOURCE, world="real"), opened(SOURCE, world="real")
    film(one, COURSE)
    one.close()
    assert isinstance(two.picture.moment.real, RealMoment)
    film(two, COURSE)
    two.close()
