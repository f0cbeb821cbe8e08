"""A server that replays answers byte for byte, over TCP or a Unix socket, and remembers what it was asked."""

import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

Piece = bytes | float  # bytes to send, or seconds to wait
Route = Sequence[Piece] | Callable[["Seen"], Sequence[Piece]]


@dataclass(frozen=True, slots=True)
class Seen:
    """One request as it came."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: Any


def answer(value: Any, status: str = "200 OK", kind: str = "application/json", **headers: str) -> list[Piece]:
    """A whole answer with a length."""
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    extra = "".join(f"{name.replace('_', '-')}: {text}\r\n" for name, text in headers.items())
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n{extra}\r\n"
    return [head.encode() + body]


STREAM_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def chunked(body: bytes) -> bytes:
    """One chunk of a body in chunks."""
    return b"%x\r\n%s\r\n" % (len(body), body)


def event(value: Any) -> bytes:
    """One server-sent event, as a chunk."""
    return chunked(b"data: " + json.dumps(value, ensure_ascii=False).encode() + b"\n\n")


END = chunked(b"data: [DONE]\n\n") + b"0\r\n\r\n"


def stream(*values: Any) -> list[Piece]:
    """A stream of objects; numbers are pauses in seconds."""
    pieces = [value if isinstance(value, float | bytes) else event(value) for value in values]
    return [STREAM_HEAD, *pieces, END]


def delta(text: str, **more: Any) -> dict[str, Any]:
    """A chunk of a chat with a piece of text."""
    return {"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}], **more}


def finish(reason: str = "stop", **more: Any) -> dict[str, Any]:
    """The last chunk of a chat."""
    return {"choices": [{"index": 0, "delta": {}, "finish_reason": reason}], **more}


def models(*names: str, **more: Any) -> list[Piece]:
    """An answer of /v1/models."""
    return answer({"object": "list", "data": [{"id": name, "object": "model", **more} for name in names]})


@dataclass
class ReplayingServer:
    """Answers each path with its pieces, in its own thread.

    Attributes:
        hung_up: a reader went away before its answer was finished.
    """

    routes: dict[str, Route]
    listener: socket.socket
    seen: list[Seen] = field(default_factory=list)
    hung_up: threading.Event = field(default_factory=threading.Event)
    _closing: threading.Event = field(default_factory=threading.Event)

    @classmethod
    def on_tcp(cls, routes: dict[str, Route]) -> "ReplayingServer":
        return cls(routes, socket.create_server(("127.0.0.1", 0)))

    @classmethod
    def on_tls(cls, routes: dict[str, Route], certificate: Path, key: Path) -> "ReplayingServer":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        plain = socket.create_server(("127.0.0.1", 0))
        return cls(routes, context.wrap_socket(plain, server_side=True))

    @classmethod
    def on_unix(cls, routes: dict[str, Route], path: Path) -> "ReplayingServer":
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(path))
        listener.listen()
        return cls(routes, listener)

    @property
    def url(self) -> str:
        place = self.listener.getsockname()
        scheme = "https" if isinstance(self.listener, ssl.SSLSocket) else "http"
        return f"unix:{place}" if isinstance(place, str) else f"{scheme}://127.0.0.1:{place[1]}"

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self.listener.shutdown(socket.SHUT_RDWR)
        self._thread.join(timeout=5)
        self.listener.close()

    def bodies(self, path: str) -> list[Any]:
        return [each.body for each in self.seen if each.path == path]

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            request = _read_request(connection)
            if request is None:
                return
            self.seen.append(request)
            route = self.routes.get(request.path)
            if route is None:
                route = answer({"error": {"message": "File Not Found"}}, "404 Not Found")
            try:
                self._replay(connection, route(request) if callable(route) else route)
            except OSError:
                self.hung_up.set()

    def _replay(self, connection: socket.socket, pieces: Sequence[Piece]) -> None:
        for piece in pieces:
            if isinstance(piece, bytes):
                connection.sendall(piece)
                continue
            deadline = time.monotonic() + piece
            connection.settimeout(0.01)
            while time.monotonic() < deadline and not self._closing.is_set():
                try:
                    if connection.recv(1) == b"":
                        raise BrokenPipeError
                except TimeoutError:
                    continue
            connection.settimeout(None)


def _read_request(connection: socket.socket) -> Seen | None:
    held = b""
    while b"\r\n\r\n" not in held:
        more = connection.recv(65_536)
        if not more:
            return None
        held += more
    head, _, body = held.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    method, path, _ = first.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    while len(body) < int(headers.get("content-length", 0)):
        body += connection.recv(65_536)
    return Seen(method, path, headers, json.loads(body) if body else None)
