"""Where the chat's lines come from: a line editor on a terminal, plain lines from anything else."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol, TextIO

from aigc_cli.chat.prompt import well_formed
from aigc_cli.cli.context import AppContext
from aigc_cli.config import Settings
from aigc_cli.render.console import detect_traits
from aigc_cli.tasks.workspace import decode_text

BLOCK = '"""'
PROMPT = "> "
CONTINUATION = ". "


class Leave(Exception):
    """The person, or the end of the input, ends the chat."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One completion of what stands before the cursor.

    Attributes:
        text: replaces the last `n_replaced` characters.
        help: a few words shown beside it.
    """

    text: str
    n_replaced: int
    help: str = ""


@dataclass(frozen=True, slots=True)
class PromptSource:
    """What the line editor shows and completes; asked again at each key.

    Attributes:
        candidates: completions of the text before the cursor.
        status: the parts of the toolbar, the most important first.
        settings: how keys work and colours look now.
    """

    candidates: Callable[[str], Iterator[Candidate]]
    status: Callable[[], list[str]]
    settings: Callable[[], Settings]


class Reader(Protocol):
    """Gives what the person enters, a question or command at a time."""

    @property
    def interactive(self) -> bool:
        """Whether a person types."""
        ...

    def read(self, draft: str = "") -> str:
        """The next entry; `draft` is text that the person goes on with.

        Raises:
            Leave: there will be no more.
            FileError: a pipe holds no text.
        """
        ...

    def answer(self, question: str) -> str:
        """What a person answers to a yes-or-no question; empty, which means no, when nobody is there."""
        ...


def open_reader(app: AppContext, source: PromptSource) -> Reader:
    """The line editor when a person sits at a terminal that can move its cursor, else plain lines."""
    if not app.stdin.isatty():
        return LineReader(app.stdin)
    screen = app.stderr if app.stderr.isatty() else app.stdout
    if not detect_traits(screen, app.env, "auto").moves_cursor:
        return LineReader(app.stdin, app.stderr)
    from aigc_cli.cli.line_editor import LineEditor  # prompt_toolkit takes 0.1 s; --help must not pay it

    return LineEditor(app, source, screen)


def is_open_block(text: str) -> bool:
    '''Whether `text` begins a block with """ that nothing closes yet.

    A first line that is nothing but the mark is closed at the end only, so that the block can hold code
    with marks of its own. Otherwise marks pair up: pasted code that begins with a docstring is no block.
    '''
    if not text.lstrip().startswith(BLOCK):
        return False
    first, _, rest = text.lstrip().partition("\n")
    if first.strip() == BLOCK:
        return not rest.rstrip().endswith(BLOCK)
    return text.count(BLOCK) % 2 == 1


def entry_text(raw: str) -> str:
    """What a raw entry says: the marks of a block taken off, bytes that are no UTF-8 made visible."""
    text = well_formed(raw).strip("\r\n").rstrip()
    block = text.strip()
    if not (block.startswith(BLOCK) and block.endswith(BLOCK) and len(block) > len(BLOCK)):
        return text
    inside = block[len(BLOCK) : -len(BLOCK)]
    is_bare = block.partition("\n")[0].strip() == BLOCK
    return inside.strip("\r\n").rstrip() if is_bare or BLOCK not in inside else text


@dataclass(slots=True)
class LineReader:
    """Plain lines: from a pipe, or from a terminal that can't move its cursor.

    Attributes:
        screen: shows the prompt to a person; None for a pipe.
    """

    lines: TextIO
    screen: TextIO | None = None

    @property
    def interactive(self) -> bool:
        """Whether a person types the lines."""
        return self.screen is not None

    def read(self, draft: str = "") -> str:
        """The next line, or all lines of a block; a draft is shown, since it can't be edited here."""
        if draft and self.screen is not None:
            self.screen.write(f"{draft}\n")
        raw = self._line(PROMPT)
        while is_open_block(raw):
            try:
                raw += self._line(CONTINUATION)
            except Leave:
                break
        return entry_text(raw)

    def answer(self, question: str) -> str:
        """The line that a person answers; a script has none to spare."""
        if self.screen is None:
            return ""
        try:
            return self._line(f"{question} ").strip()
        except (Leave, KeyboardInterrupt):
            return ""

    def _line(self, prompt: str) -> str:
        if self.screen is not None:
            self.screen.write(prompt)
            self.screen.flush()
        try:
            line = self.lines.buffer.readline()
        except KeyboardInterrupt:
            if self.screen is not None:
                self.screen.write("\n")
            raise
        if not line:
            raise Leave
        return decode_text(line, "stdin")
