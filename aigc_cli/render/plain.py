"""A reply as plain text: for pipes and files byte for byte, for a terminal without control characters."""

from typing import TextIO, assert_never

from aigc_cli.events import Delta, Done, EngineDied, Event, Prefill, Queued
from aigc_cli.render.console import Sanitizer


class PlainView:
    """Writes the model's text as it comes, flushed at each piece.

    Into a pipe or a file nothing is added, removed or changed. On a terminal (`--raw`, `TERM=dumb`) control
    characters are removed, and a reply that ends in the middle of a line gets a newline.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._sanitizer = Sanitizer() if stream.isatty() else None
        self._last = "\n"

    def show(self, event: Event) -> None:
        """Write the text of a `Delta`; other events have none."""
        match event:
            case Delta(text):
                self._write(self._sanitizer.feed(text) if self._sanitizer else text)
            case EngineDied():
                self.close()  # a line about it follows
            case Queued() | Prefill() | Done():
                pass
            case _:
                assert_never(event)

    def close(self) -> None:
        """End the line on a terminal."""
        if self._sanitizer and self._last != "\n":
            self._write("\n")

    def _write(self, text: str) -> None:
        if not text:
            return
        self._stream.write(text)
        self._stream.flush()
        self._last = text[-1]
