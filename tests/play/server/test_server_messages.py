"""What pages send: whatever it is, it is answered or the page is cut off, and the game and the others go on."""

import base64
import json
import random
import re
import socket
import string
from collections.abc import Iterator
from typing import Any

import pytest
from playing import LEFT, NOOP, PATIENCE, RIGHT, Player, Served, Shot, serving
from websockets.exceptions import ConnectionClosed

from diamond.play.game.settings import Settings, as_dict
from diamond.play.server.room import REFUSED
from diamond.play.server.room_manager import Limits
from diamond.play.server.server import MESSAGES_A_SECOND

TOO_LONG = 1009
DEEPEST = 2000
"""Brackets in the longest message that the server takes, roughly."""


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with serving(limits=Limits(sessions=1000)) as server:
        yield server


@pytest.fixture
def page(served: Served, request: pytest.FixtureRequest) -> Iterator[Player]:
    """Drives a paused game of its own."""
    with Player(served, client=re.sub(r"\W", "-", request.node.name)[:64]) as player:
        player.set("paused", True)
        player.settings("paused", True)
        yield player


def assert_goes_on(page: Player) -> None:
    """The game still takes a step when asked."""
    page.send("step")
    before = page.shot().number
    page.send("step")
    assert page.shot(lambda header: header["frame"] > before)


def problem(page: Player, message: Any) -> str:
    """What the server finds wrong with a message; strings and bytes are sent as they are."""
    page.line.send(message if isinstance(message, str | bytes) else json.dumps(message))
    return page.text("problem")["message"]


WRONG: list[tuple[Any, str]] = [
    ("", "not JSON"),
    ("{", "not JSON"),
    ("\x00", "not JSON"),
    (b"\x00\x01", "binary"),
    (b"{}", "binary"),
    ("null", "NoneType"),
    ("[]", "list"),
    ("0", "int"),
    ("{}", "type is None"),
    ({"type": "dance"}, "type is 'dance'"),
    ({"type": ["set"]}, "type is ['set']"),
    ({"type": "hello"}, "type is 'hello'"),
    ({"type": "buttons"}, "held is None"),
    ({"type": "buttons", "held": "LEFT", "pressed": []}, "held is 'LEFT'"),
    ({"type": "buttons", "held": [1], "pressed": []}, "held is [1]"),
    ({"type": "buttons", "held": ["LEFT"] * 33, "pressed": []}, "at most 32"),
    ({"type": "buttons", "held": [], "pressed": {}}, "pressed is {}"),
    ({"type": "set", "name": 1, "value": 1}, "name is 1"),
    ({"type": "set", "name": "colour", "value": 1}, "setting is 'colour'"),
    ({"type": "set", "name": "__class__", "value": 1}, "setting is '__class__'"),
    ({"type": "set", "name": "player", "value": "nobody"}, "player is 'nobody'"),
    ({"type": "set", "name": "world", "value": ["dream"]}, "value is ['dream']"),
    ({"type": "set", "name": "paused", "value": 1}, "paused is 1"),
    ({"type": "set", "name": "speed", "value": 61}, "speed is 61"),
    ({"type": "set", "name": "speed", "value": "15"}, "speed is '15'"),
    ({"type": "set", "name": "speed", "value": True}, "speed is True"),
    ({"type": "set", "name": "denoising_steps", "value": 1.5}, "denoising_steps is 1.5"),
    ({"type": "set", "name": "seed", "value": 2**31}, "seed is 2147483648"),
    ({"type": "set", "name": "seed", "value": 10**400}, "seed is 1000"),
    ({"type": "set", "name": "churn", "value": -(10**400)}, "churn is -1000"),
    ('{"type": "set", "name": "temperature", "value": NaN}', "temperature is nan"),
    ('{"type": "set", "name": "temperature", "value": 1e999}', "temperature is inf"),
    ('{"type": "set", "name": "seed", "value": ' + "9" * 5000 + "}", "not JSON"),
    ({"type": "set", "name": "\ud800", "value": 1}, r"setting is '\ud800'"),
    ({"type": "rewind"}, "to is None"),
    ({"type": "rewind", "to": 1.0}, "to is 1.0"),
    ({"type": "rewind", "to": -1}, "frame is -1"),
    ({"type": "rewind", "to": 10**400}, "are kept"),
    ({"type": "shown", "frame": "1"}, "frame is '1'"),
    ({"type": "resync"}, "side by side"),
    ({"type": "start_image"}, "pixels is None"),
    ({"type": "start_image", "pixels": "?"}, "base64"),
    ({"type": "start_image", "pixels": "ä"}, "base64"),
    ({"type": "start_image", "pixels": "AAAA"}, "3 bytes"),
]


@pytest.mark.parametrize(("message", "answer"), WRONG, ids=[str(number) for number in range(len(WRONG))])
def test_what_is_wrong_is_told_and_the_game_goes_on(page: Player, message: Any, answer: str) -> None:
    told = problem(page, message)
    assert answer in told
    assert len(told) < 500
    assert_goes_on(page)


@pytest.mark.parametrize(
    "before", ["", '{"type": "set", "name": "seed", "value": ', '{"type": ', '{"type":"rewind","to":']
)
def test_no_nesting_is_too_deep(page: Player, before: str) -> None:
    # Somewhere in between, what still can be read can no longer be written into an answer.
    for depth in range(10, DEEPEST, 15):
        assert problem(page, before + "[" * depth + "]" * depth + "}" * bool(before))
    assert_goes_on(page)


def anything(source: random.Random, depth: int = 0) -> Any:
    """Some JSON value, often of a kind or name that means something."""
    words = [
        "buttons",
        "set",
        "step",
        "reset",
        "resync",
        "rewind",
        "drive",
        "start_image",
        "shown",
        *as_dict(Settings()),
    ]
    leaves = [
        lambda: None,
        lambda: source.random() < 0.5,
        lambda: source.choice([0, 1, -1, 2**31, 2**63, -(2**64), 10**100, source.randint(-5, 100)]),
        lambda: source.choice([0.5, -0.0, 1e308, 1e-308, float("inf"), float("nan")]),
        lambda: source.choice([*words, "dream", "real", "both", "agent", "human", "LEFT", "RIGHT"]),
        lambda: "".join(source.choices(string.printable + "äπ💎\u2028\ud800", k=source.randint(0, 20))),
        lambda: base64.b64encode(source.randbytes(source.choice([0, 3, 768]))).decode(),
    ]
    if depth < 3 and source.random() < 0.3:
        values = [anything(source, depth + 1) for _ in range(source.randint(0, 4))]
        return values if source.random() < 0.5 else {source.choice(words): value for value in values}
    return source.choice(leaves)()


def some_message(source: random.Random) -> str | bytes:
    kind = source.choice(["buttons", "set", "step", "reset", "resync", "rewind", "drive", "start_image", "shown"])
    fields = {"buttons": ["held", "pressed"], "set": ["name", "value"], "rewind": ["to"], "shown": ["frame"]}
    message = {"type": kind} | {name: anything(source) for name in fields.get(kind, ["pixels"])}
    if kind == "set" and source.random() < 0.8:
        message["name"] = source.choice(list(as_dict(Settings())))
    text = json.dumps(message)
    match source.randrange(5):
        case 0:  # cut off
            return text[: source.randrange(len(text))]
        case 1:  # something else altogether
            return json.dumps(anything(source))
        case 2:
            return source.randbytes(source.randrange(100))
        case _:
            return text


@pytest.mark.parametrize("seed", range(4))
def test_a_game_survives_whatever_is_sent(page: Player, seed: int) -> None:
    source = random.Random(seed)
    for _ in range(6):
        for _ in range(25):
            page.line.send(some_message(source))
        page.line.send('{"type": "an end"}')
        while not page.text("problem")["message"].startswith("type is 'an end'"):
            pass
    page.set("paused", True)
    assert_goes_on(page)


def test_a_message_that_is_too_long_closes_its_page_and_the_server_lives(served: Served) -> None:
    with Player(served, "other") as other, Player(served, "long") as page:
        session = page.text("hello")["session"]
        page.line.send("[" + " " * 100_000 + "]")
        assert page.farewell()[0] == TOO_LONG
        with Player(served, "long", session) as again:
            assert again.text("hello")["session"] == session
            assert_goes_on(again)
        assert_goes_on(other)


def test_a_picture_of_the_games_size_is_not_too_long(page: Player) -> None:
    picture = bytes(range(256)) * 3
    page.send("start_image", pixels=base64.b64encode(picture).decode())
    assert page.shot(lambda header: header["action"] is None and header["frame"] > 0).images[0].tobytes() == picture


def test_a_page_that_sends_without_end_is_cut_off_with_the_reason(served: Served) -> None:
    with Player(served, "other") as other, Player(served, "flood") as page:
        other.text("hello")
        try:
            while True:
                page.send("buttons", held=[], pressed=["LEFT"])
        except ConnectionClosed:
            pass
        assert page.farewell() == (REFUSED, f"more than {MESSAGES_A_SECOND} messages a second")
        assert_goes_on(other)


def test_two_games_know_nothing_of_each_other(served: Served) -> None:
    with Player(served, "one") as one, Player(served, "two") as two:
        names = {player.text("hello")["session"] for player in (one, two)}
        assert len(names) == 2
        for player, button in ((one, "LEFT"), (two, "RIGHT")):
            player.set("player", "human")
            player.send("buttons", held=[button], pressed=[button])
        one.set("speed", 60)
        assert one.settings("speed", 60)["player"] == "human"
        for player, action in ((one, LEFT), (two, RIGHT)):
            player.shot(lambda header, action=action: header["action"] == action)
            for _ in range(3):
                assert player.shot().header["action"] == action
        two.set("seed", 7)
        assert two.settings("seed", 7)["speed"] == Settings().speed
        assert one.shot().header["viewers"] == 1


def test_a_game_goes_on_where_it_was_after_the_network_failed(served: Served) -> None:
    with Player(served, "lost") as page:
        session = page.text("hello")["session"]
        page.set("player", "human")
        page.send("buttons", held=["LEFT"], pressed=["LEFT"])
        last = page.shot(lambda header: header["action"] == LEFT).number
        served.cut_connections()
        with pytest.raises(ConnectionClosed):
            while True:
                last = page.shot().number
    with Player(served, "lost", session) as page:
        hello = page.text("hello")
        assert (hello["session"], hello["driver"], hello["settings"]["player"]) == (session, True, "human")
        assert page.shot().number >= last
        assert page.shot(lambda header: header["frame"] > last + 2).header["action"] == NOOP  # nothing is held any more


def test_a_page_that_stops_reading_delays_nobody(served: Served) -> None:
    with Player(served, "reader") as page:
        session = page.text("hello")["session"]
        with socket.create_connection(("127.0.0.1", served.port), PATIENCE) as stuck:
            stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
            key = base64.b64encode(bytes(16)).decode()
            stuck.sendall(
                f"GET /session?client=stuck&session={session} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\n"
                f"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode()
            )
            start = page.shot(lambda header: header["viewers"] == 2).number
            page.set("speed", 60)
            assert page.shot(lambda header: header["frame"] >= start + 60).header["viewers"] == 2
        page.shot(lambda header: header["viewers"] == 1)


def test_the_same_seed_and_buttons_give_the_same_frames_in_another_game(served: Served) -> None:
    def course(client: str) -> list[bytes]:
        with Player(served, client) as player:
            player.set("paused", True)
            player.set("player", "human")
            player.set("seed", 5)
            player.settings("seed", 5)
            first = player.shot(lambda header: header["action"] is None)
            shots: list[Shot] = [first]
            for button in ("LEFT", "RIGHT", "LEFT"):
                player.send("buttons", held=[], pressed=[button])
                player.send("step")
                number = shots[-1].number
                shots.append(player.shot(lambda header, number=number: header["frame"] > number))
            return [shot.images[0].tobytes() for shot in shots]

    assert course("first") == course("second")
