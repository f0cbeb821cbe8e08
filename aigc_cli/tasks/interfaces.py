"""What other files need to know of a file: the heads of its definitions, without what is inside them."""

import re
from collections.abc import Iterator, Sequence

from aigc_cli.tasks.definitions import Definition, definitions
from aigc_cli.tasks.languages import Language
from aigc_cli.tasks.syntax import parse

SHORT_LINES = 12  # a type or a value that is no longer is shown whole: its fields are what others use
_MOST_HEAD_LINES = 8
_MOST_WIDTH = 160  # characters of a line
_BODY_BEGINS = re.compile(r"(?:[:{]|=>|\bdo|\bthen|\bbegin)\s*$")
_COMMENT = re.compile(r"\s*(?:#(?!\[|include)|//|/?\*|--|<!--)")
_DECORATOR = re.compile(r"\s*(?:@|#\[)")
_WITH_ID = re.compile(r"<\w[^>]*\b(?:id|name)\s*=[^>]*>")


def interface_of(text: str, language: Language | None) -> str:
    """The heads of what a text defines, one after the other; of a page, its elements with an ID or a name.

    Empty where nothing is known of the language, or nothing is defined.
    """
    if language is not None and language.tag in ("html", "vue"):
        return "\n".join(match[0][:_MOST_WIDTH] for match in _WITH_ID.finditer(text))
    lines = text.split("\n")
    heads: list[str] = []
    shown_to = 0  # the last line that is shown whole
    for each in definitions(parse(language, text)):
        if each.first <= shown_to:
            continue
        is_whole = each.kind not in ("function", "class", "module") and each.last - each.first < SHORT_LINES
        head = lines[each.first - 1 : each.last] if is_whole else list(_head(lines, each))
        shown_to = each.last if is_whole else each.first
        heads += [line.rstrip()[:_MOST_WIDTH] for line in head]
    return "\n".join(heads)


def _head(lines: Sequence[str], definition: Definition) -> Iterator[str]:
    """The lines up to where the body begins, without comments."""
    n_shown = n_open = 0
    for line in lines[definition.first - 1 : definition.last]:
        if _COMMENT.match(line) or not line.strip():
            continue
        yield line
        n_shown += 1
        n_open += line.count("(") - line.count(")")
        is_header = n_open <= 0 or bool(_BODY_BEGINS.search(line))
        if n_shown == _MOST_HEAD_LINES or (is_header and not _DECORATOR.match(line)):
            return
