"""Things to play in tests: small random networks beside the game of Catch, and worlds drawn by hand."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from dreams import Judge, Paint, Painter, Rate, random_agent, random_segment, uneventful
from tiny_runs import CATCH
from torch import Tensor

from diamond.agent import Agent
from diamond.config import EnvConfig
from diamond.envs import RealEnv, make_env
from diamond.errors import EnvError
from diamond.frames import to_network, to_stored
from diamond.play.session import Session
from diamond.play.settings import Settings
from diamond.play.source import Source
from diamond.play.worlds import Frame, Past
from diamond.presets import debug

GAME = EnvConfig(id=CATCH, height=16, width=16, max_episode_steps=200)
ACTION_NAMES = ("LEFT", "NOOP", "RIGHT")
SHADE = 3
"""Grey levels by which each action but the first lightens a frame of `lighten`."""


def lighten(frames: Tensor, actions: Tensor) -> Tensor:
    """A world that counts: 3 grey levels lighter after NOOP, 6 after RIGHT, to where white is reached."""
    levels = to_stored(frames[:, -1]).int() + SHADE * actions[:, -1, None, None, None].int()
    return to_network(levels.clamp(max=255).to(torch.uint8))


def player(agent: Agent | None = None, game: EnvConfig = GAME) -> Agent:
    """A random agent that belongs to the game of Catch."""
    return random_agent(replace(debug(), env=game)) if agent is None else agent


def drawn(paint: Paint = lighten, rate: Rate = uneventful) -> Agent:
    """An agent in a world drawn by hand."""
    agent = player()
    agent.denoiser = Painter(paint, agent.config.denoiser)  # type: ignore[assignment]
    agent.reward_model = Judge(rate)
    return agent


@torch.no_grad()
def with_policy(agent: Agent, logits: Sequence[float]) -> Agent:
    """The agent with one policy for all it sees."""
    agent.actor_critic.actor.weight.zero_()
    agent.actor_critic.actor.bias.copy_(torch.tensor(logits))
    return agent


def starts(count: int = 5, size: int = 16) -> tuple[Past, ...]:
    """Four frames of noise each, under random actions."""
    segment = random_segment(torch.Generator().manual_seed(0), count, size=size)
    frames, actions = to_stored(segment.frames).numpy(), segment.actions[:, :-1].tolist()
    return tuple(Past(tuple(stretch), tuple(taken)) for stretch, taken in zip(frames, actions, strict=True))


def source(agent: Agent | None = None, *, real: bool = True, begin: tuple[Past, ...] | None = None) -> Source:
    """Something to play; without a real game where none is wanted."""
    agent = player(agent)

    def make_real() -> RealEnv:
        if not real:
            raise EnvError("there is no real game")
        return make_env(agent.config.env, 1, training=False)

    return Source(
        title="Catch",
        subtitle="",
        agent=agent,
        actions=ACTION_NAMES,
        starts=starts() if begin is None else begin,
        make_real=make_real,
        real_missing=None if real else "there is no real game",
    )


def opened(of: Source | None = None, **settings: object) -> Session:
    """A session with some settings changed, played by hand unless another player is named."""
    of = source() if of is None else of
    settings = {"player": "human", **settings}
    return Session(of, replace(Settings.of(of.agent.config.sampler, seed=0), **settings))


def shown(session: Session) -> dict[str, Frame]:
    """The images on the screen by name."""
    return {view.name: view.image for view in session.picture.views}
