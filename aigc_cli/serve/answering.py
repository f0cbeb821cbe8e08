"""One answer on its way: events to bytes, and the request ends as soon as its client is gone."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any, assert_never

from starlette.types import Message, Receive, Scope, Send

from aigc_cli.events import Delta, Done, EngineDied, Event, Prefill, Queued
from aigc_cli.serve.decoding import Call
from aigc_cli.serve.refusals import Refusal, error_body
from aigc_cli.serve.replies import Candidate, Dialect
from aigc_cli.serve.shortening import Shortening
from aigc_cli.serve.turns import Turn, Turns


def to_json(value: Any) -> bytes:
    """Compact JSON; a text that is no Unicode (a half of a pair) loses that half."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def _event(value: Any) -> bytes:
    return b"data: " + to_json(value) + b"\n\n"


class Answering:
    """An ASGI application that answers one request.

    Until the engine says its first word nothing is sent, so a prompt that does not fit is refused with a
    status of its own.
    """

    def __init__(
        self, turns: Turns, call: Call, dialect: Dialect, client: str, clock: Callable[[], float]
    ) -> None:
        self._turns = turns
        self._call = call
        self._dialect = dialect
        self._client = client
        self._clock = clock

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, unless the client goes away first."""
        gone = asyncio.create_task(_disconnected(receive))
        answer = asyncio.create_task(self._answer(send))
        try:
            await asyncio.wait({gone, answer}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            gone.cancel()
            answer.cancel()
            await asyncio.gather(gone, answer, return_exceptions=True)
        if not answer.cancelled():
            answer.result()

    async def _answer(self, send: Send) -> None:
        with self._turns.enter(self._call.request, self._client) as turn:
            if self._call.wishes.stream:
                await self._stream(turn, send)
            else:
                await self._at_once(turn, send)

    async def _at_once(self, turn: Turn, send: Send) -> None:
        candidates = self._candidates()
        async for event in self._shortened(turn):
            _remember(event, candidates)
        await send_json(send, 200, self._dialect.whole(candidates))

    def _candidates(self) -> list[Candidate]:
        return [Candidate() for _ in range(self._call.request.candidates)]

    async def _shortened(self, turn: Turn) -> AsyncIterator[Event]:
        shortening = Shortening(self._call.wishes, self._clock)
        async for event in turn.events():
            for kept in shortening.keep(event):
                yield kept
            if shortening.is_enough:
                turn.cancel()

    async def _stream(self, turn: Turn, send: Send) -> None:
        chunks = self._chunks(turn)
        first = await anext(chunks)  # what goes wrong before it is told with a status
        await send(
            _start(200, b"text/event-stream", {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"})
        )
        await _send_part(send, first)
        try:
            async for chunk in chunks:
                await _send_part(send, chunk)
        except Exception as error:
            await _send_part(send, _event(error_body(error)))
            await send({"type": "http.response.body", "body": b""})
            raise
        await send(
            {"type": "http.response.body", "body": b"data: [DONE]\n\n" if self._dialect.end_mark else b""}
        )

    async def _chunks(self, turn: Turn) -> AsyncIterator[bytes]:
        dialect, candidates = self._dialect, self._candidates()
        opened, started = False, None
        async for event in self._shortened(turn):
            if not opened:
                opened = True
                for chunk in dialect.opening(len(candidates)):
                    yield _event(chunk)
            if started is None and not isinstance(event, Queued):
                started = self._clock()
            elapsed_ms = (self._clock() - (started or self._clock())) * 1000
            written = self._chunk(event, candidates, elapsed_ms)
            _remember(event, candidates)
            yield _event(written) if written else b""
        for chunk in dialect.closing(candidates, include_usage=self._call.wishes.include_usage):
            yield _event(chunk)

    def _chunk(self, event: Event, candidates: list[Candidate], elapsed_ms: float) -> dict[str, Any] | None:
        match event:
            case Queued(ahead):
                return self._dialect.waiting(ahead)
            case Prefill():
                wanted = self._call.wishes.return_progress
                return self._dialect.progress(event, elapsed_ms) if wanted else None
            case Delta():
                return self._dialect.delta(event, candidates[event.candidate])
            case Done() | EngineDied():
                return None
            case _:
                assert_never(event)


def _remember(event: Event, candidates: list[Candidate]) -> None:
    match event:
        case Delta():
            candidate = candidates[event.candidate]
            candidate.text += event.text
            candidate.tokens += event.tokens
        case Done():
            candidates[event.candidate].done = event
        case _:
            pass


async def _disconnected(receive: Receive) -> None:
    """Return when the client is gone; its request was read before."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def send_json(send: Send, status: int, value: Any, headers: dict[str, str] | None = None) -> None:
    """Send a whole response."""
    body = to_json(value)
    await send(_start(status, b"application/json", (headers or {}) | {"Content-Length": str(len(body))}))
    await send({"type": "http.response.body", "body": body})


async def send_refusal(send: Send, refusal: Refusal) -> None:
    """Send an error in OpenAI's shape."""
    await send_json(send, refusal.status, {"error": refusal.body}, refusal.headers)


async def _send_part(send: Send, body: bytes) -> None:
    if body:
        await send({"type": "http.response.body", "body": body, "more_body": True})


def _start(status: int, content_type: bytes, headers: dict[str, str]) -> Message:
    encoded = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    return {
        "type": "http.response.start",
        "status": status,
        "headers": [(b"content-type", content_type), *encoded],
    }


class JsonAnswer:
    """An ASGI application that sends one JSON value."""

    def __init__(self, value: Any) -> None:
        self._value = value

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        """Send it."""
        await send_json(send, 200, self._value)
