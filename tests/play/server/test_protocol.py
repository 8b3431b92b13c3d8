"""The wire: frames arrive as they were sent, and no message of a page can do more than be refused."""

import base64
import json
import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sources import drawn, opened, source

from diamond.errors import ConfigError
from diamond.play.game.moments import Picture, View
from diamond.play.game.worlds import Frame, Tally
from diamond.play.server.protocol import (
    MOST_BUTTONS,
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
    parse,
)

# From the page


def sent(kind: str, **fields: Any) -> str:
    return json.dumps({"type": kind, **fields})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (sent("buttons", held=["LEFT"], pressed=["LEFT", "FIRE"]), Buttons(("LEFT",), ("LEFT", "FIRE"))),
        (sent("buttons", held=[], pressed=[]), Buttons((), ())),
        (sent("set", name="speed", value=30), Set("speed", 30)),
        (sent("set", name="speed"), Set("speed", None)),
        (sent("step"), Step()),
        (sent("reset"), Reset()),
        (sent("resync"), Resync()),
        (sent("rewind", to=-3), Rewind(-3)),
        (sent("drive"), Drive()),
        (sent("start_image", pixels="AAEC"), StartImage(b"\x00\x01\x02")),
        (sent("shown", frame=12), Shown(12)),
        (sent("step", more="of no interest"), Step()),
    ],
)
def test_messages_of_the_page(text: str, message: Message) -> None:
    assert parse(text) == message


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "message is not JSON"),
        ("{", "message is not JSON"),
        ("[" * 100_000, "message is not JSON"),
        ("1" * 5_000, "message is not JSON"),
        ("[]", "message is a list: send an object with a type"),
        ("null", "message is a NoneType: send an object with a type"),
        ("{}", "type is None: this is protocol 1, reload the page"),
        (sent("fly"), "type is 'fly': this is protocol 1, reload the page"),
        (sent("rewind"), "to is None: give a int"),
        (sent("rewind", to=True), "to is True: give a int"),
        (sent("rewind", to=1.0), "to is 1.0: give a int"),
        (sent("rewind", to=float("nan")), "to is nan: give a int"),
        (sent("shown", frame="1"), "frame is '1': give a int"),
        (sent("set", name=3, value=3), "name is 3: give a str"),
        (sent("set", name="speed", value=[15]), r"value is \[15\]: give a number"),
        (sent("set", name="speed", value={"to": 15}), "value is {'to': 15}: give a number"),
        (sent("buttons", held="LEFT", pressed=[]), "held is 'LEFT': give a list"),
        (sent("buttons", held=[]), "pressed is None: give a list"),
        (sent("buttons", held=[1], pressed=[]), r"held is \[1\]: give a list"),
        (sent("buttons", held=[], pressed=["A"] * (MOST_BUTTONS + 1)), r"pressed is .*\.\.\.: give a list of at most"),
        (sent("start_image", pixels="AAE"), "pixels is not base64"),
        (sent("start_image", pixels="AA EC"), "pixels is not base64"),
        (sent("start_image", pixels="ÄÖÜß"), "pixels is not base64"),
        (sent("start_image", pixels=[0, 1, 2]), r"pixels is \[0, 1, 2\]: give a str"),
    ],
)
def test_what_is_no_message_is_refused_with_a_reason(text: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=f"^{reason}") as caught:
        parse(text)
    assert len(str(caught.value)) < 250, "whatever was sent"


def test_the_most_buttons_at_once_are_still_taken() -> None:
    names = [f"ACTION {i}" for i in range(MOST_BUTTONS)]
    assert parse(sent("buttons", held=names, pressed=names)) == Buttons(tuple(names), tuple(names))


def taken_or_refused(text: str) -> None:
    try:
        message = parse(text)
    except ConfigError:
        return
    assert isinstance(message, Message)


@given(st.text())
def test_any_text_is_taken_or_refused(text: str) -> None:
    taken_or_refused(text)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
KINDS = ("buttons", "set", "step", "reset", "resync", "rewind", "drive", "start_image", "shown")
FIELDS = ("held", "pressed", "name", "value", "to", "pixels", "frame")


@given(json_values)
def test_any_json_is_taken_or_refused(value: Any) -> None:
    taken_or_refused(json.dumps(value))


@given(st.sampled_from(KINDS) | json_values, st.dictionaries(st.sampled_from(FIELDS), json_values))
def test_any_fields_are_taken_or_refused(kind: Any, fields: dict[str, Any]) -> None:
    taken_or_refused(json.dumps({"type": kind, **fields}))


@pytest.mark.parametrize("field", ["type", "to", "value"])
def test_nesting_however_deep_is_refused(field: str) -> None:
    """Also at depths that can still be read as JSON, but perhaps not be shown."""
    kind = "set" if field == "value" else "rewind"
    for depth in range(880, 1000):
        for opening, closing in ("[]", ('{"":', "}")):
            value = opening * depth + "0" + closing * depth
            with pytest.raises(ConfigError):
                parse(f'{{"type": "{kind}", "name": "speed", "{field}": {value}}}')


# Pictures from the page


@given(st.integers(1, 6), st.integers(1, 6), st.data())
def test_a_picture_comes_as_rows_of_rgb(height: int, width: int, data: st.DataObject) -> None:
    pixels = data.draw(st.binary(min_size=3 * height * width, max_size=3 * height * width))
    message = parse(sent("start_image", pixels=base64.b64encode(pixels).decode()))
    assert isinstance(message, StartImage)
    picture = decode_image(message.pixels, height, width)
    for row in range(height):
        for column in range(width):
            at = 3 * (row * width + column)
            assert picture[row, column].tolist() == list(pixels[at : at + 3])


@pytest.mark.parametrize("size", [0, 1, 143, 145, 16 * 16, 4 * 6 * 8])
def test_a_picture_of_another_size_is_refused(size: int) -> None:
    with pytest.raises(ConfigError, match=f"picture has {size} bytes: give 6 rows of 8 pixels .*, 144 in all"):
        decode_image(bytes(size), 6, 8)


# To the page

SESSION = opened()


@dataclass
class Decoded:
    """A frame as the page reads it."""

    header: dict[str, Any]
    images: list[Frame]


def decoded(data: bytes) -> Decoded:
    """From the description in `protocol`: length, header, then the pixels of each view as rows of RGB."""
    (length,) = struct.unpack("<I", data[:4])
    header, rest = json.loads(data[4 : 4 + length].decode()), data[4 + length :]
    images = []
    for view in header["views"]:
        size = 3 * view["height"] * view["width"]
        images.append(np.frombuffer(rest[:size], np.uint8).reshape(view["height"], view["width"], 3))
        rest = rest[size:]
    assert rest == b""
    return Decoded(header, images)


def test_a_frame_arrives_as_it_was_sent() -> None:
    session = opened(source(drawn()), world="both", show_denoising=True, denoising_steps=2)
    for _ in range(3):
        session.advance(["LEFT"])
    picture, moment = session.picture, session.picture.moment
    arrived = decoded(encode_picture(picture, {"fps": 14.5, "model_ms": None}))
    header = arrived.header
    assert (header["frame"], header["oldest"], header["newest"]) == (3, 0, 3)
    assert (header["player"], header["action"]) == ("human", 0)
    assert tuple(header["policy"]) == moment.output.policy
    assert (header["value"], header["entropy"]) == (moment.output.value, moment.output.entropy)
    assert (header["fps"], header["model_ms"]) == (14.5, None)
    assert [view["name"] for view in header["views"]] == ["real", "dream", "noise", "step 1", "step 2"]
    for image, view, told in zip(arrived.images, picture.views, header["views"], strict=True):
        assert np.array_equal(image, view.image)
        assert told.get("steps") == (None if view.tally is None else view.tally.steps)


@given(
    st.lists(st.tuples(st.integers(1, 5), st.integers(1, 5)), max_size=4),
    st.integers(0, 10**9),
    st.floats(allow_nan=False, allow_infinity=False),
    st.none() | st.floats(0, 1),
    st.sampled_from([None, "terminated", "truncated", "horizon"]),
)
def test_views_of_any_size_and_number_arrive(
    sizes: list[tuple[int, int]], steps: int, total: float, termination: float | None, ended: Any
) -> None:
    """Whether or not an image lies in memory row by row, and with what it says below it."""
    tally = Tally(steps, -1.0, total, termination, ended)
    random = np.random.default_rng(len(sizes))
    images = [
        random.integers(256, size=(3, height, width), dtype=np.uint8).transpose(1, 2, 0) for height, width in sizes
    ]
    views = tuple(View(f"view {i}", image, tally if i % 2 else None) for i, image in enumerate(images))
    moment = SESSION.picture.moment
    arrived = decoded(encode_picture(Picture(moment, 5, 9, views), {}))
    assert (arrived.header["oldest"], arrived.header["newest"]) == (5, 9)
    for i, (view, image) in enumerate(zip(arrived.header["views"], arrived.images, strict=True)):
        assert np.array_equal(image, images[i])
        numbers = {"steps": steps, "reward": -1.0, "return": total, "termination": termination, "ended": ended}
        told = {"name": f"view {i}", "height": sizes[i][0], "width": sizes[i][1]} | (numbers if i % 2 else {})
        assert view == told
