"""Words into rows of a given width, a piece at a time; the last row stays open."""

from collections.abc import Iterator

from aigc_cli.render.inline import BREAK
from aigc_cli.render.spans import Paint

# Terminals disagree on emoji made of several characters: joiner, skin tone, letters of a flag. Rows that
# count each part at its widest fit in all of them.
_WIDEST = {
    0x200D: " ",
    **dict.fromkeys(range(0x1F3FB, 0x1F400), "  "),
    **dict.fromkeys(range(0x1F1E6, 0x1F200), "  "),
}


def measure(text: str) -> int:
    """Cells that a text takes at most."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len  # 15 ms; English text does not need it

    return cell_len(text.translate(_WIDEST))


def chop(paints: list[Paint], width: int) -> list[list[Paint]]:
    """Cut into rows of at most `width` cells, wherever that is."""
    rows: list[list[Paint]] = [[]]
    column = 0
    for text, sgr in paints:
        start = 0
        for index, cells in _characters(text):
            if column + cells > width and column:
                rows[-1].append(Paint(text[start:index], sgr))
                rows.append([])
                start, column = index, 0
            column += cells
        rows[-1].append(Paint(text[start:], sgr))
    return rows


def _characters(text: str) -> Iterator[tuple[int, int]]:
    """Index and cells of each character; a variation selector can widen the one before it."""
    for index, char in enumerate(text):
        yield index, (1 if char == "\ufe0f" else measure(char))


class Wrapper:
    """Breaks painted text into rows: at white space, around Chinese and Japanese, long words anywhere.

    Each piece added ends where a line may be broken, except the last one.
    """

    def __init__(self, width: int) -> None:
        self.width = max(width, 1)
        self._row: list[Paint] = []
        self._gap: list[Paint] = []  # white space that is drawn only if a word follows in the same row
        self._column = 0

    def copy(self) -> "Wrapper":
        """An independent wrapper in the same state."""
        other = Wrapper(self.width)
        other._row, other._gap, other._column = self._row.copy(), self._gap.copy(), self._column
        return other

    @property
    def is_empty(self) -> bool:
        """Whether the open row holds nothing."""
        return not self._row

    def add(self, paints: list[Paint]) -> list[list[Paint]]:
        """The rows that are full now."""
        rows: list[list[Paint]] = []
        text = "".join(paint.text for paint in paints)
        start = 0
        for end in [*(match.start() for match in BREAK.finditer(text)), len(text)]:
            word_end = start + len(text[start:end].rstrip(" \n"))
            if word_end > start:
                self._place(_cut(paints, start, word_end), measure(text[start:word_end]), rows)
            if "\n" in text[word_end:end]:
                rows.append(self.take())
            elif word_end < end and self._column:
                self._gap += _cut(paints, word_end, end)
            start = end
        return rows

    def take(self) -> list[Paint]:
        """The open row; the next one begins."""
        row = self._row
        self._row, self._gap, self._column = [], [], 0
        return row

    def _place(self, word: list[Paint], cells: int, rows: list[list[Paint]]) -> None:
        gap = sum(len(paint.text) for paint in self._gap)
        if self._column and self._column + gap + cells > self.width:
            rows.append(self.take())
            gap = 0
        if cells > self.width:
            *full, word = chop(word, self.width)
            rows += full
            cells = sum(measure(paint.text) for paint in word)
        self._row += self._gap
        self._row += word
        self._column += gap + cells
        self._gap = []


def _cut(paints: list[Paint], start: int, end: int) -> list[Paint]:
    """The characters from `start` to `end` of the whole text."""
    if len(paints) == 1:
        return [Paint(paints[0].text[start:end], paints[0].sgr)]
    out: list[Paint] = []
    for text, sgr in paints:
        if part := text[max(start, 0) : max(end, 0)]:
            out.append(Paint(part, sgr))
        start -= len(text)
        end -= len(text)
        if end <= 0:
            break
    return out
