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
    # in the same directory, since a rename is atomic only within one file system
    temporary = path.parent / f".aigc-{os.urandom(6).hex()}.tmp"
    try:
        _write_through(temporary, content, _mode_of(path))
        temporary.replace(path)
    except BaseException:  # Ctrl-C too
        temporary.unlink(missing_ok=True)
        raise
    _sync(path.parent)


def _mode_of(path: Path) -> int | None:
    try:
        return stat.S_IMODE(path.stat().st_mode)
    except FileNotFoundError:
        return None


def _write_through(path: Path, content: bytes, mode: int | None) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)  # the kernel applies the umask
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
