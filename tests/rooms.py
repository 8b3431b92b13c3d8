"""Rooms to test in: a session in time with pages that do as a test says, all in one event loop."""

import asyncio
import contextlib
import dataclasses
import functools
from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from playing import PATIENCE, Shot, catch_source

from diamond.play.game.settings import Settings
from diamond.play.game.source import Source
from diamond.play.server.protocol import Buttons, Message, Shown
from diamond.play.server.room import Room

PLAYED = Settings(player="human", speed=60, denoising_steps=1)
PAUSED = dataclasses.replace(PLAYED, paused=True)
A_WHILE = 0.2
"""Seconds in which nothing is to happen: a dozen frames' time."""


def in_a_loop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Runs a test in an event loop of its own."""

    @functools.wraps(test)
    def run(*arguments: Any, **named: Any) -> None:
        asyncio.run(asyncio.wait_for(test(*arguments, **named), PATIENCE))

    return run


class Open:
    """A room that is being played."""

    def __init__(self, room: Room, task: asyncio.Task[None] | None, executor: ThreadPoolExecutor) -> None:
        self.room, self.task, self.executor = room, task, executor

    def enter(self, client: str) -> "Page":
        return Page(self.room, client)

    async def ended(self) -> None:
        """Wait for the end, which may be an error; what was told once is not told again."""
        task, self.task = self.task, None
        if task is not None:
            await task


@contextlib.asynccontextmanager
async def opened(settings: Settings = PLAYED, source: Source | None = None) -> AsyncIterator[Open]:
    with ThreadPoolExecutor(1) as executor:
        room = Room("room", source or catch_source(), settings, executor)
        task = asyncio.create_task(room.play())
        place = Open(room, task, executor)
        try:
            yield place
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await place.ended()


class Page:
    """A viewer that does with what it is sent as the test says."""

    def __init__(self, room: Room, client: str) -> None:
        self.room, self.viewer = room, room.enter(client)

    def send(self, message: Message) -> None:
        self.room.receive(self.viewer, message)

    def press(self, *held: str) -> None:
        """Let go of everything and press these buttons."""
        self.send(Buttons(held, held))

    def tap(self, *buttons: str) -> None:
        self.send(Buttons((), buttons))

    def waiting(self) -> dict[str, Any] | Shot | None:
        """What may be sent now, if anything."""
        item = self.viewer.take()
        return Shot.decode(item) if isinstance(item, bytes) else item

    async def item(self) -> dict[str, Any] | Shot:
        while (item := self.waiting()) is None:
            await self.viewer.news.wait()
        return item

    async def shot(self, acknowledge: bool = True) -> Shot:
        """The next frame; texts before it are passed over."""
        while not isinstance(item := await self.item(), Shot):
            pass
        if acknowledge:
            self.send(Shown(item.number))
        return item

    async def text(self, kind: str) -> dict[str, Any]:
        """The next text of that type; frames are acknowledged and passed over."""
        while True:
            item = await self.item()
            if isinstance(item, Shot):
                self.send(Shown(item.number))
            elif item["type"] == kind:
                return item

    async def actions(self, count: int) -> list[int]:
        """What led to the next frames, none of which is missed."""
        shots = [await self.shot() for _ in range(count)]
        numbers = [shot.number for shot in shots]
        assert numbers == list(range(numbers[0], numbers[0] + count))
        return [shot.header["action"] for shot in shots]
