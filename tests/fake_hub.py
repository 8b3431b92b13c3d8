"""A hub on this machine that speaks as much of the Hugging Face hub's protocol as loading a file needs.

HEAD /OWNER/REPO/resolve/REVISION/PATH           commit, SHA-256 and size, and where the content is: on another host
GET  /content/PATH                               the content, whole or from a byte on
GET  /api/models/OWNER/REPO/tree/REVISION        the names of all files
"""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import unquote, urlsplit

REPO = "eloialonso/diamond"


def commit(number: int) -> str:
    """A commit's name."""
    return f"{number:040x}"


@dataclass
class FakeHub:
    """What the hub has, how it fails, and what it was asked."""

    port: int
    files: dict[str, bytes]
    """The content of the one repository, by path; the same at all commits."""
    revisions: dict[str, str] = field(default_factory=lambda: {"main": commit(1)})
    etags: dict[str, str] = field(default_factory=dict)
    """What is told instead of the SHA-256."""
    sizes: dict[str, int] = field(default_factory=dict)
    """What is told instead of the number of bytes."""
    breaks: int = 0
    """How many of the next answers with content break off, each after half of what is left."""
    lists_files: bool = True
    asked: list[str] = field(default_factory=list)
    """Requests: method, path and, after a space, the range."""

    @property
    def endpoint(self) -> str:
        """The address to give to clients."""
        return f"http://127.0.0.1:{self.port}"

    def downloads(self) -> list[str]:
        """The requests for content."""
        return [request for request in self.asked if request.startswith("GET /content/")]


@contextmanager
def serving(files: dict[str, bytes], port: int = 0) -> Iterator[FakeHub]:
    """A hub with these files until the context is left; then nothing answers at its address."""

    class Handler(_Handler):
        pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    Handler.hub = FakeHub(server.server_port, files)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield Handler.hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    hub: FakeHub

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""

    def do_HEAD(self) -> None:
        self._note()
        owner_and_name, _, rest = unquote(self.path.removeprefix("/")).partition("/resolve/")
        revision, _, path = rest.partition("/")
        if owner_and_name != REPO:
            self._fail("RepoNotFound")
        elif revision not in {*self.hub.revisions, *self.hub.revisions.values()}:
            self._fail("RevisionNotFound")
        elif path not in self.hub.files:
            self._fail("EntryNotFound")
        else:
            content = self.hub.files[path]
            self.send_response(302)
            self.send_header("X-Repo-Commit", self.hub.revisions.get(revision, revision))
            sha256 = self.hub.etags.get(path, hashlib.sha256(content).hexdigest())
            self.send_header("X-Linked-Etag", f'"{sha256}"')
            self.send_header("X-Linked-Size", str(self.hub.sizes.get(path, len(content))))
            # Another host than the hub's, as for large files on the real one.
            self.send_header("Location", f"http://localhost:{self.hub.port}/content/{path}")
            self.send_header("Content-Length", "0")
            self.end_headers()

    def do_GET(self) -> None:
        self._note()
        path = unquote(urlsplit(self.path).path)
        if path.startswith("/content/"):
            self._content(self.hub.files[path.removeprefix("/content/")])
        elif path.startswith(f"/api/models/{REPO}/tree/") and self.hub.lists_files:
            entries = [
                {"type": "file", "path": name, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}
                for name, content in self.hub.files.items()
            ]
            self._send(json.dumps(entries).encode())
        else:
            self._fail("EntryNotFound")

    def _content(self, content: bytes) -> None:
        asked = self.headers.get("Range")
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked else 0
        self.send_response(206 if asked else 200)
        if asked:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        end = len(content)
        if self.hub.breaks:
            self.hub.breaks -= 1
            end = (start + end) // 2
        self.wfile.write(content[start:end])

    def _send(self, content: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _fail(self, code: str) -> None:
        self.send_response(404)
        self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _note(self) -> None:
        extent = self.headers.get("Range")
        self.hub.asked.append(f"{self.command} {self.path}{f' {extent}' if extent else ''}")
