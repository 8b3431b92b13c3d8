"""The dream as an environment that any agent can train in: a thin adapter over `dream_step`.

Axes   n dreams | h w c image
Units  observations are uint8 in 0..255; rewards are -1, 0 or +1
"""

from typing import Any, SupportsInt

import gymnasium
import numpy as np
import torch
from gymnasium.spaces import Box, Discrete
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from jaxtyping import UInt8

from diamond.errors import ConfigError
from diamond.experience.frames import to_stored
from diamond.imagination.dream import begin, dream_step
from diamond.imagination.world import DreamState, StartSource, WorldModel, draw_noise, restart_where


class WorldModelEnv(VectorEnv):
    """n dreams side by side as a `gymnasium.vector.VectorEnv`.

    `step(actions)` takes int (n,) and returns observations uint8 (n, h, w, 3), rewards float32 (n,) in {-1, 0, 1},
    terminated and truncated bool (n,), never both true for one dream, and info. A dream that has ended restarts from
    a new real segment in the same step (SAME_STEP): the observation is then the segment's newest frame, and

        info["final_obs"]    uint8 (n, h, w, 3), the imagined frame after the action, before any restart
        info["_final_obs"]   bool (n,), where the dream ended
        info["termination_probability"], info["reward_probabilities"]   float32 (n,), (n, 3): what was sampled from

    Equal seeds, starts and actions give equal dreams on one machine.

    Args:
        world: the networks and how to sample from them.
        starts: draws real segments to start from; see `StartSource`.
        num_actions: size of the action space.
        num_envs: dreams side by side.
        horizon: steps after which a dream is truncated; None dreams on until it terminates.
        seed: of the noise, until `reset(seed=...)` gives another.

    Raises:
        ConfigError: `num_envs` or `horizon` is out of range.
        gymnasium.error.ResetNeeded: `step` before the first `reset`.
        gymnasium.error.InvalidAction: actions of another shape or type, or out of range.
    """

    metadata: dict[str, Any] = {"autoreset_mode": AutoresetMode.SAME_STEP, "render_modes": []}

    def __init__(
        self,
        world: WorldModel,
        starts: StartSource,
        num_actions: int,
        num_envs: int = 1,
        horizon: int | None = 50,
        seed: int = 0,
    ) -> None:
        if num_envs < 1:
            raise ConfigError(f"num_envs is {num_envs}: use at least 1")
        if horizon is not None and horizon < 1:
            raise ConfigError(f"horizon is {horizon}: use at least 1, or None for dreams without end")
        self.num_envs = num_envs
        self.horizon = horizon
        self._world = world
        self._starts = starts
        self._seed = seed
        self._generator: torch.Generator | None = None
        self._state: DreamState | None = None
        height, width = starts(1, torch.Generator().manual_seed(seed)).frames.shape[-2:]
        self.single_observation_space = Box(0, 255, (height, width, 3), np.uint8)
        self.num_actions = num_actions
        self.single_action_space = Discrete(num_actions)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[UInt8[np.ndarray, "n h w 3"], dict[str, Any]]:
        """Start every dream from a real segment; without a seed the random streams go on."""
        if seed is not None:
            self._seed = seed
        if seed is not None or self._generator is None:
            self._start_generator = torch.Generator().manual_seed(self._seed)
            self._generator = None
        self._state = self._begin()
        if self._generator is None:
            self._generator = torch.Generator(self._state.frames.device).manual_seed(self._seed)
        return self._observe(self._state), {}

    @torch.no_grad()
    def step(
        self, actions: np.ndarray
    ) -> tuple[UInt8[np.ndarray, "n h w 3"], np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Imagine one step of every dream; see the class for what comes back."""
        if self._state is None or self._generator is None:
            raise gymnasium.error.ResetNeeded("call reset() before step()")
        frames = self._state.frames
        action = torch.as_tensor(self._checked(actions), device=frames.device)
        noise = draw_noise(frames[:, -1].shape, self._world.sampler_cfg, self._generator)
        state, step = dream_step(self._world, self._state, action, noise)
        terminated = step.terminated
        truncated = torch.zeros_like(terminated)
        if self.horizon is not None:
            truncated = (state.steps >= self.horizon) & ~terminated
        done = terminated | truncated
        final_obs = to_stored(step.frame).cpu().numpy()
        if bool(done.any()):
            index = torch.arange(self.num_envs, device=done.device)
            state = restart_where(done, state, self._begin(), index)
        self._state = state
        info = {
            "final_obs": final_obs,
            "_final_obs": done.cpu().numpy(),
            "termination_probability": step.termination_logits.softmax(-1)[:, 1].cpu().numpy(),
            "reward_probabilities": step.reward_logits.softmax(-1).cpu().numpy(),
        }
        rewards = step.reward.cpu().numpy()
        return self._observe(state), rewards, terminated.cpu().numpy(), truncated.cpu().numpy(), info

    def _begin(self) -> DreamState:
        return begin(self._world, self._starts(self.num_envs, self._start_generator))

    def _observe(self, state: DreamState) -> np.ndarray:
        return to_stored(state.frames[:, -1]).cpu().numpy()

    def _checked(self, actions: np.ndarray) -> np.ndarray:
        actions = np.asarray(actions)
        if not np.issubdtype(actions.dtype, np.integer) or not self.action_space.contains(actions.astype(np.int64)):
            raise gymnasium.error.InvalidAction(
                f"actions are {actions.dtype} {actions.tolist()}: give {self.num_envs} integers from 0 to "
                f"{self.num_actions - 1}"
            )
        return actions.astype(np.int64)


class SingleWorldModelEnv(gymnasium.Env):
    """One dream as a `gymnasium.Env`; the caller resets it when it ends.

    Args:
        dreams: a `WorldModelEnv` of one dream.
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": 15}

    def __init__(self, dreams: WorldModelEnv, render_mode: str | None = None) -> None:
        if dreams.num_envs != 1:
            raise ConfigError(f"num_envs is {dreams.num_envs}: give a WorldModelEnv of one dream")
        self._dreams = dreams
        self._frame: np.ndarray | None = None
        self.render_mode = render_mode
        self.observation_space = dreams.single_observation_space
        self.action_space = dreams.single_action_space

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Start from a real segment."""
        super().reset(seed=seed)
        obs, _ = self._dreams.reset(seed=seed)
        self._frame = obs[0]
        return obs[0], {}

    def step(self, action: SupportsInt) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Imagine one step; the observation of the last step of a dream is its true last frame."""
        _, rewards, terminated, truncated, info = self._dreams.step(np.array([action]))
        self._frame = info["final_obs"][0]
        return self._frame, float(rewards[0]), bool(terminated[0]), bool(truncated[0]), {}

    def render(self) -> np.ndarray | None:
        """The newest frame, for `render_mode="rgb_array"`."""
        return self._frame if self.render_mode == "rgb_array" else None
