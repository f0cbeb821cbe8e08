"""The terminal during a chat: keys typed while a reply streams wait for the next prompt, unseen."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from aigc_cli.cli.context import AppContext
from aigc_cli.render.console import detect_traits

_BRACKET_PASTES, _NO_BRACKETS = "\x1b[?2004h", "\x1b[?2004l"


@contextmanager
def keys_kept_quiet(app: AppContext) -> Iterator[None]:
    """Turn echo and line editing off; Ctrl-C still interrupts. The mode before comes back at the end.

    Enter stays apart from a line break and a paste is marked as one, so that the line editor can tell what
    was sent from what was only pasted. Ctrl-C throws away nothing that waits (NOFLSH).
    """
    can_edit = app.stdin.isatty() and detect_traits(app.stderr, app.env, "auto").moves_cursor
    if sys.platform == "win32" or not can_edit:
        yield
        return
    import termios  # not on Windows

    before = termios.tcgetattr(app.stdin)
    quiet = termios.tcgetattr(app.stdin)
    quiet[0] &= ~termios.ICRNL
    quiet[3] = (quiet[3] & ~(termios.ECHO | termios.ICANON)) | termios.NOFLSH
    with _sigterm_unwinds():
        try:
            termios.tcsetattr(app.stdin, termios.TCSANOW, quiet)
            _write(app, _BRACKET_PASTES)
            yield
        finally:
            _write(app, _NO_BRACKETS)
            termios.tcsetattr(app.stdin, termios.TCSANOW, before)


@contextmanager
def terminal_lent(app: AppContext) -> Iterator[bool]:
    """Let a program have the terminal as a shell leaves it; yields whether there is one to lend.

    The key that stops a job (Ctrl-Z) is off: the chat has no `fg` to go on with it.
    """
    can_lend = app.stdin.isatty() and app.stderr.isatty()
    if sys.platform == "win32" or not can_lend:
        yield False
        return
    import termios  # not on Windows

    before = termios.tcgetattr(app.stdin)
    cooked = termios.tcgetattr(app.stdin)
    cooked[0] |= termios.ICRNL
    cooked[3] = (cooked[3] | termios.ECHO | termios.ICANON | termios.ISIG) & ~termios.NOFLSH
    cooked[6][termios.VSUSP] = os.fpathconf(app.stdin.fileno(), "PC_VDISABLE").to_bytes(1, "little")
    marks_pastes = detect_traits(app.stderr, app.env, "auto").moves_cursor
    try:
        termios.tcsetattr(app.stdin, termios.TCSANOW, cooked)
        _write(app, _NO_BRACKETS if marks_pastes else "")
        yield True
    finally:
        termios.tcsetattr(app.stdin, termios.TCSANOW, before)
        _write(app, _BRACKET_PASTES if marks_pastes else "")


@contextmanager
def _sigterm_unwinds() -> Iterator[None]:
    """Let a polite kill restore the terminal; by default it would end the process at once."""

    def on_sigterm(number: int, _frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = signal.signal(signal.SIGTERM, on_sigterm)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def _write(app: AppContext, sequence: str) -> None:
    app.stderr.write(sequence)
    app.stderr.flush()
