"""A session in time: who watches, who drives, and when the next frame is due.

Never a queue of frames or inputs: what is held is read in the moment a frame is begun, and each viewer is sent the
newest frame there is, once it has shown those before. Whoever is slow sees fewer frames and delays nobody.
"""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any, TypeVar

from diamond.errors import DiamondError
from diamond.play.game.buttons import Pad, all_buttons, buttons_of, default_keys
from diamond.play.game.session import Session
from diamond.play.game.settings import Settings, as_dict, ranges
from diamond.play.game.source import Source
from diamond.play.server.protocol import (
    VERSION,
    Buttons,
    Drive,
    Message,
    Reset,
    Resync,
    Rewind,
    Set,
    Shown,
    StartImage,
    Step,
    decode_image,
    encode_picture,
)

UNSEEN = 2
"""Frames on their way to a viewer: one being shown while the next travels."""
MOST_TEXTS = 100
"""Texts waiting for a viewer that does not read, after which it is dropped."""
MOST_ORDERS = 20
"""Orders waiting while the model is busy."""
ENDING_FRAMES = 8
"""For how many frames the last picture of a game stays: half a second at the usual speed."""
MEASURED = 30
"""Frames over which the rate is averaged."""

REFUSED, FAILED, FULL, IDLE = 1008, 1011, 1013, 4000
"""Why a connection is closed, as WebSocket close codes (RFC 6455, section 7.4); the page knows them."""

FrameListener = Callable[[float, float], None]
"""Told of each frame on the driver's screen: how long the model took, and how long from reading the buttons till the
picture was there, both in milliseconds."""
Result = TypeVar("Result")


class Viewer:
    """One page that watches; what it is to be sent next."""

    def __init__(self, client: str) -> None:
        self.client = client
        self.news = asyncio.Event()
        self.farewell: tuple[int, str] | None = None
        """Close code and reason, once there is nothing more to send."""
        self._texts: deque[dict[str, Any]] = deque()
        self._frame: tuple[int, bytes] | None = None
        self._unseen: deque[int] = deque()

    def tell(self, text: dict[str, Any]) -> None:
        """Send a text, after those before; nothing more to whom is dismissed."""
        if self.farewell is not None:
            return
        self._texts.append(text)
        if len(self._texts) > MOST_TEXTS:
            self.dismiss(FAILED, "this page reads too slowly")
        self.news.set()

    def dismiss(self, code: int, reason: str) -> None:
        """Close the connection."""
        self.farewell = self.farewell or (code, reason)
        self.news.set()

    def show(self, number: int, frame: bytes) -> None:
        """Send a frame, instead of one that has not left yet."""
        self._frame = (number, frame)
        self.news.set()

    def shown(self, number: int) -> bool:
        """The viewer has shown a frame; False where it was not on its way."""
        if number not in self._unseen:
            return False
        while self._unseen.popleft() != number:
            pass
        self.news.set()
        return True

    def take(self) -> dict[str, Any] | bytes | None:
        """What to send now, if anything: texts first, then the newest frame if the viewer keeps up."""
        if self._texts:
            return self._texts.popleft()
        if self._frame is None or len(self._unseen) >= UNSEEN:
            self.news.clear()
            return None
        number, frame = self._frame
        self._frame = None
        self._unseen.append(number)
        return frame


class Room:
    """A session and those around it; all methods are called in the event loop.

    Args:
        name: of the session, in the address of the page.
        source: what is played.
        settings: to begin with.
        executor: one thread, in which everything that takes long is done.
        listener: see `FrameListener`.
    """

    def __init__(
        self,
        name: str,
        source: Source,
        settings: Settings,
        executor: Executor,
        listener: FrameListener = lambda *times: None,
    ) -> None:
        self.name = name
        self.viewers: dict[str, Viewer] = {}
        self.last_used = time.monotonic()
        """When somebody last did something, or left."""
        self.over = False
        """Whether everybody has been dismissed, so that nobody should come any more."""
        self._source, self._settings, self._executor = source, settings, executor
        self._listener = listener
        self._session: Session | None = None
        self._pad = Pad(all_buttons(source.actions))
        self._driver: str | None = None
        self._orders: deque[tuple[Viewer, Message]] = deque()
        self._news = asyncio.Event()
        self._clock: deque[tuple[int, float, float]] = deque(maxlen=UNSEEN + 1)
        """Of the newest frames: number, when the buttons were read, when the frame was made."""
        self._finished: deque[float] = deque(maxlen=MEASURED)
        self._latency: float | None = None
        self._newest: tuple[int, bytes] | None = None

    def enter(self, client: str) -> Viewer:
        """A page comes, or comes back; who was here before under this name is dropped."""
        if client in self.viewers:
            self.viewers[client].dismiss(REFUSED, "this page is open in another place")
            if client == self._driver:
                self._pad.release()  # as in `leave`: what was let go meanwhile was not told
        viewer = self.viewers[client] = Viewer(client)
        if self._driver is None or self._driver not in self.viewers:
            self._driver = client
        viewer.tell(self._hello(client))
        self._tell_driver()
        if self._newest is not None:
            viewer.show(*self._newest)
        self._news.set()
        return viewer

    def leave(self, viewer: Viewer) -> None:
        """A page goes."""
        if self.viewers.get(viewer.client) is viewer:
            del self.viewers[viewer.client]
            if viewer.client == self._driver:
                self._pad.release()
            self.last_used = time.monotonic()
            self._tell_driver()

    def receive(self, viewer: Viewer, message: Message) -> None:
        """Take a message of a page."""
        if isinstance(message, Shown):
            if viewer.shown(message.frame) and viewer.client == self._driver:
                self._take_time(message.frame)
            return
        self.last_used = time.monotonic()
        if isinstance(message, Drive):
            if self._driver in self.viewers:
                viewer.tell(self._driving(viewer))
            else:
                self._driver = viewer.client
                self._tell_driver()
        elif viewer.client != self._driver:
            viewer.tell(_problem("you are watching: somebody else has the controls"))
        elif isinstance(message, Buttons):
            self._pad.update(message.held, message.pressed)
        elif len(self._orders) < MOST_ORDERS:
            self._orders.append((viewer, message))
            self._news.set()
        else:
            viewer.tell(_problem(f"{MOST_ORDERS} orders are waiting to be carried out: give this one again later"))

    async def play(self) -> None:
        """Make frames as long as somebody watches; ends when cancelled, or with an error that the viewers are told."""
        try:
            self._session = await self._run(lambda: Session(self._source, self._settings))
            await self._publish(None, None)
            await self._go_on()
        except Exception as error:
            self.dismiss(FAILED, f"the game broke down ({type(error).__name__})")
            raise
        finally:
            if self._session is not None:
                # In the thread that works, so after the step that is perhaps being made.
                await asyncio.shield(self._run(self._session.close))

    def dismiss(self, code: int, reason: str) -> None:
        """Close all connections, for good."""
        self.over = True
        for viewer in self.viewers.values():
            viewer.dismiss(code, reason)

    async def _go_on(self) -> None:
        due = time.perf_counter()
        while True:
            await self._carry_out_orders()
            now = time.perf_counter()
            if self._settings.paused or not self.viewers:
                await self._sleep(None)
            elif now < due:
                await self._sleep(due - now)
            else:
                period = 1 / self._settings.speed
                # A frame that is a little late does not delay the next; after a long pause the beat begins anew.
                due = await self._advance(due if now - due < period else now, period)

    async def _advance(self, beat: float, period: float) -> float:
        """One frame: the buttons are read now, and what they lead to is sent as soon as it is there.

        Returns when the next one is due: `period` seconds after `beat`, or later where a game is over, to show that.
        """
        session, begun = self._the_session, time.perf_counter()
        held = self._pad.read()
        try:
            await self._run(lambda: session.advance(held))
        except DiamondError as problem:
            self._tell_all(_problem(str(problem)))
            self._tell_settings()
        due = beat + period * (ENDING_FRAMES if session.picture.is_over else 1)
        await self._publish(begun, due)
        return due

    async def _carry_out_orders(self) -> None:
        while self._orders:
            viewer, order = self._orders.popleft()
            begun = time.perf_counter()
            try:
                await self._run(self._deed(order))
            except DiamondError as problem:
                viewer.tell(_problem(str(problem)))
            self._tell_settings()
            self._finished.clear()
            await self._publish(begun, None)

    def _deed(self, order: Message) -> Callable[[], None]:
        """What an order comes to, for the thread that works."""
        session = self._the_session
        match order:
            case Set(name, value):
                return lambda: session.set(name, value)
            case Step():
                held = self._pad.read()
                return lambda: session.advance(held)
            case Reset():
                return session.reset
            case Resync():
                return session.resync
            case Rewind(to):
                return lambda: session.rewind(to)
            case StartImage(pixels):
                height, width, _ = self._source.starts[0].frames[0].shape
                return lambda: session.start_from(decode_image(pixels, height, width))
        raise AssertionError(order)

    def _tell_settings(self) -> None:
        if self._settings != self._the_session.settings:
            self._settings = self._the_session.settings
            self._tell_all({"type": "settings", "settings": as_dict(self._settings)})

    def _tell_all(self, text: dict[str, Any]) -> None:
        for viewer in self.viewers.values():
            viewer.tell(text)

    async def _publish(self, begun: float | None, due: float | None) -> None:
        """Send the newest frame to everybody.

        Args:
            begun: when its buttons were read.
            due: when the next frame is, if it comes by itself.
        """
        session, now = self._the_session, time.perf_counter()
        picture = session.picture
        facts = {
            "model_ms": None if begun is None else 1000 * (now - begun),
            "fps": self._rate(now) if due is not None else None,
            "wait_ms": None if due is None else 1000 * max(0.0, due - now),
            "latency_ms": self._latency,
            "viewers": len(self.viewers),
        }
        number = picture.moment.frame
        if begun is not None:
            self._clock.append((number, begun, now))
        self._newest = (number, encode_picture(picture, facts))
        for viewer in self.viewers.values():
            viewer.show(*self._newest)

    def _take_time(self, number: int) -> None:
        for clocked, begun, made in self._clock:
            if clocked == number:
                self._latency = 1000 * (time.perf_counter() - begun)
                self._listener(1000 * (made - begun), self._latency)

    def _rate(self, now: float) -> float | None:
        self._finished.append(now)
        span = now - self._finished[0]
        return (len(self._finished) - 1) / span if span > 0 else None

    def _hello(self, client: str) -> dict[str, Any]:
        source = self._source
        height, width, _ = source.starts[0].frames[0].shape
        buttons = all_buttons(source.actions)
        return {
            "type": "hello",
            "protocol": VERSION,
            "session": self.name,
            "driver": client == self._driver,
            "title": source.title,
            "subtitle": source.subtitle,
            "height": height,
            "width": width,
            "actions": [{"name": name, "buttons": buttons_of(name)} for name in source.actions],
            "buttons": buttons,
            "keys": default_keys(buttons),
            "real_missing": source.real_missing,
            "starts": len(source.starts),
            "recordings": str(source.recordings),
            "settings": as_dict(self._settings),
            "ranges": ranges(len(source.starts)),
        }

    def _tell_driver(self) -> None:
        for viewer in self.viewers.values():
            viewer.tell(self._driving(viewer))

    def _driving(self, viewer: Viewer) -> dict[str, Any]:
        return {"type": "driver", "driver": viewer.client == self._driver, "taken": self._driver in self.viewers}

    @property
    def _the_session(self) -> Session:
        assert self._session is not None, "the room is not being played yet"
        return self._session

    async def _run(self, work: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._executor, work)

    async def _sleep(self, seconds: float | None) -> None:
        """Until something happens, or for some seconds."""
        self._news.clear()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._news.wait(), seconds)


def _problem(message: str) -> dict[str, Any]:
    return {"type": "problem", "message": " ".join(message.split())}
