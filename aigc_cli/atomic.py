"""Writes a file whole or not at all: a reader, or a crash, sees the old content or the new."""

import os
import stat
from pathlib import Path


def write_atomically(path: Path, content: bytes) -> None:
    """Put this content in the file's place in one step that survives a power cut.

    An existing file keeps its mode, a new one gets the usual one. A link is replaced, not followed.

    Raises:
        OSError: it can't be written; nothing is left behind.
    """
    temporary = stage(path, content)
    try:
        put_in_place(temporary, path)
    except BaseException:  # Ctrl-C too
        temporary.unlink(missing_ok=True)
        raise


def stage(path: Path, content: bytes, new_mode: int | None = None) -> Path:
    """Write what shall be in a file beside it, and give the name of that; `put_in_place` does the rest.

    An existing file's mode is taken over, a new one gets `new_mode`, or the usual one.

    Raises:
        OSError: it can't be written; nothing is left behind.
    """
    # in the same directory, since a rename is atomic only within one file system
    temporary = path.parent / f".aigc-{os.urandom(6).hex()}.tmp"
    mode = mode_of(path)
    try:
        _write_through(temporary, content, new_mode if mode is None else mode)
    except BaseException:  # Ctrl-C too
        temporary.unlink(missing_ok=True)
        raise
    return temporary


def put_in_place(temporary: Path, path: Path) -> None:
    """Let what was staged take the file's place.

    Raises:
        OSError: it can't; the file is what it was.
    """
    temporary.replace(path)
    _sync(path.parent)


def mode_of(path: Path) -> int | None:
    """Its permissions; None if there is no such file."""
    try:
        return stat.S_IMODE(path.stat().st_mode)
    except FileNotFoundError:
        return None


def _write_through(path: Path, content: bytes, mode: int | None) -> None:
    # A new file gets what the umask leaves; a private one must not be readable even while it is written.
    first_mode = 0o666 if mode is None else 0o600
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, first_mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        if mode is not None:
            path.chmod(mode)
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    """Make the rename itself survive a power cut; some file systems have no such thing."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:  # Windows opens no directory
        return
    try:
        os.fsync(descriptor)
    except OSError:
        return
    finally:
        os.close(descriptor)
