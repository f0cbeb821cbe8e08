"""A wish to stop, voiced from any thread or signal handler, that wakes whoever waits for a socket."""

import contextlib
import selectors
import socket

_DRAIN_BYTES = 4096


class Cancelled(Exception):
    """The request was cancelled while its connection was waited for."""


class Cancellation:
    """A wish to stop that wakes whoever waits for a connection; any thread or signal handler may voice it."""

    def __init__(self) -> None:
        self._wake, self._waker = socket.socketpair()
        self._wake.setblocking(False)
        self._waker.setblocking(False)
        self._requested = False

    @property
    def requested(self) -> bool:
        """Whether the work should end."""
        return self._requested

    def request(self) -> None:
        """End the work that goes on now."""
        self._requested = True
        with contextlib.suppress(OSError):  # full: it is awake anyway; closed: nobody waits
            self._waker.send(b"\0")

    def clear(self) -> None:
        """New work begins: forget what was cancelled before."""
        with contextlib.suppress(OSError):
            while self._wake.recv(_DRAIN_BYTES):
                pass
        self._requested = False

    def wait(self, seconds: float) -> None:
        """Sleep.

        Raises:
            Cancelled: somebody does not want to wait.
        """
        with selectors.DefaultSelector() as selector:
            selector.register(self._wake, selectors.EVENT_READ)
            if selector.select(seconds) or self._requested:
                raise Cancelled

    def fileno(self) -> int:
        """Readable when the work should end."""
        return self._wake.fileno()

    def close(self) -> None:
        """Free the descriptors. Closing twice is harmless."""
        self._wake.close()
        self._waker.close()
