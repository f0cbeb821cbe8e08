"""What a reply costs: a moving line while the prompt is read, one line of statistics after the reply."""

import os
from collections.abc import Callable
from typing import TextIO, assert_never

from aigc_cli.events import Delta, Done, EngineDied, Event, FinishReason, Prefill, Queued
from aigc_cli.render.console import ColorDepth, TerminalTraits, sanitize, window_size

WORTH_SHOWING_S = 0.3
# A CPU reads 60-200 tokens a second; until this machine's own speed is known, assume the fast end.
ASSUMED_TOKENS_PER_S = 200.0
UPDATE_EVERY_S = 0.25
_ERASE_LINE = "\r\x1b[K"
_DIM, _PLAIN = "\x1b[2m", "\x1b[0m"


class PrefillProgress:
    """Shows `Prefill` events as one line on stderr, gone without a trace when the reply begins.

    Nothing is shown on a stream that is no terminal or can't move its cursor, nor for a prompt that is read
    in less than 0.3 s.

    Args:
        clock: monotonic seconds.
        size: the window's size when asked; defaults to that of `stderr`.
        counts_reply: the reply itself is not shown while it comes: say how far it is instead.
    """

    def __init__(
        self,
        stderr: TextIO,
        traits: TerminalTraits,
        clock: Callable[[], float],
        size: Callable[[], os.terminal_size] | None = None,
        *,
        counts_reply: bool = False,
    ) -> None:
        self._stream = stderr
        self._enabled = traits.is_terminal and traits.moves_cursor
        self._clock = clock
        self._size = size or (lambda: window_size(stderr))
        self._started_s = clock()
        self._visible = False
        self._counts_reply = counts_reply
        self._n_reply = 0
        self._counted_s = 0.0

    def show(self, event: Event) -> None:
        """Draw or redraw the line for `Queued` and `Prefill`; erase it at anything else.

        That the engine died is a line that stays, on any stream.
        """
        match event:
            case Queued(ahead):
                self._show_place(ahead)
            case Prefill():
                self._draw(event)
            case EngineDied(cause):
                self.close()
                line = " ".join(f"aigc: the engine died, it is started again: {cause}".split())
                self._write(f"{sanitize(line)}\n")
            case Delta() if self._counts_reply:
                self._count(event)
            case Delta() | Done():
                self.close()
            case _:
                assert_never(event)

    def close(self) -> None:
        """Erase the line. Harmless twice."""
        if self._visible:
            self._visible = False
            self._write(_ERASE_LINE)

    def _show_place(self, ahead: int) -> None:
        if ahead and self._enabled:
            self._write_line(f"waiting: {ahead} {'request' if ahead == 1 else 'requests'} first")
        else:
            self.close()
        self._started_s = self._clock()  # the wait is no part of the reading

    def _count(self, event: Delta) -> None:
        self._n_reply += event.n_tokens
        now_s = self._clock()
        if self._enabled and (self._n_reply == event.n_tokens or now_s - self._counted_s >= UPDATE_EVERY_S):
            self._counted_s = now_s
            self._write_line(f"writing: {self._n_reply:,} {'token' if self._n_reply == 1 else 'tokens'}")

    def _draw(self, event: Prefill) -> None:
        elapsed_s = self._clock() - self._started_s
        evaluated = event.done - event.cached
        measured = evaluated > 0 and elapsed_s > 0
        tokens_per_s = evaluated / elapsed_s if measured else ASSUMED_TOKENS_PER_S
        if not self._enabled or (event.total - event.cached) / tokens_per_s <= WORTH_SHOWING_S:
            return
        left_s = (event.total - event.done) / tokens_per_s
        parts = [f"reading {event.done:,}/{event.total:,} tokens"]
        if event.cached:
            parts.append(f"{event.cached / event.total:.0%} cached")
        if measured:
            parts += [f"{tokens_per_s:,.0f} tok/s", f"{format_duration(left_s)} left"]
        self._write_line(", ".join(parts))

    def _write_line(self, text: str) -> None:
        # One column stays free: a full row would wrap, and a wrapped line can't be erased.
        self._write(_ERASE_LINE + text[: self._size().columns - 1])
        self._visible = True

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


class Speedometer:
    """The row that says how fast a reply grows, while it grows."""

    def __init__(self, clock: Callable[[], float], depth: ColorDepth) -> None:
        self._clock = clock
        self._is_dim = depth is not ColorDepth.NONE
        self._n_tokens = 0
        self._started_s: float | None = None
        self._updated_s = 0.0
        self._text = ""

    def count(self, n_tokens: int) -> None:
        """Take in the tokens of one `Delta`; the row changes four times a second, which eyes can follow."""
        now_s = self._clock()
        if self._started_s is None:  # the first token took the prefill's time, not its own
            self._started_s = self._updated_s = now_s
            return
        self._n_tokens += n_tokens
        if now_s - self._updated_s >= UPDATE_EVERY_S:
            self._updated_s = now_s
            self._text = f"{self._n_tokens / (now_s - self._started_s):.1f} tok/s"

    def row(self, columns: int) -> str:
        """The row, in a window so wide."""
        text = self._text[: columns - 1]
        return f"{_DIM}{text}{_PLAIN}" if self._is_dim and text else text


def format_duration(seconds: float) -> str:
    """A duration for a person, rounded up to seconds: `3 s`, `2 min 05 s`."""
    whole = int(-(-seconds // 1))
    minutes, rest = divmod(whole, 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def stats_line(done: Done) -> str:
    """One line of statistics: tokens and speed of the reply and of the prompt, and why it stopped early."""
    stats = done.stats
    reply = [f"{stats.reply_tokens:,} tokens"]
    if stats.decode_tokens_per_s:
        reply.append(f"{stats.decode_tokens_per_s:.1f} tok/s")
    prompt = [f"prompt {stats.prompt_tokens:,} tokens"]
    if stats.cached_tokens:
        prompt.append(f"{stats.cached_tokens:,} cached")
    if stats.prefill_tokens_per_s:
        prompt.append(f"{stats.prefill_tokens_per_s:.0f} tok/s")
    parts = [", ".join(reply), ", ".join(prompt)]
    if done.finish_reason is not FinishReason.STOP:
        parts.append(f"stopped: {done.finish_reason}")
    return "; ".join(parts)
