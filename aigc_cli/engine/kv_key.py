"""The key that authenticates saved KV prefixes: made once, for whichever process is first."""

import os
import secrets
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

KEY_BYTES = 32
_LOCK_S = 5.0
UNFINISHED = ".unfinished-"  # begins the name of a file that is not whole yet


def read_key(directory: Path, link: Callable[[str, Path], None] = os.link) -> bytes | None:
    """The key in this directory, made where there is none; None where it can't be had.

    Args:
        directory: made for this user alone.
        link: gives a file a second name, or fails; not every file system can.
    """
    path = directory / "key"
    with suppress(OSError):
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        directory.chmod(0o700)
        if _size(path) not in (None, KEY_BYTES):
            path.unlink(missing_ok=True)
        # Only what was seen to be damaged is removed: a key that was missing may be there by now.
        if _size(path) is None:
            _create(path, link)
        path.chmod(0o600)
        key = path.read_bytes()
        return key if len(key) == KEY_BYTES else None
    return None


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return None


def _create(path: Path, link: Callable[[str, Path], None]) -> None:
    """Make the key, unless another process is first: then its key is the one."""
    descriptor, name = tempfile.mkstemp(prefix=UNFINISHED, dir=path.parent)  # mode 0600
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(KEY_BYTES))
        try:
            link(name, path)
        except FileExistsError:
            return
        except OSError:  # FAT, exFAT, some network file systems
            _move_unless_there(name, path)
    finally:
        Path(name).unlink(missing_ok=True)


def _move_unless_there(name: str, path: Path) -> None:
    from filelock import FileLock  # 15 ms that only a file system without hard links costs, and once

    with FileLock(path.with_suffix(".lock"), timeout=_LOCK_S):
        if not path.exists():
            Path(name).replace(path)
