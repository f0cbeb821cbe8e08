"""Code -> coloured tokens, a line at a time, with the lexer's state carried from line to line.

Pygments lexes whole texts. Two things make it lex a stream in linear time. Its `ExtendedRegexLexer` hands
back its stack of states after a text; mixed into any lexer made of regular expressions it makes that one
resumable. And many lexers match a comment or a string over many lines with one expression, which never
matches while the end is missing: when a line opens something, it is lexed once more with the end appended,
and if that gives one token across the line break, all lines up to the real end are that token.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from pygments.lexer import ExtendedRegexLexer, LexerContext, RegexLexer
from pygments.lexers import get_lexer_by_name
from pygments.token import Comment, String, Token
from pygments.util import ClassNotFound

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pygments.lexer import Lexer
    from pygments.token import _TokenType

Tokens = list[tuple["_TokenType", str]]

# What opens a token over several lines in some language, and what closes it; the lexer says if it does here.
_BRACKETS = (
    ("/*", "*/"),
    ("<!--", "-->"),
    ("{-", "-}"),
    ("(*", "*)"),
    ("[[", "]]"),
    ("#|", "|#"),
    ("<#", "#>"),
    ("=begin", "=end"),
)
_QUOTES = ('"""', "'''", "`", '"', "'")
_START_STATES = {"php": ("root", "php")}  # models leave out `<?php`
_ALIASES = {"vue": "html", "svelte": "html", "jsonc": "json", "json5": "json", "golang": "go", "node": "js"}
_EMBEDDING = ("html", "htm", "xhtml")
_EMBEDDED = re.compile(r"<(script|style)\b[^>]*>(?!.*</\1)", re.IGNORECASE)


class _Open(NamedTuple):
    """A token that goes on over line breaks until `closer`."""

    token: "_TokenType"
    closer: str


class _Embedded(NamedTuple):
    """Code of another language, inside HTML, until `closer`."""

    language: str
    closer: str
    state: "LexerState"


@dataclass(frozen=True, slots=True)
class LexerState:
    """Where a lexer stands between two lines."""

    stack: tuple[str, ...] = ("root",)
    open: _Open | None = None
    embedded: _Embedded | None = None


def start_state(language: str) -> LexerState:
    """The state before the first line."""
    return LexerState(_START_STATES.get(language.lower(), ("root",)))


def lex_line(language: str, line: str, state: LexerState) -> tuple[Tokens, LexerState]:
    """The tokens of one line (without its newline), and the state after it.

    An unknown language has no colours.
    """
    language = _ALIASES.get(language.lower(), language.lower())
    lexer = _lexer(language)
    if lexer is None or not line:
        return [(Token.Text, line)], state
    before, line, state = _finish_embedded(line, state) if state.embedded else _finish_open(line, state)
    if not line:
        return before, state
    tokens, after = _lex_or_give_up(lexer, line, state)
    if language in _EMBEDDING and (tag := _EMBEDDED.search(line)):
        inner = "javascript" if tag[1].lower() == "script" else "css"
        after = LexerState(embedded=_Embedded(inner, f"</{tag[1].lower()}", LexerState()))
    return before + tokens, after


def _finish_open(line: str, state: LexerState) -> tuple[Tokens, str, LexerState]:
    """The part of a line that belongs to a token from the lines before, the rest, and the state there."""
    if state.open is None:
        return [], line, state
    end = line.find(state.open.closer)
    if end < 0:
        return [(state.open.token, line)], "", state
    end += len(state.open.closer)
    return [(state.open.token, line[:end])], line[end:], LexerState(state.stack)


def _finish_embedded(line: str, state: LexerState) -> tuple[Tokens, str, LexerState]:
    """The same for code of another language."""
    if state.embedded is None:
        return [], line, state
    language, closer, inner = state.embedded
    end = line.lower().find(closer)
    if end < 0:
        tokens, inner = lex_line(language, line, inner)
        return tokens, "", LexerState(embedded=_Embedded(language, closer, inner))
    tokens, _ = lex_line(language, line[:end], inner)
    return tokens, line[end:], LexerState()


def _lex_or_give_up(lexer: "Lexer", line: str, state: LexerState) -> tuple[Tokens, LexerState]:
    try:
        return _lex(lexer, line, state)
    except Exception:  # noqa: BLE001  # one of 500 lexers trips over broken code: no colour, not a lost reply
        return [(Token.Text, line)], LexerState()


def _lex(lexer: "Lexer", line: str, state: LexerState) -> tuple[Tokens, LexerState]:
    for closer in _closers(line):
        probed, stack = _run(lexer, f"{line}\n{closer}\n", state.stack)
        if opened := _spanning(probed, len(line), closer):
            return _clip(probed, len(line)), LexerState(stack, opened)
    tokens, stack = _run(lexer, line + "\n", state.stack)
    return _clip(tokens, len(line)), LexerState(stack)


def _closers(line: str) -> list[str]:
    """What would close the tokens that this line may have left open."""
    closers = [close for opening, close in _BRACKETS if line.rfind(opening) > line.rfind(close)]
    return closers + [quote for quote in _QUOTES if line.count(quote) % 2]


def _spanning(tokens: Tokens, length: int, closer: str) -> _Open | None:
    """The comment or string that begins in the line and ends with the closer behind it."""
    position = 0
    for token, text in tokens:
        if position < length < position + len(text) - 1:
            is_prose = any(kind is Comment or kind is String for kind in token.split())
            return _Open(token, closer) if is_prose and text.rstrip("\n").endswith("\n" + closer) else None
        position += len(text)
    return None


def _clip(tokens: Tokens, length: int) -> Tokens:
    clipped: Tokens = []
    for token, text in tokens:
        if length <= 0:
            break
        clipped.append((token, text[:length]))
        length -= len(text)
    return clipped


class _LineContext(LexerContext):
    """Remembers the stack when the end of the line is reached.

    At the end a lexer goes on with rules that match nothing, which is right only at the end of the code.
    """

    stack_at_end: tuple[str, ...] = ()

    @property
    def pos(self) -> int:
        """The lexer's position; it asks for it before each match."""
        if self._pos >= self.end and not self.stack_at_end:
            self.stack_at_end = tuple(self.stack)
        return self._pos

    @pos.setter
    def pos(self, value: int) -> None:
        self._pos = value


class _Resumable(ExtendedRegexLexer):
    """Mixed into a lexer class: with a context it runs resumably, without one as it always did."""

    def get_tokens_unprocessed(  # type: ignore[override]  # the signatures of its base classes disagree
        self, text: str | None = None, context: LexerContext | None = None, stack: Iterable[str] = ("root",)
    ) -> "Iterator[tuple[int, _TokenType, str]]":
        """Lex `text`, or go on with `context`. Rules that lex a part of a match anew give a `stack`."""
        if context is not None:
            return super().get_tokens_unprocessed(context=context)
        return super(ExtendedRegexLexer, self).get_tokens_unprocessed(text or "", stack)


def _run(lexer: "Lexer", text: str, stack: tuple[str, ...]) -> tuple[Tokens, tuple[str, ...]]:
    # A lexer with a loop or a context of its own (JSON, YAML, consoles) is good enough line by line.
    loop = type(lexer).get_tokens_unprocessed
    resumable = loop in (_Resumable.get_tokens_unprocessed, ExtendedRegexLexer.get_tokens_unprocessed)
    if not resumable or not isinstance(lexer, ExtendedRegexLexer):
        return [(token, value) for _, token, value in lexer.get_tokens_unprocessed(text)], stack
    context = _LineContext(text, 0, list(stack))
    tokens = [(token, value) for _, token, value in lexer.get_tokens_unprocessed(context=context)]
    return tokens, context.stack_at_end or tuple(context.stack)


@cache
def _lexer(language: str) -> "Lexer | None":
    if not language:
        return None
    try:
        lexer = get_lexer_by_name(language)
    except ClassNotFound:
        return None
    if isinstance(lexer, ExtendedRegexLexer) or not isinstance(lexer, RegexLexer):
        return lexer
    resumable: Lexer = type("Resumable", (_Resumable, type(lexer)), {})()
    return resumable
