"""Ctrl-C and closing: a reply ends within 100 ms, here and on the server."""

import signal
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from aigc_cli.errors import (
    EngineError,
    Interrupted,
)
from aigc_cli.events import Delta, Done, Event, FinishReason
from tests.remote.engines import CHAT, chat, done_of, engine_at, known_engine, text_of
from tests.remote.replaying_server import (
    STREAM_HEAD,
    Piece,
    ReplayingServer,
    delta,
    event,
    finish,
    stream,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

PROMPT_S = 15.0  # how soon a cancelled request ends, however busy the machine is: the servers here take 30 s


def soon(server: ReplayingServer, cancel: Callable[[], None], has_come: Callable[[], object]) -> None:
    """Cancel a moment after the server was asked and `has_come`: sooner, there is nothing to cancel."""

    def wait_and_cancel() -> None:
        while not (server.seen and has_come()):
            time.sleep(0.01)
        time.sleep(0.1)
        cancel()

    threading.Thread(target=wait_and_cancel, daemon=True).start()


def cancelled_after(pieces: list[Piece], n_deltas: int) -> tuple[list[Event], float, bool]:
    """The events of a cancelled reply, how long it went on, and whether the server noticed."""
    with ReplayingServer.on_tcp({CHAT: pieces}) as server:
        engine = known_engine(server.url)
        events: list[Event] = []
        moments: list[float] = []

        def cancel() -> None:
            moments.append(time.monotonic())
            engine.cancel()

        soon(server, cancel, lambda: sum(isinstance(each, Delta) for each in events) == n_deltas)
        events.extend(engine.stream(chat()))
        took = time.monotonic() - moments[0]
        return events, took, server.hung_up.wait(20)


@pytest.mark.parametrize(
    ("pieces", "text"),
    [
        ([30.0], ""),
        ([STREAM_HEAD, 30.0], ""),
        ([STREAM_HEAD, event(delta("one")), 30.0], "one"),
        ([STREAM_HEAD, event(delta("one")), b"10\r\nda", 30.0], "one"),
    ],
    ids=["before the head", "in prefill", "in the reply", "in a chunk"],
)
def test_a_cancelled_reply_ends_at_once_and_the_server_stops(pieces: list[Piece], text: str) -> None:
    events, took, noticed = cancelled_after(pieces, len(text) > 0)
    assert isinstance(events[-1], Done)
    assert events[-1].finish_reason is FinishReason.INTERRUPTED
    assert text_of(events) == text
    assert took < PROMPT_S
    assert noticed


def test_ctrl_c_in_the_thread_that_reads() -> None:
    with ReplayingServer.on_tcp({CHAT: [STREAM_HEAD, event(delta("one")), 30.0]}) as server:
        engine = known_engine(server.url)
        previous = signal.signal(signal.SIGALRM, lambda *_: engine.cancel())
        signal.setitimer(signal.ITIMER_REAL, 0.15, 0.15)  # again and again: the first may come too early
        try:
            started = time.monotonic()
            events = list(engine.stream(chat()))
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, previous)
    assert done_of(events).finish_reason is FinishReason.INTERRUPTED
    assert time.monotonic() - started < 0.15 + PROMPT_S


def test_closing_the_stream_tells_the_server() -> None:
    with ReplayingServer.on_tcp({CHAT: [STREAM_HEAD, event(delta("one")), 30.0]}) as server:
        events = known_engine(server.url).stream(chat())
        next(events)
        events.close()  # type: ignore[attr-defined]  # it is a generator
        assert server.hung_up.wait(20)


def test_after_a_cancelled_reply_the_next_one_is_whole() -> None:
    replies: Iterator[list[Piece]] = iter([[STREAM_HEAD, 30.0], stream(delta("whole"), finish())])
    with ReplayingServer.on_tcp({CHAT: lambda _: next(replies)}) as server:
        engine = known_engine(server.url)
        soon(server, engine.cancel, lambda: True)
        assert done_of(engine.stream(chat())).finish_reason is FinishReason.INTERRUPTED
        engine.cancel()  # with nothing at work: harmless
        assert text_of(engine.stream(chat())) == "whole"


def test_a_question_for_the_window_can_be_cancelled_too() -> None:
    with ReplayingServer.on_tcp({"/props": [30.0]}) as server:
        engine = engine_at(server.url)
        soon(server, engine.cancel, lambda: True)
        with pytest.raises(Interrupted):
            _ = engine.info


def test_a_closed_engine_says_so() -> None:
    engine = engine_at("http://127.0.0.1:1")
    engine.close()
    engine.close()
    engine.cancel()
    with pytest.raises(EngineError, match="closed"):
        engine.stream(chat())


def test_an_interrupted_reply_still_tells_how_long_its_prompt_was() -> None:
    progress = {"choices": [], "prompt_progress": {"total": 90, "cache": 10, "processed": 50}}
    with ReplayingServer.on_tcp({CHAT: [STREAM_HEAD, event(progress), event(delta("one")), 30.0]}) as server:
        engine = known_engine(server.url)
        events: list[Event] = []
        soon(server, engine.cancel, lambda: any(isinstance(each, Delta) for each in events))
        events.extend(engine.stream(chat()))
    stats = done_of(events).stats
    assert (stats.prompt_tokens, stats.cached_tokens, stats.reply_tokens) == (90, 10, 1)
