"""A text file as its bytes, and as the text that a model sees: encoding, mark and line endings come back."""

import re
from collections import Counter
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path

from aigc_cli.tasks.workspace import decode_text, encoding_of, read_bytes, target_of

_LINE_END = re.compile(r"\r\n|\n")
_OLD_MAC_LINE_END = re.compile(r"\r")


@dataclass(frozen=True, slots=True)
class TextFile:
    """A file as it was read.

    Attributes:
        path: the file itself, behind a link.
        name: what the person calls it.
        content: its bytes.
        exact: its text with the line endings as they are, without the byte order mark.
    """

    path: Path
    name: str
    content: bytes
    exact: str

    @property
    def text(self) -> str:
        """What a model sees: each line ends with a line feed."""
        return "\n".join(_split(self.exact)[0])

    def with_text(self, text: str) -> str:
        """Another text with this file's line ends: each line keeps its own, a new one has its neighbour's."""
        return with_line_ends(self.exact, text)

    def encoded(self, exact: str) -> bytes:
        """A text as bytes in this file's encoding, with its byte order mark if there was one."""
        mark, encoding = encoding_of(self.content)
        return mark + exact.encode(encoding)


def read_text_file(path: Path, name: str) -> TextFile:
    """Read a file that is going to be changed.

    Raises:
        FileError: it can't be read or written, is no text, or is a link that leads out of its directory.
    """
    target = target_of(path, name)
    content = read_bytes(target, name)
    return TextFile(target, name, content, decode_text(content, name))


def is_for_git(file: TextFile) -> bool:
    """Whether git takes it for text: UTF-16 is binary to it."""
    return encoding_of(file.content)[1] == "utf-8"


def with_line_ends(old: str, new: str) -> str:
    """`new`, whose lines end with a line feed, with the line endings of `old`."""
    old_lines, ends = _split(old)
    new_lines = new.split("\n")
    usual = Counter(ends).most_common(1)[0][0] if ends else "\n"
    if len(set(ends)) <= 1:
        return usual.join(new_lines)
    new_ends = [usual] * len(new_lines)
    matcher = SequenceMatcher(None, old_lines, new_lines, autojunk=False)
    for _kind, old_start, old_end, new_start, new_end in matcher.get_opcodes():
        for offset, position in enumerate(range(new_start, new_end)):
            # a line that was put in ends as the one before it
            source = min(old_start + offset, old_end - 1) if old_end > old_start else old_start - 1
            new_ends[position] = ends[min(max(source, 0), len(ends) - 1)]
    return "".join(line + end for line, end in zip(new_lines, [*new_ends[:-1], ""], strict=True))


def _split(text: str) -> tuple[list[str], list[str]]:
    """The lines, and what ends each of them but the last."""
    pattern = _OLD_MAC_LINE_END if "\n" not in text and "\r" in text else _LINE_END
    return pattern.split(text), pattern.findall(text)
