"""The one loop that plays: what is yielded is what happened, and the policy hears of ends in time."""

from itertools import islice

import numpy as np
import pytest
from scripted_games import ScriptedMaker

from diamond.agents.policies import ConstantPolicy
from diamond.agents.rollout import Transition, rollout
from diamond.config import EnvConfig
from diamond.envs import Game, Outcome, RealEnv


class Listening(ConstantPolicy):
    """Remembers what it was shown and what it was told."""

    def __init__(self) -> None:
        super().__init__(1)
        self.seen: list[int] = []
        self.ended: list[bool] = []

    def act(self, frames: np.ndarray) -> np.ndarray:
        self.seen.append(int(frames[0, 0, 0, 0]))
        return super().act(frames)

    def reset(self, ended: np.ndarray) -> None:
        self.ended.append(bool(ended[0]))


class TwoLives(Game):
    """Two lives of two steps; the frame shows the number of steps since the game began."""

    action_meanings = ("NOOP", "FIRE")

    def start(self, seed: int) -> None:
        self.steps = 0

    def advance(self, action: int) -> Outcome:
        self.steps += 1
        return Outcome(float(action), terminated=self.steps == 4, life_lost=self.steps % 2 == 0)

    def frame(self) -> np.ndarray:
        return np.full((2, 2, 3), self.steps, np.uint8)


def shown(frames: np.ndarray) -> int:
    return int(frames[0, 0, 0, 0])


def test_a_game_step_by_step() -> None:
    """Games of three steps: the last successor is the game's own, while the policy sees the next game's first frame."""
    env, policy = ScriptedMaker(length=lambda seed: 3)(EnvConfig(), 1, training=False), Listening()
    steps = list(islice(rollout(env, policy, env.reset(seed=0)[0]), 5))
    assert [shown(step.frames) for step in steps] == policy.seen == [0, 1, 2, 0, 1]
    assert [shown(step.successors) for step in steps] == [1, 2, 3, 1, 2]
    assert [shown(step.next_frames) for step in steps] == [1, 2, 0, 1, 2]
    assert [bool(step.ended[0]) for step in steps] == policy.ended == [False, False, True, False, False]
    assert [float(step.rewards[0]) for step in steps] == [1.0] * 5, "as scripted: the action's number"


@pytest.mark.parametrize(("forget_lost_lives", "told"), [(False, [3]), (True, [1, 3])])
def test_a_lost_life_is_forgotten_only_on_demand(forget_lost_lives: bool, told: list[int]) -> None:
    env = RealEnv("lives", [TwoLives()], height=2, width=2, max_episode_steps=9, life_loss_ends_episode=True)
    policy = Listening()
    played = rollout(env, policy, env.reset(seed=0)[0], forget_lost_lives=forget_lost_lives)
    steps = list(islice(played, 4))
    assert np.flatnonzero(policy.ended).tolist() == told
    assert [bool(step.ended[0]) for step in steps] == [False, True, False, True]
    assert [bool(step.game_over[0]) for step in steps] == [False, False, False, True]


def test_a_rollout_can_be_gone_on_with() -> None:
    """What was yielded last says all that the next rollout needs, besides environment and policy."""

    def play(parts: list[int]) -> list[Transition]:
        env, policy = ScriptedMaker(length=lambda seed: 3)(EnvConfig(), 2, training=False), Listening()
        frames, steps = env.reset(seed=0)[0], []
        for part in parts:
            steps += islice(rollout(env, policy, frames), part)
            frames = steps[-1].next_frames
        return steps

    for whole, part in zip(play([7]), play([2, 4, 1]), strict=True):
        assert all(np.array_equal(vars(whole)[name], vars(part)[name]) for name in vars(whole))
