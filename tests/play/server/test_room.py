"""A session in time: what is held counts when a frame begins; pausing, going back and ending."""

import asyncio
import dataclasses
import threading

import numpy as np
from playing import ACTIONS, LEFT, NOOP, PATIENCE, RIGHT, catch_source
from rooms import A_WHILE, PAUSED, PLAYED, in_a_loop, opened

from diamond.envs import Game, Outcome, RealEnv
from diamond.play.server.protocol import Rewind, Set, Step


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
