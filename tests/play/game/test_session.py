"""One game forwards: who acts, what is shown, how games end and begin anew."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
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
    player,
    shown,
    source,
    starts,
    with_policy,
)

from diamond.play.game.session import Session

COURSE = [BUTTONS[action] for action in (2, 0, 1, 1, 2)]


# What decides the frames

SOURCE = source()
"""Sessions share it, and leave nothing in it."""


@pytest.mark.parametrize("world", ["dream", "real", "both"])
def test_the_same_seed_and_buttons_give_the_same_frames_again(world: str) -> None:
    films = [film(opened(SOURCE, world=world, seed=seed), COURSE) for seed in (0, 0, 1)]
    assert alike(films[0], films[1])
    assert not alike(films[0], films[2])


@pytest.mark.parametrize("world", ["dream", "real", "both"])
def test_another_button_gives_another_frame(world: str) -> None:
    one, two = (film(opened(SOURCE, world=world), [held]) for held in (("LEFT",), ("RIGHT",)))
    assert not any(np.array_equal(one[0][name], two[0][name]) for name in one[0])


@settings(max_examples=20)
@given(st.lists(st.integers(0, 2), max_size=12))
def test_every_frame_of_a_drawn_world_is_known(actions: list[int]) -> None:
    session = SHARED
    session.reset()
    first = session.picture.moment.frame
    for count, action in enumerate(actions, start=1):
        session.advance(BUTTONS[action])
        moment = session.picture.moment
        assert level(session) == SHADE * sum(actions[:count])
        assert (moment.frame, moment.action, moment.player) == (first + count, action, "human")
        assert moment.tally.steps == count


SHARED = opened(hand_drawn())


@pytest.mark.parametrize("number", [0, 3])
def test_a_dream_begins_where_the_player_says(number: int) -> None:
    session = opened(SOURCE, start=number)
    assert np.array_equal(shown(session)["dream"], starts()[number].frames[-1])


def test_otherwise_the_seed_and_the_games_number_choose_the_start() -> None:
    """So that every game begins elsewhere, and a seed gives the same games again."""
    ends = [stretch.frames[-1].tobytes() for stretch in starts()]

    def chosen(seed: int) -> list[int]:
        session, found = opened(SOURCE, seed=seed), []
        for _ in range(15):
            found.append(ends.index(shown(session)["dream"].tobytes()))
            session.reset()
        return found

    first = chosen(0)
    assert set(first) == set(range(5))
    assert chosen(0) == first != chosen(1)


def test_a_dream_can_begin_from_a_picture_of_the_players_own() -> None:
    """In whatever world the game was."""
    picture = np.full((16, 16, 3), 90, np.uint8)
    for world in ("dream", "real", "both"):
        session = opened(source(drawn()), world=world)
        session.start_from(picture)
        assert list(shown(session)) == ["dream"]
        assert level(session) == 90
        assert session.settings.world == "dream"
        assert session.picture.moment.tally.steps == 0
        session.advance(("RIGHT",))
        assert level(session) == 90 + 2 * SHADE


# Who acts


def actions(session: Session, frames: int, held: tuple[str, ...] = ()) -> list[int]:
    """What was done to get to each of the next frames; nothing leads to the first frame of a game."""
    taken = []
    for _ in range(frames):
        session.advance(held)
        action = session.picture.moment.action
        if action is not None:
            taken.append(action)
    return taken


def shares(taken: list[int]) -> np.ndarray:
    return np.bincount(taken, minlength=3) / len(taken)


def test_a_player_with_idle_hands_does_nothing() -> None:
    """NOOP stands second in Catch."""
    assert actions(opened(hand_drawn()), 5) == [1] * 5


def test_buttons_count_only_when_the_player_plays() -> None:
    certain = with_policy(drawn(), [50.0, 0.0, 0.0])
    assert actions(opened(source(certain), player="human"), 5, ("RIGHT",)) == [2] * 5
    assert actions(opened(source(certain), player="agent"), 5, ("RIGHT",)) == [0] * 5


LOGITS = (1.0, 0.0, -1.0)


@pytest.mark.parametrize("temperature", [0.5, 5.0])
def test_the_agents_actions_follow_its_policy_at_the_temperature(temperature: float) -> None:
    session = opened(source(with_policy(player(), LOGITS)), world="real", player="agent", temperature=temperature)
    expected = (torch.tensor(LOGITS) / temperature).softmax(0).numpy()
    np.testing.assert_allclose(session.picture.moment.output.policy, expected, atol=1e-6)
    np.testing.assert_allclose(shares(actions(session, 250)), expected, atol=0.08)  # over 2.5 standard deviations


def test_a_tiny_temperature_takes_the_most_probable_action() -> None:
    session = opened(source(with_policy(player(), (0.0, 0.6, 1.2))), world="real", player="agent", temperature=0.05)
    assert set(actions(session, 100)) == {2}


def test_chance_takes_every_action_equally_often_whatever_the_agent_thinks() -> None:
    session = opened(source(with_policy(player(), (9.0, 0.0, 0.0))), world="real", player="random")
    np.testing.assert_allclose(shares(actions(session, 250)), 1 / 3, atol=0.08)


@pytest.mark.parametrize("who", ["agent", "random"])
def test_the_seed_decides_what_the_agent_and_chance_do(who: str) -> None:
    def taken(seed: int) -> list[int]:
        return actions(opened(SOURCE, world="real", player=who, seed=seed), 12)

    assert taken(0) == taken(0) != taken(1)


def test_what_the_agent_makes_of_a_frame() -> None:
    """Policy, value and entropy as the network gives them, having seen every frame since three before the start."""
    agent, past = player(), starts()[2]
    session = opened(source(agent), start=2)
    film(session, COURSE[:1])
    output, newest = session.picture.moment.output, shown(session)["dream"]
    memory = agent.actor_critic.initial_state(1, "cpu")
    with torch.no_grad():
        for image in (*past.frames, newest):
            seen = torch.from_numpy(image)[None].movedim(-1, 1) / 127.5 - 1
            logits, value, memory = agent.actor_critic(seen, memory)
    policy = logits[0].softmax(0)
    np.testing.assert_allclose(output.policy, policy.numpy(), atol=1e-4)
    assert output.value == pytest.approx(value.item(), abs=1e-4)
    assert output.entropy == pytest.approx(-(policy * policy.log()).sum().item(), abs=1e-4)


def test_the_agent_watches_while_others_play() -> None:
    """So that it can take over at any moment: its memory is that of the frames, whoever acted."""
    session, other = opened(), opened(player="agent")
    (taken,) = actions(other, 1)
    session.advance(BUTTONS[taken])
    assert session.picture.moment.output.policy == other.picture.moment.output.policy
    assert session.picture.moment.player == "human"
    assert other.picture.moment.player == "agent"


# How games end


def test_an_ended_game_shows_its_last_frame_and_then_begins_anew() -> None:
    session = opened(hand_drawn(ending_after(3)))
    levels, endings, games = [], [], []
    for _ in range(9):
        levels.append(level(session))
        endings.append(session.picture.moment.tally.ended)
        games.append(session.picture.moment.game)
        session.advance(("RIGHT",))
    assert levels == [0, 6, 12, 18, 0, 6, 12, 18, 0]
    assert endings == [None, None, None, "terminated"] * 2 + [None]
    assert games == [0] * 4 + [1] * 4 + [2]


def test_the_numbers_under_a_dream() -> None:
    session = opened(hand_drawn(ending_after(3)))
    tallies = []
    for _ in range(4):
        tally = session.picture.moment.tally
        tallies.append((tally.steps, tally.reward, tally.total, tally.termination))
        session.advance()
    assert tallies == [(0, 0.0, 0.0, None), (1, 1.0, 1.0, 0.0), (2, 1.0, 2.0, 0.0), (3, 1.0, 3.0, 1.0)]


def test_a_real_game_shows_its_last_frame_and_then_begins_anew() -> None:
    """Catch lasts twelve steps; in the last frame the ball lies at the bottom, then it is at the top again."""
    session = opened(world="real")
    film(session, [()] * 12)
    ball = (shown(session)["real"] == (240, 200, 40)).all(-1)
    assert np.flatnonzero(ball.any(1)).tolist() == [12, 13]
    assert session.picture.moment.tally.ended == "terminated"
    assert abs(session.picture.moment.tally.total) == 1
    session.advance()
    ball = (shown(session)["real"] == (240, 200, 40)).all(-1)
    assert np.flatnonzero(ball.any(1)).tolist() == [0, 1]
    assert session.picture.moment.tally.steps == 0


def test_the_horizon_ends_a_dream() -> None:
    session = opened(hand_drawn(), horizon=2)
    endings = []
    for _ in range(6):
        endings.append(session.picture.moment.tally.ended)
        session.advance()
    assert endings == [None, None, "horizon"] * 2
