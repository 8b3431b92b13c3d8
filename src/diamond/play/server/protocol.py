"""What goes over the wire (version 1), as values: the page's messages in, frames and texts out.

The page sends JSON texts. The server sends JSON texts, and frames as binary messages: the length of a header (four
bytes, little-endian), the header in JSON, then the pixels of each view as rows of RGB.
"""

import base64
import binascii
import json
import struct
from dataclasses import dataclass
from typing import Any

import numpy as np

from diamond.errors import ConfigError
from diamond.play.game.moments import Picture, View
from diamond.play.game.worlds import Frame

VERSION = 1
MOST_BUTTONS = 32


@dataclass(frozen=True)
class Buttons:
    """What the player holds, and what has gone down since the last such message."""

    held: tuple[str, ...]
    pressed: tuple[str, ...]


@dataclass(frozen=True)
class Set:
    """Turn a setting; its value is checked by `Settings.changed`."""

    name: str
    value: Any


@dataclass(frozen=True)
class Step:
    """One frame while paused."""


@dataclass(frozen=True)
class Reset:
    """A new game."""


@dataclass(frozen=True)
class Resync:
    """The dream begins again from what the real game shows."""


@dataclass(frozen=True)
class Rewind:
    """Show an earlier frame."""

    to: int


@dataclass(frozen=True)
class Drive:
    """Ask for the controls."""


@dataclass(frozen=True)
class StartImage:
    """Begin a dream from a picture: rows of RGB."""

    pixels: bytes


@dataclass(frozen=True)
class Shown:
    """A frame is on the screen."""

    frame: int


Message = Buttons | Set | Step | Reset | Resync | Rewind | Drive | StartImage | Shown


def parse(text: str) -> Message:
    """A message of the page.

    Raises:
        ConfigError: it is not one.
    """
    try:
        message = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"message is not JSON ({type(error).__name__}): send an object with a type") from None
    if not isinstance(message, dict):
        raise ConfigError(f"message is a {type(message).__name__}: send an object with a type")
    match message.get("type"):
        case "buttons":
            return Buttons(_names(message, "held"), _names(message, "pressed"))
        case "set":
            return Set(_typed(message, "name", str), _single(message, "value"))
        case "step":
            return Step()
        case "reset":
            return Reset()
        case "resync":
            return Resync()
        case "rewind":
            return Rewind(_typed(message, "to", int))
        case "drive":
            return Drive()
        case "start_image":
            return StartImage(_bytes(message, "pixels"))
        case "shown":
            return Shown(_typed(message, "frame", int))
        case kind:
            raise ConfigError(f"type is {_short(kind)}: this is protocol {VERSION}, reload the page")


def decode_image(pixels: bytes, height: int, width: int) -> Frame:
    """The picture of a `StartImage`.

    Raises:
        ConfigError: it is of another size.
    """
    if len(pixels) != 3 * height * width:
        raise ConfigError(
            f"picture has {len(pixels)} bytes: give {height} rows of {width} pixels of three bytes, "
            f"{3 * height * width} in all"
        )
    return (
        np.frombuffer(pixels, np.uint8).reshape(height, width, 3).copy()
    )  # PyTorch warns of arrays that are read-only


def encode_picture(picture: Picture, facts: dict[str, Any]) -> bytes:
    """A frame for the page; `facts` are those of the room: times and viewers."""
    moment = picture.moment
    header = {
        "frame": moment.frame,
        "oldest": picture.oldest,
        "newest": picture.newest,
        "player": moment.player,
        "action": moment.action,
        "policy": moment.output.policy,
        "value": moment.output.value,
        "entropy": moment.output.entropy,
        **facts,
        "views": [_describe(view) for view in picture.views],
    }
    text = json.dumps(header, separators=(",", ":")).encode()
    return b"".join((struct.pack("<I", len(text)), text, *(view.image.tobytes() for view in picture.views)))


def _describe(view: View) -> dict[str, Any]:
    height, width, _ = view.image.shape
    described: dict[str, Any] = {"name": view.name, "height": height, "width": width}
    if view.tally is not None:
        described |= {
            "steps": view.tally.steps,
            "reward": view.tally.reward,
            "return": view.tally.total,
            "termination": view.tally.termination,
            "ended": view.tally.ended,
        }
    return described


def _typed(message: dict[str, Any], name: str, kind: type) -> Any:
    value = message.get(name)
    if not isinstance(value, kind) or isinstance(value, bool):
        raise ConfigError(f"{name} is {_short(value)}: give a {kind.__name__}")
    return value


def _names(message: dict[str, Any], name: str) -> tuple[str, ...]:
    value = message.get(name)
    if not isinstance(value, list) or len(value) > MOST_BUTTONS or not all(isinstance(item, str) for item in value):
        raise ConfigError(f"{name} is {_short(value)}: give a list of at most {MOST_BUTTONS} names of buttons")
    return tuple(value)


def _single(message: dict[str, Any], name: str) -> Any:
    value = message.get(name)
    if isinstance(value, list | dict):
        raise ConfigError(f"{name} is {_short(value)}: give a number, a text, or true or false")
    return value


def _bytes(message: dict[str, Any], name: str) -> bytes:
    text = _typed(message, name, str)
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ConfigError(f"{name} is not base64 ({error}): encode the bytes in base64") from None


def _short(value: Any) -> str:
    try:
        text = repr(value)
    except RecursionError:  # read as JSON further up the stack, where there was just enough of it
        text = f"a deep {type(value).__name__}"
    return text if len(text) <= 80 else text[:77] + "..."
