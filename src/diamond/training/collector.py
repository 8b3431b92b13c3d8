"""Real experience: the policy plays, the replay remembers (paper algorithm 1, "collect experience").

Axes   b environments | h w c image
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from diamond.envs import RealEnv
from diamond.experience.episodes import Episode
from diamond.experience.frames import to_network
from diamond.experience.replay import Replay
from diamond.imagination.dream import sample_categorical
from diamond.networks.actor_critic import ActorCritic


@dataclass(frozen=True)
class Collected:
    """What one call of `Collector.collect` brought."""

    steps: int
    episodes: list[tuple[int, Episode]]
    """Finished episodes with their number in order of collection."""
    game_returns: list[float]
    """Summed rewards of finished games, which may span several episodes (lives)."""


class Collector:
    """Plays the training environment across epochs: an unfinished episode is continued by the next call."""

    def __init__(self, env: RealEnv, replay: Replay, policy: ActorCritic, device: torch.device) -> None:
        self.env = env
        self.replay = replay
        self.device = device
        self._policy_state = policy.initial_state(env.num_envs, device)
        self._game_return = np.zeros(env.num_envs, dtype=np.float64)
        self._frames: np.ndarray | None = None

    def begin(self, seed: int) -> None:
        """Start the first game of every environment."""
        self._frames, _ = self.env.reset(seed=seed)
        self.replay.begin(self._frames)

    @torch.no_grad()
    def collect(self, steps: int, policy: ActorCritic, epsilon: float, generator: torch.Generator) -> Collected:
        """Play about `steps` steps (rounded up to a multiple of the number of environments)."""
        assert self._frames is not None, "call begin() or load_state_dict() first"
        episodes: list[tuple[int, Episode]] = []
        game_returns: list[float] = []
        rounds = -(-steps // self.env.num_envs)
        for _ in range(rounds):
            actions = self._act(policy, epsilon, generator)
            frames, rewards, terminated, truncated, info = self.env.step(actions)
            episodes += self.replay.add(actions, rewards, terminated, truncated, info["final_obs"], frames)
            self._game_return += rewards
            # A truncated or lost game starts anew; a lost life only ends the stored episode.
            for lane in np.flatnonzero(info["game_over"]):
                game_returns.append(float(self._game_return[lane]))
                self._game_return[lane] = 0
            alive = torch.from_numpy(~(terminated | truncated)).to(self.device)[:, None]
            self._policy_state = (self._policy_state[0] * alive, self._policy_state[1] * alive)
            self._frames = frames
        return Collected(rounds * self.env.num_envs, episodes, game_returns)

    def _act(self, policy: ActorCritic, epsilon: float, generator: torch.Generator) -> np.ndarray:
        """Sample the policy; with probability `epsilon` an environment takes a uniformly random action."""
        frames = to_network(torch.from_numpy(self._frames).to(self.device))
        logits, _, self._policy_state = policy(frames, self._policy_state)
        uniform = torch.rand(3, len(frames), generator=generator)
        sampled = sample_categorical(logits.float().cpu(), uniform[0])
        num_actions = logits.shape[-1]
        random_action = (uniform[1] * num_actions).long().clamp(max=num_actions - 1)
        return torch.where(uniform[2] < epsilon, random_action, sampled).numpy()

    def state_dict(self) -> dict[str, Tensor]:
        """The policy's memory and the running score of the open games."""
        return {
            "hidden": self._policy_state[0],
            "cell": self._policy_state[1],
            "game_return": torch.from_numpy(self._game_return.copy()),
        }

    def load_state_dict(self, state: dict[str, Tensor], frames: np.ndarray) -> None:
        """Continue open games that show `frames`."""
        self._policy_state = (state["hidden"].to(self.device), state["cell"].to(self.device))
        self._game_return = state["game_return"].numpy().copy()
        self._frames = frames
