"""Pieces of Markdown -> rows of the screen.

A row is a string with its SGR sequences. Rows that are given out are final. What is still open is drawn on a
copy, so that a preview costs no more than the open part.
"""

import copy
from typing import TYPE_CHECKING, assert_never

from aigc_cli.render.inline import parse, parse_open
from aigc_cli.render.line_start import Container, Item
from aigc_cli.render.markdown import Close, Code, Heading, Open, Paragraph, Piece, Rule, Table, Text
from aigc_cli.render.palette import Palette, render
from aigc_cli.render.spans import Mark, Paint, Span
from aigc_cli.render.table import TableDrawing
from aigc_cli.render.wrap import Wrapper, chop, measure

if TYPE_CHECKING:
    from aigc_cli.render.highlight import LexerState
    from aigc_cli.render.markdown import Leaf

_MAX_RULE = 40
_FENCE = "───"
_QUOTE = "▌ "
_TAB_SIZE = 4


class Drawing:
    """Draws the pieces of one reply for a window of a given size."""

    def __init__(self, palette: Palette, width: int, height: int) -> None:
        self._palette = palette
        self._width = width
        self._height = height
        self._containers: tuple[Container, ...] = ()
        self._drawn_marker = 0  # serial of the last list item whose marker was drawn
        self._is_first = True
        self._leaf: Leaf | None = None
        self._base = Mark.PLAIN
        self._wrapper = Wrapper(width)
        self._lexer_state: LexerState | None = None  # None: before the first line
        self._table: TableDrawing | None = None
        self._rows: list[str] = []

    def add(self, pieces: list[Piece]) -> list[str]:
        """The rows that are final now."""
        for piece in pieces:
            match piece:
                case Open():
                    self._open(piece)
                case Text(text, is_open):
                    self._text(text, is_open=is_open)
                case Close():
                    self._close()
                case _:
                    assert_never(piece)
        rows, self._rows = self._rows, []
        return rows

    def preview(self, tail: list[Piece]) -> list[str]:
        """The rows that are still open, as they would be if the text ended here."""
        return copy.copy(self).draw_to_end(tail)

    def draw_to_end(self, tail: list[Piece]) -> list[str]:
        """The same on this drawing itself, which is of no use afterwards."""
        self._wrapper = self._wrapper.copy()
        self._table = self._table.copy() if self._table else None
        self._rows = []
        rows = self.add(tail)
        self._flush()
        return rows + self._rows

    def refit(self, width: int, height: int) -> bool:
        """Go on in a window of another size in which the preview fits; False, and no change, if it can't.

        It can't where the bars and indents before the text change: what is open was measured with them.
        """
        before, was = self._prefix(self._containers), self._width
        self._width = width
        if self._prefix(self._containers) != before:
            self._width = was
            return False
        self._height = height
        self._wrapper.width = self._room()
        if self._table:
            self._table.resize(self._room(), self._table_limit())
        return True

    def resize(self, width: int, height: int, released: list[Piece]) -> None:
        """Go on in a window of another size, below the rows of the preview that showed `released`."""
        self.add(released)
        self._flush()
        self._rows = []
        self._width, self._height = width, height
        self._wrapper = Wrapper(self._room())
        if self._table:
            self._table.resize(self._room(), self._table_limit())

    def _open(self, piece: Open) -> None:
        if piece.after_blank and not self._is_first:
            common = 0
            for before, now in zip(self._containers, piece.containers, strict=False):
                common += before == now
            self._rows.append(render(self._prefix(piece.containers[:common])).rstrip())
        self._is_first = False
        self._leaf = piece.leaf
        self._containers = piece.containers
        self._base = Mark.PLAIN
        self._wrapper = Wrapper(self._room())
        match piece.leaf:
            case Paragraph():
                pass
            case Heading(level):
                self._base = Mark.TITLE if level == 1 else Mark.HEADING
                if self._palette.is_plain:
                    self._wrapper.add([Paint("#" * level + " ", "")])
            case Code(language, fenced):
                self._lexer_state = None
                if fenced:
                    self._decoration(f"```{language}" if self._palette.is_plain else f"{_FENCE} {language}")
            case Rule():
                self._decoration("─" * min(_MAX_RULE, self._room()))
            case Table(alignments):
                self._table = TableDrawing(
                    alignments, self._room(), self._table_limit(), self._palette, self._inline
                )
            case _:
                assert_never(piece.leaf)

    def _text(self, text: str, *, is_open: bool) -> None:
        match self._leaf:
            case Paragraph() | Heading():
                spans = self._inline(text, self._base, is_open)
                self._emit_all(self._wrapper.add(self._palette.paint(spans)))
            case Code(language):
                paints = self._lex(language, text.expandtabs(_TAB_SIZE))
                # A final line is one row, however long: the terminal wraps it, and copying it gives one line.
                self._emit_all(chop(paints, self._room()) if is_open else [paints])
            case Table() if self._table:
                self._emit_all(self._table.add(text, is_open=is_open))
            case _:
                pass  # a rule has no text

    def _close(self) -> None:
        self._flush()
        if isinstance(self._leaf, Code) and self._leaf.fenced:
            self._decoration("```" if self._palette.is_plain else _FENCE)
        if any(self._is_new(container) for container in self._containers):
            self._emit([])  # an empty list item
        self._leaf = self._table = None

    def _flush(self) -> None:
        if self._table:
            self._emit_all(self._table.take())
        elif not self._wrapper.is_empty:
            self._emit(self._wrapper.take())

    def _inline(self, text: str, base: Mark, is_open: bool) -> list[Span]:  # noqa: FBT001  # called by position
        if self._palette.is_plain:
            return [Span(text, base)]
        return parse_open(text, base) if is_open else parse(text, base)

    def _lex(self, language: str, line: str) -> list[Paint]:
        if not self._palette.colors_code:
            return [Paint(line, "")]
        from aigc_cli.render.highlight import lex_line, start_state  # Pygments: 15 ms that prose does not pay

        state = self._lexer_state or start_state(language)
        tokens, self._lexer_state = lex_line(language, line, state)
        return [Paint(text, self._palette.token(token)) for token, text in tokens]

    def _decoration(self, text: str) -> None:
        self._emit([Paint(text.rstrip(), self._palette.mark(Mark.DIM))])

    def _emit_all(self, rows: list[list[Paint]]) -> None:
        for row in rows:
            self._emit(row)

    def _emit(self, row: list[Paint]) -> None:
        self._rows.append(render(self._prefix(self._containers) + row))
        for container in self._containers:
            self._drawn_marker = max(
                self._drawn_marker, container.serial if isinstance(container, Item) else 0
            )

    def _is_new(self, container: Container) -> bool:
        return isinstance(container, Item) and container.serial > self._drawn_marker

    def _prefix(self, containers: tuple[Container, ...]) -> list[Paint]:
        """What stands before the text of the next row: bars of quotes, markers of new list items, indent."""
        parts: list[Paint] = []
        for container in containers:
            if not isinstance(container, Item):
                parts.append(Paint(_QUOTE, self._palette.mark(Mark.DIM)))
            elif self._is_new(container):
                parts.append(Paint(container.marker + " ", self._palette.mark(Mark.MARKER)))
            else:
                parts.append(Paint(" " * (measure(container.marker) + 1), ""))
        # Deep nesting in a narrow window: the outer levels are not drawn, half of the window is for text.
        while sum(measure(part.text) for part in parts) > self._width // 2:
            parts.pop(0)
        return parts

    def _room(self) -> int:
        """Cells in a row for text."""
        return max(1, self._width - sum(measure(part.text) for part in self._prefix(self._containers)))

    def _table_limit(self) -> int:
        return max(2, self._height * 2 // 3)
