"""A session in time: what is held counts when a frame begins, slow pages delay nobody, one drives and others watch."""

import asyncio
import contextlib
import dataclasses
import functools
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from playing import ACTIONS, LEFT, NOOP, PATIENCE, RIGHT, Shot, catch_source

from diamond.envs import Game, Outcome, RealEnv
from diamond.errors import EnvError
from diamond.play.protocol import Buttons, Drive, Message, Reset, Rewind, Set, Shown, Step
from diamond.play.room import FAILED, MOST_TEXTS, REFUSED, Room
from diamond.play.settings import Settings
from diamond.play.source import Source

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


@in_a_loop
async def test_the_buttons_that_count_are_those_held_when_a_frame_begins_not_those_before() -> None:
    async with opened() as place:
        page = place.enter("driver")
        await page.actions(3)
        working = threading.Event()
        place.executor.submit(working.wait)  # the machine is busy for a while
        for name in ("RIGHT", "LEFT", "RIGHT"):
            page.press(name)
        working.set()
        begun_before, *after = await page.actions(6)
        assert begun_before in (NOOP, RIGHT)
        assert after == [RIGHT] * 5


@in_a_loop
async def test_a_tap_between_two_frames_counts_in_exactly_one() -> None:
    async with opened() as place:
        page = place.enter("driver")
        await page.shot()
        page.tap("LEFT")
        assert sorted(await page.actions(8)) == [LEFT] + [NOOP] * 7


@in_a_loop
async def test_two_taps_of_a_button_between_two_frames_are_one() -> None:
    async with opened(PAUSED) as place:
        page = place.enter("driver")
        await page.shot()
        page.tap("RIGHT")
        page.tap("RIGHT")
        taken = []
        for _ in range(3):
            page.send(Step())
            taken.append((await page.shot()).header["action"])
        assert taken == [RIGHT, NOOP, NOOP]


@in_a_loop
async def test_a_page_that_shows_nothing_is_sent_two_frames_and_then_the_newest_alone() -> None:
    async with opened() as place:
        quick, slow = place.enter("quick"), place.enter("slow")
        first, second = [await slow.shot(acknowledge=False) for _ in range(2)]
        while (newest := await quick.shot()).number < second.number + 10:
            assert slow.waiting() is None
        slow.send(Shown(first.number))
        assert (await slow.shot(acknowledge=False)).number == newest.number
        assert slow.waiting() is None


@in_a_loop
async def test_what_a_slow_page_presses_is_not_lost() -> None:
    async with opened() as place:
        slow, watcher = place.enter("slow"), place.enter("watcher")
        for _ in range(2):
            await slow.shot(acknowledge=False)
        slow.press("RIGHT")
        while (await watcher.shot()).header["action"] != RIGHT:
            pass
        slow.press("LEFT")
        while (await watcher.shot()).header["action"] != LEFT:
            pass


@in_a_loop
async def test_a_frame_that_was_never_sent_cannot_be_acknowledged() -> None:
    async with opened() as place:
        quick, liar = place.enter("quick"), place.enter("liar")
        sent = [(await liar.shot(acknowledge=False)).number for _ in range(2)]
        for number in (-1, 10**30, sent[1] + 1):
            liar.send(Shown(number))
        while (await quick.shot()).number < sent[1] + 5:
            pass
        assert not isinstance(liar.waiting(), Shot)


@in_a_loop
async def test_the_first_page_drives_and_the_others_watch_and_are_told() -> None:
    async with opened(PAUSED) as place:
        first, second = place.enter("first"), place.enter("second")
        assert [(await page.text("hello"))["driver"] for page in (first, second)] == [True, False]
        for message in (Buttons((), ("LEFT",)), Set("speed", 5), Step(), Reset(), Rewind(0)):
            second.send(message)
            assert "watching" in (await second.text("problem"))["message"]
        second.send(Drive())
        assert (await second.text("driver")) == {"type": "driver", "driver": False, "taken": True}
        first.send(Step())
        assert (await first.shot()).number == 0
        stepped = await first.shot()
        assert (stepped.number, stepped.header["action"]) == (1, NOOP)


@in_a_loop
async def test_the_controls_are_free_once_the_driver_is_gone() -> None:
    async with opened(PAUSED) as place:
        first, second = place.enter("first"), place.enter("second")
        await second.text("driver")
        place.room.leave(first.viewer)
        assert (await second.text("driver")) == {"type": "driver", "driver": False, "taken": False}
        second.send(Drive())
        assert (await second.text("driver")) == {"type": "driver", "driver": True, "taken": True}
        second.send(Set("speed", 5))
        assert (await second.text("settings"))["settings"]["speed"] == 5
        assert not (await place.enter("first").text("hello"))["driver"]  # the place was given away


@in_a_loop
async def test_a_driver_who_comes_back_under_the_same_id_drives_again() -> None:
    async with opened(PAUSED) as place:
        first, second = place.enter("first"), place.enter("second")
        place.room.leave(first.viewer)
        again = place.enter("first")
        assert (await again.text("hello"))["driver"]
        assert not (await second.text("hello"))["driver"]
        again.send(Set("speed", 5))
        assert (await again.text("settings"))["settings"]["speed"] == 5


@in_a_loop
@pytest.mark.parametrize("noticed", [True, False], ids=["the loss was noticed", "the old line still seems open"])
async def test_whoever_comes_back_holds_no_button_that_was_held_before(noticed: bool) -> None:
    async with opened() as place:
        page = place.enter("driver")
        page.press("RIGHT")
        while (await page.shot()).header["action"] != RIGHT:
            pass
        if noticed:
            place.room.leave(page.viewer)
        again = place.enter("driver")
        await again.shot()  # there before
        await again.shot()  # perhaps begun before
        assert await again.actions(4) == [NOOP] * 4


@in_a_loop
async def test_a_page_opened_twice_under_one_id_keeps_the_newer() -> None:
    async with opened(PAUSED) as place:
        old = place.enter("page")
        new = place.enter("page")
        assert old.viewer.farewell is not None and old.viewer.farewell[0] == REFUSED
        place.room.leave(old.viewer)
        assert list(place.room.viewers.values()) == [new.viewer]


@in_a_loop
async def test_a_paused_room_makes_no_frames_and_one_a_step() -> None:
    async with opened() as place:
        page = place.enter("driver")
        await page.actions(3)
        page.send(Set("paused", True))
        assert (await page.text("settings"))["settings"]["paused"]
        paused = await page.shot()
        await asyncio.sleep(A_WHILE)
        assert page.waiting() is None
        for number in (1, 2):
            page.send(Step())
            assert (await page.shot()).number == paused.number + number
        page.send(Set("paused", False))
        assert (await page.shot()).number == paused.number + 2  # tells of the setting, with the same picture
        await page.actions(3)


@in_a_loop
async def test_a_room_that_nobody_watches_makes_no_frames() -> None:
    async with opened() as place:
        page = place.enter("driver")
        last = [await page.shot() for _ in range(3)][-1]
        place.room.leave(page.viewer)
        await asyncio.sleep(A_WHILE)
        assert (await place.enter("driver").shot()).number <= last.number + 1  # that which was being made


@in_a_loop
async def test_going_back_is_answered_with_that_frame_and_the_game_branches_off_there() -> None:
    async with opened(PAUSED) as place:
        page = place.enter("driver")
        shots = [await page.shot()]
        for buttons in ((), ("LEFT",), ("RIGHT",)):
            page.tap(*buttons)
            page.send(Step())
            shots.append(await page.shot())
        page.send(Rewind(1))
        back = await page.shot()
        assert (back.number, back.header["newest"]) == (1, 3)
        assert (back.images[0] == shots[1].images[0]).all()
        page.tap("RIGHT")
        page.send(Step())
        branched = await page.shot()
        assert (branched.number, branched.header["newest"], branched.header["action"]) == (2, 2, RIGHT)
        assert (branched.images[0] != shots[2].images[0]).any()
        page.send(Rewind(99))
        assert "0 to 2" in (await page.text("problem"))["message"]


@in_a_loop
async def test_going_back_pauses_a_running_game_and_says_so() -> None:
    async with opened() as place:
        page, watcher = place.enter("driver"), place.enter("watcher")
        await page.actions(5)
        page.send(Rewind(2))
        for viewer in (page, watcher):
            assert (await viewer.text("settings"))["settings"]["paused"]
        assert (await page.shot()).number == 2
        await asyncio.sleep(A_WHILE)
        assert page.waiting() is None


@in_a_loop
async def test_a_page_that_does_not_read_is_dismissed_and_the_others_play_on() -> None:
    async with opened() as place:
        page, stuck = place.enter("driver"), place.enter("stuck")
        for _ in range(2 * MOST_TEXTS):
            page.send(Drive())
            await page.text("driver")
        assert stuck.viewer.farewell is not None and stuck.viewer.farewell[0] == FAILED
        left = 0
        while stuck.waiting() is not None:
            left += 1
        assert left <= MOST_TEXTS + 2  # and what it will never read is not kept
        await page.actions(3)


@in_a_loop
async def test_a_game_that_cannot_be_had_is_a_problem_told_and_the_dream_goes_on() -> None:
    def missing() -> RealEnv:
        raise EnvError("no such game")

    async with opened(source=catch_source(missing)) as place:
        page = place.enter("driver")
        page.send(Set("world", "real"))
        assert (await page.text("problem"))["message"] == "no such game"
        assert (await page.shot()).header["views"][0]["name"] == "dream"
        await page.actions(3)


@in_a_loop
async def test_a_room_that_breaks_down_tells_everybody_and_fails() -> None:
    def broken() -> RealEnv:
        raise RuntimeError("the emulator is on fire")

    async with opened(source=catch_source(broken)) as place:
        pages = [place.enter("driver"), place.enter("watcher")]
        await pages[0].shot()
        pages[0].send(Set("world", "real"))
        with pytest.raises(RuntimeError, match="on fire"):
            await place.ended()
        for page in pages:
            assert page.viewer.farewell == (FAILED, "the game broke down (RuntimeError)")


class Slow(Game):
    """Takes as long over a step as the test wants."""

    action_meanings = ACTIONS

    def __init__(self) -> None:
        self.log: list[str] = []
        self.begun, self.go_on = threading.Event(), threading.Event()

    def start(self, seed: int) -> None:
        self.log.append("start")

    def advance(self, action: int) -> Outcome:
        self.log.append("step begins")
        self.begun.set()
        self.go_on.wait(PATIENCE)
        self.log.append("step ends")
        return Outcome(0.0)

    def frame(self) -> np.ndarray:
        return np.zeros((16, 16, 3), np.uint8)

    def close(self) -> None:
        self.log.append("close")


@in_a_loop
async def test_a_game_is_closed_once_and_not_in_the_middle_of_a_step() -> None:
    game = Slow()
    source = catch_source(lambda: RealEnv("slow", [game], height=16, width=16, max_episode_steps=100))
    async with opened(dataclasses.replace(PLAYED, world="real"), source) as place:
        place.enter("driver")
        await asyncio.to_thread(game.begun.wait)
        assert place.task is not None
        place.task.cancel()
        await asyncio.sleep(0)  # the room hears of it
        await asyncio.sleep(0)
        game.go_on.set()
    assert game.log[-3:] == ["step begins", "step ends", "close"]


@in_a_loop
async def test_every_frame_says_how_long_it_took_and_how_many_watch() -> None:
    async with opened() as place:
        page, _ = place.enter("driver"), place.enter("watcher")
        while (shot := await page.shot()).header["latency_ms"] is None or shot.header["fps"] is None:
            pass
        assert shot.header["viewers"] == 2
        assert shot.header["model_ms"] > 0 and shot.header["wait_ms"] >= 0
        assert shot.header["latency_ms"] >= 0 and shot.header["fps"] > 0
