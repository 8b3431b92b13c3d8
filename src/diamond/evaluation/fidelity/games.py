"""Whole real games that a dream is measured on: freshly played, or recorded by somebody.

Axes   t steps | n environments | a actions | k moments | h w 3 image
Units  frames are uint8 in 0..255; rewards are as the game gave them
"""

import dataclasses
import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Int64, UInt8

from diamond.agents.policies import Policy
from diamond.agents.rollout import rollout
from diamond.config import EnvConfig
from diamond.envs import RealEnv, make_env
from diamond.errors import DataError
from diamond.experience.episodes import Episode, EpisodeFolder
from diamond.experience.recordings import require_fitting

FEWEST_GAMES = 10
"""Fewer games give no number: an interval over them says next to nothing."""


Branches = UInt8[np.ndarray, "k a h w 3"]
"""The frame after each moment under each action."""


@dataclass(frozen=True, eq=False)
class WholeGame(Episode):
    """One game from its start on, over all lives, as one episode."""

    ended: Bool[np.ndarray, " t"] = field(kw_only=True)
    """What the termination model should foretell: the game was over or, if training ends its episodes so, a life was
    lost. A game that was cut off did not end."""

    @classmethod
    def of(cls, episode: Episode) -> "WholeGame":
        """The game in a recorded episode, which tells of no lost lives."""
        ended = np.zeros(episode.num_steps, bool)
        ended[-1:] = episode.terminated
        values = {part.name: getattr(episode, part.name) for part in dataclasses.fields(Episode)}
        return cls(**values, ended=ended)

    @property
    def cut(self) -> bool:
        """Whether the game was cut off before it was over."""
        return self.truncated or not self.terminated


@dataclass(frozen=True)
class GameSet:
    """Games that were played in one way."""

    name: str
    """`agent`, `random` or `recorded`."""
    games: tuple[WholeGame, ...]
    moments: Sequence[tuple[int, int]] = ()
    """Where actions are compared; see `draw_moments`."""
    branches: Branches | None = None
    """What the real game does there under every action, if it could be asked."""
    familiar: int | None = None
    """How many are equal, step for step, to an episode of the run's own; None if the run shows none."""


def open_games(cfg: EnvConfig, num_games: int, max_steps: int) -> RealEnv:
    """Environments for `play_whole`: each plays whole games of at most `max_steps` steps.

    They are made as for training, since only so do they tell of lost lives; a game goes on after one all the same.
    """
    capped = dataclasses.replace(cfg, max_episode_steps=min(cfg.max_episode_steps, max_steps))
    return make_env(capped, num_games, training=True)


def play_whole(env: RealEnv, policy: Policy, seed: int) -> tuple[WholeGame, ...]:
    """One whole game in each environment: its first, however long it takes, so that no length is favoured."""
    frames, _ = env.reset(seed=seed)
    seen = [[frame.copy()] for frame in frames]
    taken: list[list[tuple[int, float, bool]]] = [[] for _ in seen]
    running, cut = np.ones(env.num_envs, bool), np.zeros(env.num_envs, bool)
    played = rollout(env, policy, frames)
    while running.any():
        step = next(played)
        for i in np.flatnonzero(running):
            seen[i].append(step.successors[i].copy())
            taken[i].append((int(step.actions[i]), float(step.rewards[i]), bool(step.terminated[i])))
        out_of_time = np.array([len(steps) >= env.max_episode_steps for steps in taken])
        cut |= running & step.game_over & (step.truncated | out_of_time)
        running &= ~step.game_over
    return tuple(_game(*parts) for parts in zip(seen, taken, cut.tolist(), strict=True))


def _game(frames: list[np.ndarray], taken: list[tuple[int, float, bool]], cut: bool) -> WholeGame:
    actions, rewards, ended = zip(*taken, strict=True)
    return WholeGame(
        frames=np.stack(frames),
        actions=np.array(actions),
        rewards=np.array(rewards, np.float32),
        terminated=ended[-1],
        truncated=cut,
        ended=np.array(ended),
    )


def draw_moments(
    games: Sequence[WholeGame], context_length: int, count: int, rng: np.random.Generator
) -> list[tuple[int, int]]:
    """`count` moments spread evenly over the games, as pairs of a game's number and a step in it, in order of steps.

    Each game's moments are drawn without replacement from all of its steps that n frames lead up to. They follow one
    order of steps for all games, so that many games share a step, which saves going back to it. Short games give fewer.
    """
    quota = -(-count // len(games))
    order = rng.permutation(max(game.num_steps for game in games)).tolist()
    drawn: list[tuple[int, int]] = []
    for number, game in enumerate(games):
        usable = set(contexts_of(game, context_length))
        drawn += [(number, t) for t in order if t in usable][:quota]
    return sorted(drawn, key=lambda pair: (pair[1], pair[0]))


def real_branches(env: RealEnv, games: Sequence[WholeGame], moments: Sequence[tuple[int, int]], seed: int) -> Branches:
    """The frame that follows each moment of the real games under every action: they are played again and branched off.

    Args:
        env: the environments that `play_whole` played the games in, in the same order.
        moments: see `draw_moments`.
        seed: the one that `play_whole` was given.
    """
    env.reset(seed=seed)
    wanted = sorted({t for _, t in moments})
    branches: dict[int, np.ndarray] = {}
    for t in range(wanted[-1] + 1):
        if t in wanted:
            here = env.state()
            after = []
            for action in range(env.num_actions):
                after.append(env.step(np.full(env.num_envs, action))[-1]["final_obs"])
                env.return_to(here)
            branches[t] = np.stack(after, axis=1)
        env.step(np.array([game.actions[t] if t < game.num_steps else 0 for game in games]))
    return np.stack([branches[t][number] for number, t in moments])


def contexts_of(game: WholeGame, context_length: int) -> list[int]:
    """Steps of a game that n frames lead up to, none of them from before a lost life: what training shows a denoiser
    without padding."""
    first = context_length - 1
    return [t for t in range(first, game.num_steps) if not game.ended[t - first : t].any()]


def episodes_of(game: WholeGame) -> list[tuple[int, int]]:
    """First step and end of each episode that training would keep of a game: one, or one a life."""
    cuts = [0, *(np.flatnonzero(game.ended[:-1]) + 1).tolist(), game.num_steps]
    return list(pairwise(cuts))


def recorded_games(
    folder: Path,
    game: str,
    num_actions: int,
    shape: tuple[int, int, int],
    context_length: int,
    known: Collection[bytes] = (),
) -> tuple[WholeGame, ...]:
    """The games in a folder of recorded real episodes, but those whose `digest` is known.

    Raises:
        DataError: an episode was dreamed, is of another game or frame size, or is damaged; there are too few.
    """
    episodes = EpisodeFolder(folder)
    indices = episodes.indices()
    if not indices:
        inner = folder / "episodes"
        hint = f", such as {inner}" if EpisodeFolder(inner).indices() else ""
        raise DataError(f"--data is {folder}, which holds no episode: name a folder of recorded real games{hint}")
    found = []
    for index in indices:
        episode, path = episodes.read(index), episodes.path(index)
        if episode.origin is not None and episode.origin.world == "dream":
            raise DataError(f"{path} is a recording of a dream: --data needs recordings of the real game")
        require_fitting(path, episode, game, num_actions, shape, f"give --data games of {game}")
        found.append(WholeGame.of(episode))
    unknown = [game for game in found if digest(game.frames, game.actions) not in known]
    long_enough = tuple(game for game in unknown if game.num_steps >= context_length)
    if len(long_enough) < FEWEST_GAMES:
        seen = len(found) - len(unknown)
        left_out = f", {seen} that the run was trained on left out" if seen else ""
        raise DataError(
            f"--data {folder} holds {len(long_enough)} games of more than {context_length} frames{left_out}: record at "
            f"least {FEWEST_GAMES}; intervals need that many games"
        )
    return long_enough


def digest(frames: UInt8[np.ndarray, "frames h w 3"], actions: Int64[np.ndarray, "t"]) -> bytes:
    """Equal for games that were equal in every frame and action."""
    return hashlib.sha256(np.ascontiguousarray(frames).tobytes() + actions.tobytes()).digest()


def with_familiar(games: GameSet, known: Collection[bytes]) -> GameSet:
    """The same games, with how many of them are known: each of their episodes is equal to one whose `digest` is."""
    if not known:
        return games
    familiar = (
        all(digest(game.frames[a : b + 1], game.actions[a:b]) in known for a, b in episodes_of(game))
        for game in games.games
    )
    return dataclasses.replace(games, familiar=sum(familiar))
