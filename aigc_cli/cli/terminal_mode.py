"""The terminal while a reply streams: keys typed then wait for the next prompt, not echoed into the reply."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO


@contextmanager
def keys_kept_quiet(stdin: TextIO) -> Iterator[None]:
    """Turn echo and line editing off; Ctrl-C keeps its meaning. The mode before comes back at the end.

    A carriage return still becomes a newline, which the prompt takes for a new line of its text: what is
    typed or pasted while a reply streams waits there, and is never sent by itself.
    """
    if sys.platform == "win32" or not stdin.isatty():
        yield
        return
    import termios  # not on Windows

    before = termios.tcgetattr(stdin)
    quiet = termios.tcgetattr(stdin)
    quiet[3] &= ~(termios.ECHO | termios.ICANON)
    termios.tcsetattr(stdin, termios.TCSANOW, quiet)
    try:
        yield
    finally:
        termios.tcsetattr(stdin, termios.TCSANOW, before)
