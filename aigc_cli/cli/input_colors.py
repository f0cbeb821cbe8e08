"""Colours for what is being typed: the code in fences, as it will look in a reply."""

import re
from collections.abc import Callable, Iterator
from functools import lru_cache

from prompt_toolkit.document import Document
from prompt_toolkit.formatted_text import ANSI, StyleAndTextTuples, to_formatted_text
from prompt_toolkit.lexers import Lexer

from aigc_cli.render.highlight import LexerState, Tokens, lex_line, start_state
from aigc_cli.render.palette import Palette

_FENCE = re.compile(r"^\s*(`{3,}|~{3,})\s*([^\s`]*)")
_LONGEST_LINE = 2_000  # characters: a line that was pasted whole is no program to read


class FenceLexer(Lexer):
    """Fenced code in the colours of a palette; everything else as it is."""

    def __init__(self, palette: Callable[[], Palette]) -> None:
        self._palette = palette

    def lex_document(self, document: Document) -> Callable[[int], StyleAndTextTuples]:
        """The pieces of each line, in their styles; asked anew at each change of the text."""
        palette = self._palette()
        if not palette.colors_code or not any(mark in document.text for mark in ("```", "~~~")):
            return lambda number: [("", document.lines[number])]
        lines = list(_colored(document.lines, palette))
        return lambda number: lines[number]


def _colored(lines: list[str], palette: Palette) -> Iterator[StyleAndTextTuples]:
    fence, language, state = "", "", LexerState()
    for line in lines:
        match = _FENCE.match(line)
        if match and not fence:
            fence, language = match[1], match[2]
            state = start_state(language)
            yield [("", line)]
        elif match and match[1].startswith(fence) and not match[2]:
            fence = ""
            yield [("", line)]
        elif fence and len(line) <= _LONGEST_LINE:
            tokens, state = _lexed(language, line, state)
            yield [(_style(palette.token(token)), text) for token, text in tokens]
        else:
            yield [("", line)]


@lru_cache(maxsize=4_096)
def _lexed(language: str, line: str, state: LexerState) -> tuple[Tokens, LexerState]:
    """A key changes one line: the others are not lexed again."""
    return lex_line(language, line, state)


@lru_cache(maxsize=256)
def _style(sgr: str) -> str:
    """SGR parameters as prompt_toolkit writes a style."""
    return to_formatted_text(ANSI(f"\x1b[{sgr}mx"))[0][0] if sgr else ""
