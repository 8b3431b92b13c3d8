"""MinAtar's planes as colours: nothing is lost, and a game is a function of its seed and actions alone."""

import gymnasium
import numpy as np
import pytest

from diamond.config import EnvConfig
from diamond.envs import make_env
from diamond.envs.minatar import MinAtarPictures, register

GAMES = ("Asterix", "Breakout", "Freeway", "Seaquest", "SpaceInvaders")


def pictures(game: str) -> MinAtarPictures:
    register()
    return MinAtarPictures(gymnasium.make(f"MinAtar/{game}-v1", disable_env_checker=True))


@pytest.mark.parametrize("game", GAMES)
def test_different_planes_give_different_pictures(game: str) -> None:
    env = pictures(game)
    env.action_space.seed(0)
    seen: dict[bytes, bytes] = {}
    picture, _ = env.reset(seed=0)
    for _ in range(500):
        planes = env.unwrapped.game.state()  # type: ignore[attr-defined]
        for cell, colour in zip(planes.reshape(100, -1), picture.reshape(100, 3), strict=True):
            assert seen.setdefault(colour.tobytes(), cell.tobytes()) == cell.tobytes()
        picture, _, terminated, *_ = env.step(env.action_space.sample())
        if terminated:
            picture, _ = env.reset()
    assert seen[bytes(3)] == bytes(planes.shape[-1])  # black is empty


def test_actions_have_names() -> None:
    assert pictures("Breakout").get_action_meanings() == ["NOOP", "LEFT", "RIGHT"]
    assert pictures("SpaceInvaders").get_action_meanings() == ["NOOP", "LEFT", "RIGHT", "FIRE"]


def test_the_paddle_goes_where_it_is_told() -> None:
    env = make_env(EnvConfig(id="MinAtar/Breakout-v1", height=10, width=10), 1, training=True)
    start, _ = env.reset(seed=0)
    left, *_ = env.step(np.array([env.action_meanings.index("LEFT")]))
    assert left[0, 9].any(axis=-1).argmax() == start[0, 9].any(axis=-1).argmax() - 1


def test_a_game_does_not_remember_the_one_before() -> None:
    """MinAtar repeats an action with probability 0.1, across the end of a game if it is not told."""

    def second_game(last_action_of_the_first: int) -> list[bytes]:
        env = pictures("Breakout")
        env.reset(seed=1)
        env.step(last_action_of_the_first)
        shown = []
        for seed in range(40):
            env.reset(seed=seed)
            shown.append(env.step(0)[0].tobytes())
            env.step(last_action_of_the_first)
        return shown

    assert second_game(1) == second_game(2)
