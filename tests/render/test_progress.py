"""The line while the prompt is read, and the statistics after the reply."""

import io
import os

import pytest

from aigc_cli.events import Delta, Done, FinishReason, Prefill, Queued, Stats
from aigc_cli.render.console import detect_traits
from aigc_cli.render.progress import PrefillProgress, format_duration, stats_line
from tests.render.test_console import XTERM, Tty


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def progress(stream: io.StringIO, clock: Clock, columns: int = 80) -> PrefillProgress:
    return PrefillProgress(
        stream, detect_traits(stream, XTERM, "auto"), clock, lambda: os.terminal_size((columns, 24))
    )


def test_the_line_says_tokens_cached_share_speed_and_time_left() -> None:
    stream, clock = Tty(), Clock()
    line = progress(stream, clock)
    clock.now = 2.0
    line.show(Prefill(done=700, total=1000, cached=500))
    assert stream.getvalue() == "\r\x1b[Kreading 700/1,000 tokens, 50% cached, 100 tok/s, 3 s left"


def test_before_the_first_chunk_the_size_of_the_prompt_is_shown() -> None:
    stream = Tty()
    progress(stream, Clock()).show(Prefill(done=0, total=1000, cached=0))
    assert stream.getvalue() == "\r\x1b[Kreading 0/1,000 tokens"


def test_the_line_is_gone_when_the_reply_begins() -> None:
    stream, clock = Tty(), Clock()
    line = progress(stream, clock)
    line.show(Prefill(0, 1000, 0))
    line.show(Delta("x"))
    assert stream.getvalue().endswith("\r\x1b[K")
    written = stream.getvalue()
    line.show(Delta("y"))
    line.close()
    assert stream.getvalue() == written


def test_a_reply_that_nothing_else_shows_is_counted_four_times_a_second() -> None:
    stream, clock = Tty(), Clock()
    traits = detect_traits(stream, XTERM, "auto")
    size = os.terminal_size((80, 24))
    line = PrefillProgress(stream, traits, clock, lambda: size, counts_reply=True)
    line.show(Delta("a"))
    line.show(Delta("b"))
    clock.now = 1.0
    line.show(Delta("c", n_tokens=3))
    line.show(Done(FinishReason.STOP, Stats()))
    assert stream.getvalue() == "\r\x1b[Kwriting: 1 token\r\x1b[Kwriting: 5 tokens\r\x1b[K"


def test_a_request_that_waits_for_others_says_how_many() -> None:
    stream = Tty()
    line = progress(stream, Clock())
    line.show(Queued(2))
    line.show(Queued(1))
    line.show(Queued(0))
    assert stream.getvalue() == ("\r\x1b[Kwaiting: 2 requests first\r\x1b[Kwaiting: 1 request first\r\x1b[K")


def test_a_prompt_that_is_read_in_no_time_shows_nothing() -> None:
    stream, clock = Tty(), Clock()
    line = progress(stream, clock)
    line.show(Prefill(0, 50, 0))
    clock.now = 0.1
    line.show(Prefill(done=512, total=1024, cached=0))
    assert stream.getvalue() == ""


def test_a_log_file_gets_no_progress() -> None:
    stream = io.StringIO()
    line = progress(stream, Clock())
    line.show(Prefill(0, 100_000, 0))
    line.close()
    assert stream.getvalue() == ""


def test_the_line_never_wraps_in_a_narrow_window() -> None:
    stream = Tty()
    progress(stream, Clock(), columns=20).show(Prefill(0, 100_000, 0))
    assert len(stream.getvalue().removeprefix("\r\x1b[K")) == 19


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 s"), (0.2, "1 s"), (59.5, "1 min 00 s"), (125, "2 min 05 s")]
)
def test_durations_round_up(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


def test_statistics_of_a_reply_that_was_stopped() -> None:
    stats = Stats(prompt_tokens=1204, cached_tokens=1100, reply_tokens=212, prefill_s=1.0833, decode_s=8.797)
    assert stats_line(Done(FinishReason.LOOP, stats)) == (
        "212 tokens, 24.1 tok/s; prompt 1,204 tokens, 1,100 cached, 96 tok/s; stopped: loop"
    )


def test_statistics_leave_out_what_did_not_happen() -> None:
    assert stats_line(Done(FinishReason.STOP, Stats(prompt_tokens=5))) == "0 tokens; prompt 5 tokens"
