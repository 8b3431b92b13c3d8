"""Recorded episodes for the page: a list of them, their frames, and videos to take away."""

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np

from diamond.errors import DataError
from diamond.experience.episodes import Episode, EpisodeFolder

FRAMES_PER_SECOND = 15
"""At which recordings are shown, whatever the speed was that they were played at."""
VIDEO_SIDE = 256
"""Least height of a video in pixels, before rounding down to whole pixels of the game."""


class Recordings:
    """The episodes in a folder; damaged ones are left out of the list."""

    def __init__(self, folder: Path) -> None:
        self._folder = EpisodeFolder(folder)
        self._described: dict[int, dict[str, Any]] = {}

    def list(self) -> list[dict[str, Any]]:
        """What there is, newest first."""
        numbers = self._folder.indices()
        for number in numbers:
            if number not in self._described:  # a recording never changes
                try:
                    self._described[number] = _describe(number, self._folder.read(number))
                except DataError:
                    continue
        return [self._described[number] for number in reversed(numbers) if number in self._described]

    def read(self, number: int) -> Episode | None:
        """An episode; None where there is none of that number.

        Raises:
            DataError: it is damaged.
        """
        return self._folder.read(number) if number in self._folder.indices() else None


def _describe(number: int, episode: Episode) -> dict[str, Any]:
    origin = episode.origin
    rewarded = np.flatnonzero(episode.rewards)
    return {
        "number": number,
        "world": "real" if origin is None else origin.world,
        "players": [] if origin is None else origin.players,
        "parent": None if origin is None else origin.parent,
        "parent_step": None if origin is None else origin.parent_step,
        "steps": episode.num_steps,
        "return": float(episode.rewards.sum()),
        "ended": "terminated" if episode.terminated else "truncated",
        # A reward belongs to the frame that came with it, one after the frame that was acted in.
        "rewards": [[int(step) + 1, float(episode.rewards[step])] for step in rewarded],
    }


def encode_episode(episode: Episode) -> bytes:
    """An episode for the page, as a frame of the game is sent: length of the header, header, then rows of RGB."""
    frames, height, width, _ = episode.frames.shape
    header = {"frames": frames, "height": height, "width": width, "actions": episode.actions.tolist()}
    text = json.dumps(header | {"fps": FRAMES_PER_SECOND}, separators=(",", ":")).encode()
    return struct.pack("<I", len(text)) + text + episode.frames.tobytes()


def video(episode: Episode, kind: str) -> bytes:
    """An episode as MP4 or animated WebP, enlarged."""
    from diamond.reports.video import encode_video, encode_webp

    encode = {"mp4": encode_video, "webp": encode_webp}[kind]
    return encode(episode.frames, FRAMES_PER_SECOND, max(1, VIDEO_SIDE // episode.frames.shape[1]))
