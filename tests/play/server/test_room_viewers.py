"""Those around a session: slow pages delay nobody, one drives and the others watch, and what breaks down is told."""

import pytest
from playing import LEFT, NOOP, RIGHT, Shot, catch_source
from rooms import PAUSED, in_a_loop, opened

from diamond.envs import RealEnv
from diamond.errors import EnvError
from diamond.play.server.protocol import Buttons, Drive, Reset, Rewind, Set, Shown, Step
from diamond.play.server.room import FAILED, MOST_TEXTS, REFUSED


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
async def test_a_page_that_does_not_read_is_dismissed_and_the_others_play_on() -> None:
    async with opened() as place:
        page, stuck = place.enter("driver"), place.enter("stuck")
        for i in range(2 * MOST_TEXTS):
            page.send(Set("speed", 10 + i % 2))
            await page.text("settings")
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
