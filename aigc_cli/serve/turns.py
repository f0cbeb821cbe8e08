"""One engine for many clients: it runs one request at a time, in a thread, and the others wait in line."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Self

from aigc_cli.engine.base import Engine, Request
from aigc_cli.events import Event, Queued
from aigc_cli.serve.line import Line
from aigc_cli.serve.refusals import Refused

MOST_WAITING = 64  # requests
SHARE = 2  # one client may fill 1/SHARE of the line
RETRY_AFTER_S = 2
NUDGE_S = 0.05  # a cancellation that comes before the engine has begun is lost: it is said until it is heard

Watch = Callable[[Event], None]


class Turn:
    """One request's way through the line and the engine.

        with turns.enter(request, client) as turn:
            async for event in turn.events():
                ...

    Leaving the block early cancels the request, waiting or running. All methods belong to the event loop.
    """

    def __init__(self, turns: "Turns", request: Request, client: str) -> None:
        self._turns = turns
        self.request = request
        self.client = client
        self.cancelled = threading.Event()
        self.done = False
        self._events: asyncio.Queue[Event | None] = asyncio.Queue()
        self._moved = asyncio.Event()
        self._started = False
        self._error: BaseException | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._turns.leave(self)

    async def events(self) -> AsyncIterator[Event]:
        """`Queued` each time the place in line changes, then what the engine says.

        Raises:
            AigcError: the engine's own, or `Refused` when the server closes before this one's turn.
        """
        told = None
        while not self._started and not self.done:
            self._moved.clear()
            ahead = self._turns.ahead_of(self)
            if ahead != told:
                told = ahead
                yield Queued(ahead)
                continue  # the place may have changed while that was sent
            await self._moved.wait()
        while (event := await self._events.get()) is not None:
            yield event
        if self._error is not None:
            raise self._error

    def cancel(self) -> None:
        """Ask the engine to stop; its last events still come."""
        self._turns.cancel(self)

    def begin(self) -> None:
        """It is this one's turn."""
        self._started = True
        self._moved.set()

    def move(self) -> None:
        """The line has moved."""
        self._moved.set()

    def put(self, event: Event) -> None:
        """Hand an event over."""
        self._turns.show(event)
        self._events.put_nowait(event)

    def end(self, error: BaseException | None = None) -> None:
        """There will be no more events."""
        self.done = True
        self._error = error
        self._events.put_nowait(None)
        self._moved.set()


class Turns:
    """Lets requests through to the engine, one at a time and fairly.

    Everything but the engine's own work happens in the event loop, so there is no lock.
    """

    def __init__(
        self, engine: Engine, *, most_waiting: int = MOST_WAITING, watch: Watch | None = None
    ) -> None:
        self._engine = engine
        self._most_waiting = most_waiting
        self._watch = watch
        self._line: Line[Turn] = Line()
        self._running: Turn | None = None
        self._closing = False
        self._idle = asyncio.Event()
        self._idle.set()
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="engine")

    def show(self, event: Event) -> None:
        """Let whoever counts see an event."""
        if self._watch:
            self._watch(event)

    @property
    def is_busy(self) -> bool:
        """Whether a request runs."""
        return self._running is not None

    @property
    def n_waiting(self) -> int:
        """How many requests wait."""
        return len(self._line)

    def enter(self, request: Request, client: str) -> Turn:
        """Queue a request; use the result in a `with` block.

        Raises:
            Refused: the server closes, the line is full, or this client has filled its share of it.
        """
        if self._closing:
            raise _closing()
        if len(self._line) >= self._most_waiting:
            raise Refused(
                503,
                "unavailable_error",
                "queue_full",
                f"{len(self._line)} requests wait already",
                retry_after_s=RETRY_AFTER_S,
            )
        if self._line.waiting(client) >= max(1, self._most_waiting // SHARE):
            raise Refused(
                429,
                "rate_limit_error",
                "too_many_requests",
                f"{self._line.waiting(client)} requests of this client wait already",
                retry_after_s=RETRY_AFTER_S,
            )
        turn = Turn(self, request, client)
        self._line.join(client, turn)
        self._advance()
        return turn

    def ahead_of(self, turn: Turn) -> int:
        """How many requests are served before this one, the running one included."""
        return self._line.in_order().index(turn) + self.is_busy

    def leave(self, turn: Turn) -> None:
        """Forget a request that nobody wants any more; harmless when it is done."""
        self._line.leave(turn.client, turn)
        self.cancel(turn)
        self._tell_the_line()

    def cancel(self, turn: Turn) -> None:
        """End a request if it runs."""
        if turn is self._running and not turn.done:
            turn.cancelled.set()
            self._nudge(turn)

    def cancel_running(self) -> None:
        """End whatever runs."""
        if self._running is not None:
            self.cancel(self._running)

    def _nudge(self, turn: Turn) -> None:
        if turn.done:
            return
        self._engine.cancel()
        asyncio.get_running_loop().call_later(NUDGE_S, self._nudge, turn)

    def _advance(self) -> None:
        """Start whoever is next, unless somebody runs."""
        if self._running is not None:
            return
        turn = self._line.next()
        if turn is None:
            self._idle.set()
            return
        self._idle.clear()
        self._running = turn
        turn.begin()
        loop = asyncio.get_running_loop()
        work = loop.run_in_executor(self._worker, _work, self._engine, turn, loop.call_soon_threadsafe)
        work.add_done_callback(lambda work: self._finish(turn, work.result()))

    def _finish(self, turn: Turn, error: BaseException | None) -> None:
        turn.end(error)
        self._running = None
        self._advance()
        self._tell_the_line()

    def _tell_the_line(self) -> None:
        for turn in self._line.in_order():
            turn.move()

    async def close(self, grace_s: float = 0.0) -> None:
        """Take no more requests, turn away those that wait, and end the running one after so many seconds."""
        self._closing = True
        while (turn := self._line.next()) is not None:
            turn.end(_closing())
        asyncio.get_running_loop().call_later(grace_s, self.cancel_running)
        await self._idle.wait()
        self._worker.shutdown(wait=False)


def _work(
    engine: Engine, turn: Turn, call_in_loop: Callable[[Callable[[Event], None], Event], object]
) -> BaseException | None:
    """Run one request in the worker thread; gives the error that ended it."""
    if turn.cancelled.is_set():
        return None
    try:
        for event in engine.stream(turn.request):
            call_in_loop(turn.put, event)
    except BaseException as error:  # noqa: BLE001  # raised again where the events are read
        return error
    return None


def _closing() -> Refused:
    return Refused(503, "unavailable_error", "shutting_down", "the server is shutting down")
