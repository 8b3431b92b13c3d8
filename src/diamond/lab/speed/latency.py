"""How long a player waits: from reading the buttons to the picture on the page, and what serving it costs.

The page is the real one in a headless Chromium where one is installed; else a client that takes frames apart but draws
nothing, which the names of the figures say. Other viewers are always such clients.

Units  milliseconds; shares of one processor core
"""

import asyncio
import json
import multiprocessing
import os
import shutil
import statistics
import struct
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from websockets.asyncio.client import connect

from diamond import kernels
from diamond.agents.agent import Agent
from diamond.compute import choose_device
from diamond.config import Config
from diamond.envs import make_env
from diamond.errors import DiamondError
from diamond.networks.reward_termination import RewardTerminationModel
from diamond.play.game.source import Source
from diamond.play.game.worlds import Past
from diamond.play.server.listening import bind
from diamond.play.server.room import FrameListener
from diamond.play.server.room_manager import Limits, RoomManager
from diamond.play.server.server import make_server
from diamond.runs.provenance import number, origin

Row = dict[str, Any]
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
FRAMES = 300
"""Frames that are timed, after as many to warm up as the rate is averaged over."""
WARM_UP = 30
PATIENCE = 120.0
"""Seconds without a frame after which the browser is taken to have failed."""


def measure(config: Config, viewers: tuple[int, ...], progress: Callable[[str], None]) -> list[Row]:
    """Latencies and server load of untrained networks of a configuration's sizes.

    Args:
        config: its networks, sampler and device.
        viewers: numbers of pages to serve, in turn.
        progress: told what is measured.

    Raises:
        DiamondError: no frame came for a long time.
    """
    rows: list[Row] = []
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    for count in viewers:
        progress(f"playing {FRAMES} frames for {count} {'viewer' if count == 1 else 'viewers'}")
        rows += _measure_one(config, count, browser)
    facts = origin(config.seed, kernels.in_use(config.compute, choose_device(config.compute)))
    return [facts | row for row in rows]


def untrained(config: Config) -> Source:
    """A world model that has learned nothing, to be timed; it starts from noise and dreams without end."""
    with closing(make_env(config.env, 1, training=False)) as env:
        meanings = env.action_meanings
    agent = Agent.create(config, len(meanings), config.seed, meanings).to(choose_device(config.compute))
    _never_end(agent.reward_model)
    agent = kernels.for_inference(agent)
    size = (config.denoiser.context_length, config.env.height, config.env.width, 3)
    frames = np.random.default_rng(config.seed).integers(0, 256, size, np.uint8)
    start = Past(tuple(frames), (0,) * (len(frames) - 1))
    return Source(
        title=config.env.name,
        subtitle=f"untrained, preset {config.preset}",
        agent=agent,
        actions=meanings,
        starts=(start,),
        make_real=lambda: make_env(config.env, 1, training=False),
        real_missing=None,
        recordings=Path("recordings"),
        model=agent.fingerprint(),
    )


@torch.no_grad()
def _never_end(model: RewardTerminationModel) -> None:
    """A game that is over would be waited for."""
    first, last = model.head[0], model.head[-1]
    assert isinstance(first, nn.Linear) and isinstance(last, nn.Linear)
    first.bias.fill_(10.0)  # what the last layer sees is positive then
    goes_on, ends = last.weight[-2], last.weight[-1]
    goes_on.fill_(1.0)
    ends.fill_(-1.0)


def _measure_one(config: Config, viewers: int, browser: str | None) -> list[Row]:
    times: list[tuple[float, float]] = []
    news = threading.Event()

    def listener(*pair: float) -> None:
        times.append((pair[0], pair[1]))
        news.set()

    def wait_for(frames: int) -> None:
        while len(times) < frames:
            news.clear()
            if not news.wait(PATIENCE):
                raise DiamondError(f"no frame for {PATIENCE:.0f} s: check that {browser} runs without a screen")

    with ExitStack() as stack:
        port, rooms = stack.enter_context(_serving(config, listener))
        stack.enter_context(_browser(browser, port) if browser else _clients(port, "", 1))
        wait_for(1)
        if viewers > 1:
            stack.enter_context(_clients(port, rooms.names[0], viewers - 1))
        wait_for(len(times) + WARM_UP)
        first, cpu, started = len(times), time.process_time(), time.perf_counter()
        wait_for(first + FRAMES)
        seconds, busy = time.perf_counter() - started, time.process_time() - cpu
    model, latency = zip(*times[first : first + FRAMES], strict=True)
    what = f"{viewers} {'viewer' if viewers == 1 else 'viewers'}{'' if browser else ', not drawn'}"
    rows = [
        number(f"{name} p{percent} (ms), {what}", float(np.percentile(values, percent)), n=FRAMES)
        for name, values in (("model", model), ("latency", latency))
        for percent in (50, 95, 99)
    ]
    beyond = statistics.median(whole - part for whole, part in zip(latency, model, strict=True))
    rows.append(number(f"latency beyond the model p50 (ms), {what}", beyond, n=FRAMES))
    rows.append(number(f"frames/s, {what}", FRAMES / seconds))
    rows.append(number(f"cores that the server keeps busy, networks included, {what}", busy / seconds))
    return rows


@contextmanager
def _serving(config: Config, listener: FrameListener) -> Iterator[tuple[int, RoomManager]]:
    """A server in a thread of its own: its port and its rooms."""
    listening = bind("127.0.0.1", 0)
    rooms = RoomManager(lambda: untrained(config), config.seed, Limits(), listener)
    server, _ = make_server(rooms, listening)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        yield listening.getsockname()[1], rooms
    finally:
        server.should_exit = True
        thread.join()


@contextmanager
def _browser(program: str, port: int) -> Iterator[None]:
    """The page in a headless Chromium."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        words = [program, "--headless", "--remote-debugging-port=0", f"--user-data-dir={profile}", "--no-first-run"]
        if hasattr(os, "geteuid") and os.geteuid() == 0:
            words.append("--no-sandbox")  # Chromium refuses to run as root with it
        process = subprocess.Popen(
            [*words, f"http://127.0.0.1:{port}/"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            yield
        finally:
            process.terminate()
            process.wait()


@contextmanager
def _clients(port: int, session: str, count: int) -> Iterator[None]:
    """Viewers without a browser, in a process of their own so that their work is not counted as the server's."""
    process = multiprocessing.get_context("spawn").Process(target=_watch, args=(port, session, count), daemon=True)
    process.start()
    try:
        yield
    finally:
        process.terminate()
        process.join()


def _watch(port: int, session: str, count: int) -> None:
    async def watch(client: int) -> None:
        address = f"ws://127.0.0.1:{port}/session?client=watcher-{client}&session={session}"
        async with connect(address, max_size=None, compression=None) as ws:
            async for message in ws:
                if isinstance(message, bytes):
                    (length,) = struct.unpack_from("<I", message)
                    frame = json.loads(message[4 : 4 + length])["frame"]
                    await ws.send(json.dumps({"type": "shown", "frame": frame}))

    async def watch_all() -> None:
        await asyncio.gather(*(watch(client) for client in range(count)))

    asyncio.run(watch_all())
