"""A program run from the chat: its output shown as it comes and its tail kept; Ctrl-C ends it, not the chat.

It runs in a process group of its own, which gets the terminal as a shell's foreground job does: it can ask
things, and the keys for interrupt and quit reach it alone.
"""

import os
import selectors
import signal
import subprocess
import sys
from codecs import getincrementaldecoder
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import IO

from aigc_cli.cli.context import AppContext
from aigc_cli.cli.terminal_mode import terminal_lent
from aigc_cli.errors import UsageError
from aigc_cli.render.console import Sanitizer
from aigc_cli.tasks.ctrl_c import Release, ctrl_c_held_back

_CHUNK_BYTES = 65_536
_LOOK_S = 0.05  # how often to look whether it ended: a child of its own may keep the pipe open
_INTERRUPTED_CODES = (-signal.SIGINT, 128 + signal.SIGINT)  # ended by it; or, like a shell, told of it
_GRACE_S = 2.0  # between the polite signal and the last one


class Ending(StrEnum):
    """How a program came to its end."""

    EXIT = "exit"
    TIME_OUT = "time-out"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True, slots=True)
class Ran:
    """What came of a program.

    Attributes:
        exit_code: as a shell tells it: 128 and the signal's number when one ended it.
        output: stdout and stderr as they came, without escape sequences; only the end of a long one.
        n_characters: how many there were in all.
    """

    exit_code: int
    ending: Ending
    output: str
    n_characters: int

    @property
    def is_cut(self) -> bool:
        """Whether the beginning of the output was let go."""
        return len(self.output) < self.n_characters


def run_child(
    app: AppContext,
    argv: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str],
    n_kept: int,
    limit_s: float | None = None,
) -> Ran:
    """Run a program to its end, its output on stderr as it comes.

    Args:
        app: the world, for its terminal and clock.
        argv: the program and its arguments.
        cwd: where it runs.
        env: its environment.
        n_kept: how many characters of the output to keep.
        limit_s: the program is killed after this time, with all that it started; None lets it run.

    Raises:
        UsageError: there is no such program, or it may not be run.
    """
    tail = _Tail(app, n_kept)
    with terminal_lent(app) as has_terminal, ctrl_c_held_back() as release:
        with _started(argv, cwd, env, app.stdin if has_terminal else None) as process:
            ending = _follow(app, process, tail, limit_s, release)
            _take_in_rest(app, process, tail)
        tail.end()
    code = process.returncode
    if code in _INTERRUPTED_CODES and ending is Ending.EXIT:
        ending = Ending.INTERRUPTED
    return Ran(code if code >= 0 else 128 - code, ending, tail.text, tail.n_characters)


class _Tail:
    """Shows output that comes in pieces, and keeps its end."""

    def __init__(self, app: AppContext, n_kept: int) -> None:
        self._screen = app.stderr
        self._n_kept = n_kept
        self._decoder = getincrementaldecoder("utf-8")("replace")
        self._sanitizer = Sanitizer()
        self.text = ""
        self.n_characters = 0

    def add(self, piece: bytes, *, final: bool = False) -> None:
        """Show and keep the next piece. A progress bar that redraws its line becomes lines."""
        decoded = self._decoder.decode(piece, final).replace("\r\n", "\n").replace("\r", "\n")
        shown = self._sanitizer.feed(decoded)
        self.n_characters += len(shown)
        self.text = (self.text + shown)[-self._n_kept :]
        self._screen.write(shown)
        self._screen.flush()

    def end(self) -> None:
        """Leave the cursor at the start of a line."""
        self.add(b"", final=True)
        if self.text and not self.text.endswith("\n"):
            self._screen.write("\n")


@contextmanager
def _started(
    argv: Sequence[str], cwd: Path, env: Mapping[str, str], terminal: IO[str] | None
) -> Iterator["subprocess.Popen[bytes]"]:
    """The program at work; whatever happens, none of its process group outlives a failure here."""
    try:
        process = subprocess.Popen(
            argv, cwd=cwd, env=env, stdin=terminal or subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, process_group=0,
        )  # fmt: skip
    except (OSError, ValueError) as error:  # ValueError: a NUL in an argument
        raise UsageError(f"{argv[0]} can't be run: {error}", "is it installed and on PATH?") from error
    try:
        with _in_foreground(process, terminal):
            yield process
    finally:
        if process.poll() is None:
            _end_group(process, signal.SIGKILL)
            process.wait()
        if process.stdout:
            process.stdout.close()


def _follow(
    app: AppContext,
    process: "subprocess.Popen[bytes]",
    tail: _Tail,
    limit_s: float | None,
    release: Release,
) -> Ending:
    """Take in the output until the program ends, by itself or not."""
    deadline = None if limit_s is None else app.clock() + limit_s
    try:
        release()
        while process.poll() is None:
            _take_in(process, tail, _LOOK_S)
            if deadline is not None and app.clock() > deadline:
                _end_group(process, signal.SIGKILL)
                process.wait()
                return Ending.TIME_OUT
    except KeyboardInterrupt:  # where the program has no terminal of its own, Ctrl-C comes to the chat
        _end_politely(process)
        return Ending.INTERRUPTED
    return Ending.EXIT


def _take_in_rest(app: AppContext, process: "subprocess.Popen[bytes]", tail: _Tail) -> None:
    """What the pipe still holds; not what a child in the background goes on to write."""
    deadline = app.clock() + _GRACE_S
    while _take_in(process, tail, 0) and app.clock() < deadline:
        continue


def _take_in(process: "subprocess.Popen[bytes]", tail: _Tail, wait_s: float) -> bool:
    """Read what there is; False if there was nothing."""
    if process.stdout is None:
        raise RuntimeError("a child is started with a pipe for its output")
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        if not selector.select(wait_s):
            return False
    piece = os.read(process.stdout.fileno(), _CHUNK_BYTES)
    if not piece and wait_s:  # the output is closed, the program still runs
        with suppress(subprocess.TimeoutExpired):
            process.wait(wait_s)
    tail.add(piece)
    return bool(piece)


def _end_politely(process: "subprocess.Popen[bytes]") -> None:
    _end_group(process, signal.SIGINT)
    try:
        process.wait(_GRACE_S)
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        _end_group(process, signal.SIGKILL)
        process.wait()


def _end_group(process: "subprocess.Popen[bytes]", number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):  # it ended meanwhile
        os.killpg(process.pid, number)


@contextmanager
def _in_foreground(process: "subprocess.Popen[bytes]", terminal: IO[str] | None) -> Iterator[None]:
    """Make the program the terminal's foreground job, as a shell does, and the chat again afterwards."""
    if terminal is None or not _is_ours(terminal):
        yield
        return
    _give_terminal(terminal, process.pid)
    _end_group(
        process, signal.SIGCONT
    )  # it may have been stopped for reading before the terminal was its own
    try:
        yield
    finally:
        _give_terminal(terminal, os.getpgrp())


def _is_ours(terminal: IO[str]) -> bool:
    """Whether this process is the terminal's foreground job, and so may hand it on."""
    try:
        return sys.platform != "win32" and os.tcgetpgrp(terminal.fileno()) == os.getpgrp()
    except OSError:  # a terminal, but not the one that controls this process
        return False


def _give_terminal(terminal: IO[str], group: int) -> None:
    # a process in the background is stopped (SIGTTOU) when it takes the terminal back
    masked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTTOU})
    try:
        os.tcsetpgrp(terminal.fileno(), group)
    except (ProcessLookupError, PermissionError):  # the program has ended already
        return
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, masked)
