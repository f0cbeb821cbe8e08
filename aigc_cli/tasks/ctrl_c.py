"""Ctrl-C at the one moment when it would leave something behind: while a program is being started."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType

Release = Callable[[], None]


@contextmanager
def ctrl_c_held_back() -> Iterator[Release]:
    """Keep Ctrl-C waiting until the function that is yielded is called, where it is raised if it has come.

        with ctrl_c_held_back() as release:
            program = start()
            try:
                release()
                ...
            finally:
                program.end()

    Without it, one that comes between the start and the `try` finds nobody who would end the program. The end
    of the block releases it at the latest. Only the main thread is ever interrupted: in another one, and
    where Ctrl-C is ignored, this does nothing.
    """
    heard = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(heard):
        yield lambda: None
        return
    waiting: list[FrameType | None] = []
    is_held = True

    def release() -> None:
        nonlocal is_held
        if not is_held:
            return
        is_held = False
        signal.signal(signal.SIGINT, heard)
        if waiting:
            heard(signal.SIGINT, waiting[0])

    signal.signal(signal.SIGINT, lambda _number, frame: waiting.append(frame))
    try:
        yield release
    finally:
        release()
