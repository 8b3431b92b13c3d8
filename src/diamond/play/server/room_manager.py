"""All games that a server plays at the same time, and how many there may be."""

import asyncio
import secrets
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from diamond.errors import ConfigError
from diamond.play.game.settings import Settings
from diamond.play.game.source import Source
from diamond.play.server.room import IDLE, FrameListener, Room


@dataclass(frozen=True)
class Limits:
    """What strangers may use up."""

    sessions: int = 8
    viewers: int = 16
    """Of one session."""
    idle_seconds: float = 1800.0
    """Without a button or a setting, after which a session is ended."""
    empty_seconds: float = 300.0
    """Without a viewer, likewise; long enough to come back after the network failed."""

    def __post_init__(self) -> None:
        for name in ("sessions", "viewers", "idle_seconds", "empty_seconds"):
            value = getattr(self, name)
            if not value > 0:
                raise ConfigError(f"{name} is {value}: use a positive number")


class RoomManager:
    """All rooms of a server.

    Args:
        load: makes what is played.
        seed: of new sessions.
        limits: what strangers may use up.
        listener: see `FrameListener`.

    Raises:
        DiamondError: what `load` raises.
    """

    def __init__(
        self, load: Callable[[], Source], seed: int, limits: Limits, listener: FrameListener = lambda *times: None
    ) -> None:
        # One thread does all that PyTorch does, from the beginning: OpenMP keeps a team of threads for each thread that
        # it was called from, and where two teams share the processor, frames take twice as long.
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="play")
        try:
            self.source = self._executor.submit(load).result()
        except BaseException:
            self._executor.shutdown(wait=False)
            raise
        self.limits = limits
        self._settings, self._listener = Settings.of(self.source.agent.config.sampler, seed), listener
        self._rooms: dict[str, tuple[Room, asyncio.Task[None]]] = {}

    @property
    def names(self) -> list[str]:
        """Of the rooms there are."""
        return list(self._rooms)

    def find(self, name: str | None) -> Room | None:
        """The room of that name, or a new one; None where there are too many."""
        rooms = {room.name: room for room, _ in self._rooms.values() if not room.over}
        if name in rooms:
            return rooms[name]
        if len(rooms) >= self.limits.sessions:
            return None
        room = Room(secrets.token_urlsafe(6), self.source, self._settings, self._executor, self._listener)
        task = asyncio.create_task(room.play())
        task.add_done_callback(lambda _: self._rooms.pop(room.name, None))
        self._rooms[room.name] = room, task
        return room

    async def keep(self) -> None:
        """End sessions that nobody uses, until cancelled."""
        while True:
            await asyncio.sleep(min(10.0, self.limits.idle_seconds, self.limits.empty_seconds) / 2)
            for room, task in list(self._rooms.values()):
                unused = time.monotonic() - room.last_used
                if unused > (self.limits.idle_seconds if room.viewers else self.limits.empty_seconds):
                    room.dismiss(IDLE, "Nothing happened here for a long time, so the game was ended.")
                    task.cancel()

    async def close(self) -> None:
        """End everything."""
        tasks = [task for _, task in self._rooms.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._executor.shutdown(cancel_futures=True)
