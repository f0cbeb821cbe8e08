"""Which files git ignores: `.gitignore` of a repository's directories, as gitignore(5) says."""

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

_MOST_BYTES = 1_000_000  # of one file of patterns


def ignored_in(folder: Path) -> Callable[[str], bool]:
    """A test for the names in one directory; a directory's name ends with a slash.

    Outside a repository only the directory's own `.gitignore` counts. One that can't be read counts as empty.
    """
    folder = folder.resolve()
    root = _repository(folder) or folder
    below = folder.relative_to(root)
    places = [root, *(root / part for part in reversed([below, *below.parents]) if part != Path())]
    files = [(root, root / ".git" / "info" / "exclude"), *((place, place / ".gitignore") for place in places)]

    def is_ignored(name: str) -> bool:
        verdict = name == ".git/"
        for place, file in files:  # the pattern nearest to the file decides
            path = (folder / name).relative_to(place).as_posix() + ("/" if name.endswith("/") else "")
            match = _verdict(file, _changed(file), path)
            verdict = verdict if match is None else match
        return verdict

    return is_ignored


def _repository(folder: Path) -> Path | None:
    return next((place for place in (folder, *folder.parents) if _exists(place / ".git")), None)


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a directory above that this person can't look into
        return False


def _changed(file: Path) -> int:
    """When a file changed, in nanoseconds; 0 when there is none."""
    try:
        status = file.stat()
    except OSError:
        return 0
    return status.st_mtime_ns if status.st_size < _MOST_BYTES else 0


def _verdict(file: Path, changed: int, path: str) -> bool | None:
    """Whether the patterns of a file ignore a path; None when none of them is about it."""
    spec = _patterns(file, changed) if changed else None
    return spec.check_file(path).include if spec else None


@lru_cache(maxsize=64)
def _patterns(file: Path, changed: int) -> "GitIgnoreSpec | None":
    """The patterns of a file as it was at that time; None when it can't be read."""
    from pathspec import GitIgnoreSpec  # 20 ms; only when a path is completed

    del changed  # part of the key: an edited file is read again
    try:
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    return GitIgnoreSpec.from_lines([line for line in lines if _makes_sense(line)])


def _makes_sense(line: str) -> bool:
    """Whether a line is a pattern; git skips one that is none, such as a lone `!`."""
    from pathspec import GitIgnoreSpec  # loaded already

    try:
        GitIgnoreSpec.from_lines([line])
    except ValueError:
        return False
    return True
