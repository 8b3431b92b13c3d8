"""The toy environment: Gymnasium's own checks, and scores that can be worked out by hand."""

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import diamond.envs  # noqa: F401  (registers the environment)
from diamond.envs.toy import Catch

LEFT, STAY, RIGHT = 0, 1, 2


def columns_of(frame: np.ndarray) -> tuple[int, int]:
    """The left edges of ball and paddle, read off a frame of 16 x 16."""
    ball = np.flatnonzero((frame[:14] == (240, 200, 40)).all(-1).any(0))
    paddle = np.flatnonzero((frame[14:] == (60, 200, 120)).all(-1).any(0))
    return int(ball[0]), int(paddle[0])


def play(env: gymnasium.Env, policy, seed: int) -> list[float]:
    frame, _ = env.reset(seed=seed)
    rewards, over = [], False
    while not over:
        frame, reward, over, _, _ = env.step(policy(frame))
        rewards.append(reward)
    return rewards


def follow(frame: np.ndarray) -> int:
    ball, paddle = columns_of(frame)
    return STAY if paddle <= ball <= paddle + 2 else RIGHT if ball > paddle else LEFT


def test_it_passes_gymnasiums_checks() -> None:
    check_env(gymnasium.make("diamond/Catch-v0", render_mode="rgb_array").unwrapped)


@pytest.mark.parametrize("balls", [1, 3])
def test_following_the_ball_always_wins(balls: int) -> None:
    for seed in range(20):
        rewards = play(Catch(balls=balls), follow, seed)
        assert rewards == ([0.0] * 11 + [1.0]) * balls


def test_standing_still_catches_two_columns_of_eight() -> None:
    env, outcome = Catch(), {}
    for seed in range(60):
        ball, paddle = columns_of(env.reset(seed=seed)[0])
        outcome[ball] = play(env, lambda frame: STAY, seed)[-1]
        assert paddle == 6
    assert outcome == {column: 1.0 if column in (6, 8) else -1.0 for column in range(0, 16, 2)}


def test_the_paddle_stops_at_the_walls() -> None:
    env = Catch()
    for action, edge in ((LEFT, 0), (RIGHT, 12)):
        env.reset(seed=0)
        for _ in range(11):
            frame, *_ = env.step(np.int64(action))
        assert columns_of(frame)[1] == edge


def test_larger_frames_show_the_same_world() -> None:
    small, large = Catch().reset(seed=4)[0], Catch(size=48).reset(seed=4)[0]
    assert np.array_equal(large[::3, ::3], small)


@pytest.mark.parametrize("arguments", [{"balls": 0}, {"size": 8}, {"size": 20}])
def test_bad_arguments_are_named(arguments: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(arguments))} is"):
        Catch(**arguments)
