"""Ctrl-C and closing: a reply ends within 100 ms, here and on the server."""

import signal
import threading
import time
from typing import TYPE_CHECKING

import pytest

from aigc_cli.errors import (
    EngineError,
    Interrupted,
)
from aigc_cli.events import Delta, Done, FinishReason
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


def cancelled_after(pieces: list[Piece], seconds: float) -> tuple[list[object], float, bool]:
    """The events of a cancelled reply, how long it went on, and whether the server noticed."""
    with ReplayingServer.on_tcp({CHAT: pieces}) as server:
        engine = known_engine(server.url)
        moments: list[float] = []

        def cancel() -> None:
            moments.append(time.monotonic())
            engine.cancel()

        timer = threading.Timer(seconds, cancel)
        timer.start()
        events: list[object] = list(engine.stream(chat()))
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
    events, took, noticed = cancelled_after(pieces, 0.15)
    assert isinstance(events[-1], Done)
    assert events[-1].finish_reason is FinishReason.INTERRUPTED
    assert text_of(each for each in events if isinstance(each, Delta)) == text
    assert took < PROMPT_S
    assert noticed


def test_ctrl_c_in_the_thread_that_reads() -> None:
    with ReplayingServer.on_tcp({CHAT: [STREAM_HEAD, event(delta("one")), 30.0]}) as server:
        engine = known_engine(server.url)
        previous = signal.signal(signal.SIGALRM, lambda *_: engine.cancel())
        signal.setitimer(signal.ITIMER_REAL, 0.15)
        try:
            started = time.monotonic()
            events = list(engine.stream(chat()))
        finally:
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
        threading.Timer(0.1, engine.cancel).start()
        assert done_of(engine.stream(chat())).finish_reason is FinishReason.INTERRUPTED
        engine.cancel()  # with nothing at work: harmless
        assert text_of(engine.stream(chat())) == "whole"


def test_a_question_for_the_window_can_be_cancelled_too() -> None:
    with ReplayingServer.on_tcp({"/props": [30.0]}) as server:
        engine = engine_at(server.url)
        threading.Timer(0.1, engine.cancel).start()
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
        threading.Timer(0.1, engine.cancel).start()
        stats = done_of(engine.stream(chat())).stats
    assert (stats.prompt_tokens, stats.cached_tokens, stats.reply_tokens) == (90, 10, 1)
