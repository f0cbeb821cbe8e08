"""What a line of Markdown begins: block quote, list item, fence, heading, table row, text.

Lines are read while they arrive. `read_start` answers as soon as no continuation of the line can change the
answer, and never otherwise; so the answer does not depend on how the text was cut into chunks. It follows
CommonMark and GFM, and is lenient where models are sloppy: a nested list needs two columns of indent even
below `1. `, and a fence inside a list item ends only with its closing fence.
"""

import re
from dataclasses import dataclass
from enum import Enum, auto

# A line of markers that is still undecided after so many characters is text.
UNDECIDED_LIMIT = 300


@dataclass(frozen=True, slots=True)
class Quote:
    """A block quote; `serial` tells apart two that follow each other."""

    serial: int


@dataclass(frozen=True, slots=True)
class Item:
    """A list item: its marker as it is shown, and the source columns of marker and content."""

    serial: int
    marker: str
    marker_column: int
    content_column: int


Container = Quote | Item


@dataclass(frozen=True, slots=True)
class Fence:
    """An open code fence; `depth` counts the fences opened inside a fence of Markdown."""

    char: str
    length: int
    indent: int
    info: str
    depth: int = 0

    @property
    def nests(self) -> bool:
        """Models write Markdown examples that hold fences into a fence of the same length."""
        return self.info.lower() in ("markdown", "md")


class Kind(Enum):
    """What the rest of a line is, after its containers."""

    BLANK = auto()
    TEXT = auto()
    EMPTY_ITEM = auto()
    HEADING = auto()
    UNDERLINE = auto()  # of a setext heading
    RULE = auto()
    FENCE_OPEN = auto()
    FENCE_CLOSE = auto()
    CODE = auto()  # a line inside a fence
    INDENTED = auto()
    DELIMITER = auto()  # the second row of a table
    ROW = auto()


@dataclass(frozen=True, slots=True)
class LineStart:
    """The decided start of a line.

    Attributes:
        text: what follows the markers; the line may go on.
        level: of a heading.
        fence: that this line opens.
    """

    kind: Kind
    containers: tuple[Container, ...]
    text: str = ""
    level: int = 0
    fence: Fence | None = None


@dataclass(frozen=True, slots=True)
class Context:
    """What the lines before left open.

    Attributes:
        serial: the last one given to a container.
        header: the text of an open paragraph of one line, which the next line can make a heading or a table.
        row_pipe: a table is open; whether its rows start with a pipe. None: no table is open.
    """

    containers: tuple[Container, ...] = ()
    serial: int = 0
    fence: Fence | None = None
    in_paragraph: bool = False
    header: str | None = None
    row_pipe: bool | None = None


_LIST_LINE = re.compile(r"(?:[-*+]|\d{1,9}[.)])[ \t]+\S")
_MARKER = re.compile(r"([-*+]|\d{1,9}[.)])([ \t]+|$)")
_MARKER_PREFIX = re.compile(r"(?:[-*+]|\d{1,9}[.)]?)[ \t]*$")
_TASK = re.compile(r"\[([ xX])\][ \t]+(?=\S)")
_TASK_PREFIX = re.compile(r"\[(?:[ xX](?:\][ \t]*)?)?$")
_RULE = re.compile(r"([-*_])[ \t]*(?:\1[ \t]*){2,}$")
_RULE_PREFIX = re.compile(r"([-*_])(?:[ \t]*\1)*[ \t]*$")
_HEADING = re.compile(r"(#{1,6})(?:[ \t]+|$)")
_FENCE = re.compile(r"(`{3,})([^`]*)$|(~{3,})(.*)$")
_FENCE_PREFIX = re.compile(r"`{1,2}$|~{1,2}$|`{3,}[^`]*$|~{3,}.*$")
_UNDERLINE = re.compile(r"(=+|-+)[ \t]*$")
_DELIMITER = re.compile(r"\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*$")
_DELIMITER_PREFIX = re.compile(r"[-|: \t]+$")
_CODE_INDENT = 4
_BULLETS = ("•", "◦", "▪")


class _UndecidedError(Exception):
    """The characters to come decide."""


def read_start(line: str, context: Context, *, complete: bool) -> LineStart | None:
    """What a line starts, or None when the characters to come decide it; a `complete` line always decides."""
    stripped = line.lstrip(" \t")
    line = line[: len(line) - len(stripped)].expandtabs(4) + stripped
    long = len(line) > UNDECIDED_LIMIT
    seen = line[: UNDECIDED_LIMIT + 1] if long else line
    try:
        return _Reader(line, seen, context, complete=complete and not long).read()
    except _UndecidedError:
        return _Reader(line, seen, context, complete=False).as_text() if long else None


class _Reader:
    """Reads one line from left to right: known containers, new containers, leaf."""

    def __init__(self, line: str, seen: str, context: Context, *, complete: bool) -> None:
        self.line = line
        self.seen = seen  # as much of the line as may be looked at
        self.context = context
        self.complete = complete
        self.position = 0
        self.containers: tuple[Container, ...] = ()

    def read(self) -> LineStart:
        n_matched = self._match_containers()
        self.containers = self.context.containers[:n_matched]
        if not self.context.fence:
            return self._read_block(all_matched=n_matched == len(self.context.containers))
        if any(isinstance(container, Quote) for container in self.context.containers[n_matched:]):
            outside = Context(self.context.containers, self.context.serial)  # the fence ends with its quote
            return _Reader(self.line, self.seen, outside, complete=self.complete).read()
        self.containers = self.context.containers
        return self._read_fenced(self.context.fence)

    def as_text(self) -> LineStart:
        """The line as text, whatever it could become."""
        n_matched = self._match_containers()
        if self.context.fence:
            self.containers = self.context.containers
            return self._start(Kind.CODE)
        self.containers = self.context.containers[:n_matched]
        return self._text(all_matched=n_matched == len(self.context.containers))

    def _start(self, kind: Kind, skip: int = 0, level: int = 0, fence: Fence | None = None) -> LineStart:
        """The answer; `skip` characters of markers are not part of the text."""
        return LineStart(kind, self.containers, self.line[self.position + skip :], level, fence)

    def _indent(self) -> int:
        rest = self.seen[self.position :]
        return len(rest) - len(rest.lstrip(" "))

    def _decided(self) -> None:
        if not self.complete:
            raise _UndecidedError

    def _match_containers(self) -> int:
        """How many of the open containers this line continues; `position` moves behind their markers."""
        for index, container in enumerate(self.context.containers):
            column = self.position + self._indent()
            rest = self.seen[column:]
            if isinstance(container, Quote):
                if not rest.startswith(">") or column - self.position >= _CODE_INDENT:
                    return index
                self.position = column + (2 if rest.startswith("> ") else 1)
            elif rest:
                nested = _LIST_LINE.match(rest) and column >= container.marker_column + 2
                if column < container.content_column and not nested:
                    return index
                self.position = min(column, container.content_column)
        return len(self.context.containers)

    def _read_fenced(self, fence: Fence) -> LineStart:
        self.position += min(self._indent(), fence.indent)
        rest = self.seen[self.position :]
        markers = rest.strip(" ")
        if not markers:
            self._decided()
            self.position = len(self.line)
        elif set(markers) <= {fence.char} and self._indent() < _CODE_INDENT:
            self._decided()
            if len(markers) >= fence.length and fence.depth == 0:
                return self._start(Kind.FENCE_CLOSE)
        return self._start(Kind.CODE)

    def _read_block(self, *, all_matched: bool) -> LineStart:
        fresh = False  # whether this line opened a container
        while True:
            indent = self._indent()
            rest = self.seen[self.position + indent :]
            if not rest:
                self._decided()
                return self._start(Kind.EMPTY_ITEM if fresh and self._in_item() else Kind.BLANK)
            in_paragraph = self.context.in_paragraph and not fresh
            continues = all_matched and not fresh
            if indent >= _CODE_INDENT and not self._nests(rest):
                if not in_paragraph:
                    self.position += _CODE_INDENT
                    return self._start(Kind.INDENTED)
                self.position += indent
                return self._text(all_matched=all_matched)
            self.position += indent
            if leaf := self._read_leaf(rest, indent, continues=continues):
                return leaf
            if not self._open_container(rest, interrupts=in_paragraph and continues):
                if continues and (row := self._read_row(rest)):
                    return row
                return self._text(all_matched=all_matched or fresh)
            fresh = True

    def _in_item(self) -> bool:
        return bool(self.containers) and isinstance(self.containers[-1], Item)

    def _nests(self, rest: str) -> bool:
        """Whether a deeply indented line is a list below an item, rather than code."""
        if not self._in_item():
            return False
        if _MARKER_PREFIX.fullmatch(rest):
            self._decided()
        return bool(_LIST_LINE.match(rest))

    def _text(self, *, all_matched: bool) -> LineStart:
        if self.context.in_paragraph and not all_matched:  # a lazy continuation
            self.containers = self.context.containers
        return self._start(Kind.TEXT)

    def _read_leaf(self, rest: str, indent: int, *, continues: bool) -> LineStart | None:
        if continues and self.context.header is not None and (found := self._read_second(rest)):
            return found
        if heading := _HEADING.match(rest):
            if heading.end() == len(rest):
                self._decided()
            return self._start(Kind.HEADING, heading.end(), level=len(heading[1]))
        if set(rest) == {"#"}:
            self._decided()
        if _FENCE_PREFIX.match(rest):
            self._decided()
        if fence := _FENCE.match(rest):
            marker, info = (fence[1], fence[2]) if fence[1] else (fence[3], fence[4])
            opened = Fence(marker[0], len(marker), indent, info.strip().partition(" ")[0])
            return self._start(Kind.FENCE_OPEN, len(rest), fence=opened)
        if _RULE_PREFIX.match(rest):
            self._decided()
        return self._start(Kind.RULE, len(rest)) if _RULE.match(rest) else None

    def _read_second(self, rest: str) -> LineStart | None:
        """The line below the only line of a paragraph: an underline, or the delimiter row of a table."""
        header = self.context.header or ""
        if _UNDERLINE.match(rest) or ("|" in header and _DELIMITER_PREFIX.match(rest)):
            self._decided()
        if "|" in header and _DELIMITER.match(rest) and len(cells(rest)) == len(cells(header)):
            return self._start(Kind.DELIMITER)
        if underline := _UNDERLINE.match(rest):
            return self._start(Kind.UNDERLINE, len(rest), level=1 if underline[1][0] == "=" else 2)
        return None

    def _open_container(self, rest: str, *, interrupts: bool) -> bool:
        """Open a quote or a list item; `interrupts`: in the middle of a paragraph, where fewer may open."""
        serial = max([self.context.serial, *(container.serial for container in self.containers)]) + 1
        if rest.startswith(">"):
            self.containers += (Quote(serial),)
            self.position += 2 if rest.startswith("> ") else 1
            return True
        if _MARKER_PREFIX.match(rest):
            self._decided()
        marker = _MARKER.match(rest)
        if not marker:
            return False
        content = rest[marker.end() :]
        if interrupts and (not content or marker[1] not in ("-", "*", "+", "1.", "1)")):
            return False
        self._open_item(serial, marker[1], marker[2], content)
        return True

    def _open_item(self, serial: int, marker: str, space: str, content: str) -> None:
        if _TASK_PREFIX.match(content):
            self._decided()
        # Five spaces and more behind a marker: the item holds indented code, one space belongs to the marker.
        space = space if content and len(space) <= _CODE_INDENT else space[:1]
        column = self.position
        width = len(marker) + (len(space.expandtabs(4)) or 1)
        self.position += len(marker) + len(space)
        shown = marker
        if not marker[0].isdigit():
            depth = sum(isinstance(container, Item) for container in self.containers)
            shown = _BULLETS[min(depth, len(_BULLETS) - 1)]
            if task := _TASK.match(content):
                shown = "☐" if task[1] == " " else "☑"
                self.position += task.end()
        self.containers += (Item(serial, shown, column, column + width),)

    def _read_row(self, rest: str) -> LineStart | None:
        if self.context.row_pipe is None:
            return None
        if self.context.row_pipe:
            return self._start(Kind.ROW) if rest.startswith("|") else None
        if "|" not in rest:
            self._decided()
            return None
        return self._start(Kind.ROW)


_PIPE = re.compile(r"(?<!\\)\|")


def cells(row: str) -> list[str]:
    r"""The cells of a table row; a pipe inside a cell is written \|."""
    row = row.strip()
    row = row.removeprefix("|")
    parts = _PIPE.split(row)
    if len(parts) > 1 and not parts[-1].strip():
        parts.pop()
    return [part.strip().replace("\\|", "|") for part in parts]
