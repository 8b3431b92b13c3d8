"""Stable-Baselines3's PPO learns in the dream of a trained world model: not one step of the real game is played.

    pip install stable-baselines3
    python examples/ppo_in_the_dream.py runs/my-run --updates 50

Without RUN, the newest run under runs/ is taken. `DreamVecEnv` is all that another library needs to know of a dream.
"""

import argparse
from typing import Any

import gymnasium
import numpy as np
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from stable_baselines3.common.vec_env import VecEnv, VecMonitor
from torch import Tensor, nn

import diamond


class DreamVecEnv(VecEnv):
    """A `diamond.WorldModelEnv` as a Stable-Baselines3 environment; both restart ended games in the same step."""

    def __init__(self, dreams: diamond.WorldModelEnv) -> None:
        self.dreams = dreams
        super().__init__(dreams.num_envs, dreams.single_observation_space, dreams.single_action_space)

    def reset(self) -> np.ndarray:
        """First frames, uint8 (n, h, w, 3)."""
        seed = self._seeds[0]
        self._reset_seeds()
        return self.dreams.reset(seed=seed)[0]

    def step_async(self, actions: np.ndarray) -> None:
        """Note the actions, int (n,)."""
        self.actions = actions

    def step_wait(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[dict[str, Any]]]:
        """Imagine the step; an ended dream's info tells its last frame and whether it was merely cut off."""
        frames, rewards, terminated, truncated, info = self.dreams.step(self.actions)
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        for i in np.flatnonzero(terminated | truncated):
            infos[i] = {"terminal_observation": info["final_obs"][i], "TimeLimit.truncated": bool(truncated[i])}
        return frames, rewards, terminated | truncated, infos

    def close(self) -> None:
        """Nothing to close."""

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """An attribute of the dreams, once for each of those asked for."""
        return [getattr(self.dreams, attr_name) for _ in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """Set an attribute of all dreams."""
        setattr(self.dreams, attr_name, value)

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> list[Any]:
        """Dreams run as one batch: there are no single environments to call."""
        raise NotImplementedError(method_name)

    def env_is_wrapped(self, wrapper_class: type[gymnasium.Wrapper], indices: Any = None) -> list[bool]:
        """No."""
        return [False for _ in self._get_indices(indices)]


class SmallFrames(BaseFeaturesExtractor):
    """Convolutions for frames of any size; the library's own need at least 36 x 36 pixels."""

    def __init__(self, observation_space: gymnasium.spaces.Box, features_dim: int = 128) -> None:
        super().__init__(observation_space, features_dim)
        layers, channels = [], observation_space.shape[0]
        for wider in (16, 32, 32):
            layers += [nn.Conv2d(channels, wider, kernel_size=3, stride=2, padding=1), nn.ReLU()]
            channels = wider
        self.convolutions = nn.Sequential(*layers, nn.Flatten())
        with torch.no_grad():
            size = self.convolutions(torch.zeros(1, *observation_space.shape)).shape[1]
        self.linear = nn.Sequential(nn.Linear(size, features_dim), nn.ReLU())

    def forward(self, observations: Tensor) -> Tensor:
        """Features (n, features_dim) of frames (n, c, h, w) in 0..1."""
        return self.linear(self.convolutions(observations))


def main() -> None:
    """Learn in the dream, and tell after every update how much reward it brings there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", nargs="?", help="run folder; by default the newest under runs/")
    parser.add_argument("--updates", type=int, default=50, help="policy updates")
    parser.add_argument("--dreams", type=int, default=16, help="dreams side by side")
    parser.add_argument("--steps", type=int, default=32, help="imagined steps of each dream between two updates")
    parser.add_argument("--horizon", type=int, default=50, help="imagined steps after which a dream starts afresh")
    parser.add_argument("--seed", type=int, default=0, help="seed of dreams and policy")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda ...")
    arguments = parser.parse_args()

    dreams = diamond.dream(arguments.run, arguments.dreams, arguments.horizon, arguments.seed, device=arguments.device)
    agent = PPO(
        "CnnPolicy",
        VecMonitor(DreamVecEnv(dreams)),
        n_steps=arguments.steps,
        batch_size=max(2, arguments.dreams * arguments.steps // 4),
        policy_kwargs={"features_extractor_class": SmallFrames},
        seed=arguments.seed,
        device=arguments.device,
        verbose=1,
    )
    agent.learn(total_timesteps=arguments.updates * arguments.dreams * arguments.steps, log_interval=1)
    print(f"learned from {agent.num_timesteps} imagined steps in {arguments.updates} updates")


if __name__ == "__main__":
    main()
