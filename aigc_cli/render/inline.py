"""Inline Markdown (emphasis, code, links) -> spans, and how much of an unfinished text is decided already.

markdown-it-py parses. Two things are ours: emphasis next to Chinese and Japanese, and the question that
streaming asks: can text that is still to come change how this is read?
"""

import re
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING

from aigc_cli.render.console import sanitize
from aigc_cli.render.spans import Mark, Span

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.rules_inline import StateInline
    from markdown_it.token import Token

# An emphasis or a link that is still open after so many characters, or so many characters of markup, is taken
# literally, so that the part of a paragraph that may change, and with it the work for each token, is bounded.
OPEN_LIMIT = 400
_OPEN_MARKUP_LIMIT = 32
_WORD_LIMIT = 500  # longer words are cut anywhere

# Kinsoku: no line ends with the first, none starts with the second.
_CJK_OPENING = "（［｛〈《「『【〔〖〘〝"  # noqa: RUF001  # these characters are meant
_CJK_CLOSING = "、。，．：；？！）］｝〉》」』】〕〗〙〞・ー～々ゝゞヽヾぁぃぅぇぉっゃゅょァィゥェォッャュョ"  # noqa: RUF001
_CJK = (
    "\u2e80-\u303f\u3040-\u312f\u31a0-\u31ff\u3200-\u4dbf\u4e00-\u9fff\ua000-\ua4cf\uf900-\ufaff\ufe30-\ufe4f"
    "\uff01-\uff60\uffe0-\uffe6\U00020000-\U0003fffd"
)
_CJK_BEFORE = f"(?<=[{_CJK}])(?<![{_CJK_OPENING}])"
_CJK_AFTER = f"(?=[{_CJK}])(?![{_CJK_CLOSING}])"
# Where a line may be broken: after white space, and around Chinese and Japanese characters. Both neighbours
# are known there: cutting the text at such a place does not change how its parts are read.
BREAK = re.compile(
    rf"(?<=[ \n])(?=[^ \n])|{_CJK_BEFORE}{_CJK_AFTER}"
    rf"|{_CJK_BEFORE}(?=[0-9A-Za-z])|(?<=[0-9A-Za-z]){_CJK_AFTER}"
)
_MARKUP = re.compile(r"[*_`~\[\]!<\\&]")
_CJK_CHARACTER = re.compile(f"[{_CJK}]")
# What is left in literal text and could still open something once more text arrives.
_OPENER = re.compile(r"\*(?!\s)|(?<!\w)_(?!\s)|~~(?!\s)|`|\[(?![^\[\]]*\](?!\())")
_OPEN_MARKER = re.compile(r"\*+(?=[^\s*]|$)|(?<!\w)_+(?=[^\s_]|$)|~~(?=[^\s~]|$)|`+")
_CAN_DECIDE = re.compile(r"[*_`~\[\]!<\\&)]")


def _scan_star(state: "StateInline", start: int) -> tuple[int, bool, bool]:
    """Length of a run of `*`, and whether it can open and close emphasis.

    CommonMark asks for white space or punctuation around `**“粗体”**后面`, which Chinese and Japanese do not
    have; next to their characters the punctuation inside the run does not matter.
    """
    text, end = state.src, start
    while end < len(text) and text[end] == "*":
        end += 1
    before = text[start - 1] if start else " "
    after = text[end] if end < len(text) else " "
    loose = bool(_CJK_CHARACTER.match(before) or _CJK_CHARACTER.match(after))
    before_is_letter = not before.isspace() and before.isalnum()
    after_is_letter = not after.isspace() and after.isalnum()
    can_open = not after.isspace() and (after_is_letter or not before_is_letter or loose)
    can_close = not before.isspace() and (before_is_letter or not after_is_letter or loose)
    return end - start, can_open, can_close


def _emphasis(state: "StateInline", silent: bool) -> bool:  # noqa: FBT001  # markdown-it's signature of a rule
    from markdown_it.rules_inline.state_inline import Delimiter

    marker = state.src[state.pos]
    if silent or marker not in "*_":
        return False
    if marker == "*":
        length, can_open, can_close = _scan_star(state, state.pos)
    else:
        scanned = state.scanDelims(state.pos, False)
        length, can_open, can_close = scanned.length, scanned.can_open, scanned.can_close
    for _ in range(length):
        state.push("text", "", 0).content = marker
        state.delimiters.append(
            Delimiter(ord(marker), length, len(state.tokens) - 1, -1, can_open, can_close)
        )
    state.pos += length
    return True


@cache
def _parser() -> "MarkdownIt":
    from markdown_it import MarkdownIt  # 60 ms; a plain view does not need it

    rules = [
        "newline",
        "escape",
        "backticks",
        "strikethrough",
        "emphasis",
        "link",
        "image",
        "autolink",
        "entity",
    ]
    parser = MarkdownIt("zero").enable(rules)
    parser.inline.ruler.at("emphasis", _emphasis)
    return parser


def _tokens(text: str) -> "list[Token]":
    parser = _parser()
    return parser.inline.parse(text, parser, {}, [])


_OPENING = {"strong_open": Mark.BOLD, "em_open": Mark.ITALIC, "s_open": Mark.STRIKE, "link_open": Mark.LINK}
_CLOSING = {
    "strong_close": Mark.BOLD,
    "em_close": Mark.ITALIC,
    "s_close": Mark.STRIKE,
    "link_close": Mark.LINK,
}


def parse(text: str, base: Mark = Mark.PLAIN) -> list[Span]:
    """The spans of a text whose markup is complete; what is not closed is literal."""
    if not _MARKUP.search(text):
        return [Span(text, base)]
    spans: list[Span] = []
    mark = base
    link, link_start = "", 0
    for token in _tokens(text):
        mark = (mark | _OPENING.get(token.type, Mark.PLAIN)) & (~_CLOSING.get(token.type, Mark.PLAIN) | base)
        if token.type == "link_open":
            link, link_start = str(token.attrs["href"]), len(spans)
        elif token.type == "link_close":
            spans += _address(link, "".join(span.text for span in spans[link_start:]), base)
        elif token.type == "image":
            spans.append(Span(token.content, mark | Mark.LINK))
            spans += _address(str(token.attrs["src"]), token.content, base)
        elif content := _content(token):
            spans.append(Span(content, mark | Mark.CODE if token.type == "code_inline" else mark))
    return spans


def _content(token: "Token") -> str:
    if token.type in ("softbreak", "hardbreak"):
        return "\n"
    if token.type == "text_special":  # an escape, or an entity such as &#x202e;
        return sanitize(token.content)
    return token.content


def _address(address: str, text: str, base: Mark) -> list[Span]:
    """Where a link leads, behind its text: a link that can't be read can't be judged."""
    from urllib.parse import unquote

    plain = unquote(address)
    if text in (address, plain, plain.removeprefix("mailto:")) or not address:
        return []
    return [Span(" (", base), Span(sanitize(plain).replace("\n", " "), base | Mark.ADDRESS), Span(")", base)]


def parse_open(text: str, base: Mark = Mark.PLAIN) -> list[Span]:
    """The spans of a text that goes on: what is open is shown as if it were closed at the end.

    A run of markers at the very end is not shown: the next character tells what it is.
    """
    shown = text.rstrip("*_~`")
    if not _MARKUP.search(shown):
        return [Span(shown, base)]
    open_markers = _open_markers(shown)
    if not open_markers:
        return parse(shown, base)
    closed = shown.rstrip() + "".join(reversed(open_markers))
    return parse(shown if _open_markers(closed) else closed, base)


def _is_too_long(text: str, start: int, end: int) -> bool:
    return end - start > OPEN_LIMIT or len(_MARKUP.findall(text, start, end)) > _OPEN_MARKUP_LIMIT


def _places(text: str, scanned: int) -> Iterator[int]:
    """The breaks behind `scanned`, then the end."""
    yield from (match.start() for match in BREAK.finditer(text, scanned + 1))
    yield len(text)


def _open_markers(text: str) -> list[str]:
    literal = (token.content for token in _tokens(text) if token.type == "text")
    return [match.group() for content in literal for match in _OPEN_MARKER.finditer(content)]


def is_decided(text: str) -> bool:
    """Whether no later text can change how this is read, provided that a new word follows."""
    if not _MARKUP.search(text):
        return True
    return not any(token.type == "text" and _OPENER.search(token.content) for token in _tokens(text))


def decided_cuts(text: str, scanned: int) -> tuple[list[int], int]:
    """Where the start of an unfinished text can be cut off for good.

    Args:
        text: what is not cut off yet.
        scanned: the place that an earlier call came to in this text; 0 at first.

    Returns:
        The places to cut, and the place that this call came to. How the parts between the cuts are read
        depends on the text alone, not on how it was divided among calls.
    """
    cuts: list[int] = []
    start = 0  # of the part after the last cut
    after_plain = False
    for place in _places(text, scanned):
        while place - start > _WORD_LIMIT:
            start += _WORD_LIMIT
            cuts.append(start)
            after_plain = False
        if place == len(text):
            break
        if not _MARKUP.search(text, start, place):
            if after_plain:
                cuts[-1] = place
            else:
                cuts.append(place)
            start, after_plain = place, True
        elif _is_too_long(text, start, place) or (
            _CAN_DECIDE.search(text, scanned, place) and is_decided(text[start:place])
        ):
            cuts.append(place)
            start, after_plain = place, False
        scanned = place
    return cuts, scanned
