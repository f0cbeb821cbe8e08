"""Where a fill ends: with its line or its block, or where what follows the gap begins. Pure."""

import re
from dataclasses import dataclass

from aigc_cli.tasks.gap import Gap, Kind, indentation

# What opens a block at the end of a line: Python's colon, brackets, and the words of shells, Lua and Ruby.
_OPENS = re.compile(r"(?:[:{(\[]|=>|->|\b(?:then|do|else|begin))\s*$")
_WORD = 4  # characters: what is so long is hardly there twice by intent
_CLOSES = re.compile(r"\s*(?:[)\]}]|(?:end|fi|done|esac)\b|</)")


@dataclass(frozen=True, slots=True)
class FillEnd:
    """When enough is said.

    Attributes:
        least_indent: columns; a line that is indented less does not belong to the block. None: the first line
            says how far.
        own_indent: columns of the line that opens the block; its closing bracket belongs to it. -1 for none.
        next_line: what follows the gap; a line that repeats it is where the fill ends.
        n_lines: at most so many lines; 0 for no such limit.
    """

    kind: Kind
    least_indent: int | None = None
    own_indent: int = -1
    next_line: str = ""
    n_lines: int = 0

    def stops(self) -> tuple[str, ...]:
        """Strings that end the model's reply."""
        if self.kind is Kind.LINE or self.n_lines == 1:
            return ("\n",)
        return (f"\n{self.next_line}\n",) if self.next_line else ()

    def cut(self, text: str, *, is_whole: bool = True) -> tuple[str, bool]:
        """What of a reply belongs into the gap, and whether that is known to be all.

        Args:
            text: the reply so far.
            is_whole: whether nothing more comes; else the last line may be a part of one.
        """
        lines = text.split("\n")
        if self.kind is Kind.LINE:
            return lines[0], len(lines) > 1
        certain = len(lines) if is_whole else len(lines) - 1
        n_kept = self._n_kept(lines, certain)
        return "\n".join(lines[:n_kept]), n_kept < len(lines)

    def _n_kept(self, lines: list[str], certain: int) -> int:
        """How many lines belong to the fill; of those after `certain` only the beginning is known."""
        least = self.least_indent
        for index, line in enumerate(lines):
            if self.n_lines and index >= self.n_lines:
                return index
            if not line.strip() or (index == 0 and least is not None):
                continue
            if index < certain and line.rstrip() == self.next_line:
                return index
            if least is None:
                least = indentation(line)
            if indentation(line) < least:
                if not self._closes(line):
                    return index
                if index < certain and not _OPENS.search(line):  # not `} else {`
                    return index + 1
        return len(lines)

    def _closes(self, line: str) -> bool:
        return indentation(line) == self.own_indent and bool(_CLOSES.match(line))


def end_of(gap: Gap, n_lines: int = 0) -> FillEnd:
    """Where a fill of this gap ends."""
    head = gap.head
    if gap.kind is Kind.LINE:
        return FillEnd(Kind.LINE)
    if not head:
        return FillEnd(gap.kind, None, -1, gap.next_line, n_lines)
    own = indentation(head)
    if not head.strip() or not _OPENS.search(head):
        return FillEnd(gap.kind, own, -1, gap.next_line, n_lines)
    return FillEnd(gap.kind, own + 1, own, gap.next_line, n_lines)


def versions(gap: Gap, text: str) -> tuple[str, ...]:
    """What may go into the gap for a reply that is cut already, the likeliest first; empty if nothing may.

    A model sometimes writes on over what follows the gap. Whether `)` closes its own bracket or the one that
    is there only a parser knows.
    """
    if not text.strip():
        return ()
    if gap.kind is Kind.BLOCK:
        end = "\n" if not gap.suffix and _ends_lines(gap) else ""
        return (text.rstrip() + end,)
    if gap.kind is Kind.BEFORE:
        return (f"{text.rstrip()}\n{gap.head}",)
    rest = gap.rest.rstrip()
    if text.strip() == rest.strip() and len(rest) >= _WORD:
        return ()  # nothing is missing
    shared = next((n for n in range(len(rest), 0, -1) if text.endswith(rest[:n])), 0)
    if not shared or shared == len(text):
        return (text,)
    shorter = text[: len(text) - shared]
    return (shorter, text) if shared == len(rest) and shared >= _WORD else (text, shorter)


def _ends_lines(gap: Gap) -> bool:
    return gap.prefix.endswith("\n") or not gap.prefix
