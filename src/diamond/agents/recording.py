"""Real games played side by side for some steps, and stretches of them that no network was trained on.

Axes   t steps | n environments | s segments | m = context + steps ahead | h w 3 image
Units  frames are uint8 in 0..255
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from gymnasium.vector import VectorEnv
from jaxtyping import Int64, UInt8

from diamond.agents.agent import Agent
from diamond.agents.policies import Policy, RandomPolicy, policy
from diamond.envs import make_env
from diamond.errors import DataError

RECORDED_STEPS = 400
"""Real steps of each environment recorded to draw held-out segments from."""


@dataclass(frozen=True)
class HeldOut:
    """Stretches of real games that no network was trained on: n context frames and t frames that followed."""

    frames: UInt8[np.ndarray, "s m h w 3"]
    actions: Int64[np.ndarray, "s m-1"]
    """The action taken in each frame but the last."""
    context_length: int

    def __len__(self) -> int:
        return len(self.frames)


@dataclass(frozen=True)
class Recording:
    """Real games played side by side for a number of steps."""

    frames: UInt8[np.ndarray, "t n h w 3"]
    actions: Int64[np.ndarray, "t n"]
    """The action taken in each frame."""
    ended: np.ndarray
    """(t, n), whether the game was over after the action."""


def record(env: VectorEnv, policy: Policy, steps: int, seed: int) -> Recording:
    """Play real games for `steps` steps; environments are those of `make_env(..., training=False)`."""
    frames, _ = env.reset(seed=seed)
    rows = []
    for _ in range(steps):
        actions = policy.act(frames)
        following, _, terminated, truncated, _ = env.step(actions)
        ended = terminated | truncated
        rows.append((frames, actions, ended))
        policy.reset(ended)
        frames = following
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
    return HeldOut(np.stack(frames), np.stack(actions), context_length)


def _shares(total: int, parts: int) -> list[int]:
    return [total // parts + (part < total % parts) for part in range(parts)]
