"""`@path` in a question: which files it names, and which names could complete it."""

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from aigc_cli.tasks.ignored import ignored_in

# Not after a character of an address (user@host). Chinese and Japanese put no space before the mark, so any
# other character may stand there.
_MARK = re.compile(r'(?<![A-Za-z0-9._%+-])@(?:"([^"\n]+)"|([^\s"@]+))')
_PUNCTUATION = ".,;:!?)]}>'`*"
MAX_CANDIDATES = 200  # a menu longer than this is no help, and a huge directory must not stall a key


@dataclass(frozen=True, slots=True)
class Mentions:
    """What the `@` words of a question stand for.

    Attributes:
        names: existing files, as they were written, in order, each once.
        unknown: words with no such file; they stay plain text.
    """

    names: tuple[str, ...]
    unknown: tuple[str, ...]


def find_mentions(text: str, cwd: Path) -> Mentions:
    """Look up each `@path` of a text; punctuation or CJK text may follow a path without a space."""
    found: dict[str, None] = {}
    unknown: dict[str, None] = {}
    for quoted, bare in _MARK.findall(text):
        readings = [quoted] if quoted else _readings(bare)
        name = next((name for name in readings if is_file(name, cwd)), None)
        if name:
            found[name] = None
        else:
            unknown[f"@{quoted or bare.rstrip(_PUNCTUATION)}"] = None
    return Mentions(tuple(found), tuple(unknown))


def _readings(word: str) -> Iterator[str]:
    """The word, then shorter: each place where a path may end and a sentence go on; the longest first."""
    yield word
    for end in range(len(word) - 1, 0, -1):
        if word[end] in _PUNCTUATION or ord(word[end]) > 0x7F:  # noqa: PLR2004 (the end of ASCII)
            yield word[:end]


def is_file(name: str, cwd: Path) -> bool:
    """Whether a name that a person typed is a file."""
    try:
        return (cwd / Path(name).expanduser()).is_file()
    except (OSError, ValueError, RuntimeError):  # too long, a NUL in it, an unknown user's home
        return False


def complete_path(prefix: str, cwd: Path) -> list[str]:
    """Paths that begin with `prefix`, directories with a slash; hidden ones only when a dot is typed.

    What git ignores comes only when nothing else begins so.
    """
    folder, _, start = prefix.rpartition("/")
    base = f"{folder}/" if "/" in prefix else ""
    try:
        place = cwd / Path(base).expanduser()
        entries = sorted(path for path in place.iterdir() if path.name.startswith(start))
        names = [f"{path.name}/" if path.is_dir() else path.name for path in entries]
        is_ignored = ignored_in(place)
    except (OSError, ValueError, RuntimeError):
        return []
    hits = [name for name in names if start or not name.startswith(".")]
    wanted = itertools.islice((name for name in hits if not is_ignored(name)), MAX_CANDIDATES)
    return [base + name for name in list(wanted) or hits[:MAX_CANDIDATES]]
