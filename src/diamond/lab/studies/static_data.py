"""Real games of a scripted player, recorded once: some to train on, some to compare dreams with.

Axes   s games | t steps with t + 1 frames around them | h w c image
Units  frames are uint8 in 0..255
"""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8

from diamond.config import EnvConfig
from diamond.envs.atari import AtariGame, make_atari_games
from diamond.errors import DataError
from diamond.experience.episodes import Episode, EpisodeFolder
from diamond.experience.replay import Replay
from diamond.experience.segments import HeldOut
from diamond.lab.studies.experts import play_script
from diamond.lab.studies.folder import StudyFolder
from diamond.runs.streams import derive_seed

KNOWN_FRAMES = 4_000
"""Frames of the training games that dreams are compared with: nearest neighbours cost time."""
LONGEST_GAME = 1_500
"""Steps after which a game recorded for training is cut, so that the data begin often."""
MOST_ATTEMPTS = 20
"""Games tried for each one held out, before a game is said to be too short."""


@dataclass(frozen=True)
class TrainingGames:
    """Real games to train on, all steps equally probable."""

    replay: Replay
    num_actions: int
    some_frames: UInt8[np.ndarray, "k h w 3"]
    """Up to `KNOWN_FRAMES` of their frames, evenly spread."""


def record(folder: StudyFolder, context_length: int) -> tuple[TrainingGames, HeldOut]:
    """A study's real games: to train on, and to dream on from; recorded once.

    Raises:
        DataError: games of the scripted player end before the study's horizon.
        EnvError: there is no such game.
    """
    scale, cfg = folder.scale, folder.scale.env(folder.game)
    folder.say(
        f"real games of {folder.game}: {scale.data_steps} steps to train on, {scale.trajectories} games to compare"
    )
    training = training_games(folder.path / "data" / "training", cfg, scale.data_steps)
    steps = context_length - 1 + scale.horizon
    return training, held_out_games(folder.path / "data" / "held-out", cfg, scale.trajectories, steps)


def training_games(folder: Path, cfg: EnvConfig, steps: int) -> TrainingGames:
    """`steps` real steps; recorded into `folder` unless they are there already."""
    num_actions = len(make_atari_games(cfg, 1)[0].action_meanings)
    episodes = EpisodeFolder(folder)
    present = [(index, episodes.read(index)) for index in episodes.indices()]
    missing = steps - sum(episode.num_steps for _, episode in present)
    following = _games(cfg, "training", len(present))
    while missing > 0:
        index, episode = len(present), next(following)(min(LONGEST_GAME, missing))
        episodes.write(index, episode)
        present.append((index, episode))
        missing -= episode.num_steps
    replay = Replay(steps + len(present), cfg.height, cfg.width, 1, torch.device("cpu"))
    replay.load(present)
    frames = np.concatenate([episode.frames for _, episode in present])
    return TrainingGames(replay, num_actions, frames[:: -(-len(frames) // KNOWN_FRAMES)])


def held_out_games(folder: Path, cfg: EnvConfig, count: int, steps: int) -> HeldOut:
    """`count` games that last at least `steps` steps, cut there; recorded into `folder` unless they are there already.

    Raises:
        DataError: games of the scripted player do not last that long.
    """
    episodes = EpisodeFolder(folder)
    present = [episodes.read(index) for index in episodes.indices()]
    # A game is skipped in the same way whether or not the process was stopped in between.
    tried = 0
    following = _games(cfg, "held out", 0)
    while sum(episode.num_steps >= steps for episode in present) < count:
        if tried >= MOST_ATTEMPTS * count:
            raise DataError(f"{cfg.game} ends before {steps} steps too often: use a smaller --horizon")
        play, tried = next(following), tried + 1
        if tried <= len(present):
            continue
        episode = play(steps)
        episodes.write(tried - 1, episode)
        present.append(episode)
    long = [episode for episode in present if episode.num_steps >= steps][:count]
    frames, actions = zip(*((episode.frames[: steps + 1], episode.actions[:steps]) for episode in long), strict=True)
    return HeldOut(np.stack(frames), np.stack(actions))


def _games(cfg: EnvConfig, purpose: str, first: int) -> Iterator[Callable[[int], Episode]]:
    """One function a game, in order, that plays it for at most the given steps; each has a seed of its own."""
    (game,) = make_atari_games(cfg, 1)
    for number in itertools.count(first):
        seed = derive_seed(number, "study", cfg.game, purpose) % 2**31
        yield partial(play, game, cfg.game, seed)


def play(game: AtariGame, name: str, seed: int, steps: int) -> Episode:
    """One game of the scripted player, from its start to its end or for `steps` steps."""
    moves = play_script(name, game, seed, steps)
    frames, rewards, actions, terminated = [game.frame()], [], [], False
    for action, outcome in moves:
        actions.append(action)
        rewards.append(outcome.reward)
        terminated = outcome.terminated
        frames.append(game.frame())
    return Episode(
        frames=np.stack(frames),
        actions=np.array(actions, np.int64),
        rewards=np.array(rewards, np.float32),
        terminated=terminated,
        truncated=not terminated,
    )
