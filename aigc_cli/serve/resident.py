"""An engine that lives in the background, and outlives the commands that use it and its own crashes."""

from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import TypeVar

from aigc_cli.engine.base import Engine, EngineInfo, Request
from aigc_cli.errors import EngineError, ServerGone, ServerUnreachable
from aigc_cli.events import EngineDied, Event
from aigc_cli.serve.recovery import Repeatable
from aigc_cli.serve.residence import Residence

_MOST_DEATHS = 2  # of engines, on one request
_MOST_LEAVINGS = 3  # it can leave between two requests, not again and again
_Gone = (ServerUnreachable, ServerGone)

T = TypeVar("T")


class ResidentEngine:
    """The client's side of a resident engine.

    When the engine dies at work it is started again, and the request goes on where it was.

    Args:
        residence: finds and starts it.
        connect: an engine that speaks to a socket.
        draw_seed: gives a number below its argument.
    """

    def __init__(
        self,
        residence: Residence,
        connect: Callable[[Path], Engine],
        draw_seed: Callable[[int], int],
    ) -> None:
        """Reach the engine, and start it where there is none.

        Raises:
            AigcError: the model can't be loaded, or the process can't be started.
        """
        self._residence = residence
        self._connect = connect
        self._draw_seed = draw_seed
        self._unreported_death = ""  # found out where there are no events to say so
        self._remote, self._pid = self._reach()

    def _reach(self) -> tuple[Engine, int]:
        found = self._residence.reach()
        return self._connect(found.socket), found.pid

    def _reach_again(self) -> None:
        self._remote.close()
        self._remote, self._pid = self._reach()

    @property
    def info(self) -> EngineInfo:
        """The model at work and its limits."""
        return self._asked(lambda remote: remote.info)

    def stream(self, request: Request) -> Iterator[Event]:
        """Yield the events of one reply; see `Engine.stream`."""
        return self._outliving(Repeatable(request, self._draw_seed))

    def _outliving(self, repeatable: Repeatable) -> Iterator[Event]:
        if self._unreported_death:
            yield EngineDied(self._unreported_death)
            self._unreported_death = ""
        losses = _Losses()
        while True:
            try:
                yield from self._events(repeatable)
            except _Gone as error:
                cause = self._cause_of(error, losses, is_begun=repeatable.is_begun)
                if cause:
                    yield EngineDied(cause)
                self._reach_again()
                repeatable.repeat()
            else:
                return

    def _events(self, repeatable: Repeatable) -> Iterator[Event]:
        if repeatable.is_complete:
            yield repeatable.end()
            return
        events = self._remote.stream(repeatable.request)
        try:
            for event in events:
                yield from repeatable.take(event)
        finally:
            if isinstance(events, Generator):
                events.close()  # the server sees it; garbage collection would close it at any time

    def count(self, request: Request) -> int:
        """Length of the request's prompt in tokens."""
        return self._asked(lambda remote: remote.count(request))

    def _asked(self, question: Callable[[Engine], T]) -> T:
        """An answer of the engine, outside a reply."""
        losses = _Losses()
        while True:
            try:
                return question(self._remote)
            except _Gone as error:
                cause = self._cause_of(error, losses, is_begun=False)
                self._unreported_death = cause or self._unreported_death
                self._reach_again()

    def _cause_of(self, error: EngineError, losses: "_Losses", *, is_begun: bool) -> str:
        """Why the engine died; empty when it left in order, as it does after a while without work.

        By itself it leaves between two requests: one that leaves in the middle of this one was told to.

        Raises:
            EngineError: it is alive, it was stopped in the middle of this reply, or it died again.
        """
        if self._residence.is_gone_in_order():
            losses.n_leavings += 1
            if is_begun or losses.n_leavings > _MOST_LEAVINGS:
                raise EngineError("the engine was stopped", "ask again: it starts by itself") from error
            return ""
        if self._residence.is_alive(self._pid):
            raise error
        losses.n_deaths += 1
        cause = self._residence.cause_of_death()
        if losses.n_deaths == _MOST_DEATHS:
            raise EngineError(f"the engine died twice on this request: {cause}", "aigc engine log") from error
        return cause

    def cancel(self) -> None:
        """End the request at work; harmless when there is none."""
        self._remote.cancel()

    def close(self) -> None:
        """Leave the engine to others. Closing twice is harmless."""
        self._remote.close()

    def retire(self) -> None:
        """Leave the engine, and end it where nobody else has used it."""
        self.close()
        self._residence.retire()


class _Losses:
    """How often a request has lost its engine."""

    def __init__(self) -> None:
        self.n_deaths = 0
        self.n_leavings = 0
