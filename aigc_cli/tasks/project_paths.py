"""Which paths of a plan may become files: inside the project's directory on every system, and nothing hidden.

A plan is a model's text. Its paths are made sound where that is plain, and refused where it is not.
"""

import re
import unicodedata
from pathlib import Path

from aigc_cli.errors import FileError

MOST_PATH = 120  # characters
MOST_DEPTH = 6
README = "README.md"
STATE_FOLDER = ".aigc"
# Files with a dot in front that projects have, and that no program runs.
_USUAL_HIDDEN = frozenset(
    {".gitignore", ".gitattributes", ".dockerignore", ".editorconfig", ".env.example", ".env", ".npmignore"}
    | {".prettierrc", ".eslintrc.json", ".nvmrc", ".python-version", ".flaskenv"}
)
# https://learn.microsoft.com/windows/win32/fileio/naming-a-file: also with an extension
_DEVICES = frozenset(
    {"con", "prn", "aux", "nul", "conin$", "conout$", "clock$"}
    | {f"{port}{n}" for port in ("com", "lpt") for n in "0123456789¹²³"}
)
_DRIVE = re.compile(r"^[A-Za-z]:")
_UNUSABLE = re.compile(r'[<>:"|?*\\]')
_NO_TEXT = frozenset(
    {"png", "jpg", "jpeg", "gif", "ico", "webp", "bmp", "pdf", "zip", "gz", "tar", "db", "sqlite", "sqlite3"}
    | {"pyc", "exe", "dll", "so", "woff", "woff2", "ttf", "mp3", "mp4", "jar", "class"}
)


def cleaned_path(path: str) -> str:
    r"""The same path, written plainly: `./src\app.py` is `src/app.py`. What is wrong with it stays wrong."""
    plain = unicodedata.normalize("NFC", path.strip().replace("\\", "/"))
    while plain.startswith("./"):
        plain = plain[2:]
    return re.sub(r"(?<=.)/{2,}", "/", plain)


def path_problem(path: str) -> str:
    """Why a path can't be a file of the project; empty if it can."""
    if not path or path in (".", "..") or path.endswith("/"):
        return "it names no file"
    if path.startswith(("/", "~")) or _DRIVE.match(path):
        return "it leads out of the project"
    if any(unicodedata.category(char) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp") for char in path):
        return "it holds control characters"
    if _UNUSABLE.search(path):
        return "it holds characters that not every system has in names"
    parts = path.split("/")
    if len(path) > MOST_PATH or len(parts) > MOST_DEPTH:
        return "it is too long"
    return next(filter(None, (_part_problem(part, part is parts[-1]) for part in parts)), "") or _kind(path)


def _part_problem(part: str, is_last: bool) -> str:  # noqa: FBT001  # one caller
    if part in ("", ".", ".."):
        return "it leads out of the project"
    if part != part.strip() or part.endswith("."):
        return "a part of it ends with a dot or a space"
    # Windows looks at what comes before the first dot, spaces left out
    if part.split(".", maxsplit=1)[0].rstrip().casefold() in _DEVICES:
        return f"{part!r} is a device on Windows"
    if part.startswith(".") and not (is_last and part in _USUAL_HIDDEN):
        return f"{part!r} is hidden"
    if part.startswith("-"):
        return f"{part!r} looks like an option"
    return ""


def _kind(path: str) -> str:
    suffix = path.rpartition(".")[2].casefold() if "." in path else ""
    return "it is no text" if suffix in _NO_TEXT else ""


def path_key(path: str) -> str:
    """Two paths with the same key are the same file on some system."""
    return unicodedata.normalize("NFKC", path).casefold()


def place_for(folder: Path, path: str) -> Path:
    """Where a file of the project is, or would be.

    Raises:
        FileError: it can't be there, or a link or a file stands where a directory should be.
    """
    if problem := path_problem(path):
        raise FileError(f"{path!r} is no file of the project: {problem}")
    place = folder
    for part in path.split("/"):
        if place != folder and place.exists() and not place.is_dir():
            raise FileError(f"{str(place)!r} is a file, and should be a directory", "move it away")
        place /= part
        if place.is_symlink():
            raise FileError(f"{str(place)!r} is a link; nothing is written behind it", "move it away")
    return place


def made_place(folder: Path, path: str) -> Path:
    """The same, after its directories are made.

    Raises:
        FileError: as above, or a directory can't be made.
    """
    place = place_for(folder, path)
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileError(f"{str(place.parent)!r} can't be made: {error.strerror}") from error
    return place_for(folder, path)
