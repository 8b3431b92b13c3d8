"""Real experience: the policy plays, the replay remembers (paper algorithm 1, "collect experience").

Axes   b environments | h w c image
"""

from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
from torch import Tensor

from diamond.agents.policies import NetworkPolicy, RecurrentAgent
from diamond.agents.rollout import rollout
from diamond.envs import RealEnv
from diamond.experience.episodes import Episode
from diamond.experience.replay import Replay


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

    def __init__(self, env: RealEnv, replay: Replay, policy: RecurrentAgent, device: torch.device) -> None:
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

    def collect(self, steps: int, policy: RecurrentAgent, epsilon: float, generator: torch.Generator) -> Collected:
        """Play about `steps` steps (rounded up to a multiple of the number of environments)."""
        assert self._frames is not None, "call begin() or load_state_dict() first"
        num_envs, state = self.env.num_envs, self._policy_state
        player = NetworkPolicy(policy, num_envs, self.device, generator, epsilon=epsilon, state=state)
        episodes: list[tuple[int, Episode]] = []
        game_returns: list[float] = []
        rounds = -(-steps // num_envs)
        for step in islice(rollout(self.env, player, self._frames, forget_lost_lives=True), rounds):
            episodes += self.replay.add(
                step.actions, step.rewards, step.terminated, step.truncated, step.successors, step.next_frames
            )
            self._game_return += step.rewards
            # A truncated or lost game starts anew; a lost life only ends the stored episode.
            for lane in np.flatnonzero(step.game_over):
                game_returns.append(float(self._game_return[lane]))
                self._game_return[lane] = 0
            self._frames, self._policy_state = step.next_frames, player.state
        return Collected(rounds * num_envs, episodes, game_returns)

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
