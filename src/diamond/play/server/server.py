"""The page and its WebSocket, on this machine unless told otherwise.

A page opens `/session` with an id of its own; without the name of a session it gets a new one. On a loopback address
only pages of this server may connect (Host and Origin are checked); on any other, only with the token in the printed
address. Files are read when the server starts, so that no request can reach any other.
"""

import asyncio
import contextlib
import re
import secrets
import socket
import time
from collections.abc import AsyncIterator, Callable
from importlib import resources
from pathlib import Path
from urllib.parse import urlsplit

import uvicorn
from starlette.applications import Starlette
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from diamond.errors import ConfigError, DataError
from diamond.experience.episodes import Episode
from diamond.play.game.recordings import Recordings, encode_episode, video
from diamond.play.server.listening import is_loopback
from diamond.play.server.protocol import parse
from diamond.play.server.room import FULL, REFUSED, Room, Viewer
from diamond.play.server.room_manager import RoomManager

TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob:; frame-ancestors 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",  # the address may hold the token
    "Cache-Control": "no-cache",
}
NOT_THIS_MACHINE = "The server takes only connections to this machine's own address."
NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
MESSAGES_A_SECOND = 200
"""More than any page sends; who sends more is cut off."""

GOODBYE = 5.0
"""Seconds for saying why a page is cut off."""


def make_app(rooms: RoomManager, token: str | None = None) -> Starlette:
    """The server as an ASGI application.

    Args:
        rooms: what it serves.
        token: that pages must show; None lets in whoever reaches a loopback address.
    """
    limits = rooms.limits

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        keeper = asyncio.create_task(rooms.keep())
        yield
        keeper.cancel()
        await rooms.close()

    async def connect(ws: WebSocket) -> None:
        await ws.accept()
        refusal = _refusal(ws, token) or _nameless(ws)
        if refusal is not None:
            await ws.close(REFUSED, refusal)
            return
        client, room = ws.query_params["client"], rooms.find(ws.query_params.get("session"))
        if room is None:
            await ws.close(FULL, f"The server is full: it takes no more than {limits.sessions} games. Try again later.")
        elif client not in room.viewers and len(room.viewers) >= limits.viewers:
            await ws.close(FULL, f"This game is full: it takes no more than {limits.viewers} viewers. Try again later.")
        else:
            await _serve(ws, room, client)

    files = [Route(path, _file(content, kind, open_to_all=token is not None)) for path, content, kind in _page()]
    recordings = _recordings(rooms.source.recordings, token)
    return Starlette(routes=[WebSocketRoute("/session", connect), *files, *recordings], lifespan=lifespan)


async def _serve(ws: WebSocket, room: Room, client: str) -> None:
    viewer = room.enter(client)
    sender = asyncio.create_task(_send(ws, viewer))
    try:
        await _receive(ws, room, viewer)
    except WebSocketDisconnect:
        pass
    finally:
        room.leave(viewer)
        if viewer.farewell is not None:  # which the page is to hear, if it listens
            await asyncio.wait([sender], timeout=GOODBYE)
        sender.cancel()
        await asyncio.gather(sender, return_exceptions=True)


async def _send(ws: WebSocket, viewer: Viewer) -> None:
    """Send what there is until the viewer is dismissed."""
    while True:
        item = viewer.take()
        if isinstance(item, bytes):
            await ws.send_bytes(item)
        elif item is not None:
            await ws.send_json(item)
        elif viewer.farewell is not None:
            await ws.close(*viewer.farewell)
            return
        else:
            await viewer.news.wait()


async def _receive(ws: WebSocket, room: Room, viewer: Viewer) -> None:
    """Take messages until the page goes, or sends too many."""
    second, count = 0, 0
    while True:
        event = await ws.receive()
        if event["type"] == "websocket.disconnect":
            return
        now = int(time.monotonic())
        second, count = now, (count + 1 if now == second else 1)
        if count > MESSAGES_A_SECOND:
            viewer.dismiss(REFUSED, f"more than {MESSAGES_A_SECOND} messages a second")
            return
        try:
            text = event.get("text")
            if text is None:
                raise ConfigError("message is binary: send JSON text")
            room.receive(viewer, parse(text))
        except ConfigError as problem:
            viewer.tell({"type": "problem", "message": str(problem)})


def _refusal(request: HTTPConnection, token: str | None) -> str | None:
    """Why a page gets no answer, if so."""
    host, origin = request.headers.get("host", ""), request.headers.get("origin")
    if token is None and not _names_this_machine(host):
        return NOT_THIS_MACHINE
    if origin is not None and origin.partition("://")[2] != host:
        return "The server takes only its own page."
    if token is not None and not secrets.compare_digest(request.query_params.get("token", "").encode(), token.encode()):
        return "The address lacks the right token: use the one that the server printed."
    return None


def _nameless(ws: WebSocket) -> str | None:
    named = NAME.fullmatch(ws.query_params.get("client", "")) is not None
    return None if named else "The page gave no id of its own: reload it."


def _recordings(folder: Path, token: str | None) -> list[Route]:
    """What the page asks to show recordings."""
    recordings = Recordings(folder)

    def answer(respond: Callable[[Episode], Response]) -> Callable[[Request], Response]:
        def get(request: Request) -> Response:
            if refusal := _refusal(request, token):
                return PlainTextResponse(refusal, 403)
            try:
                episode = recordings.read(request.path_params["number"])
            except DataError as error:
                return PlainTextResponse(str(error), 500)
            return PlainTextResponse("There is no such recording.", 404) if episode is None else respond(episode)

        return get

    def list_all(request: Request) -> Response:
        if refusal := _refusal(request, token):
            return PlainTextResponse(refusal, 403)
        return JSONResponse(recordings.list(), headers=HEADERS)

    def frames(episode: Episode) -> Response:
        return Response(encode_episode(episode), media_type="application/octet-stream", headers=HEADERS)

    def film(kind: str, media_type: str) -> Callable[[Episode], Response]:
        return lambda episode: Response(video(episode, kind), media_type=media_type, headers=HEADERS)

    return [
        Route("/recordings", list_all),
        Route("/recordings/{number:int}", answer(frames)),
        Route("/recordings/{number:int}.mp4", answer(film("mp4", "video/mp4"))),
        Route("/recordings/{number:int}.webp", answer(film("webp", "image/webp"))),
    ]


def _file(content: bytes, kind: str, open_to_all: bool) -> Callable[[Request], Response]:
    """Answers with a file of the page, which holds no secrets."""

    def get(request: Request) -> Response:
        if not open_to_all and not _names_this_machine(request.headers.get("host", "")):
            return PlainTextResponse(NOT_THIS_MACHINE, 403)
        return Response(content, media_type=kind, headers=HEADERS)

    return get


def _page() -> list[tuple[str, bytes, str]]:
    """Path, content and type of every file of the page."""
    page = []
    for file in resources.files("diamond.play").joinpath("web").iterdir():
        kind = TYPES[file.name[file.name.index(".") :]]
        page.append((f"/{file.name}", file.read_bytes(), kind))
        if file.name == "index.html":
            page.append(("/", file.read_bytes(), kind))
    return page


def _names_this_machine(host: str) -> bool:
    """Whether a Host header names a loopback address: another name may have been made to lead here (DNS rebinding)."""
    try:
        return is_loopback(urlsplit(f"//{host}").hostname or "")
    except ValueError:  # no name at all
        return False


def serve(rooms: RoomManager, listening: socket.socket, ready: Callable[[str], None]) -> None:
    """Serve until the process is told to end.

    Args:
        rooms, listening: see `make_server`.
        ready: told the address of the page.
    """
    server, address = make_server(rooms, listening)
    ready(address)
    server.run(sockets=[listening])


def make_server(rooms: RoomManager, listening: socket.socket) -> tuple[uvicorn.Server, str]:
    """The server, still to be run, and the address of its page, with the token that any but a loopback address needs.

    Args:
        rooms: what it serves.
        listening: see `listening.bind`.
    """
    host, port = listening.getsockname()[:2]
    token = None if is_loopback(host) else secrets.token_urlsafe(16)
    height, width, _ = rooms.source.starts[0].frames[0].shape
    config = uvicorn.Config(
        make_app(rooms, token),
        ws="websockets-sansio",
        ws_max_size=4 * height * width + 4096,  # a picture in base64 is the longest message
        ws_per_message_deflate=False,  # frames are small, and packing them would delay them
        log_level="warning",
        timeout_graceful_shutdown=1,
    )
    shown = f"[{host}]" if ":" in host else host
    return uvicorn.Server(config), f"http://{shown}:{port}/" + (f"?token={token}" if token else "")
