"""Something to play, a server to play it on, and pages without a browser: what the tests of `diamond play` share."""

import contextlib
import json
import logging
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import numpy as np
import uvicorn
from dreams import Judge, uneventful
from sources import player, source
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from diamond.envs import RealEnv
from diamond.play.game.source import Source
from diamond.play.server.listening import bind
from diamond.play.server.room_manager import Limits, RoomManager
from diamond.play.server.server import make_server

ACTIONS = ("LEFT", "NOOP", "RIGHT")
LEFT, NOOP, RIGHT = range(3)
PATIENCE = 60.0
"""Seconds to wait for something that takes a moment; only a failing test waits so long."""


def catch_source(make_real: Callable[[], RealEnv] | None = None) -> Source:
    """A dream of Catch by random weights: every action shows, and no dream ends by itself."""
    agent = player()
    agent.reward_model = Judge(uneventful)
    played = source(agent)
    return played if make_real is None else replace(played, make_real=make_real)


@dataclass(frozen=True)
class Shot:
    """A frame as it comes over the wire."""

    header: dict[str, Any]
    images: tuple[np.ndarray, ...]

    @classmethod
    def decode(cls, message: bytes) -> "Shot":
        (length,) = struct.unpack_from("<I", message)
        header, offset, images = json.loads(message[4 : 4 + length]), 4 + length, []
        for view in header["views"]:
            count = 3 * view["height"] * view["width"]
            pixels = np.frombuffer(message, np.uint8, count, offset)
            images.append(pixels.reshape(view["height"], view["width"], 3))
            offset += count
        assert offset == len(message)
        return cls(header, tuple(images))

    @property
    def number(self) -> int:
        return self.header["frame"]


class Complaints(logging.Handler):
    """What a server logs that it should not have to."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.texts: list[str] = []
        self.setFormatter(logging.Formatter("%(name)s: %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(self.format(record))


@dataclass
class Served:
    """A running server."""

    address: str
    """Of the page, as it is printed."""
    server: uvicorn.Server | None = None
    """None in another process."""
    complaints: Complaints = field(default_factory=Complaints)

    @property
    def port(self) -> int:
        port = urlsplit(self.address).port
        assert port is not None
        return port

    @property
    def token(self) -> str | None:
        return parse_qs(urlsplit(self.address).query).get("token", [None])[0]

    def page_of(self, session: str) -> str:
        """The address under which others can watch a session."""
        return self.address + f"?session={session}"

    def cut_connections(self) -> None:
        """Break every connection off without a word, as a failing network does."""
        assert self.server is not None
        for connection in list(self.server.server_state.connections):
            connection.loop.call_soon_threadsafe(connection.transport.abort)


@contextlib.contextmanager
def serving(
    source: Source | None = None, limits: Limits | None = None, host: str = "127.0.0.1", seed: int = 0
) -> Iterator[Served]:
    """The real server on a free port, in a thread of its own; it must neither fail nor complain."""
    listening = bind(host, 0)
    server, address = make_server(RoomManager(lambda: source or catch_source(), seed, limits or Limits()), listening)
    served, failures = Served(address, server), []

    def run() -> None:
        try:
            server.run(sockets=[listening])
        except BaseException as failure:
            failures.append(failure)

    thread = threading.Thread(target=run, name="server")
    loggers = [logging.getLogger(name) for name in ("uvicorn.error", "asyncio")]
    for logger in loggers:
        logger.addHandler(served.complaints)
    thread.start()
    try:
        yield served
    finally:
        server.should_exit = True
        thread.join(PATIENCE)
        for logger in loggers:
            logger.removeHandler(served.complaints)
    assert not thread.is_alive(), "the server does not end"
    assert failures == []
    assert served.complaints.texts == []


class Player:
    """A page without a browser, which acknowledges every frame that it reads.

    Args:
        served: the server.
        client: the page's id.
        session: to join; by default a new one.
        token: by default the right one, if one is needed.
        named: what to call the server; by default its address.
        origin: the server that the page claims to come from; by default none, as outside a browser.
    """

    def __init__(
        self,
        served: Served,
        client: str = "tester",
        session: str | None = None,
        token: str | None = None,
        named: str | None = None,
        origin: str | None = None,
    ) -> None:
        known = {"client": client, "session": session, "token": token or served.token}
        words = {name: value for name, value in known.items() if value is not None}
        self._address = f"ws://{named or '127.0.0.1'}:{served.port}/session?{urlencode(words)}"
        self._port, self._origin, self._open = served.port, origin, contextlib.ExitStack()
        self.line: ClientConnection

    def __enter__(self) -> "Player":
        line = socket.create_connection(("127.0.0.1", self._port))
        opening = connect(
            self._address, sock=line, origin=self._origin, compression=None, proxy=None, open_timeout=PATIENCE
        )
        self.line = self._open.enter_context(opening)
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def send(self, kind: str, **content: Any) -> None:
        """Send a message of the page."""
        self.line.send(json.dumps({"type": kind, **content}))

    def set(self, name: str, value: Any) -> None:
        """Ask for another setting."""
        self.send("set", name=name, value=value)

    def receive(self) -> dict[str, Any] | Shot:
        """The next message; a frame is acknowledged."""
        message = self.line.recv(PATIENCE)
        if isinstance(message, str):
            return json.loads(message)
        shot = Shot.decode(message)
        self.send("shown", frame=shot.number)
        return shot

    def farewell(self) -> tuple[int, str]:
        """Code and reason with which the server closes the connection; what comes before is passed over."""
        try:
            while True:
                self.receive()
        except ConnectionClosed as closed:
            assert closed.rcvd is not None, "the connection broke off without a word"
            return closed.rcvd.code, closed.rcvd.reason

    def text(self, kind: str) -> dict[str, Any]:
        """The next text of that type; others and frames are passed over."""
        while True:
            message = self.receive()
            if isinstance(message, dict) and message["type"] == kind:
                return message

    def shot(self, accept: Callable[[dict[str, Any]], bool] = lambda header: True) -> Shot:
        """The next frame with such a header; others and texts are passed over."""
        while True:
            message = self.receive()
            if isinstance(message, Shot) and accept(message.header):
                return message

    def settings(self, name: str, value: Any) -> dict[str, Any]:
        """The settings, once the server says that one of them has this value."""
        while True:
            found = self.text("settings")["settings"]
            if found[name] == value:
                return found
