"""A terminal in memory: what a person would see, and what they would find when they scroll up."""

import io
import os
from collections.abc import Iterable

import pyte

from aigc_cli.events import Delta
from aigc_cli.render.console import ColorDepth, TerminalTraits
from aigc_cli.render.progress import Speedometer
from aigc_cli.render.terminal import TerminalView

TRUECOLOR = TerminalTraits(is_terminal=True, depth=ColorDepth.TRUECOLOR, moves_cursor=True)


class RecordingStream(io.StringIO):
    """A stream that remembers each write."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[str] = []

    def write(self, text: str) -> int:
        self.writes.append(text)
        return super().write(text)


class Terminal:
    """A TerminalView on a screen; `rows` is scrollback and screen together."""

    def __init__(
        self,
        columns: int = 60,
        lines: int = 24,
        traits: TerminalTraits = TRUECOLOR,
        theme: str = "dark",
        speedometer: Speedometer | None = None,
    ) -> None:
        self.stream = RecordingStream()
        self.window = os.terminal_size((columns, lines))
        self.screen = pyte.HistoryScreen(columns, lines, history=100_000, ratio=0.5)
        self.parser = pyte.Stream(self.screen)
        self.view = TerminalView(
            self.stream, traits=traits, theme=theme, size=lambda: self.window, speedometer=speedometer
        )
        self.n_parsed = 0

    def feed(self, *pieces: str) -> "Terminal":
        for piece in pieces:
            self.view.show(Delta(piece))
            self.catch_up()
        return self

    def close(self) -> "Terminal":
        self.view.close()
        self.catch_up()
        return self

    def catch_up(self) -> None:
        for text in self.stream.writes[self.n_parsed :]:
            # pyte stops drawing at a zero-width joiner; without it, it is a terminal that joins no emoji
            self.parser.feed(text.replace("\u200d", ""))
        self.n_parsed = len(self.stream.writes)

    def resize(self, columns: int, lines: int) -> None:
        self.window = os.terminal_size((columns, lines))
        self.screen.resize(lines, columns)

    @property
    def rows(self) -> list[str]:
        past = [
            "".join(line[column].data for column in range(self.screen.columns)).rstrip()
            for line in self.screen.history.top
        ]
        return past + [row.rstrip() for row in self.screen.display]

    @property
    def text(self) -> str:
        return "\n".join(self.rows).rstrip("\n")


def show(reply: str | Iterable[str], columns: int = 60, lines: int = 24) -> str:
    """The whole reply on the screen, scrollback first."""
    pieces = [reply] if isinstance(reply, str) else reply
    return Terminal(columns, lines).feed(*pieces).close().text


def cut(text: str, size: int) -> list[str]:
    return [text[start : start + size] for start in range(0, len(text), size)]
