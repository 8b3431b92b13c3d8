"""Real games played side by side for some steps, and stretches of them that no network was trained on.

Axes   t steps | n environments | s segments | m = context + steps ahead | h w 3 image
Units  frames are uint8 in 0..255
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from gymnasium.vector import VectorEnv
from jaxtyping import Bool, Int64, UInt8

from diamond.agents.agent import Agent
from diamond.agents.policies import Policy, RandomPolicy, policy
from diamond.agents.rollout import rollout
from diamond.envs import make_env
from diamond.errors import DataError
from diamond.experience.segments import HeldOut

RECORDED_STEPS = 400
"""Real steps of each environment recorded to draw held-out segments from."""


@dataclass(frozen=True)
class Recording:
    """Real games played side by side for a number of steps."""

    frames: UInt8[np.ndarray, "t n h w 3"]
    actions: Int64[np.ndarray, "t n"]
    """The action taken in each frame."""
    ended: Bool[np.ndarray, "t n"]
    """Whether the game was over after the action."""


def record(env: VectorEnv, policy: Policy, steps: int, seed: int) -> Recording:
    """Play real games for `steps` steps; environments are those of `make_env(..., training=False)`."""
    played = islice(rollout(env, policy, env.reset(seed=seed)[0]), steps)
    rows = [(step.frames, step.actions, step.ended) for step in played]
    return Recording(*(np.stack(column) for column in zip(*rows, strict=True)))


def record_real(agent: Agent, seed: int, steps: int, num_envs: int, random: bool = False) -> Recording:
    """Real games played by the agent, or by chance, that no network was trained on."""
    env = make_env(agent.config.env, num_envs, training=False)
    try:
        chance = RandomPolicy(agent.num_actions, np.random.default_rng(seed))
        return record(env, chance if random else policy(agent, num_envs, seed), steps, seed)
    finally:
        env.close()


def held_out_segments(
    recordings: Sequence[Recording], context_length: int, steps_ahead: int, count: int, rng: np.random.Generator
) -> HeldOut:
    """Draw `count` stretches that no game's end cuts, equally many from each recording.

    Raises:
        DataError: the recordings hold none that is long enough.
    """
    length = context_length + steps_ahead
    frames, actions = [], []
    for share, recording in zip(_shares(count, len(recordings)), recordings, strict=True):
        steps, _ = recording.ended.shape
        ends_before = np.concatenate((np.zeros_like(recording.ended[:1], dtype=int), recording.ended.cumsum(axis=0)))
        whole = ends_before[length - 1 : steps] == ends_before[: max(0, steps - length + 1)]
        starts = np.argwhere(whole)
        if len(starts) == 0:
            raise DataError(f"no stretch of {length} steps without a game's end was recorded: record more steps")
        for start, lane in starts[rng.choice(len(starts), size=share, replace=len(starts) < share)]:
            frames.append(recording.frames[start : start + length, lane])
            actions.append(recording.actions[start : start + length - 1, lane])
    return HeldOut(np.stack(frames), np.stack(actions))


def _shares(total: int, parts: int) -> list[int]:
    return [total // parts + (part < total % parts) for part in range(parts)]
