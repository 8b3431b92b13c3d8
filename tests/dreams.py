"""Dreams to test with: small random networks, and worlds drawn by hand whose course is known."""

import dataclasses
from collections.abc import Callable
from typing import Any

import torch
from random_weights import randomised
from torch import Tensor, nn

from diamond.agents.agent import Agent
from diamond.config import Config, DenoiserConfig, SamplerConfig
from diamond.config.presets import debug
from diamond.experience.frames import to_pixel_grid
from diamond.experience.segments import Segment
from diamond.imagination.dream import begin
from diamond.imagination.world import DreamState, WorldModel
from diamond.networks.reward_termination import RewardTerminationModel

ACTIONS = 3
SURE = 1e4
"""A logit that leaves no doubt."""

Paint = Callable[[Tensor, Tensor], Tensor]
"""(past frames (b n c h w), actions (b n)) -> the frame that follows (b c h w)."""
Rate = Callable[[Tensor, Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]
"""(frame, action, next frame, steps seen before), one entry a dream -> (reward sign, whether it ends)."""


def random_agent(config: Config | None = None) -> Agent:
    """All three networks of the preset `debug`, with weights that hide nothing."""
    agent = Agent.create(debug() if config is None else config, ACTIONS, seed=0)
    for network in agent.networks.values():
        randomised(network)
    return agent


def random_world(agent: Agent | None = None) -> WorldModel:
    """The dream of a random agent."""
    agent = random_agent() if agent is None else agent
    return WorldModel.of(agent.denoiser, agent.reward_model, agent.config)


def random_segment(generator: torch.Generator, count: int, length: int = 4, size: int = 16) -> Segment:
    """Noise on the pixel grid under random actions; nothing is padding."""
    frames = to_pixel_grid(torch.randn(count, length, 3, size, size, generator=generator) / 2)
    actions = torch.randint(ACTIONS, (count, length), generator=generator)
    nothing = torch.zeros(count, length)
    return Segment(frames, actions, nothing, nothing.bool(), ~nothing.bool())


def random_state(world: WorldModel, generator: torch.Generator, count: int) -> DreamState:
    """Dreams about to continue `random_segment`."""
    return begin(world, random_segment(generator, count))


def without_content(value: Any) -> Any:
    """The same tensors in nested dataclasses, tuples and lists, on the device `meta`: shapes without numbers.

    No value of theirs can be looked at, and they do not mix with tensors of another device.
    """
    if isinstance(value, Tensor):
        return value.to("meta")
    if dataclasses.is_dataclass(value):
        return type(value)(*(without_content(getattr(value, field.name)) for field in dataclasses.fields(value)))
    return type(value)(map(without_content, value)) if isinstance(value, tuple | list) else value


class Painter:
    """A denoiser that knows what follows: it undoes the preconditioning around `paint` (EDM table 1)."""

    def __init__(self, paint: Paint, cfg: DenoiserConfig) -> None:
        self.paint, self.cfg = paint, cfg

    def __call__(self, scaled: Tensor, level: Tensor, context: Tensor, actions: Tensor) -> Tensor:
        data, variance = self.cfg.sigma_data**2, (8 * level).exp()[:, None, None, None]
        noisy = scaled * (variance + data).sqrt()
        skip = data / (variance + data)
        return (self.paint(context * self.cfg.sigma_data, actions) - skip * noisy) / (variance * skip).sqrt()


class Judge(RewardTerminationModel):
    """A reward and termination model that is told what to say; its memory counts the transitions seen."""

    def __init__(self, rate: Rate) -> None:
        nn.Module.__init__(self)
        self.rate = rate

    def initial_state(self, batch: int, device: torch.device | str) -> tuple[Tensor, Tensor]:
        return torch.zeros(batch, 1, device=device), torch.zeros(batch, 1, device=device)

    def forward(
        self, frames: Tensor, actions: Tensor, next_frames: Tensor, state: tuple[Tensor, Tensor]
    ) -> tuple[Tensor, Tensor, tuple[Tensor, Tensor]]:
        seen, rewards, ends = state[0], [], []
        for t in range(actions.shape[1]):
            sign, over = self.rate(frames[:, t], actions[:, t], next_frames[:, t], seen[:, 0].long())
            rewards.append(nn.functional.one_hot(sign.long() + 1, 3) * SURE)
            ends.append(nn.functional.one_hot(over.long(), 2) * SURE)
            seen = seen + 1
        return torch.stack(rewards, dim=1), torch.stack(ends, dim=1), (seen, seen)


def drawn_world(paint: Paint, rate: Rate, num_steps: int = 1) -> WorldModel:
    """A world without doubt: every frame, reward and end is as drawn by hand, whatever the noise."""
    cfg = DenoiserConfig()
    return WorldModel(Painter(paint, cfg), Judge(rate), cfg, SamplerConfig(num_steps=num_steps))


def keep_frame(frames: Tensor, actions: Tensor) -> Tensor:
    """A world in which nothing moves."""
    return frames[:, -1]


def uneventful(frame: Tensor, action: Tensor, next_frame: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
    """A world without rewards and ends."""
    return torch.zeros_like(action), torch.zeros_like(action)
