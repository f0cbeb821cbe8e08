"""Files named on a command line or in a chat, as text for the model."""

import glob
import itertools
from collections.abc import Iterator
from pathlib import Path

from aigc_cli.chat.prompt import Attachment
from aigc_cli.errors import FileError
from aigc_cli.tasks.languages import language_of
from aigc_cli.tasks.workspace import BinaryFile, named_path, read_text

MAX_FILES = 1000  # of one pattern; '/**' would walk the whole machine


def read_attachment(path: str | Path, cwd: Path) -> Attachment:
    """One file, called by the name that the person gave it, or by its place below `cwd`.

    Raises:
        FileError: it can't be read, or is no text.
    """
    file = named_path(path, cwd)
    is_inside = isinstance(path, Path) and file.is_relative_to(cwd)
    name = str(file.relative_to(cwd)) if is_inside else str(path)
    text = read_text(file, name)
    language = language_of(name, text[:200])
    return Attachment(name, text, language.tag if language else "")


def read_pattern(pattern: str, cwd: Path) -> tuple[list[Attachment], list[str]]:
    """The text files that a pattern such as `src/**/*.py` matches, and the names left out as binary.

    Hidden files match only where the pattern says the dot, as in a shell.

    Raises:
        FileError: nothing matches, more than MAX_FILES do, or a file can't be read.
    """
    names = list(itertools.islice(_matching_files(pattern, cwd), MAX_FILES + 1))
    if not names:
        raise FileError(f"no file matches {pattern!r}", "** stands for any directories: 'src/**/*.py'")
    if len(names) > MAX_FILES:
        raise FileError(f"{pattern!r} matches more than {MAX_FILES:,} files", "narrow it")
    found: list[Attachment] = []
    binary: list[str] = []
    for name in sorted(names):
        try:
            found.append(read_attachment(name, cwd))
        except BinaryFile:
            binary.append(name)
    return found, binary


def is_pattern(name: str, cwd: Path) -> bool:
    """Whether a name stands for several files; a file that is really called `a[1].py` is itself."""
    return glob.has_magic(name) and not (cwd / name).exists()


def _matching_files(pattern: str, cwd: Path) -> Iterator[str]:
    expanded = str(named_path(pattern, cwd)) if pattern.startswith("~") else pattern
    # not Path.glob: that yields hidden files too, and one absolute pattern is not relative to any directory
    matches = glob.iglob(expanded, root_dir=cwd, recursive=True)  # noqa: PTH207
    return (name for name in matches if (cwd / name).is_file())
