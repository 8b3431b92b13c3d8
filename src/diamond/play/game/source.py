"""What is played: the networks, real frames that dreams start from, and the real game where it can be had."""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from diamond.agents.agent import Agent
from diamond.agents.recording import RECORDED_STEPS, held_out_segments, record_real
from diamond.config import EnvConfig
from diamond.envs import RealEnv, make_env
from diamond.errors import ConfigError, DataError, DiamondError, RunError
from diamond.experience.frames import to_stored
from diamond.loading import load, load_starts
from diamond.play.game.worlds import Past
from diamond.runs.folder import Which, newest_run

BUNDLED = Path(__file__).parent.parent / "bundled"
"""A small run that comes with the package, so that there is something to play at once."""
NUM_STARTS = 100
"""Start segments offered; drawn with a seed of their own, so that a number means the same frames each time."""
RECORDED_ENVS = 4


@dataclass(frozen=True)
class Source:
    """What a session plays; sessions share it and change nothing in it.

    Every session makes a real game of its own with `make_real`, which raises `EnvError` where it cannot be had.
    """

    title: str
    subtitle: str
    agent: Agent
    actions: tuple[str, ...]
    starts: tuple[Past, ...]
    make_real: Callable[[], RealEnv]
    real_missing: str | None
    """Why there is no real game."""
    recordings: Path
    """Folder of the episodes that players record."""
    model: str
    """SHA-256 of the weights."""


def load_source(
    path: Path | None,
    which: Which = "last",
    device: str = "auto",
    game: str | None = None,
    progress: Callable[[str], None] = lambda message: None,
    fused: bool = True,
) -> Source:
    """The dream of a run, or of a `.pt` file of the published code.

    Args:
        path: run folder or file; None takes the newest run under `runs/`, or the dream that comes with the package.
        which: checkpoint to take from a run.
        device: where to put the networks.
        game: Atari game that a `.pt` file belongs to; by default the file's name.
        progress: told what takes long.
        fused: False leaves out the fused kernels; see `load`.

    Raises:
        ConfigError: a game is named for a run.
        RunError: there is no such run or file, or it has no world model.
        DataError: there are no frames to start from.
        EnvError: starts must be recorded, but the game cannot be had.
    """
    if path is None:
        path = BUNDLED
        with contextlib.suppress(RunError):
            path = newest_run(usable=True)
    if game is not None and path.is_dir():
        raise ConfigError(f"--game is {game!r}: {path} is a run and has its own game, leave the option out")
    agent = load(path, which, device, fused)
    if game is not None:
        agent.config = replace(agent.config, env=replace(agent.config.env, game=game, id=None))
    bundled = path.resolve() == BUNDLED.resolve()
    env, missing = agent.config.env, _why_missing(agent.config.env)
    actions = agent.action_meanings or _action_meanings(agent, missing)
    recordings = Path("recordings") / env.name.replace("/", "-")
    if path.is_dir():
        recordings = recordings if bundled else path / "recordings"
        starts, subtitle = _starts_of_run(path, agent), f"run {path.name}"
    else:
        progress(f"recording some frames of {env.name} to start dreams from")
        starts, subtitle = _record_starts(agent), f"weights {path.name}"
    return Source(
        title=env.name,
        subtitle="a small run that comes with diamond" if bundled else subtitle,
        agent=agent,
        actions=actions,
        starts=starts,
        make_real=lambda: make_env(env, 1, training=False),
        real_missing=missing,
        recordings=recordings,
        model=agent.fingerprint(),
    )


def _why_missing(env: EnvConfig) -> str | None:
    try:
        make_env(env, 1, training=False).close()
    except DiamondError as reason:
        return str(reason)
    return None


def _action_meanings(agent: Agent, missing: str | None) -> tuple[str, ...]:
    """The game's names for its actions, which published weights do not tell."""
    if missing is None:
        env = make_env(agent.config.env, 1, training=False)
        meanings = env.action_meanings
        env.close()
        if len(meanings) != agent.num_actions:
            raise RunError(
                f"{agent.config.env.name} has {len(meanings)} actions, the weights were trained for "
                f"{agent.num_actions}: name the game that they belong to with --game"
            )
        return meanings
    return tuple(f"ACTION {i}" for i in range(agent.num_actions))


def _starts_of_run(path: Path, agent: Agent) -> tuple[Past, ...]:
    drawn = load_starts(path, "cpu")(3 * NUM_STARTS, torch.Generator().manual_seed(0))
    whole = drawn.valid.all(dim=1)  # none that reaches back before a game's first frame
    if not whole.any():
        raise DataError(
            f"{path / 'episodes'} holds no {drawn.valid.shape[1]} frames of one game: train the run for longer"
        )
    frames, actions = to_stored(drawn.frames[whole][:NUM_STARTS]), drawn.actions[whole][:NUM_STARTS]
    return _pasts(frames.numpy(), actions.numpy()[:, :-1])


def _record_starts(agent: Agent) -> tuple[Past, ...]:
    length = agent.config.denoiser.context_length
    recording = record_real(agent, 0, RECORDED_STEPS, RECORDED_ENVS)
    found = held_out_segments([recording], length, 1, NUM_STARTS, np.random.default_rng(0))
    return _pasts(found.frames[:, :length], found.actions[:, : length - 1])


def _pasts(frames: np.ndarray, actions: np.ndarray) -> tuple[Past, ...]:
    return tuple(Past(tuple(stretch), tuple(taken)) for stretch, taken in zip(frames, actions.tolist(), strict=True))
