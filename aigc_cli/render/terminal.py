"""A reply as rendered Markdown on a terminal, while it streams.

Rows that are final are written once and never touched again. Below them stands the open tail, the few rows
that more text can change; only from its first changed row on is it drawn anew, in one write for each event.
"""

import os
import re
from collections.abc import Callable
from typing import TextIO, assert_never

from aigc_cli.events import Delta, Done, EngineDied, Event, Prefill, Queued
from aigc_cli.render.console import Sanitizer, TerminalTraits
from aigc_cli.render.drawing import Drawing
from aigc_cli.render.markdown import MarkdownSplitter
from aigc_cli.render.palette import Palette
from aigc_cli.render.progress import Speedometer
from aigc_cli.render.wrap import measure

_SGR = re.compile(r"\x1b\[[0-9;]*m")


class Tail:
    """The open rows at the end of what was written; the cursor stands behind the last of them.

    Each row fits the window, so that it takes one line of the screen.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._rows: list[str] = []

    @property
    def n_rows(self) -> int:
        """How many rows can still be redrawn."""
        return len(self._rows)

    def draw(self, final: list[str], tail: list[str], n_lines: int) -> None:
        """Write `final` in place of the old tail, and below it the new one, in a window of `n_lines` lines.

        Rows that scrolled out of the window can't be redrawn, so of a longer tail only the end is shown.
        """
        tail = tail[-max(1, n_lines - 1) :]
        rows = final + tail
        text = self._change(rows)
        if rows and not tail:
            text += "\r\n"
        self._rows = tail
        if text:
            self._stream.write(text)
            self._stream.flush()

    def stays_in(self, window: os.terminal_size) -> bool:
        """Whether the rows stand where they stood after the window became this one: none was wrapped."""
        cells = (measure(_SGR.sub("", row)) for row in self._rows)
        return len(self._rows) < window.lines and all(n <= window.columns for n in cells)

    def abandon(self, *, erase_last: bool) -> None:
        """Leave the rows as they are and go on below: nobody knows where they stand now.

        The cursor is still in the last one; with `erase_last` that row is no part of the reply and goes.
        """
        if self._rows:
            self._rows = []
            self._stream.write("\r\x1b[2K" if erase_last else "\r\n")
            self._stream.flush()

    def _change(self, rows: list[str]) -> str:
        """What turns the old rows into the new ones."""
        old = self._rows
        same = 0
        while same < min(len(rows), len(old)) and rows[same] == old[same]:
            same += 1
        if same == len(old):
            return "".join(f"\r\n{row}" for row in rows[same:])[0 if old else 2 :]
        if rows and same == len(rows):
            same -= 1  # so that the cursor ends behind the last row
        elif same == len(old) - 1 and rows and rows[same].startswith(old[same]):
            return "\r\n".join(rows[same:])[len(old[same]) :]
        # Line by line, from the bottom: what "erase below" takes away at the top of a window, tmux keeps in
        # its scrollback, where it would stand a second time.
        n_up = len(old) - 1 - same
        return "\r\x1b[2K" + "\x1b[A\x1b[2K" * n_up + "\r\n".join(rows[same:])


class TerminalView:
    """Renders the Markdown of one reply as it comes.

    Without cursor movement (colour asked for in a pipe) there is no tail: a row is written when it is final.

    Args:
        theme: auto, dark, light, ansi or none.
        size: the size of the window at this moment; asked at each event, so that a resize is seen.
        speedometer: shows its row below the reply while that grows.
    """

    def __init__(
        self,
        stream: TextIO,
        *,
        traits: TerminalTraits,
        theme: str,
        size: Callable[[], os.terminal_size],
        speedometer: Speedometer | None = None,
    ) -> None:
        self._stream = stream
        self._tail = Tail(stream) if traits.moves_cursor else None
        self._speedometer = speedometer if self._tail else None
        self._size = size
        self._window = size()
        self._sanitizer = Sanitizer()
        self._splitter = MarkdownSplitter()
        self._drawing = Drawing(Palette(traits.depth, theme), self._window.columns, self._window.lines)
        self._is_finished = False

    def show(self, event: Event) -> None:
        """Draw the text of a `Delta` at once; end the reply at `Done`."""
        match event:
            case Delta(text, n_tokens):
                self._follow_window()
                if self._speedometer:
                    self._speedometer.count(n_tokens)
                self._draw(self._drawing.add(self._splitter.feed(self._sanitizer.feed(text))))
            case Done():
                self.close()
            case EngineDied():
                if (
                    self._tail
                ):  # a line about it follows, in the place of the tail; the next piece redraws that
                    self._tail.draw([], [], self._window.lines)
            case Queued() | Prefill():
                pass
            case _:
                assert_never(event)

    def close(self) -> None:
        """Make what is open final; the cursor goes to the start of a line."""
        if self._is_finished:
            return
        self._is_finished = True
        self._follow_window()
        self._draw(self._drawing.add(self._splitter.finish()))

    def _draw(self, final: list[str]) -> None:
        if self._tail:
            preview = [] if self._is_finished else self._drawing.preview(self._splitter.tail())
            if self._speedometer and not self._is_finished:
                preview.append(self._speedometer.row(self._window.columns))
            self._tail.draw(final, preview, self._window.lines)
        elif final:
            self._stream.write("".join(f"{row}\n" for row in final))
            self._stream.flush()

    def _follow_window(self) -> None:
        """After a resize, draw the tail for the new width.

        Where the terminal has wrapped its rows, nobody knows where they stand: go on below them.
        """
        window = self._size()
        n_rows = self._tail.n_rows if self._tail else 0
        if window.columns != self._window.columns or window.lines <= n_rows:
            if self._tail and self._tail.stays_in(window) and self._drawing.refit(*window):
                self._window = window
                return
            if self._tail:
                self._tail.abandon(erase_last=self._speedometer is not None)
            self._drawing.resize(window.columns, window.lines, self._splitter.release())
        self._window = window
