"""Where resident engines are found: a directory of sockets that only its owner can enter."""

import hashlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from aigc_cli.errors import NoBackground

if TYPE_CHECKING:
    from collections.abc import Iterator

LONGEST_SOCKET_PATH = 103  # bytes; sun_path holds 104 with its NUL on macOS, 108 on Linux
_SOCKET, _LOCK, _PID = ".sock", ".lock", ".pid"
_NAME_LENGTH = 16 + len(_SOCKET)


@dataclass(frozen=True, slots=True)
class SocketPlace:
    """The files of one person's engines. Each engine's name is the fingerprint of what it was started with.

    Attributes:
        directory: sockets, locks and process ids; mode 0700.
        logs: what the engines wrote, one file each.
        elsewhere: where a command with another environment (cron, ssh) may have started engines.
    """

    directory: Path
    logs: Path
    elsewhere: tuple[Path, ...] = ()

    def socket(self, name: str) -> Path:
        """Where an engine listens."""
        return self.directory / f"{name}{_SOCKET}"

    def lock(self, name: str) -> Path:
        """Held by whoever starts or removes an engine."""
        return self.directory / f"{name}{_LOCK}"

    def pid(self, name: str) -> Path:
        """The process id of an engine, for the case that it no longer answers."""
        return self.directory / f"{name}{_PID}"

    def log(self, name: str) -> Path:
        """What an engine writes."""
        return self.logs / f"{name}.log"

    def names(self) -> tuple[str, ...]:
        """The engines that have a socket here, alive or not."""
        try:
            listed = os.listdir(self.directory)  # noqa: PTH208  # iterdir's paths are not needed
        except OSError:
            return ()
        return tuple(sorted(name.removesuffix(_SOCKET) for name in listed if name.endswith(_SOCKET)))

    def everywhere(self) -> "Iterator[SocketPlace]":
        """This place, then the others that are there and that only this person can enter."""
        yield self
        yield from (SocketPlace(path, self.logs) for path in self.elsewhere if _is_private(path))

    def prepare(self) -> None:
        """Make the directories.

        Raises:
            NoBackground: they can't be made, or the directory of sockets is not private, so whoever else can
                enter it could pose as an engine, or read what is asked.
        """
        make_private(self.directory)
        try:
            self.logs.mkdir(mode=0o700, parents=True, exist_ok=True)  # sockets can be here another time
        except OSError as error:
            raise NoBackground(f"{self.logs}: {error.strerror}", "--no-resident does without it") from error


def find_place(state: Path, runtime_directory: str | None, temporary: Path) -> SocketPlace:
    """Choose the directory of sockets for the engines whose state is kept in `state`.

    The user's runtime directory where the system gives one, else the state directory. A path that is too long
    for a socket gives way to a short one for temporary files. Not every environment of a person names one
    runtime directory, so the others are looked into too.
    """
    identity = hashlib.sha256(os.fsencode(state)).hexdigest()[:8]
    runtime = Path(runtime_directory) if runtime_directory else None
    candidates = [state / "engines", temporary / f"aigc-{os.getuid()}-{identity}"]
    if runtime and runtime.is_absolute() and _is_own(runtime):
        candidates.insert(0, runtime / f"aigc-{identity}")
    fitting = [
        path for path in candidates if len(os.fsencode(path)) + 1 + _NAME_LENGTH <= LONGEST_SOCKET_PATH
    ]
    first, *others = fitting or candidates
    return SocketPlace(first, state / "engines", tuple(others))


def _is_own(directory: Path) -> bool:
    """Whether a directory is there and belongs to this user, who can write in it."""
    try:
        return directory.stat().st_uid == os.geteuid() and os.access(directory, os.W_OK)
    except OSError:
        return False


def _is_private(directory: Path) -> bool:
    try:
        _refuse_shared(directory)
    except (NoBackground, OSError):
        return False
    return True


def make_private(directory: Path) -> None:
    """Make a directory that only its owner can enter, or check that it is one.

    Raises:
        NoBackground: it is something else, or it belongs to somebody else, or others can enter it.
    """
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        directory.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise NoBackground(f"{directory}: {error.strerror}", "--no-resident does without it") from error
    _refuse_shared(directory)


def _refuse_shared(directory: Path) -> None:
    found = directory.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise NoBackground(f"{directory} is not a directory of yours", "remove it, or use --no-resident")
    if found.st_mode & 0o077:
        raise NoBackground(f"{directory} is open to others", f"chmod 700 {directory}")
