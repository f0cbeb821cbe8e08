"""How far a file is rewritten: one moving line on stderr, gone without a trace at the end."""

import os
from collections.abc import Callable
from typing import TextIO

from aigc_cli.events import Delta, Event
from aigc_cli.render.console import TerminalTraits, sanitize, window_size
from aigc_cli.render.progress import UPDATE_EVERY_S
from aigc_cli.render.spans import Paint
from aigc_cli.render.wrap import chop, measure

_ERASE_LINE = "\r\x1b[K"


class LineProgress:
    """Counts the lines of a reply that rewrites a text of so many lines.

    Args:
        clock: monotonic seconds.
    """

    def __init__(
        self,
        stderr: TextIO,
        traits: TerminalTraits,
        clock: Callable[[], float],
        *,
        name: str,
        n_lines: int,
        size: Callable[[], os.terminal_size] | None = None,
    ) -> None:
        self._stream = stderr
        self._enabled = traits.is_terminal and traits.moves_cursor
        self._clock = clock
        self._name = sanitize(name)
        self._n_lines = n_lines
        self._size = size or (lambda: window_size(stderr))
        self._n_done = 0
        self._updated_s: float | None = None

    def show(self, event: Event) -> None:
        """Count a `Delta`, and redraw the line four times a second."""
        if not isinstance(event, Delta):
            return
        self._n_done += event.text.count("\n")
        now_s = self._clock()
        if self._enabled and (self._updated_s is None or now_s - self._updated_s >= UPDATE_EVERY_S):
            self._updated_s = now_s
            self._draw()

    def close(self) -> None:
        """Erase the line. Harmless twice."""
        if self._updated_s is not None:
            self._updated_s = None
            self._stream.write(_ERASE_LINE)
            self._stream.flush()

    def _draw(self) -> None:
        counts = f": {self._n_done:,} of about {self._n_lines:,} lines"
        # One column stays free: a full row would wrap, and a wrapped line can't be erased.
        room = self._size().columns - 1
        name = chop([Paint(f"writing {self._name}", "")], max(1, room - measure(counts)))[0]
        line = "".join(paint.text for paint in name) + counts
        self._stream.write(_ERASE_LINE + line[: max(room, 0)])
        self._stream.flush()
