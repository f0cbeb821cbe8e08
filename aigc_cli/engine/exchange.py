"""One HTTP/1.1 request and its answer over a connection (RFC 9112): as much of it as a client needs."""

import contextlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from aigc_cli.engine.connection import Connection
from aigc_cli.errors import EngineError, ServerGone, ServerUnreachable

_MOST_HEAD_BYTES = 65_536
_MOST_CHUNK_LINE_BYTES = 4096
_HEX_DIGITS = set(b"0123456789abcdefABCDEF")
_FINAL = 200  # statuses below it announce the real one


@dataclass(frozen=True, slots=True)
class Call:
    """What to ask of a server.

    Attributes:
        headers: beside those that every request has.
        body: JSON, or None for a GET.
    """

    path: str
    host: str
    headers: Mapping[str, str]
    body: Mapping[str, Any] | None = None

    def encode(self) -> bytes:
        """The bytes of the request. Text that is no Unicode is sent with question marks."""
        body = b""
        lines = [f"{'GET' if self.body is None else 'POST'} {self.path} HTTP/1.1", f"Host: {self.host}"]
        lines += ["User-Agent: aigc", "Accept: application/json, text/event-stream"]
        lines += ["Accept-Encoding: identity", "Connection: close"]
        if self.body is not None:
            body = json.dumps(self.body, ensure_ascii=False, allow_nan=False).encode("utf-8", "replace")
            lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        return "\r\n".join((*lines, "", "")).encode("latin-1") + body


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server says: its status, headers (names in small letters), and the bytes as they come."""

    status: int
    headers: Mapping[str, str]
    body: Iterator[bytes]


@dataclass(slots=True)
class Patience:
    """How many seconds to wait for the next bytes; who reads an answer changes it as it goes on."""

    seconds: float


def exchange(connection: Connection, call: Call, patience: Patience) -> Answer:
    """Send a request and read the head of the answer.

    Raises:
        ServerUnreachable: the server hung up without a word.
        ServerGone: it broke off in the head, or took too long.
        EngineError: that is no HTTP.
    """
    with contextlib.suppress(OSError):  # refused half-way, with an answer that says why, or without one
        connection.send(call.encode(), patience.seconds)
    reader = _Reader(connection, patience)
    while True:
        status, headers = _parse_head(reader.head(), call.host)
        if status >= _FINAL:
            return Answer(status, headers, reader.body(headers))


def _parse_head(head: bytes, host: str) -> tuple[int, dict[str, str]]:
    first, *lines = head.decode("latin-1").splitlines()
    version, _, rest = first.partition(" ")
    status = rest[:3]
    if not version.startswith("HTTP/1.") or not status.isdecimal():
        raise EngineError(f"{host} does not speak HTTP", "check the port in base_url; is it https://?")
    pairs = (line.partition(":") for line in lines)
    return int(status), {name.strip().lower(): value.strip() for name, _, value in pairs}


class _Reader:
    """Takes an answer apart as its bytes come."""

    def __init__(self, connection: Connection, patience: Patience) -> None:
        self._connection = connection
        self._patience = patience
        self._held = b""

    def head(self) -> bytes:
        """Everything up to the empty line."""
        searched = 0
        while (end := self._held.find(b"\r\n\r\n", searched)) < 0:
            if len(self._held) > _MOST_HEAD_BYTES:
                raise EngineError("the server's answer has no end of its headers", "check base_url")
            searched = max(0, len(self._held) - 3)
            if not (more := self._receive()):
                if self._held:
                    raise ServerGone("the server broke off in the middle of its headers", "look at its log")
                raise ServerUnreachable("the server hung up without an answer", "look at its log")
            self._held += more
        head, self._held = self._held[:end], self._held[end + 4 :]
        return head

    def body(self, headers: Mapping[str, str]) -> Iterator[bytes]:
        """The pieces of the body, each as soon as it is there."""
        if headers.get("transfer-encoding", "").lower().endswith("chunked"):
            return self._chunks()
        length = headers.get("content-length", "")
        return self._exactly(int(length)) if length.isdecimal() else self._rest()

    def _rest(self) -> Iterator[bytes]:
        while piece := self._take():
            yield piece

    def _exactly(self, n_bytes: int) -> Iterator[bytes]:
        while n_bytes:
            piece = self._take(n_bytes) or _broken()
            n_bytes -= len(piece)
            yield piece

    def _chunks(self) -> Iterator[bytes]:
        while size := self._chunk_size():
            yield from self._exactly(size)
            self._line()

    def _chunk_size(self) -> int:
        text = self._line().partition(b";")[0].strip()
        if not text or not set(text) <= _HEX_DIGITS:
            raise EngineError("the server's answer is garbled: no size of a chunk", "look at its log")
        return int(text, 16)

    def _line(self) -> bytes:
        while (end := self._held.find(b"\n")) < 0:
            if len(self._held) > _MOST_CHUNK_LINE_BYTES:
                raise EngineError("the server's answer is garbled: no end of a chunk", "look at its log")
            self._held += self._receive() or _broken()
        line, self._held = self._held[:end], self._held[end + 1 :]
        return line

    def _take(self, n_bytes: int | None = None) -> bytes:
        held = self._held or self._receive()
        piece = held if n_bytes is None else held[:n_bytes]
        self._held = held[len(piece) :]
        return piece

    def _receive(self) -> bytes:
        return self._connection.receive(self._patience.seconds)


def _broken() -> bytes:
    raise ServerGone("the server broke off in the middle of its answer", "look at its log, and try again")
