"""The server: which files and pages it gives to whom, and what strangers may use up."""

import base64
import contextlib
import http.client
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import pytest
import tiny_runs
from conftest import COMMAND
from playing import PATIENCE, Player, Served, serving
from websockets.exceptions import ConnectionClosed

from diamond.errors import ConfigError
from diamond.play.server.listening import bind
from diamond.play.server.room import FULL, IDLE, REFUSED
from diamond.play.server.room_manager import Limits

PAGE = {file.name: file.read_bytes() for file in resources.files("diamond.play").joinpath("web").iterdir()}
GOING_AWAY = 1012
TYPES = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    """A server on this machine's own address, shared by the tests that leave no session behind."""
    with serving() as server:
        yield server


@pytest.fixture(scope="module")
def open_served() -> Iterator[Served]:
    """A server that listens on every address, and so asks for a token."""
    with serving(host="0.0.0.0") as server:
        yield server


def get(served: Served, path: str, method: str = "GET", host: str | None = None) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and content; the path is sent as it stands, the Host header as given."""
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", served.port, timeout=PATIENCE)) as line:
        line.request(method, path, headers={} if host is None else {"Host": host})
        answer = line.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()


@pytest.mark.parametrize("name", PAGE)
def test_every_file_of_the_page_is_served_with_its_type(served: Served, name: str) -> None:
    status, headers, content = get(served, f"/{name}")
    assert (status, content) == (200, PAGE[name])
    assert headers["content-type"].split(";")[0] == TYPES[name.rpartition(".")[2]]


def test_the_page_stands_at_the_root_and_loads_nothing_from_elsewhere(served: Served) -> None:
    status, headers, content = get(served, "/")
    assert (status, content) == (200, PAGE["index.html"])
    assert "default-src 'self'" in headers["content-security-policy"]
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == "no-cache"


@pytest.mark.parametrize(
    "path",
    [
        "/nothing",
        "/server.py",
        "/../server.py",
        "/web/../server.py",
        "/%2e%2e/server.py",
        "/..%2fserver.py",
        "/..%5cserver.py",
        "//etc/passwd",
        "/index.html/..",
        "/index.html%00.js",
        "/session",
        "/?/../server.py#",
    ],
)
def test_nothing_else_is_served(served: Served, path: str) -> None:
    status, _, content = get(served, path)
    if path.startswith("/?"):
        assert (status, content) == (200, PAGE["index.html"])
    else:
        assert status == 404
    assert b"import" not in content or content == PAGE["index.html"]


def test_files_are_only_read(served: Served) -> None:
    assert [get(served, "/", method)[0] for method in ("POST", "PUT", "DELETE")] == [405] * 3
    status, headers, content = get(served, "/", "HEAD")
    assert (status, headers["content-length"], content) == (200, str(len(PAGE["index.html"])), b"")


@pytest.mark.parametrize("host", ["localhost", "localhost:1", "127.0.0.1:80", "127.9.9.9", "[::1]:8000", "LOCALHOST"])
def test_every_name_of_this_machine_leads_to_the_page(served: Served, host: str) -> None:
    assert get(served, "/", host=host)[0] == 200


STRANGE_HOSTS = [
    "example.com",
    "localhost.example.com",
    "127.0.0.1.example.com",
    "example.com:80",
    "192.168.0.1",
    "0.0.0.0",
    "",
    "[",
    "[::1",
    "127.0.0.1@example.com",
]


@pytest.mark.parametrize("host", STRANGE_HOSTS)
def test_another_name_may_have_been_made_to_lead_here_and_is_refused(served: Served, host: str) -> None:
    assert get(served, "/", host=host)[0] == 403
    assert closed_with(served, host) == REFUSED


def closed_with(served: Served, host: str) -> int:
    """The code with which a WebSocket is closed at once that came under this name, be it one or not."""
    request = f"GET /session?client=tester HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    key = base64.b64encode(bytes(16)).decode()
    request += f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", served.port), PATIENCE) as line, line.makefile("rb") as answer:
        line.sendall(request.encode())
        assert b"101" in answer.readline()
        while answer.readline() != b"\r\n":
            pass
        kind, length = answer.read(2)
        assert kind == 0x88  # a close frame
        return int.from_bytes(answer.read(length)[:2], "big")


@pytest.mark.parametrize("origin", ["http://example.com", "https://127.0.0.1:1", "null", "http://[", ""])
def test_the_page_of_another_server_cannot_play(served: Served, origin: str) -> None:
    with Player(served, origin=origin) as page:
        assert page.farewell() == (REFUSED, "The server takes only its own page.")


def test_the_servers_own_page_can_play(served: Served) -> None:
    with Player(served, origin=served.address.rstrip("/")) as page:
        assert page.text("hello")["driver"]


@pytest.mark.parametrize("client", ["", "a" * 65, "white space", "ä", "<script>"])
def test_a_page_must_give_an_id_that_is_one(served: Served, client: str) -> None:
    with Player(served, client=client) as page:
        assert page.farewell() == (REFUSED, "The page gave no id of its own: reload it.")


def test_on_an_open_address_only_the_printed_token_lets_in(open_served: Served) -> None:
    token = open_served.token
    assert token is not None and len(token) >= 20
    assert get(open_served, "/", host="example.com")[0] == 200  # the files hold no secrets
    with Player(open_served, named="example.com") as page:
        assert page.text("hello")["driver"]
    for wrong in ("wrong", token[:-1], token + "x", "ä"):
        with Player(open_served, token=wrong) as page:
            code, reason = page.farewell()
            assert code == REFUSED and "right token" in reason
    with Player(open_served, origin="http://example.com") as page:
        assert page.farewell()[0] == REFUSED


def test_each_start_has_a_token_of_its_own_and_this_machine_needs_none(served: Served, open_served: Served) -> None:
    with serving(host="0.0.0.0") as other:
        assert other.token != open_served.token
    assert served.token is None


def test_too_many_games_and_too_many_viewers_are_told_so() -> None:
    with serving(limits=Limits(sessions=1, viewers=2)) as served, Player(served, "first") as first:
        session = first.text("hello")["session"]
        with Player(served, "other") as other:
            assert other.farewell() == (FULL, "The server is full: it takes no more than 1 games. Try again later.")
        with Player(served, "second", session) as second, Player(served, "third", session) as third:
            assert not second.text("hello")["driver"]
            code, reason = third.farewell()
            assert code == FULL and "no more than 2 viewers" in reason
            with Player(served, "first", session) as again:  # comes back, perhaps before its loss was noticed
                assert again.text("hello")["driver"]
        with Player(served, "third", session) as third:  # one has gone
            assert third.text("hello")["session"] == session


def test_a_game_in_which_nothing_happens_is_ended_and_makes_room() -> None:
    with serving(limits=Limits(sessions=1, idle_seconds=0.5)) as served:
        for _ in range(2):
            with Player(served) as page:
                code, reason = page.farewell()
                assert code == IDLE and "ended" in reason


def test_a_game_that_all_have_left_waits_for_them_a_while_and_then_makes_room() -> None:
    with serving(limits=Limits(sessions=1, empty_seconds=3.0)) as served:
        with Player(served) as page:
            session = page.text("hello")["session"]
        with Player(served, session=session) as page:
            assert page.text("hello")["session"] == session
        code = FULL
        while code == FULL:  # until it is given up
            with Player(served, "other") as page, contextlib.suppress(ConnectionClosed):
                assert page.text("hello")["session"] != session
                code = 0


@pytest.mark.parametrize(
    ("name", "value"),
    [("sessions", 0), ("viewers", -1), ("idle_seconds", 0.0), ("idle_seconds", float("nan")), ("empty_seconds", -1.0)],
)
def test_limits_are_positive(name: str, value: float) -> None:
    with pytest.raises(ConfigError, match=f"{name} is {value}: use a positive number"):
        Limits(**{name: value})


def test_a_port_that_is_taken_is_told_with_the_remedy() -> None:
    with contextlib.closing(bind("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=f"--port {port} .*: choose another --port, 0 for any that is free"):
            bind("127.0.0.1", port)


@pytest.mark.parametrize("port", [-1, 65536])
def test_a_port_that_cannot_be_is_told_likewise(port: int) -> None:
    with pytest.raises(ConfigError, match=f"--port {port} .*choose another --port"):
        bind("127.0.0.1", port)


def test_an_address_of_another_machine_is_told_likewise() -> None:
    with pytest.raises(ConfigError, match="cannot listen on --host 192.0.2.1"):
        bind("192.0.2.1", 0)


def snapshot(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a second, which nothing may change."""
    return tiny_runs.start(tmp_path_factory.mktemp("play") / "run").path


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_the_command_plays_a_run_until_it_is_told_to_end_and_writes_nothing(
    run: Path, tmp_path: Path, end: signal.Signals
) -> None:
    before = snapshot(run)
    words = [*COMMAND, "play", str(run), "--port", "0", "--device", "cpu"]
    process = subprocess.Popen(
        words, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8"
    )
    try:
        assert process.stdout is not None
        printed = process.stdout.readline()
        found = re.fullmatch(r"play .* at (http://127\.0\.0\.1:\d+/)   \(Ctrl-C ends\)\n", printed)
        assert found is not None, printed
        with Player(Served(found[1])) as page:
            page.set("world", "both")
            page.shot(lambda header: len(header["views"]) == 2)
            process.send_signal(end)
            assert page.farewell()[0] == GOING_AWAY
        out, err = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
        process.communicate()
    assert (process.returncode, out, err) == (0, "diamond: ended\n", "")
    assert snapshot(run) == before
    assert list(tmp_path.iterdir()) == []
