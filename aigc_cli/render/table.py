"""Tables: columns as wide as their cells, as long as the window lets them."""

from collections.abc import Callable
from dataclasses import dataclass, field

from aigc_cli.render.line_start import cells
from aigc_cli.render.palette import Palette
from aigc_cli.render.spans import Mark, Paint, Span
from aigc_cli.render.wrap import Wrapper, measure

Inline = Callable[[str, Mark, bool], list[Span]]  # text, marks, whether the text is open -> spans
Row = list[list[Paint]]  # cells

_MIN_COLUMN = 5  # cells; narrower columns are harder to read than one cell below the other
_SEPARATOR = 3  # " │ "
_SPARE = 2  # cells more for each column, when the rows to come are not known
_BREAKS = ("<br>", "<br/>", "<br />")


@dataclass
class TableDrawing:
    """The rows of a table that are not printed yet, and the widths once a row was printed.

    A table is held back until it ends, because a later row can widen a column. One that grows beyond
    `max_rows` is printed, with some room to spare; from then on each row is printed when it is complete, and
    a column grows only where a cell would not fit.
    """

    alignments: tuple[str, ...]
    width: int
    max_rows: int
    palette: Palette
    inline: Inline
    rows: list[Row] = field(default_factory=list)
    natural: list[int] = field(default_factory=list)
    header: Row = field(default_factory=list)
    widths: list[int] | None = None
    n_drawn: int = 0

    def copy(self) -> "TableDrawing":
        """An independent drawing in the same state."""
        return TableDrawing(
            self.alignments,
            self.width,
            self.max_rows,
            self.palette,
            self.inline,
            self.rows.copy(),
            self.natural.copy(),
            self.header,
            self.widths,
            self.n_drawn,
        )

    def add(self, line: str, *, is_open: bool = False) -> list[list[Paint]]:
        """Take in one row; gives the rows of the screen that can be printed."""
        texts = cells(line)[: len(self.alignments)]
        texts += [""] * (len(self.alignments) - len(texts))
        base = Mark.PLAIN if self.header else Mark.BOLD
        row = [self.palette.paint(self.inline(_breaks(text), base, is_open)) for text in texts]
        known = self.natural or [1] * len(row)
        self.natural = [max(sizes) for sizes in zip(map(_natural, row), known, strict=True)]
        self.header = self.header or row
        self.rows.append(row)
        if self.widths is None:
            if len(self.rows) <= self.max_rows:
                return []
            self._widen([width + _SPARE for width in self._fit()])
        self._widen([_natural(cell) for cell in row])
        return self.take()

    def take(self) -> list[list[Paint]]:
        """Print what is held back; the widths stay from now on."""
        if self.widths is None:
            self.widths = self._fit()
        drawn: list[list[Paint]] = []
        for row in self.rows:
            drawn += self._draw(row)
            self.n_drawn += 1
        self.rows = []
        return drawn

    def resize(self, width: int, max_rows: int) -> None:
        """The window has another size from the next row on; nothing is held back."""
        self.width, self.max_rows = width, max_rows
        if self.widths is not None:
            self.widths = self._fit()

    def _widen(self, wanted: list[int]) -> None:
        """Give each column what it wants, as far as the window has room."""
        widths = self.widths = self._fit() if self.widths is None else self.widths.copy()
        free = self._room() - sum(widths)
        for index in range(len(widths)):
            more = min(max(wanted[index] - widths[index], 0), max(free, 0))
            widths[index] += more
            free -= more

    def _room(self) -> int:
        """Cells for the text of all columns."""
        return self.width - _SEPARATOR * (len(self.natural) - 1)

    def _fit(self) -> list[int]:
        """Widths that fit the window, the widest columns cut first; none when columns have no room."""
        room = self._room()
        if room < min(sum(self.natural), _MIN_COLUMN * len(self.natural)):
            return []
        widths = self.natural.copy()
        while sum(widths) > room:
            widest = max(widths)
            second = max((width for width in widths if width < widest), default=0)
            at_widest = [index for index, width in enumerate(widths) if width == widest]
            excess = sum(widths) - room
            cut = min(widest - second, -(-excess // len(at_widest)))
            for index in at_widest:
                widths[index] -= min(cut, max(excess, 0))
                excess -= cut
        return widths

    def _draw(self, row: Row) -> list[list[Paint]]:
        if not self.widths:
            return self._draw_stacked(row)
        columns = [_wrapped(cell, width) for cell, width in zip(row, self.widths, strict=True)]
        dim = self.palette.mark(Mark.DIM)
        drawn: list[list[Paint]] = []
        for index in range(max(map(len, columns))):
            line: list[Paint] = []
            for column, width, alignment in zip(columns, self.widths, self.alignments, strict=True):
                cell = column[index] if index < len(column) else []
                line += [*_aligned(cell, width, alignment), Paint(" │ ", dim)]
            drawn.append(_trimmed(line[:-1]))
        if self.n_drawn == 0:
            drawn.append([Paint("─┼─".join("─" * width for width in self.widths), dim)])
        return drawn

    def _draw_stacked(self, row: Row) -> list[list[Paint]]:
        """A window too narrow for columns: a block for each row, a line for each cell."""
        if self.n_drawn == 0:
            return []
        drawn: list[list[Paint]] = []
        for name, cell in zip(self.header, row, strict=True):
            drawn += _wrapped([*name, Paint(": ", ""), *cell], self.width)
        return [*drawn, [Paint("─" * min(3, self.width), self.palette.mark(Mark.DIM))]]


def _breaks(text: str) -> str:
    for tag in _BREAKS:
        text = text.replace(tag, "\n")
    return text


def _natural(cell: list[Paint]) -> int:
    text = "".join(paint.text for paint in cell)
    return max(1, *(measure(line) for line in text.split("\n")))


def _wrapped(paints: list[Paint], width: int) -> list[list[Paint]]:
    wrapper = Wrapper(width)
    return [*wrapper.add(paints), wrapper.take()]


def _aligned(cell: list[Paint], width: int, alignment: str) -> list[Paint]:
    free = width - sum(measure(paint.text) for paint in cell)
    left = {"left": 0, "center": free // 2, "right": free}[alignment]
    return [Paint(" " * left, ""), *cell, Paint(" " * (free - left), "")]


def _trimmed(line: list[Paint]) -> list[Paint]:
    """Without the white space at its end."""
    while line and not line[-1].text.strip():
        line = line[:-1]
    return line
