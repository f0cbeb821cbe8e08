"""A real pseudo-terminal around a program: what arrives there, and when."""

import fcntl
import os
import pty
import struct
import subprocess
import tempfile
import termios
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

LINES, COLUMNS = 40, 100


@dataclass(frozen=True, slots=True)
class Shown:
    """What a program wrote on its terminal.

    Attributes:
        seconds: from the first piece of output to the last one.
        text: all of it.
        err: what it said on standard error, which is no terminal.
    """

    seconds: float
    text: str
    err: str


def run_in_terminal(argv: Sequence[str], env: Mapping[str, str]) -> Shown:
    """Run a program whose output is a terminal, and read along."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
    env = {**env, "TERM": "xterm-256color", "COLORTERM": "truecolor"}
    pieces: list[bytes] = []
    first = last = 0.0
    # A file takes what nobody reads yet; a pipe that is full would stop the program.
    with (
        tempfile.TemporaryFile() as errors,
        subprocess.Popen(argv, env=env, stdin=subprocess.DEVNULL, stdout=theirs, stderr=errors) as process,
    ):
        os.close(theirs)
        while piece := _read(ours):
            last = time.perf_counter()
            first = first or last
            pieces.append(piece)
        os.close(ours)
        returncode = process.wait()
        errors.seek(0)
        err = errors.read().decode("utf-8", "replace")
    assert returncode == 0, err
    return Shown(last - first, b"".join(pieces).decode("utf-8", "replace"), err)


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65536)
    except OSError:  # how Linux tells that nobody holds the other end any more
        return b""
