"""Runs a program that may be wrong: limits on time, memory, files, processes and output, and no network.

bubblewrap or unshare(1) isolate it where one of them works; the limits of setrlimit(2), the watch over its
processes and the end of its process group need neither.
"""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from shutil import which
from typing import IO

from aigc_cli.errors import UsageError
from aigc_cli.tasks.ctrl_c import ctrl_c_held_back

_LAUNCHER = Path(__file__).with_name("sandbox_launcher.py")
_LOOK_S = 0.1  # how often the number of processes is looked at
_PROBE_S = 10.0
_CHUNK_BYTES = 65_536
_DRAIN_S = 1.0  # for what the pipe still holds: a child that left the group may keep it open
_KEPT_VARIABLES = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "SYSTEMROOT")
_SECRET_WORDS = ("KEY", "TOKEN", "SECRET", "PASSW", "CREDENTIAL", "AUTH")


@dataclass(frozen=True, slots=True)
class Limits:
    """What a program may use. None is no limit.

    Attributes:
        wall_s: seconds until all of it is killed.
        cpu_s: seconds of processor time of each process.
        memory_bytes: address space of each process.
        file_bytes: size of each file that it writes.
        n_processes: at work at the same time.
        output_bytes: how much of stdout and stderr together is kept; the rest is read and dropped.
    """

    wall_s: float
    output_bytes: int = 65_536
    cpu_s: int | None = None
    memory_bytes: int | None = None
    file_bytes: int | None = None
    n_processes: int | None = None


class Ending(StrEnum):
    """How a program came to its end."""

    EXIT = "exit"
    TIME_OUT = "time-out"
    TOO_MANY_PROCESSES = "too many processes"


@dataclass(frozen=True, slots=True)
class Ran:
    """What came of a program.

    Attributes:
        exit_code: as a shell tells it: 128 and the signal's number when one ended it.
        output: stdout and stderr as they came, at most `output_bytes` of it.
        is_cut: whether there was more.
    """

    exit_code: int
    ending: Ending
    output: str
    is_cut: bool


class Isolation(StrEnum):
    """What keeps a program from the network and from the person's files, beside the limits."""

    BUBBLEWRAP = "bubblewrap"
    UNSHARE = "unshare"
    NONE = "none"

    @property
    def meaning(self) -> str:
        """For a person."""
        return {
            Isolation.BUBBLEWRAP: "no network, files read-only (bubblewrap)",
            Isolation.UNSHARE: "no network (unshare)",
            Isolation.NONE: "limited, but not isolated: neither bubblewrap nor unshare works here",
        }[self]


def run_limited(
    argv: Sequence[str],
    *,
    folder: Path,
    env: Mapping[str, str],
    limits: Limits,
    stdin: bytes = b"",
    isolation: Isolation = Isolation.NONE,
    start: Path | None = None,
) -> Ran:
    """Run a program in a folder to its end, or to that of its limits; then its whole group ends.

    It starts in `start`, if there is one; bubblewrap lets it write in the folder alone.

    Raises:
        UsageError: there is no such program.
    """
    program = which(argv[0], path=env.get("PATH"))
    if program is None:
        raise UsageError(f"no program {argv[0]!r}", "is it installed and on PATH?")
    line = [*_isolated(isolation, folder, start or folder), *_limited(limits), program, *argv[1:]]
    with ctrl_c_held_back() as release:
        process = subprocess.Popen(
            line, cwd=start or folder, env=dict(env), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        reader = _connected(process, stdin, limits.output_bytes)
        try:
            release()
            ending = _wait(process, limits)
        finally:
            _end_group(process)
            reader.join(_DRAIN_S)
    code = process.returncode
    text = bytes(reader.kept).decode("utf-8", "replace")
    return Ran(code if code >= 0 else 128 - code, ending, text, reader.is_cut)


@cache
def find_isolation(path: str | None) -> Isolation:
    """The best isolation whose program is on this PATH and works for this person on this machine."""
    for isolation in (Isolation.BUBBLEWRAP, Isolation.UNSHARE):
        line = [*_isolated(isolation, Path("/"), Path("/")), sys.executable, "-I", "-S", "-c", ""]
        program = which(line[0], path=path)
        if program is None:
            continue
        with suppress(OSError, subprocess.TimeoutExpired):
            done = subprocess.run(
                [program, *line[1:]],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_PROBE_S,
                check=False,
            )
            if done.returncode == 0:
                return isolation
    return Isolation.NONE


def minimal_environment(env: Mapping[str, str], folder: Path) -> dict[str, str]:
    """What a program needs to start, and nothing that could be a secret; its home is the folder."""
    kept = {name: env[name] for name in _KEPT_VARIABLES if name in env}
    return {**kept, "HOME": str(folder), "TMPDIR": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}


def without_secrets(env: Mapping[str, str]) -> dict[str, str]:
    """An environment without the variables that are named like a secret."""
    return {
        name: value for name, value in env.items() if not any(word in name.upper() for word in _SECRET_WORDS)
    }


def _isolated(isolation: Isolation, folder: Path, start: Path) -> list[str]:
    match isolation:
        case Isolation.BUBBLEWRAP:
            # fmt: off
            return [
                "bwrap", "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "--tmpfs", "/run",
                *(["--bind", str(folder), str(folder)] if folder != Path("/") else []),
                "--chdir", str(start), "--unshare-all", "--die-with-parent", "--new-session",
            ]
            # fmt: on
        case Isolation.UNSHARE:
            return ["unshare", "--map-root-user", "--net", "--pid", "--fork", "--kill-child"]
        case Isolation.NONE:
            return []


def _limited(limits: Limits) -> list[str]:
    """What sets the limits and becomes the program: code run between fork and exec can deadlock."""
    values = (limits.cpu_s, limits.memory_bytes, limits.file_bytes, limits.n_processes)
    if sys.platform == "win32" or not any(values):
        return []
    return [sys.executable, "-I", "-S", str(_LAUNCHER), *(str(value or "") for value in values)]


def _connected(process: "subprocess.Popen[bytes]", stdin: bytes, n_kept: int) -> "_Reader":
    """Feed it and read what it says, both meanwhile."""
    if process.stdin is None or process.stdout is None:
        raise RuntimeError("a program is started with pipes")
    reader = _Reader(process.stdout, n_kept)
    reader.start()
    threading.Thread(target=_feed, args=(process.stdin, stdin), daemon=True).start()
    return reader


def _wait(process: "subprocess.Popen[bytes]", limits: Limits) -> Ending:
    left_s = limits.wall_s
    while left_s > 0:
        try:
            process.wait(min(_LOOK_S, left_s))
        except subprocess.TimeoutExpired:
            left_s -= _LOOK_S
        else:
            return Ending.EXIT
        if limits.n_processes and _n_processes(process.pid) > limits.n_processes:
            return Ending.TOO_MANY_PROCESSES
    return Ending.TIME_OUT


def _n_processes(pid: int) -> int:
    """How many a program has started that still run. The kernel's own limit does not hold for root."""
    import psutil  # 30 ms; most programs end before the first look

    with suppress(psutil.Error):
        return len(psutil.Process(pid).children(recursive=True))
    return 0


def _end_group(process: "subprocess.Popen[bytes]") -> None:
    with suppress(ProcessLookupError, PermissionError):  # it has ended, with all that it started
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _feed(pipe: IO[bytes], content: bytes) -> None:
    with suppress(OSError), pipe:  # a program need not read
        pipe.write(content)


class _Reader(threading.Thread):
    """Reads all that comes, so that nobody waits for a full pipe, and keeps its beginning."""

    def __init__(self, pipe: IO[bytes], n_kept: int) -> None:
        super().__init__(daemon=True)
        self._pipe = pipe
        self._n_kept = n_kept
        self.kept = bytearray()
        self.is_cut = False

    def run(self) -> None:
        """Until the last writer has closed the pipe."""
        with self._pipe:
            while piece := os.read(self._pipe.fileno(), _CHUNK_BYTES):
                room = self._n_kept - len(self.kept)
                self.is_cut = self.is_cut or len(piece) > room
                self.kept += piece[:room]
