"""The agent learns on the real game itself, without a dream: what `diamond.lab.real_game` runs.

A window of play is rolled out without gradient, then the network is evaluated on the whole window with gradient, once
(`a2c`, the objective of `diamond train`) or several times (`ppo`, Schulman et al. 2017, equation 7, with the recurrent
state kept from the start of the window).

Axes   t window | b games side by side | c h w image in networks, h w c elsewhere | a actions
Units  frames are uint8 until the network sees them; rewards that are learned from are signs, returns are not clipped
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from diamond.config import ActorCriticConfig
from diamond.envs import RealEnv
from diamond.experience.actions import sample_categorical
from diamond.experience.frames import to_network
from diamond.experience.segments import reward_sign
from diamond.imagination.returns import lambda_returns
from diamond.imagination.world import where_state
from diamond.networks.actor_critic import ActorCritic
from diamond.networks.blocks import LSTMState
from diamond.training.learner import Learner
from diamond.training.objectives import Metrics, actor_critic_loss

Objective = Literal["a2c", "ppo"]
SPREAD_DECAY = 0.95
SMALLEST_SPREAD = 1e-3
"""Advantages below it, such as those before the first reward, are not blown up to full size."""


@dataclass(frozen=True)
class Window:
    """What was played between two updates."""

    frames: Float[Tensor, "t b c h w"]
    actions: Int[Tensor, "t b"]
    log_probability: Float[Tensor, "t b"]
    """Of the actions, under the policy that took them."""
    values: Float[Tensor, "t b"]
    rewards: Float[Tensor, "t b"]
    """Their signs."""
    terminated: Bool[Tensor, "t b"]
    truncated: Bool[Tensor, "t b"]
    next_value: Float[Tensor, "t b"]
    """Of the true successor, before any restart; after a termination it has no meaning and no effect."""
    state: LSTMState
    """The network's memory before the first frame."""


class Player:
    """Plays real games on and on, and counts the returns of whole games, over all their lives."""

    def __init__(self, env: RealEnv, network: ActorCritic, generator: torch.Generator, seed: int) -> None:
        self.returns: list[float] = []
        self.ended_at: list[int] = []
        """The steps taken by all games together when each of `returns` was complete."""
        self.steps = 0
        self.reward = 0.0
        """Of all games so far, those that are still open included."""
        self._env, self._network, self._generator = env, network, generator
        self._running = np.zeros(env.num_envs)
        self._state = network.initial_state(env.num_envs, "cpu")
        self._frames, _ = env.reset(seed=seed)

    @torch.no_grad()
    def play(self, length: int) -> Window:
        """The next `length` steps of every game."""
        start, rows = self._state, []
        for _ in range(length):
            frames = to_network(torch.from_numpy(self._frames))
            logits, value, state = self._network(frames, self._state)
            actions = sample_categorical(logits, torch.rand(len(frames), generator=self._generator))
            log_probability = logits.log_softmax(-1).gather(-1, actions[:, None]).squeeze(-1)
            self._frames, rewards, terminated, truncated, info = self._env.step(actions.numpy())
            self._count(rewards, info["game_over"])
            signs, ended, cut = reward_sign(torch.from_numpy(rewards)), *map(torch.from_numpy, (terminated, truncated))
            self._state = where_state(ended | cut, self._network.initial_state(len(frames), "cpu"), state)
            # a game that was cut off would have gone on from a frame that is not among those of the window
            beyond = torch.zeros_like(value)
            if cut.any():
                beyond = self._network(to_network(torch.from_numpy(info["final_obs"])), state)[1]
            rows.append((frames, actions, log_probability, value, signs, ended, cut, beyond))
        seen, taken, chances, values, signs, ended, cut, beyond = map(torch.stack, zip(*rows, strict=True))
        after = self._network(to_network(torch.from_numpy(self._frames)), self._state)[1]
        next_value = torch.where(cut, beyond, torch.cat((values[1:], after[None])))
        return Window(seen, taken, chances, values, signs, ended, cut, next_value, start)

    def _count(self, rewards: np.ndarray, game_over: np.ndarray) -> None:
        self.steps += len(rewards)
        self.reward += float(rewards.sum())
        self._running += rewards
        for i in np.flatnonzero(game_over):
            self.returns.append(float(self._running[i]))
            self.ended_at.append(self.steps)
            self._running[i] = 0


def evaluate(network: ActorCritic, window: Window) -> tuple[Float[Tensor, "t b a"], Float[Tensor, "t b"]]:
    """Logits and values of a window with gradient, from the memory that the player had at its start."""
    done = window.terminated | window.truncated
    features = network.encode(window.frames.flatten(0, 1)).unflatten(0, done.shape)
    zeros = network.initial_state(done.shape[1], window.frames.device)
    state, logits, values = window.state, [], []
    for t in range(len(done)):
        step_logits, value, state = network.from_features(features[t], state)
        state = where_state(done[t], zeros, state)
        logits.append(step_logits)
        values.append(value)
    return torch.stack(logits), torch.stack(values)


def clipped_loss(
    logits: Float[Tensor, "t b a"],
    values: Float[Tensor, "t b"],
    window: Window,
    advantages: Float[Tensor, "t b"],
    returns: Float[Tensor, "t b"],
    clip: float,
    cfg: ActorCriticConfig,
) -> tuple[Float[Tensor, ""], Metrics]:
    """The clipped objective of PPO, squared error of the value, entropy bonus (Schulman et al. 2017, equations 7, 9).

    An action stops gaining where its probability has moved by more than a factor 1 - `clip` or 1 + `clip`.
    """
    log_policy = logits.log_softmax(dim=-1)
    log_probability = log_policy.gather(-1, window.actions[..., None]).squeeze(-1)
    ratio = (log_probability - window.log_probability).exp()
    policy_loss = -torch.minimum(ratio * advantages, ratio.clamp(1 - clip, 1 + clip) * advantages).mean()
    value_loss = (values - returns).square().mean()
    entropy = -(log_policy.exp() * log_policy).sum(dim=-1).mean()
    loss = policy_loss + cfg.value_weight * value_loss - cfg.entropy_weight * entropy
    return loss, {
        "loss": loss.detach(),
        "policy_loss": policy_loss.detach(),
        "value_loss": value_loss.detach(),
        "entropy": entropy.detach(),
    }


class Trainer:
    """Improves the network on each window; `passes` and `clip` are for `ppo` alone."""

    def __init__(self, learner: Learner, objective: Objective, cfg: ActorCriticConfig, passes: int, clip: float):
        self._learner, self._objective, self._cfg = learner, objective, cfg
        self._passes, self._clip = passes, clip
        self._square, self._windows = 0.0, 0

    def update(self, network: ActorCritic, window: Window) -> Metrics:
        """Learn from one window; the metrics are those of the last pass."""
        cfg, metrics = self._cfg, Metrics()
        returns = lambda_returns(
            window.rewards, window.next_value, window.terminated, window.truncated, cfg.discount, cfg.lambda_
        )
        advantages = self._scaled(returns - window.values)
        for _ in range(self._passes if self._objective == "ppo" else 1):
            logits, values = evaluate(network, window)
            if self._objective == "ppo":
                loss, metrics = clipped_loss(logits, values, window, advantages, returns, self._clip, cfg)
            else:
                loss, metrics = actor_critic_loss(logits, values, window.actions, returns, cfg)
            self._learner.step(loss)
        return metrics

    def _scaled(self, advantages: Float[Tensor, "t b"]) -> Float[Tensor, "t b"]:
        """Advantages over their spread, a running root mean square that is a plain one at first."""
        decay = min(SPREAD_DECAY, self._windows / (self._windows + 1))
        self._square = decay * self._square + (1 - decay) * float(advantages.square().mean())
        self._windows += 1
        return advantages / max(self._square**0.5, SMALLEST_SPREAD)
