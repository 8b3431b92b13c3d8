"""Who plays: the network, chance, or one button held down.

Axes   n environments side by side | a actions | h w 3 image
Units  frames are uint8 as the environment gives them
"""

from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Bool, Int64, UInt8
from torch import Tensor

from diamond.agents.agent import Agent
from diamond.errors import ConfigError
from diamond.experience.actions import explore, sample_categorical
from diamond.experience.frames import to_network
from diamond.networks.blocks import LSTMState

Mode = Literal["sampled", "greedy"]


@runtime_checkable
class Policy(Protocol):
    """Chooses one action for each of n games that run side by side."""

    def act(self, frames: UInt8[np.ndarray, "n h w 3"]) -> Int64[np.ndarray, "n"]:
        """Actions for the newest frames; called exactly once a step."""
        ...

    def reset(self, ended: Bool[np.ndarray, "n"]) -> None:
        """Forget the past of the games that have just ended; the next frames are the first of new games."""
        ...

    def describe(self) -> dict[str, Any]:
        """What the policy is, JSON-ready, for the record of its score."""
        ...


@runtime_checkable
class RecurrentAgent(Protocol):
    """The part of `ActorCritic` that acting needs."""

    def initial_state(self, batch: int, device: torch.device) -> LSTMState:
        """Recurrent state of a game's first step: zeros."""
        ...

    def __call__(self, frames: Tensor, state: LSTMState) -> tuple[Tensor, Tensor, LSTMState]:
        """Logits (b a), values (b) and the next recurrent state, from frames (b 3 h w) in [-1, 1]."""
        ...


class NetworkPolicy:
    """Acts with an actor-critic network and carries its recurrent state, zero at the start of every game.

    Args:
        actor_critic: network on `device`; its weights are only read.
        num_envs: games side by side.
        device: where the network runs.
        generator: source of the sampled actions; on the CPU, a seed gives the same actions whatever the device,
            as far as the network's arithmetic does.
        mode: `sampled` draws from the policy, `greedy` takes its most probable action (the first of equals).
        temperature: divides the logits before sampling; 1 is the policy itself, towards 0 it becomes greedy.
        epsilon: probability of a uniformly random action instead, drawn for each environment and step.
        state: recurrent state to go on from; by default that of new games.

    Raises:
        ConfigError: mode, temperature or epsilon is out of range.
    """

    def __init__(
        self,
        actor_critic: RecurrentAgent,
        num_envs: int,
        device: torch.device,
        generator: torch.Generator,
        mode: Mode = "sampled",
        temperature: float = 1.0,
        epsilon: float = 0.0,
        state: LSTMState | None = None,
    ) -> None:
        if mode not in ("sampled", "greedy"):
            raise ConfigError(f"mode is {mode!r}: choose sampled or greedy")
        if not 0 < temperature < float("inf"):
            raise ConfigError(f"temperature is {temperature!r}: use a positive number, or mode greedy instead of 0")
        if not 0 <= epsilon <= 1:
            raise ConfigError(f"epsilon is {epsilon!r}: choose a probability from 0 to 1")
        self.mode, self.temperature, self.epsilon = mode, temperature, epsilon
        self.state = actor_critic.initial_state(num_envs, device) if state is None else state
        self._actor_critic, self._device, self._generator = actor_critic, device, generator

    @torch.no_grad()
    def act(self, frames: UInt8[np.ndarray, "n h w 3"]) -> Int64[np.ndarray, "n"]:
        """Actions for the newest frames; the recurrent state moves on one step."""
        seen = to_network(torch.tensor(frames, device=self._device))
        logits, _, self.state = self._actor_critic(seen, self.state)
        logits = logits.float().to(self._generator.device)
        uniform = torch.rand(3, len(logits), generator=self._generator, device=logits.device)
        if self.mode == "greedy":
            actions = logits.argmax(dim=-1)
        else:
            actions = sample_categorical(logits, uniform[0], self.temperature)
        return explore(actions, logits.shape[-1], self.epsilon, uniform[1:]).cpu().numpy()

    def reset(self, ended: Bool[np.ndarray, "n"]) -> None:
        """Zero the recurrent state of the games that have just ended."""
        # torch.where rather than a product with 0: a state that is not finite must not survive its game
        over = torch.tensor(ended, device=self._device).unsqueeze(1)
        first, second = (torch.where(over, torch.zeros_like(part), part) for part in self.state)
        self.state = (first, second)

    def describe(self) -> dict[str, Any]:
        """Mode, temperature (None when greedy, which has none) and epsilon."""
        temperature = None if self.mode == "greedy" else self.temperature
        return {"mode": self.mode, "temperature": temperature, "epsilon": self.epsilon}


def policy(
    agent: Agent, num_envs: int, seed: int = 0, mode: Mode = "sampled", temperature: float = 1.0
) -> NetworkPolicy:
    """The agent's policy: `act(frames uint8 (n, h, w, 3)) -> actions (n,)`, `reset(ended (n,))`."""
    generator = torch.Generator().manual_seed(seed)
    return NetworkPolicy(agent.actor_critic, num_envs, agent.device, generator, mode, temperature)


class RandomPolicy:
    """Every action equally likely at every step."""

    def __init__(self, num_actions: int, rng: np.random.Generator) -> None:
        self._num_actions, self._rng = num_actions, rng

    def act(self, frames: UInt8[np.ndarray, "n h w 3"]) -> Int64[np.ndarray, "n"]:
        """Independent uniform actions."""
        return self._rng.integers(self._num_actions, size=len(frames), dtype=np.int64)

    def reset(self, ended: Bool[np.ndarray, "n"]) -> None:
        """Chance has no memory."""

    def describe(self) -> dict[str, Any]:
        """The mode `random`."""
        return {"mode": "random", "temperature": None, "epsilon": 1.0}


class ConstantPolicy:
    """The same action at every step, in every game."""

    def __init__(self, action: int) -> None:
        self.action = action

    def act(self, frames: UInt8[np.ndarray, "n h w 3"]) -> Int64[np.ndarray, "n"]:
        """The action, n times."""
        return np.full(len(frames), self.action, dtype=np.int64)

    def reset(self, ended: Bool[np.ndarray, "n"]) -> None:
        """A held button has no memory."""

    def describe(self) -> dict[str, Any]:
        """The mode `constant` and the action's number."""
        return {"mode": "constant", "temperature": None, "epsilon": 0.0, "action": self.action}
