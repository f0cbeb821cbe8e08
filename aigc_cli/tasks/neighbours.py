"""Files beside a file that help to go on with it: what it imports, what is called like it, its directory."""

import os
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from aigc_cli.engine.base import ContextFile
from aigc_cli.errors import FileError
from aigc_cli.tasks.ignored import ignored_in
from aigc_cli.tasks.interfaces import interface_of
from aigc_cli.tasks.languages import Language, language_of
from aigc_cli.tasks.workspace import read_text

MOST_CHARACTERS = 4_000  # about 1,000 tokens: a CPU reads them in ten seconds, once
MOST_FILES = 8
_WHOLE_CHARACTERS = 1_500  # of a longer file only the heads of its definitions are shown
_MOST_LOOKED_AT = 200  # names in one directory
_MOST_LEVELS = 6  # directories upwards in which an import may start
_IMPORT = re.compile(
    r"^\s*(?:import|from|use|mod|pub mod|require|require_relative|include|#include|using|export\b.*\bfrom"
    r"|(?:const|let|var)\b.*\brequire|@import|@use|source|\.)(?P<what>\W.*)$",
    re.MULTILINE,
)
_QUOTED = re.compile(r"[\"'<]([^\"'<>\s]+)[\"'>]")
_DOTTED = re.compile(r"\.*[A-Za-z_][\w]*(?:(?:\.|::)\w+)*|\.+")
# Files that are as good as neighbours of another language, such as a page's script.
_RELATED = (
    {"javascript", "typescript", "jsx", "tsx", "html", "css", "scss", "vue"},
    {"c", "cpp"},
    {"java", "kotlin", "scala"},
)


def neighbours(path: Path, text: str, language: Language | None, root: Path) -> tuple[ContextFile, ...]:
    """Text of files near `path`, which may not exist, the most useful last; not more than MOST_CHARACTERS.

    Files that git ignores, hidden ones, and what can't be read as text are left out.

    Args:
        path: the file that is gone on with.
        text: its text.
        language: of the text.
        root: the highest directory that is looked into, without links.
    """
    found: list[ContextFile] = []
    room = MOST_CHARACTERS
    for other in _by_use(path, text, language, root):
        shown = _shown(other)
        if not shown.strip() or len(shown) > room:
            continue
        found.append(ContextFile(_name(other, path, root), shown))
        room -= len(shown)
        if len(found) == MOST_FILES:
            break
    return tuple(reversed(found))


def _by_use(path: Path, text: str, language: Language | None, root: Path) -> Iterator[Path]:
    """The most useful first, each once."""
    seen = {Path(os.path.realpath(path))}
    beside = list(_beside(path, language))
    stem = _stem(path)
    namesakes = [other for other in beside if stem and _stem(other) == stem]
    for other in (*_imported(path, text, language, root), *namesakes, *beside):
        real = Path(os.path.realpath(other))
        if real not in seen and real.is_relative_to(root):  # and no link leads out of it
            seen.add(real)
            yield other


def _stem(path: Path) -> str:
    """What a file and its test have in common."""
    return re.sub(r"^test_|_test$|\.test$|\.spec$|Test$", "", path.stem)


def _beside(path: Path, language: Language | None) -> Iterator[Path]:
    try:
        with os.scandir(path.parent) as entries:
            names = sorted(entry.name for entry in entries if entry.is_file())[:_MOST_LOOKED_AT]
    except OSError:
        return
    is_ignored = ignored_in(path.parent)
    for name in names:
        if not name.startswith(".") and _is_related(language, language_of(name)) and not is_ignored(name):
            yield path.parent / name


def _is_related(one: Language | None, other: Language | None) -> bool:
    if one is None or other is None:
        return False
    return one is other or any({one.tag, other.tag} <= group for group in _RELATED)


def _imported(path: Path, text: str, language: Language | None, root: Path) -> Iterator[Path]:
    """Files that the text's imports can mean, where they exist below the root."""
    suffixes = ("", *(language.suffixes if language else ()))
    tops = _tops(path.parent, root)
    for parts in _imported_names(text):
        for top in tops:
            for length in range(len(parts), 0, -1):
                if hit := _file_called(top.joinpath(*parts[:length]), suffixes):
                    yield hit
                    break


def _tops(folder: Path, root: Path) -> list[Path]:
    """The directory and those above it up to the root."""
    places = [folder, *folder.parents][:_MOST_LEVELS]
    return [place for place in places if place == folder or place.is_relative_to(root)]


def _imported_names(text: str) -> Iterator[list[str]]:
    """Parts of a path for each import: `from a.b import c` is a/b/c or a/b, `"./x.js"` is x.js."""
    for match in _IMPORT.finditer(text):
        what = match["what"]
        if quoted := _QUOTED.findall(what):
            yield from (_parts(name) for name in quoted)
            continue
        module, _, names = what.partition(" import ")
        dotted = [
            each.strip(".") for each in _DOTTED.findall(module) if each not in ("as", "import", "crate")
        ]
        imported = [each for each in re.findall(r"\w+", names) if each != "as"] or [""]
        for each in dotted or [""]:
            base = [
                part for part in re.split(r"\.|::", each) if part and part not in ("crate", "self", "super")
            ]
            yield from ([*base, name] if name else base for name in imported)


def _parts(name: str) -> list[str]:
    return [part for part in PurePosixPath(name).parts if part not in (".", "/")]


def _file_called(stem: Path, suffixes: tuple[str, ...]) -> Path | None:
    candidates = [stem.with_name(stem.name + suffix) for suffix in suffixes]
    candidates += [stem / name for name in ("__init__.py", "index.js", "index.ts", "mod.rs")]
    for candidate in candidates:
        try:
            is_there = candidate.is_file()
        except (OSError, ValueError):  # a name that can't be one
            continue
        if is_there and not _is_ignored(candidate):
            return candidate
    return None


def _is_ignored(path: Path) -> bool:
    return path.name.startswith(".") or ignored_in(path.parent)(path.name)


def _shown(path: Path) -> str:
    """The text of a small file, the interface of a large one."""
    try:
        text = read_text(path)
    except FileError:
        return ""
    if len(text) <= _WHOLE_CHARACTERS:
        return text
    return interface_of(text, language_of(path, text[:200]))[:MOST_CHARACTERS]


def _name(other: Path, path: Path, root: Path) -> str:
    return os.path.relpath(other, root if path.is_relative_to(root) else path.parent)
