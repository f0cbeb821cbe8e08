"""Runs of text in one style: what parsing produces and drawing consumes."""

from enum import IntFlag
from typing import NamedTuple


class Mark(IntFlag):
    """What Markdown says about a run of text."""

    PLAIN = 0
    BOLD = 1
    ITALIC = 2
    STRIKE = 4
    CODE = 8
    LINK = 16  # the text of a link
    ADDRESS = 32  # where a link leads
    HEADING = 64
    TITLE = 128  # a heading of the first level
    DIM = 256  # decoration that is not part of the text: fences, quotes, lines of tables
    MARKER = 512  # of a list item


class Span(NamedTuple):
    """A run of text and its marks."""

    text: str
    mark: Mark


class Paint(NamedTuple):
    """A run of text and the SGR parameters to draw it with; empty parameters draw it as it is."""

    text: str
    sgr: str
