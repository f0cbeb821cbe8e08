"""A place in a text where something is missing: FILE:LINE[:COL], and what stands before and after it."""

import re
from dataclasses import dataclass
from enum import Enum

from aigc_cli.errors import UsageError
from aigc_cli.tasks.languages import Language

_PLACE = re.compile(r"(?P<name>.+?):(?P<line>\d+)(?::(?P<column>\d+))?", re.DOTALL)
_TAB_COLUMNS = 8


class Kind(Enum):
    """What a gap is a part of, which says where a fill ends."""

    LINE = "line"  # something follows on the line
    BLOCK = "block"  # nothing follows on the line: the rest of the block
    BEFORE = "before"  # only white space stands before it: whole lines above this one


@dataclass(frozen=True, slots=True)
class Place:
    """What a person wrote. Both numbers are counted from 1; `column` None is the end of the line."""

    name: str
    line: int
    column: int | None = None


def read_place(word: str) -> Place:
    """Take `app.py:12` or `app.py:12:5` apart.

    Raises:
        UsageError: it names no line.
    """
    match = _PLACE.fullmatch(word)
    if match is None:
        raise UsageError(f"{word!r} names no line", "aigc fill app.py:12, or app.py:12:5 for a column")
    column = match["column"]
    return Place(match["name"], int(match["line"]), int(column) if column else None)


@dataclass(frozen=True, slots=True)
class Gap:
    """Where something is missing in a text whose lines end with line feeds.

    Attributes:
        name: of the file, as the person calls it.
    """

    name: str
    language: Language | None
    prefix: str
    suffix: str

    @property
    def head(self) -> str:
        """The part of its line before the gap."""
        return self.prefix.rpartition("\n")[2]

    @property
    def rest(self) -> str:
        """The part of its line after the gap."""
        return self.suffix.partition("\n")[0]

    @property
    def kind(self) -> Kind:
        """What it is a part of."""
        if not self.rest.strip():
            return Kind.BLOCK
        return Kind.LINE if self.head.strip() else Kind.BEFORE

    @property
    def next_line(self) -> str:
        """The first line with something on it that follows a fill; empty if none does."""
        lines = self.suffix.split("\n")
        if self.kind is Kind.BEFORE:
            return (self.head + lines[0]).rstrip()
        return next((line.rstrip() for line in lines[1:] if line.strip()), "")

    def filled(self, text: str) -> str:
        """The whole text with something in the gap."""
        return f"{self.prefix}{text}{self.suffix}"


def gap_at(place: Place, text: str, language: Language | None) -> Gap:
    """The gap at a place of a text.

    Raises:
        UsageError: there is no such line or column.
    """
    lines = text.split("\n")
    if not 1 <= place.line <= len(lines):
        raise UsageError(f"{place.name!r} has no line {place.line:,}", f"it has lines 1 to {len(lines):,}")
    line = lines[place.line - 1]
    column = len(line) + 1 if place.column is None else place.column
    if not 1 <= column <= len(line) + 1:
        raise UsageError(
            f"line {place.line:,} of {place.name!r} has no column {column:,}",
            f"it has columns 1 to {len(line) + 1:,}, in characters",
        )
    offset = sum(len(each) + 1 for each in lines[: place.line - 1]) + column - 1
    return Gap(place.name, language, text[:offset], text[offset:])


def indentation(line: str) -> int:
    """How far a line is indented, in columns."""
    blank = line[: len(line) - len(line.lstrip(" \t"))]
    return len(blank.expandtabs(_TAB_COLUMNS))
