"""Server-sent events: the pieces of an answer's body to the JSON objects that they carry.

Only what chat servers send of the format (WHATWG HTML, section 9.2): `data:` lines, an empty line after each
event, comments as signs of life. Lines are cut at bytes, so a character may be split between two pieces.
"""

import json
from collections.abc import Iterable, Iterator
from typing import Any

from aigc_cli.errors import EngineError

DONE = b"[DONE]"
MOST_LINE_BYTES = 16 << 20
_FIELDS = (b"data", b"error")  # llama-server has told of errors in a field of that name


def objects(pieces: Iterable[bytes]) -> Iterator[dict[str, Any] | None]:
    """The objects of a stream; None stands for its `[DONE]`.

    Raises:
        EngineError: a line is no JSON object, or has no end.
    """
    payload: list[bytes] = []
    for line in _lines(pieces):
        name, _, value = line.partition(b":")
        if name in _FIELDS:
            payload.append(value.removeprefix(b" "))
        elif not line and payload:
            yield _parse(b"\n".join(payload))
            payload = []
    if payload:  # the last event lacks its empty line
        yield _parse(b"\n".join(payload))


def _lines(pieces: Iterable[bytes]) -> Iterator[bytes]:
    held = bytearray()
    for piece in pieces:
        searched = len(held)
        held += piece
        start = 0
        while (end := held.find(b"\n", max(start, searched))) >= 0:
            yield bytes(held[start:end]).removesuffix(b"\r")
            start = end + 1
        del held[:start]
        if len(held) > MOST_LINE_BYTES:
            raise EngineError(f"a line of the server's answer is longer than {MOST_LINE_BYTES >> 20} MB")
    if held:
        yield bytes(held)


def _parse(payload: bytes) -> dict[str, Any] | None:
    return None if payload.strip() == DONE else parse_object(payload)


def parse_object(payload: bytes) -> dict[str, Any]:
    """One JSON object.

    Raises:
        EngineError: it is none.
    """
    try:
        value = json.loads(payload)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        begin = payload[:60].decode("utf-8", "replace")
        raise EngineError(f"the server's answer is garbled: {begin!r}", "is base_url a chat server?")
    return value
