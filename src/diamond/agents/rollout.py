"""Playing real games side by side, a step at a time: the one loop of everything that plays by a `Policy`.

Axes   n environments | h w 3 image
Units  frames are uint8 in 0..255; rewards are as the environment gave them
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from gymnasium.vector import VectorEnv
from jaxtyping import Bool, Float, Int64, UInt8

from diamond.agents.policies import Policy


@dataclass(frozen=True)
class Transition:
    """One step of n games."""

    frames: UInt8[np.ndarray, "n h w 3"]
    """What the policy saw."""
    actions: Int64[np.ndarray, "n"]
    rewards: Float[np.ndarray, "n"]
    terminated: Bool[np.ndarray, "n"]
    truncated: Bool[np.ndarray, "n"]
    successors: UInt8[np.ndarray, "n h w 3"]
    """The true next frames: an episode's final frame if it ended."""
    next_frames: UInt8[np.ndarray, "n h w 3"]
    """What the policy sees next: the first frame of a new game if one began."""
    game_over: Bool[np.ndarray, "n"]
    """Games that are over; an episode that ends with a life may leave its game open."""

    @property
    def ended(self) -> Bool[np.ndarray, "n"]:
        """Episodes that ended, by termination or truncation."""
        return self.terminated | self.truncated


def rollout(
    env: VectorEnv, policy: Policy, frames: UInt8[np.ndarray, "n h w 3"], *, forget_lost_lives: bool = False
) -> Iterator[Transition]:
    """Play on without end from what the environments show; stop by asking for no further step.

    Args:
        env: environments that restart in the same step (SAME_STEP).
        policy: acts in all of them at once; when a step is yielded, it has already been told of ends.
        frames: what the environments show now.
        forget_lost_lives: the policy forgets its past at the end of every episode, even if only a life was lost; else
            it remembers until the game is over.
    """
    while True:
        actions = policy.act(frames)
        following, rewards, terminated, truncated, info = env.step(actions)
        ended = terminated | truncated
        game_over = info.get("game_over", ended)
        policy.reset(ended if forget_lost_lives else game_over)
        yield Transition(frames, actions, rewards, terminated, truncated, info["final_obs"], following, game_over)
        frames = following
