"""Keeps what is played as episodes, in the format of collected ones.

An episode is written when its game ends, when a new one begins, when another is branched off after a rewind, and when
recording stops; it is truncated then unless the game was over. Each world that is played has an episode of its own.

Axes   t steps | h w 3 image
"""

from collections import deque
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import filelock
import numpy as np

from diamond.experience.episodes import Episode, EpisodeFolder, Origin
from diamond.play.game.moments import Moment
from diamond.play.game.worlds import DreamMoment, Frame, RealMoment
from diamond.runs.files import cannot_write

LOCK_SECONDS = 10
"""How long another process may take to write its episode."""


@dataclass
class _Take:
    """An episode in the making."""

    world: str
    seed: int
    frames: list[Frame]
    tip: DreamMoment | RealMoment
    """The moment that its newest frame shows."""
    parent: "tuple[_Take, int] | None"
    actions: list[int] = field(default_factory=list)
    rewards: list[float] = field(default_factory=list)
    players: set[str] = field(default_factory=set)
    number: int | None = None
    """Once it is written."""


class Recorder:
    """Follows a session and writes the episodes that are played in it.

    Args:
        folder: where they go; it is made when the first is written.
        game: name of the game.
        model: SHA-256 of the weights.
        remembered: frames that a session can go back to.
    """

    def __init__(self, folder: Path, game: str, model: str, remembered: int) -> None:
        self._folder, self._game, self._model = EpisodeFolder(folder), game, model
        self._open: dict[str, _Take] = {}
        self._places: deque[tuple[DreamMoment | RealMoment, _Take, int]] = deque(maxlen=2 * remembered)
        """Which take each moment was recorded in, and after how many steps."""

    def follow(self, before: Moment, after: Moment, seed: int) -> None:
        """The session has gone from one moment to the next.

        Raises:
            DiskError: an episode cannot be written.
        """
        played = {"real": (before.real, after.real), "dream": (before.dream, after.dream)}
        shown = ("real", "dream") if after.world == "both" else (after.world,)
        for world, (old, new) in played.items():
            if world in shown and old is not None and new is not None and new.tally.steps == old.tally.steps + 1:
                self._add(world, old, new, after, seed)
            elif world not in shown or new is not old:
                self._close(world)

    def _add(
        self, world: str, old: DreamMoment | RealMoment, new: DreamMoment | RealMoment, after: Moment, seed: int
    ) -> None:
        """One step."""
        take = self._open.get(world)
        if take is None or take.tip is not old:
            self._close(world)
            take = self._open[world] = _Take(world, seed, [old.past.frames[-1]], old, self._place_of(old))
        assert after.action is not None
        take.frames.append(new.past.frames[-1])
        take.actions.append(after.action)
        take.rewards.append(new.tally.reward)
        take.players.add(after.player)
        take.tip = new
        self._places.append((new, take, len(take.actions)))
        if new.tally.ended is not None:
            self._close(world, terminated=new.tally.ended == "terminated")

    def stop(self) -> None:
        """Write what is open.

        Raises:
            DiskError: an episode cannot be written; the others are, and nothing is open afterwards.
        """
        with ExitStack() as all_of_them:
            for world in self._open:
                all_of_them.callback(self._close, world)

    def _place_of(self, moment: DreamMoment | RealMoment) -> tuple[_Take, int] | None:
        return next(((take, step) for recorded, take, step in self._places if recorded is moment), None)

    def _close(self, world: str, terminated: bool = False) -> None:
        take = self._open.pop(world, None)
        if take is None:
            return
        parent, parent_step = take.parent if take.parent is not None else (None, None)
        origin = Origin(
            game=self._game,
            world="real" if world == "real" else "dream",
            players=tuple(sorted(take.players)),
            model=self._model,
            seed=take.seed,
            parent=None if parent is None else parent.number,
            parent_step=parent_step,
        )
        episode = Episode(
            frames=np.stack(take.frames),
            actions=np.array(take.actions, np.int64),
            rewards=np.array(take.rewards, np.float32),
            terminated=terminated,
            truncated=not terminated,
            origin=origin,
        )
        folder = self._folder.folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
            # Another process may be recording into the same folder.
            with filelock.FileLock(folder / "recordings.lock", timeout=LOCK_SECONDS):
                take.number = max(self._folder.indices(), default=-1) + 1
                self._folder.write(take.number, episode)
        except OSError as error:  # waiting in vain for the other process is one
            raise cannot_write(folder, error) from error
        take.frames.clear()  # branches need its number and no more
