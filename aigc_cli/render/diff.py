"""A difference of two texts as rows of a terminal: numbered, coloured, cut to the window's width."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from aigc_cli.render.console import sanitize
from aigc_cli.render.palette import Palette, render
from aigc_cli.render.spans import Mark, Paint
from aigc_cli.render.wrap import chop

if TYPE_CHECKING:
    from aigc_cli.render.highlight import LexerState

_TAB_COLUMNS = 4
_NARROW = 40  # columns: in a window below that, code needs the room of the numbers
_COLORS = {"-": "31", "+": "32"}
_CHANGED = ";7"  # reverse video: a changed space shows, too
_LEAST_SHARED = 0.4  # of two lines, or they are no version of each other


class Hunk(Protocol):
    """What is drawn of a hunk: its lines, each with a sign, and where they begin."""

    @property
    def old_start(self) -> int:
        """How many lines of the old text come before."""
        ...

    @property
    def new_start(self) -> int:
        """How many lines of the new text come before."""
        ...

    @property
    def lines(self) -> Sequence[tuple[str, str]]:
        """Each with a blank, `-` or `+`."""
        ...


def draw_diff(name: str, hunks: Sequence[Hunk], language: str, palette: Palette, width: int) -> list[str]:
    """The rows of a file's diff, none wider than `width` columns."""
    n_added, n_removed = (sum(sign == each for h in hunks for sign, _ in h.lines) for each in "+-")
    title = [Paint(sanitize(name), palette.mark(Mark.BOLD)), Paint(f"  +{n_added} -{n_removed}", "")]
    rows = [render(row) for row in chop(title, width)]
    last_number = max((max(h.old_start, h.new_start) + len(h.lines) for h in hunks), default=0)
    digits = len(str(last_number)) if width >= _NARROW else 0
    page = _Page(palette, width, digits)
    for index, hunk in enumerate(hunks):
        if index:
            rows.append(render([Paint("···"[:width], palette.mark(Mark.DIM))]))
        rows += _hunk_rows(page, hunk, language)
    return rows


@dataclass(frozen=True, slots=True)
class _Page:
    palette: Palette
    width: int
    digits: int

    def rows(self, paints: list[Paint], sign: str, number: int | None) -> Iterator[str]:
        """One line of text as rows; only the first has the number."""
        color = "" if self.palette.is_plain else _COLORS.get(sign, "")
        gutter = self.digits + 1 if self.digits else 0
        for index, row in enumerate(chop(paints, max(1, self.width - gutter - len("+ ")))):
            shown = str(number) if number and not index else ""
            left = [Paint(f"{shown:>{self.digits}} ", self.palette.mark(Mark.DIM))] if self.digits else []
            yield render([*left, Paint(f"{sign} ", color), *row])


def _hunk_rows(page: _Page, hunk: Hunk, language: str) -> Iterator[str]:
    old_number, new_number = hunk.old_start, hunk.new_start
    marked = _changed_spans([(sign, _shown(line)) for sign, line in hunk.lines])
    lexed = _Context(language, page.palette)
    for (sign, text, span), (_, line) in zip(marked, hunk.lines, strict=True):
        old_number += sign != "+"
        new_number += sign != "-"
        paints = lexed.paint(text) if sign == " " else _painted(text, sign, span, page.palette)
        number = old_number if sign == "-" else new_number
        yield from page.rows(paints, sign, number)
        if not line.endswith(("\n", "\r")):
            note = Paint("(no line break at the end)", page.palette.mark(Mark.DIM))
            yield from page.rows([note], " ", None)


def _shown(line: str) -> str:
    return sanitize(line.rstrip("\r\n")).expandtabs(_TAB_COLUMNS)


def _painted(text: str, sign: str, span: tuple[int, int], palette: Palette) -> list[Paint]:
    if palette.is_plain:
        return [Paint(text, "")]
    color = _COLORS[sign]
    start, end = span
    parts = ((text[:start], color), (text[start:end], color + _CHANGED), (text[end:], color))
    return [Paint(part, sgr) for part, sgr in parts if part]


def _changed_spans(lines: Sequence[tuple[str, str]]) -> list[tuple[str, str, tuple[int, int]]]:
    """Each line with the span that differs from the line it replaces, or that replaces it; empty for none."""
    spans = [(0, 0)] * len(lines)
    i = 0
    while i < len(lines):
        removed = _run(lines, i, "-")
        added = _run(lines, i + removed, "+")
        for offset in range(removed if removed == added else 0):
            one, other = i + offset, i + removed + offset
            spans[one], spans[other] = _difference(lines[one][1], lines[other][1])
        i += max(removed + added, 1)
    return [(sign, text, span) for (sign, text), span in zip(lines, spans, strict=True)]


def _run(lines: Sequence[tuple[str, str]], start: int, sign: str) -> int:
    n = 0
    while start + n < len(lines) and lines[start + n][0] == sign:
        n += 1
    return n


def _difference(old: str, new: str) -> tuple[tuple[int, int], tuple[int, int]]:
    shortest = min(len(old), len(new))
    head = next((i for i in range(shortest) if old[i] != new[i]), shortest)
    most = shortest - head
    tail = next((i for i in range(most) if old[-1 - i] != new[-1 - i]), most)
    if head + tail < _LEAST_SHARED * max(len(old), len(new)):
        return (0, 0), (0, 0)
    return (head, len(old) - tail), (head, len(new) - tail)


class _Context:
    """Colours unchanged lines as code of their language, from line to line."""

    def __init__(self, language: str, palette: Palette) -> None:
        self._language = language if palette.colors_code else ""
        self._palette = palette
        self._state: LexerState | None = None

    def paint(self, text: str) -> list[Paint]:
        """One line in its colours."""
        if not self._language:
            return [Paint(text, "")]
        from aigc_cli.render.highlight import lex_line, start_state  # Pygments: 15 ms that a plain diff saves

        state = self._state or start_state(self._language)
        tokens, self._state = lex_line(self._language, text, state)
        return [Paint(part, self._palette.token(token)) for token, part in tokens]
