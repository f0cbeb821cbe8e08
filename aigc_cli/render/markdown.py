"""A stream of Markdown -> closed pieces, which never change again, and an open tail.

Pure and linear: each character is looked at a bounded number of times, however the text is cut into chunks,
and the closed pieces say the same for every way to cut it. What is not closed yet is small: a line whose
start is undecided, the only line of a paragraph (the next one can make it a heading or a table), the end of
a paragraph from the last emphasis or link that is still open, one line of code, one row of a table.
"""

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from aigc_cli.render.inline import decided_cuts
from aigc_cli.render.line_start import Container, Context, Kind, LineStart, cells, read_start

if TYPE_CHECKING:
    from aigc_cli.render.line_start import Fence

HELD_LIMIT = 100  # characters of a first line that waits for the next line
HELD_ROW_LIMIT = 400  # the same, of a line that holds a pipe and can be the header of a table
CODE_LIMIT = 500  # characters of a line of code that are drawn as one line
ROW_LIMIT = 2000  # characters of a row of a table


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Running text; its lines are kept as the model wrote them."""


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading of level 1 to 6."""

    level: int


@dataclass(frozen=True, slots=True)
class Code:
    """Code, one `Text` a line. `fenced` is False for indented code."""

    language: str
    fenced: bool = True


@dataclass(frozen=True, slots=True)
class Rule:
    """A horizontal line."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table, one `Text` a row, the header first. `alignments`: left, center or right, one a column."""

    alignments: tuple[str, ...]


Leaf = Paragraph | Heading | Code | Rule | Table


@dataclass(frozen=True, slots=True)
class Open:
    """A leaf begins inside these containers; `after_blank`: a blank line stands before it."""

    leaf: Leaf
    containers: tuple[Container, ...]
    after_blank: bool


@dataclass(frozen=True, slots=True)
class Text:
    """Text of the open leaf. `is_open`: it will come again, with more behind it."""

    text: str
    is_open: bool = False


@dataclass(frozen=True, slots=True)
class Close:
    """The open leaf ends."""


Piece = Open | Text | Close

_NESTED_OPEN = re.compile(r" {0,3}(`{3,}[^`\s][^`]*|~{3,}[^~\s].*)$")
_NESTED_CLOSE = re.compile(r" {0,3}(`{3,}|~{3,})[ \t]*$")
_CLOSING_HASHES = re.compile(r"(?:^|\s)#+\s*$")


class MarkdownSplitter:
    """Reads a stream of Markdown, character by character as far as it can be told apart."""

    def __init__(self) -> None:
        self._containers: tuple[Container, ...] = ()
        self._serial = 0
        self._leaf: Leaf | None = None
        self._fence: Fence | None = None
        self._row_pipe = False
        self._line = ""  # the start of a line, as long as it is undecided
        self._decided = False  # whether the start of the present line is decided
        self._text = ""  # text of the leaf that is not given out yet
        self._scanned = 0
        self._held = False  # the leaf is a paragraph of one line that was not given out yet
        self._after_blank = False
        self._split_line = False  # a part of the present line of code or row was given out
        self._out: list[Piece] = []

    def feed(self, text: str) -> list[Piece]:
        """The pieces that are closed now."""
        first, *others = text.split("\n")
        self._advance(first)
        for chunk in others:
            self._end_line()
            self._advance(chunk)
        return self._take()

    def tail(self) -> list[Piece]:
        """What can be read already, but can still change."""
        pieces: list[Piece] = []
        if self._held and self._leaf:
            pieces.append(Open(self._leaf, self._containers, self._after_blank))
        if self._text:
            pieces.append(Text(self._text, is_open=True))
        return pieces

    def release(self) -> list[Piece]:
        """Close what `tail` gives, as it is: it was printed and can't be taken back."""
        if self._held:
            self._unhold()
        if self._text:
            self._out.append(Text(self._text))
            self._split_line = isinstance(self._leaf, Code | Table)
            # The row goes on in the column that it has come to.
            self._text = "|" * (self._text.count("|")) if isinstance(self._leaf, Table) else ""
            self._scanned = 0
        return self._take()

    def finish(self) -> list[Piece]:
        """The text ends here: close everything."""
        if self._decided or self._line:
            self._end_line()
        self._close_leaf()
        return self._take()

    def _take(self) -> list[Piece]:
        out, self._out = self._out, []
        return out

    def _advance(self, chunk: str) -> None:
        if self._decided:
            self._add(chunk)
            return
        self._line += chunk
        if self._line and (start := read_start(self._line, self._context(), complete=False)):
            self._apply(start)

    def _end_line(self) -> None:
        if not self._decided and (start := read_start(self._line, self._context(), complete=True)):
            self._apply(start)
        self._decided = False
        match self._leaf:
            case Heading():
                self._close_leaf()
            case Code():
                self._end_code_line()
            case Table() if self._text.strip("| \t") or not self._split_line:
                self._emit_line()
            case _:
                pass
        self._split_line = False

    def _end_code_line(self) -> None:
        if self._fence and self._fence.nests:
            depth = self._fence.depth
            if _NESTED_OPEN.match(self._text):
                depth += 1
            elif _NESTED_CLOSE.match(self._text):
                depth -= 1
            self._fence = replace(self._fence, depth=max(depth, 0))
        if self._text or not self._split_line:
            self._emit_line()

    def _emit_line(self) -> None:
        self._out.append(Text(self._text))
        self._text = ""

    def _context(self) -> Context:
        in_paragraph = isinstance(self._leaf, Paragraph)
        return Context(
            self._containers,
            self._serial,
            self._fence,
            in_paragraph,
            self._text if self._held else None,
            self._row_pipe if isinstance(self._leaf, Table) else None,
        )

    def _apply(self, start: LineStart) -> None:
        """Enter what the line starts."""
        self._decided = True
        self._line = ""
        same = start.containers == self._containers
        match start.kind:
            case Kind.CODE:
                self._add(start.text)
            case Kind.INDENTED if same and self._leaf == Code("", fenced=False):
                self._add(start.text)
            case Kind.ROW:
                self._add(start.text)
            case Kind.TEXT if same and isinstance(self._leaf, Paragraph):
                self._unhold()
                self._add("\n" + start.text)
            case Kind.UNDERLINE:
                self._become(Heading(start.level))
                self._close_leaf()
            case Kind.DELIMITER:
                self._row_pipe = self._text.lstrip().startswith("|")
                self._become(Table(tuple(_alignment(cell) for cell in cells(start.text))))
                self._emit_line()
                self._decided = False
                self._split_line = True  # the delimiter row itself shows nothing
            case _:
                self._enter(start)

    def _enter(self, start: LineStart) -> None:
        """Close the leaf before, and open the next one."""
        self._close_leaf()
        self._containers = start.containers
        self._serial = max([self._serial, *(container.serial for container in start.containers)])
        match start.kind:
            case Kind.BLANK:
                self._after_blank = True
            case Kind.TEXT:
                self._leaf, self._held = Paragraph(), True
                self._add(start.text)
            case Kind.EMPTY_ITEM:
                self._open(Paragraph())
                self._close_leaf()
            case Kind.HEADING:
                self._open(Heading(start.level))
                self._add(start.text)
            case Kind.RULE:
                self._open(Rule())
                self._close_leaf()
            case Kind.FENCE_OPEN if start.fence:
                self._open(Code(start.fence.info))
                self._fence = start.fence
                self._split_line = True  # the line of the fence itself is not code
            case Kind.INDENTED:
                self._open(Code("", fenced=False))
                self._add(start.text)
            case _:
                pass  # the end of a fence: its leaf is closed

    def _open(self, leaf: Leaf) -> None:
        self._leaf = leaf
        self._out.append(Open(leaf, self._containers, self._after_blank))
        self._after_blank = False

    def _unhold(self) -> None:
        """The paragraph stays a paragraph."""
        if self._held and self._leaf:
            self._held = False
            self._open(self._leaf)

    def _become(self, leaf: Leaf) -> None:
        self._held = False
        self._open(leaf)

    def _close_leaf(self) -> None:
        if self._leaf is None:
            return
        self._unhold()
        text = self._text.rstrip(" \t\n") if isinstance(self._leaf, Paragraph | Heading) else self._text
        if isinstance(self._leaf, Heading):
            text = _CLOSING_HASHES.sub("", text)
        if text:
            self._out.append(Text(text))
        self._out.append(Close())
        self._leaf = self._fence = None
        self._text = ""
        self._scanned = 0
        self._split_line = False

    def _add(self, chunk: str) -> None:
        """Add text to the leaf, and give out what can't change any more."""
        match self._leaf:
            case Paragraph() | Heading():
                self._text += chunk.replace("\t", " ")
                self._add_prose()
            case Code() | Table() as leaf:
                self._text += chunk
                limit = CODE_LIMIT if isinstance(leaf, Code) else ROW_LIMIT
                while len(self._text) > limit:
                    self._out.append(Text(self._text[:limit]))
                    self._text = self._text[limit:]
                    self._split_line = True
            case _:
                pass  # behind a rule or the end of a fence there is nothing but white space

    def _add_prose(self) -> None:
        if self._held:
            limit = HELD_ROW_LIMIT if "|" in self._text[:HELD_LIMIT] else HELD_LIMIT
            if len(self._text) <= limit:
                return
            self._unhold()
        cuts, self._scanned = decided_cuts(self._text, self._scanned)
        start = 0
        for cut in cuts:
            self._out.append(Text(self._text[start:cut]))
            start = cut
        if start:
            self._text = self._text[start:]
            self._scanned -= start


def _alignment(delimiter: str) -> str:
    if delimiter.endswith(":"):
        return "center" if delimiter.startswith(":") else "right"
    return "left"
