"""One step of the dream, and of the real game, each as a function of a moment.

A moment is small and never changes, so that a session can keep thousands and go on from any of them. Even the noise of
a dreamed step follows from its seed and place: the same buttons from the same moment give the same frames again.

Axes   n past frames | h w 3 image | m recurrent state
Units  frames are uint8 in 0..255
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import UInt8
from torch import Tensor

from diamond.agents.agent import Agent
from diamond.envs import EnvState, RealEnv
from diamond.experience.frames import PADDING_VALUE, to_network, to_pixel_grid, to_stored
from diamond.experience.segments import Segment
from diamond.imagination.dream import append_action, begin, denoising, finish_step
from diamond.imagination.world import DreamState, WorldModel, draw_noise
from diamond.networks.blocks import LSTMState
from diamond.play.game.settings import Settings
from diamond.runs.streams import derive_seed

Frame = UInt8[np.ndarray, "h w 3"]
Ending = Literal["terminated", "truncated", "horizon"]


@dataclass(frozen=True)
class Tally:
    """The numbers under a picture."""

    steps: int = 0
    """Since the game or the dream began."""
    reward: float = 0.0
    """Of the last step."""
    total: float = 0.0
    termination: float | None = None
    """Probability with which a dream was to end in the last step; a real game has none."""
    ended: Ending | None = None

    def after(self, reward: float, termination: float | None, ended: Ending | None) -> "Tally":
        """One step later."""
        return Tally(self.steps + 1, reward, self.total + reward, termination, ended)


@dataclass(frozen=True)
class Past:
    """The last frames of a game, newest last, and the actions between them."""

    frames: tuple[Frame, ...]
    actions: tuple[int, ...]
    """One fewer than `frames`."""

    def after(self, action: int, frame: Frame, most: int) -> "Past":
        """With one more frame, of which the last `most` are kept."""
        return Past((*self.frames, frame)[-most:], (*self.actions, action)[1 - most :] if most > 1 else ())


@dataclass(frozen=True)
class DreamMoment:
    """All that decides how a dream goes on, but for the settings."""

    past: Past
    memory: LSTMState
    """The reward and termination model's."""
    tally: Tally = field(default_factory=Tally)


class Dream:
    """The world model of an agent, one dream at a time."""

    def __init__(self, agent: Agent) -> None:
        self._world = WorldModel.of(agent.denoiser, agent.reward_model, agent.config)
        self._length = agent.config.denoiser.context_length
        self._device = agent.device

    @torch.no_grad()
    def begin(self, past: Past) -> DreamMoment:
        """Go on dreaming from real frames, or from a picture."""
        frames, actions = self._context(past)
        nothing = torch.zeros(actions.shape, device=self._device)
        state = begin(self._world, Segment(frames, actions, nothing, nothing.bool(), ~nothing.bool()))
        return DreamMoment(past, state.reward_state)

    @torch.no_grad()
    def step(
        self, moment: DreamMoment, action: int, settings: Settings, noise_name: Sequence[str | int]
    ) -> tuple[DreamMoment, list[Frame]]:
        """The next moment, and how its frame came out of noise: the images after 0, 1, .. denoising steps.

        Args:
            noise_name: what the noise is to be the same for; see `derive_seed`.
        """
        frames, open_actions = self._context(moment.past)
        world = replace(self._world, sampler_cfg=settings.sampler(self._world.sampler_cfg))
        generator = torch.Generator(self._device).manual_seed(derive_seed(settings.seed, *noise_name))
        noise = draw_noise(frames[:, -1].shape, world.sampler_cfg, generator)
        actions = append_action(open_actions, torch.tensor([action], device=self._device))
        images = denoising(world, frames, actions, noise)
        steps = torch.tensor([moment.tally.steps], device=self._device)
        state = DreamState(frames, open_actions, moment.memory, steps)
        following, step = finish_step(world, state, actions, to_pixel_grid(images[-1]), noise)
        frame = _stored(step.frame)
        ended: Ending | None = None
        if bool(step.terminated):
            ended = "terminated"
        elif settings.horizon and moment.tally.steps + 1 >= settings.horizon:
            ended = "horizon"
        termination = float(step.termination_logits.softmax(-1)[0, 1])
        tally = moment.tally.after(float(step.reward), termination, ended)
        past = moment.past.after(action, frame, self._length)
        return DreamMoment(past, following.reward_state, tally), [_stored(image) for image in images]

    def _context(self, past: Past) -> tuple[Tensor, Tensor]:
        """Frames (1, n, 3, h, w) and actions (1, n), the newest of which is still open.

        What lies before a game's first frame is padding, as in the segments that the networks learned from.
        """
        frames = to_network(torch.from_numpy(np.stack(past.frames))[None].to(self._device))
        missing = self._length - len(past.frames)
        frames = F.pad(frames, (0, 0, 0, 0, 0, 0, missing, 0), value=PADDING_VALUE)
        return frames, torch.tensor([[0] * missing + [*past.actions, 0]], device=self._device)


def _stored(frame: Tensor) -> Frame:
    stored: Frame = to_stored(frame)[0].cpu().numpy()
    return stored


@dataclass(frozen=True)
class RealMoment:
    """Where a real game stands."""

    past: Past
    env: EnvState
    seed: int
    tally: Tally = field(default_factory=Tally)


class RealGame:
    """A real environment that goes to whatever moment a step is taken from.

    Args:
        env: one game, for this object alone.
        length: past frames to keep, for dreams that start from them.
    """

    def __init__(self, env: RealEnv, length: int) -> None:
        self._env, self._length = env, length
        self._now: RealMoment | None = None

    def begin(self, seed: int) -> RealMoment:
        """A new game."""
        frames, _ = self._env.reset(seed=seed)
        self._now = RealMoment(Past((frames[0],), ()), self._env.state(), seed)
        return self._now

    def step(self, moment: RealMoment, action: int) -> RealMoment:
        """The next moment; at the end of a game, that of its last frame, from which `begin` is the way on."""
        if self._now is not moment:
            if self._now is None or self._now.seed != moment.seed:
                self._env.reset(seed=moment.seed)
            self._env.return_to(moment.env)
        _, rewards, terminated, truncated, info = self._env.step(np.array([action]))
        frame = info["final_obs"][0]
        ended: Ending | None = "terminated" if terminated[0] else "truncated" if truncated[0] else None
        tally = moment.tally.after(float(rewards[0]), None, ended)
        past = moment.past.after(action, frame, self._length)
        self._now = RealMoment(past, self._env.state(), moment.seed, tally)
        return self._now

    def close(self) -> None:
        """Close the environment."""
        self._env.close()
