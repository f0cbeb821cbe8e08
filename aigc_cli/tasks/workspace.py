"""Files of the person: read safely, written atomically."""

import codecs
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from aigc_cli.atomic import put_in_place, stage
from aigc_cli.errors import FileError

MAX_INPUT_BYTES = (
    64 * 2**20
)  # far more than any context window holds; what reads on is /dev/zero or a mistake

_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose little-endian mark is its beginning
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


class InputTooLarge(FileError):
    """More than any context window holds; `n_bytes` is its size, or how much was read before giving up."""

    def __init__(self, source: str, n_bytes: int) -> None:
        super().__init__(f"{source} is too large: {n_bytes / 2**20:,.0f} MiB or more", "attach a part of it")
        self.n_bytes = n_bytes


class BinaryFile(FileError):
    """Not text."""


def named_path(name: str | Path, cwd: Path) -> Path:
    """The file that a person means by a name: relative to `cwd`, or below a home directory for `~`.

    Raises:
        FileError: it can't be the name of a file.
    """
    if not str(name) or "\0" in str(name):
        raise FileError(f"{str(name)!r} is no file name", "name a file")
    try:
        return cwd / Path(name).expanduser()
    except RuntimeError:
        raise FileError(
            f"{str(name)!r}: no such user", "./~name is a file whose name starts with ~"
        ) from None


def read_text(path: Path, name: str = "") -> str:
    """The text of a file, with its line endings as they are; `name` is what errors call it.

    UTF-8, or UTF-16 and UTF-32 with a byte order mark. Named pipes are read too, for `<(command)`.

    Raises:
        FileError: missing, no file, not readable, not text (BinaryFile), or too large (InputTooLarge).
    """
    name = name or str(path)
    return decode_text(read_bytes(path, name), name)


def read_bytes(path: Path, name: str) -> bytes:
    """The content of a file, or of a named pipe.

    Raises:
        FileError: missing, no file, not readable, or too large (InputTooLarge).
    """
    try:
        status = path.stat()
        _refuse_unreadable_kind(status.st_mode, path, name)
        if status.st_size > MAX_INPUT_BYTES:
            raise InputTooLarge(name, status.st_size)
        with path.open("rb") as file:
            data = file.read(MAX_INPUT_BYTES + 1)
    except FileNotFoundError:
        raise FileError(
            f"no file {name!r}", "check the name; a relative one starts at the current directory"
        ) from None
    except OSError as error:
        raise FileError(f"{name!r} can't be read: {error.strerror}") from error
    if len(data) > MAX_INPUT_BYTES:
        raise InputTooLarge(name, len(data))
    return data


def _refuse_unreadable_kind(mode: int, path: Path, name: str) -> None:
    if stat.S_ISDIR(mode):
        raise FileError(f"{name!r} is a directory", f"name its files: -f '{name.rstrip('/')}/**/*.py'")
    is_null = str(path) == os.devnull
    if not (stat.S_ISREG(mode) or stat.S_ISFIFO(mode) or is_null):
        raise FileError(
            f"{name!r} is a device or socket, not a file", "pipe it: head -c 1000 DEVICE | aigc …"
        )


def encoding_of(data: bytes) -> tuple[bytes, str]:
    """The byte order mark at the start, which may be empty, and the encoding that it tells."""
    return next(((mark, each) for mark, each in _BOMS if data.startswith(mark)), (b"", "utf-8"))


def decode_text(data: bytes, name: str) -> str:
    """Bytes to text, without the byte order mark.

    Raises:
        BinaryFile: neither UTF-8 nor marked UTF-16 or UTF-32, or it holds NUL characters.
    """
    mark, encoding = encoding_of(data)
    try:
        text = data[len(mark) :].decode(encoding)
    except UnicodeDecodeError as error:
        if b"\0" in data and not mark:
            raise BinaryFile(f"{name!r} is binary, not text") from error
        raise BinaryFile(
            f"{name!r} is not {encoding.upper()} text: byte {error.start + len(mark):,} makes no character",
            "convert it first, for example: iconv -f GB18030 -t UTF-8",
        ) from error
    if "\0" in text:
        raise BinaryFile(f"{name!r} is binary, not text")
    return text


def refuse_bad_target(path: Path, name: str, *, overwrite: bool) -> None:
    """Tell what would make a later `write_atomic` fail, before the work for it is done.

    Raises:
        FileError: the directory is missing or closed, the file exists, or it is a link out of its directory.
    """
    try:
        target = target_of(path, name)
        folder = target.parent
        if not folder.is_dir():
            raise FileError(f"{name!r}: no directory {str(folder)!r}", f"mkdir -p {folder}")
        if target.is_dir():
            raise FileError(f"{name!r} is a directory", "name a file in it")
        if target.exists() and not target.is_file():
            raise FileError(f"{name!r} is a device, not a file", "-o - prints to stdout")
        if target.exists() and not overwrite:
            raise FileError(f"{name!r} exists", "--force overwrites it, or choose another name")
        closed = not os.access(folder, os.W_OK | os.X_OK) or (
            target.exists() and not os.access(target, os.W_OK)
        )
    except OSError as error:  # a name too long, for one
        raise FileError(f"{name!r} can't be written: {error.strerror}") from error
    if closed:
        raise FileError(f"{name!r} can't be written: no permission", "choose another directory")


def write_atomic(path: Path, text: str, name: str = "") -> None:
    """Write a file whole or not at all: a reader, or a crash, sees the old content or the new.

    An existing file keeps its mode; a new one gets the usual one. Line endings are written as they are.

    Raises:
        FileError: it can't be written, or it is a link that leads out of its directory.
    """
    write_all([Writing(path, text.encode("utf-8", "surrogateescape"), name or str(path))])


@dataclass(frozen=True, slots=True)
class Writing:
    """What a file shall hold.

    Attributes:
        name: what errors call it.
        new_mode: for a file that is made anew; None gives the usual one. An existing file keeps its own.
    """

    path: Path
    content: bytes
    name: str
    new_mode: int | None = None


def write_all(writings: Sequence[Writing]) -> None:
    """Write several files, each whole or not at all, and none before there is room on the disk for all.

    Raises:
        FileError: one can't be written, or is a link that leads out of its directory. None was written, or
            the hint names those that were.
    """
    staged: list[tuple[Path, Path]] = []
    n_done = 0
    try:
        for writing in writings:
            target = target_of(writing.path, writing.name)
            staged.append((stage(target, writing.content, writing.new_mode), target))
        for temporary, target in staged:
            put_in_place(temporary, target)
            n_done += 1
    except OSError as error:
        name = writings[n_done if len(staged) == len(writings) else len(staged)].name
        done = ", ".join(writing.name for writing in writings[:n_done])
        hint = f"written before it: {done}" if done else ""
        raise FileError(f"{name!r} can't be written: {error.strerror}", hint) from error
    finally:
        for temporary, _ in staged[n_done:]:
            temporary.unlink(missing_ok=True)


def target_of(path: Path, name: str) -> Path:
    """The file itself, behind a link.

    Raises:
        FileError: the link leads out of its directory, or to itself.
    """
    if not path.is_symlink():
        return path
    # realpath, since Path.resolve() raises one thing or another for a loop, by the version of Python
    target, folder = Path(os.path.realpath(path)), Path(os.path.realpath(path.parent))
    if target.is_symlink():
        raise FileError(f"{name!r} is a link that leads to itself", "name another file")
    if not target.is_relative_to(folder):
        raise FileError(
            f"{name!r} is a link that leads out of its directory", f"write to {str(target)!r} itself"
        )
    return target
