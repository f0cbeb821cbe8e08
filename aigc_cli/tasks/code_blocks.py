"""Fenced code in Markdown: text -> blocks of code. Pure.

Follows CommonMark 0.31 section 4.5 with three leniences for what models write: a fence may be indented as
deep as a list needs, the last block may be unclosed, and a block of Markdown may hold blocks of its own.
"""

import re
from dataclasses import dataclass

# CommonMark: an info string after backticks holds no backtick, or inline code would open a block.
_FENCE = re.compile(r"^(?P<indent>[ \t]*)(?P<mark>`{3,}(?=[^`]*$)|~{3,})(?P<info>.*)$")
_MARKDOWN = {"markdown", "md", "mdx"}
_CLOSING_INDENT = 3  # a fence indented deeper than this, relative to the opening one, is content


@dataclass(frozen=True, slots=True)
class CodeBlock:
    """One fenced block.

    Attributes:
        language: first word of the info string, in lower case; empty if there is none.
        code: the content; each line ends with a line break, except perhaps the last of an unclosed block.
        closed: whether a closing fence was there.
    """

    language: str
    code: str
    closed: bool = True


@dataclass(frozen=True, slots=True)
class _Fence:
    indent: int
    mark: str
    info: str

    def closes(self, opening: "_Fence") -> bool:
        return (
            not self.info
            and self.mark[0] == opening.mark[0]
            and len(self.mark) >= len(opening.mark)
            and self.indent <= opening.indent + _CLOSING_INDENT
        )


def extract_code_blocks(text: str) -> list[CodeBlock]:
    """Every fenced block of a Markdown text, in order."""
    blocks: list[CodeBlock] = []
    opening: _Fence | None = None
    lines: list[str] = []
    depth = 0  # fences open inside a block of Markdown
    for line in text.split("\n"):
        fence = _fence(line)
        if opening is None:
            opening, lines, depth = fence, [], 0
            continue
        if fence and fence.closes(opening) and depth == 0:
            blocks.append(_block(opening, lines, closed=True))
            opening = None
            continue
        depth = max(0, depth + _step(opening, fence))
        lines.append(_unindented(line, opening.indent))
    if opening is not None:
        blocks.append(_block(opening, lines, closed=False))
    return blocks


def _fence(line: str) -> _Fence | None:
    match = _FENCE.match(line)
    return _Fence(len(match["indent"]), match["mark"], match["info"].strip()) if match else None


def _step(opening: _Fence, fence: _Fence | None) -> int:
    """How a line changes the depth inside a block of Markdown: +1 opens a block there, -1 closes it."""
    if fence is None or _language(opening) not in _MARKDOWN or fence.mark[0] != opening.mark[0]:
        return 0
    if len(fence.mark) < len(opening.mark):
        return 0  # shorter fences can't be taken for the closing one
    return 1 if fence.info else -1


def _unindented(line: str, n: int) -> str:
    """Without the indentation of the opening fence, or as much of it as the line has."""
    indent = len(line) - len(line.lstrip(" \t"))
    return line[min(n, indent) :]


def _language(fence: _Fence) -> str:
    words = fence.info.split()
    return words[0].strip("{}.").lower() if words else ""


def _block(opening: _Fence, lines: list[str], *, closed: bool) -> CodeBlock:
    code = "\n".join(lines)
    return CodeBlock(_language(opening), code + "\n" if closed and lines else code, closed)
