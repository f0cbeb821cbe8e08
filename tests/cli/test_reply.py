import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from aigc_cli.cli.context import AppContext
from aigc_cli.cli.reply import run_reply
from aigc_cli.config import Directories
from aigc_cli.engine.base import Chat, EngineInfo, Message, Request
from aigc_cli.errors import EngineError
from aigc_cli.events import Delta, Done, Event, FinishReason, Stats
from tests.cli.command_line import Stream
from tests.scripted_engine import ScriptedEngine

REQUEST = Request(Chat((Message("user", "hi"),)))


class Recorder:
    """A view that remembers; `on_delta` runs at each piece of text."""

    def __init__(self, on_delta: "list[BaseException | signal.Signals] | None" = None) -> None:
        self.events: list[Event] = []
        self.n_closed = 0
        self._on_delta = on_delta or []

    def show(self, event: Event) -> None:
        self.events.append(event)
        if isinstance(event, Delta) and self._on_delta:
            match self._on_delta.pop(0):
                case signal.Signals() as number:
                    signal.raise_signal(number)
                case BaseException() as error:
                    raise error

    def close(self) -> None:
        self.n_closed += 1


class WatchedEngine(ScriptedEngine):
    """Knows whether its stream was closed before its end, and holds on to it: no garbage collector helps."""

    left_early = False

    def stream(self, request: Request) -> Iterator[Event]:
        self.watched = self._watch(super().stream(request))
        return self.watched

    def _watch(self, events: Iterator[Event]) -> Iterator[Event]:
        try:
            yield from events
        except GeneratorExit:
            self.left_early = True
            raise


class SilentEngine(ScriptedEngine):
    """Breaks the protocol: its stream just ends."""

    def stream(self, request: Request) -> Iterator[Event]:
        yield from list(super().stream(request))[:-1]


class StubbornEngine(ScriptedEngine):
    """Takes its time to stop."""

    def cancel(self) -> None:
        """Goes on as if nothing were."""


@pytest.fixture
def app(tmp_path: Path) -> AppContext:
    clock = iter(range(1000))
    return AppContext(
        stdin=Stream(),
        stdout=Stream(),
        stderr=Stream(),
        cwd=tmp_path,
        env={},
        directories=Directories.from_environment({"AIGC_HOME": str(tmp_path)}),
        clock=lambda: float(next(clock)),
        now=lambda: 0.0,
        engine_factory=lambda _app, _settings: ScriptedEngine(["ok"]),
    )


def test_every_view_sees_every_event_and_is_closed_once(app: AppContext) -> None:
    first, second = Recorder(), Recorder()
    reply = run_reply(app, ScriptedEngine(["a b"]), REQUEST, [first, second])
    assert first.events == second.events
    assert isinstance(first.events[-1], Done)
    assert (first.n_closed, second.n_closed) == (1, 1)
    assert (reply.text, reply.done, reply.first_token_s) == ("a b", first.events[-1], 1.0)


def test_ctrl_c_ends_the_reply_and_nothing_is_raised(app: AppContext) -> None:
    view = Recorder([signal.SIGINT])
    reply = run_reply(app, ScriptedEngine(["one two three"]), REQUEST, [view])
    assert reply.done.finish_reason is FinishReason.INTERRUPTED
    assert reply.text == "one"
    assert view.n_closed == 1


def test_a_second_ctrl_c_while_the_reply_is_ending_is_raised(app: AppContext) -> None:
    view = Recorder([signal.SIGINT, signal.SIGINT])
    with pytest.raises(KeyboardInterrupt):
        run_reply(app, StubbornEngine(["one two three"]), REQUEST, [view])
    assert view.n_closed == 1


def test_a_ctrl_c_that_an_engine_missed_is_told_again(app: AppContext) -> None:
    class LateEngine(ScriptedEngine):
        n_cancels = 0

        def cancel(self) -> None:
            self.n_cancels += 1
            if self.n_cancels > 1:
                super().cancel()

    engine = LateEngine(["one two three four"])
    reply = run_reply(app, engine, REQUEST, [Recorder([signal.SIGINT])])
    assert reply.done.finish_reason is FinishReason.INTERRUPTED
    assert engine.n_cancels > 1


def test_the_handler_of_before_is_back_after_a_reply(app: AppContext) -> None:
    before = signal.getsignal(signal.SIGINT)
    run_reply(app, ScriptedEngine(["a"]), REQUEST, [])
    assert signal.getsignal(signal.SIGINT) == before


def test_an_ignored_ctrl_c_stays_ignored(app: AppContext) -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        reply = run_reply(app, ScriptedEngine(["one two"]), REQUEST, [Recorder([signal.SIGINT])])
    finally:
        signal.signal(signal.SIGINT, before)
    assert reply.text == "one two"


def test_a_reply_in_another_thread_installs_no_handler(app: AppContext) -> None:
    replies = []
    thread = threading.Thread(
        target=lambda: replies.append(run_reply(app, ScriptedEngine(["a"]), REQUEST, []))
    )
    thread.start()
    thread.join()
    assert replies[0].text == "a"


@pytest.mark.parametrize("error", [BrokenPipeError(), ValueError("a bug in a view")])
def test_a_view_that_fails_stops_the_engine_at_once(app: AppContext, error: Exception) -> None:
    engine, view = WatchedEngine(["one two three"]), Recorder([error])
    with pytest.raises(type(error)):
        run_reply(app, engine, REQUEST, [view])
    assert engine.left_early
    assert view.n_closed == 1


def test_a_stream_that_ends_without_done_is_an_error(app: AppContext) -> None:
    with pytest.raises(EngineError, match="stopped in the middle"):
        run_reply(app, SilentEngine(["a"]), REQUEST, [])


def test_a_reply_without_text_has_no_time_of_its_first_token(app: AppContext) -> None:
    reply = run_reply(app, ScriptedEngine([""], EngineInfo("m", 100)), REQUEST, [])
    assert (reply.text, reply.first_token_s) == ("", None)
    assert reply.done.stats == Stats(3, 0, 0, 0.1, 0.1)
