"""Which files of a project an error message is about: paths with lines, as tools write them."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from aigc_cli.tasks.languages import language_of

# `File "a.py", line 3`, `a.py:3:5: error`, `src/a.rs:3`, `a.ts(3,5)`, `at f (/x/a.js:3:5)`, `a.sh: line 3:`
_PLACE = re.compile(
    r'File "(?P<quoted>[^"\n]+)", line (?P<at>\d+)'
    r"|(?P<bare>[\w./\\@+~-]*[\w-]\.\w{1,10})(?::\s?line |:|\()(?P<line>\d+)"
    r"|(?P<word>[\w./\\@+~-]*[\w-]\.\w{1,10})"
)
_FOREIGN = frozenset(("node_modules", "site-packages", "dist-packages", ".venv", "venv", "vendor", ".git"))
_TEST = re.compile(
    r"(?:^|/)(?:tests?|spec|__tests__)/|(?:^|/)(?:test_|conftest)|[._-](?:test|spec)s?\.\w+$|Tests?\.\w+$"
)
_IMPORT = re.compile(
    r"^\s*from\s+([\w.]+)\s+import\s+([\w, ]+)|^\s*import\s+([\w.]+)"  # Python
    r"|(?:from|require\(|import\()\s*['\"](\.[^'\"]+)['\"]",  # JavaScript
    re.MULTILINE,
)
_ENDINGS = (".py", "/__init__.py", ".js", ".ts", ".mjs", "")
_MOST_CHARACTERS = 200_000
_MOST_LINES = 20  # of an output: a small model loses the thread in more
_MOST_COLUMNS = 300


@dataclass(frozen=True, slots=True)
class Place:
    """A file, and the line of it that is spoken of; 0 if none is."""

    path: Path
    line: int


def places(texts: Sequence[str], cwd: Path) -> list[Place]:
    """The files below `cwd` that these texts name, each once, with the line that is named last.

    A traceback's last file comes first: what is nearest to the error. Files with a line come before others;
    libraries are left out.
    """
    top = cwd.resolve()
    found = [place for text in texts for place in _named(text[-_MOST_CHARACTERS:], top)]
    with_line = [place for place in reversed(found) if place.line]
    order = [*with_line, *(place for place in found if not place.line)]
    return list({place.path: place for place in reversed(order)}.values())[::-1]


def to_change(found: Sequence[Place], cwd: Path) -> Path | None:
    """The file that is to be corrected: not a test while something else is named or imported by it."""
    top = cwd.resolve()
    for place in found:
        if not is_test(place.path.relative_to(top)):
            return place.path
    imported = (path for place in found for path in _imported(place.path, top))
    return next((path for path in imported if not is_test(path.relative_to(top))), None) or next(
        (place.path for place in found), None
    )


def is_test(path: Path) -> bool:
    """Whether a path is that of a test, by custom."""
    return bool(_TEST.search(path.as_posix()))


def end_of(output: str) -> str:
    """What of an output a model is shown: its end, where tools say what is wrong, and its beginning."""
    lines = [line[:_MOST_COLUMNS] for line in output.strip().split("\n")]
    if len(lines) > 2 * _MOST_LINES:
        lines = [*lines[:_MOST_LINES], "[…]", *lines[-_MOST_LINES:]]
    return "\n".join(lines)


def _named(text: str, top: Path) -> Iterator[Place]:
    for match in _PLACE.finditer(text):
        name = match["quoted"] or match["bare"] or match["word"]
        path = _inside(name, top)
        if path and language_of(path):
            yield Place(path, int(match["at"] or match["line"] or 0))


def _inside(name: str, top: Path) -> Path | None:
    """The file of the project with this name; None if it is none, or a library's."""
    try:
        path = (top / name).resolve()
        below = path.relative_to(top)
        is_file = path.is_file()
    except (OSError, ValueError, RuntimeError):
        return None
    return path if is_file and not _FOREIGN.intersection(below.parts) else None


def _imported(path: Path, top: Path) -> Iterator[Path]:
    """The project's files that a file imports, as far as its text tells."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")[:_MOST_CHARACTERS]
    except OSError:
        return
    folders = (path.parent, top, top / "src")
    for module, names, plain, relative in _IMPORT.findall(text):
        dotted = (module or plain).lstrip(".").replace(".", "/")
        stems = [dotted, *(f"{dotted}/{name.strip()}" for name in names.split(","))] if dotted else [relative]
        for stem in reversed(stems):
            for folder in folders:
                hits = (_inside(f"{folder}/{stem}{ending}", top) for ending in _ENDINGS)
                yield from [hit for hit in hits if hit][:1]
