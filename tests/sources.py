"""Things to play in tests: small random networks beside a small real game, and worlds drawn by hand."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from dreams import Judge, Paint, Painter, Rate, random_agent, random_segment, uneventful
from tiny_runs import CATCH
from torch import Tensor

from diamond.agents.agent import Agent
from diamond.config import EnvConfig
from diamond.config.presets import debug
from diamond.envs import RealEnv, make_env
from diamond.errors import EnvError
from diamond.experience.frames import to_network, to_stored
from diamond.play.game.session import Session
from diamond.play.game.settings import Settings
from diamond.play.game.source import Source
from diamond.play.game.worlds import Frame, Past

GAME = EnvConfig(id=CATCH, height=16, width=16, max_episode_steps=200)
BREAKOUT = EnvConfig(game="Breakout", height=16, width=16, max_noops=3)
ACTION_NAMES = {"catch": ("LEFT", "NOOP", "RIGHT"), "breakout": ("NOOP", "FIRE", "RIGHT")}
"""Three actions of each game, as the networks of `dreams` know them."""
BUTTONS: list[tuple[str, ...]] = [("LEFT",), (), ("RIGHT",)]
"""What to hold for the actions 0, 1, 2 of Catch."""
SHADE = 3
"""Grey levels by which a frame of `lighten` is lighter than the one before, times the number of the action."""
BLACK = Past((np.zeros((16, 16, 3), np.uint8),), ())


def lighten(frames: Tensor, actions: Tensor) -> Tensor:
    """A world that counts: every frame is lighter by its action's number, until it is white."""
    levels = to_stored(frames[:, -1]).int() + SHADE * actions[:, -1, None, None, None].int()
    return to_network(levels.clamp(max=255).to(torch.uint8))


def ending_after(steps: int) -> Rate:
    """Each dream pays 1 and ends after so many steps; three transitions of its past come before."""

    def rate(frame: Tensor, action: Tensor, next_frame: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
        return torch.ones_like(action), (seen >= steps + 2).long()

    return rate


def player(game: EnvConfig = GAME) -> Agent:
    """A random agent that belongs to a game."""
    return random_agent(replace(debug(), env=game))


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
    agent = player() if agent is None else agent
    env = agent.config.env

    def make_real() -> RealEnv:
        if not real:
            raise EnvError("there is no real game")
        return make_env(env, 1, training=False)

    return Source(
        title=env.name,
        subtitle="",
        agent=agent,
        actions=ACTION_NAMES["breakout" if env.id is None else "catch"],
        starts=starts() if begin is None else begin,
        make_real=make_real,
        real_missing=None if real else "there is no real game",
        recordings=Path("recordings"),
        model="a1b2",
    )


def hand_drawn(rate: Rate = uneventful) -> Source:
    """A world that begins black and grows lighter by the action's number."""
    return source(drawn(rate=rate), begin=(BLACK,))


def opened(of: Source | None = None, **settings: object) -> Session:
    """A session with some settings changed, played by hand and denoised in one step unless told otherwise."""
    of = source() if of is None else of
    settings = {"player": "human", "denoising_steps": 1, **settings}
    return Session(of, replace(Settings.of(of.agent.config.sampler, seed=0), **settings))


def shown(session: Session) -> dict[str, Frame]:
    """The images on the screen by name."""
    return {view.name: view.image for view in session.picture.views}


def level(session: Session) -> int:
    """The grey of the one image on the screen, which is the same everywhere."""
    (image,) = shown(session).values()
    assert (image == image[0, 0, 0]).all()
    return int(image[0, 0, 0])


def film(session: Session, course: Sequence[tuple[str, ...]]) -> list[dict[str, Frame]]:
    """What is shown after each of the buttons."""
    frames = []
    for held in course:
        session.advance(held)
        frames.append(shown(session))
    return frames


def alike(one: list[dict[str, Frame]], two: list[dict[str, Frame]]) -> bool:
    """Whether two films are equal, bit by bit."""
    return all(
        a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in a)
        for a, b in zip(one, two, strict=True)
    )
