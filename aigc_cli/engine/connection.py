"""A socket to a server, on which every wait ends at once when the request is cancelled.

Nothing ends a blocking `recv` on all platforms, so the socket never blocks: each wait is for the socket or
for the byte that `Cancellation.request` writes. Plain sockets and no HTTP library: this is on the way of
every command to its first word, and http.client (which imports email and ssl) takes 30 ms.
"""

import contextlib
import errno
import os
import selectors
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, TypeVar

from aigc_cli.engine.address import Address
from aigc_cli.engine.cancellation import Cancellation, Cancelled
from aigc_cli.errors import ServerGone, ServerUnreachable

_CHUNK_BYTES = 65_536
READ, WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE

T = TypeVar("T")
Place = tuple[int, Any]  # an address family, and an address in the form that it has


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long to wait, in seconds.

    Attributes:
        connect_s: for the connection.
        first_byte_s: for the answer to begin: a long prompt is read before the first token.
        idle_s: between two pieces of an answer.
    """

    connect_s: float = 10.0
    first_byte_s: float = 600.0
    idle_s: float = 120.0


class WouldBlock(Exception):
    """Nothing can be read or written yet; `events` says which to wait for."""

    def __init__(self, events: int) -> None:
        self.events = events


class Channel(Protocol):
    """Bytes to and from a server that never block: `recv` and `send` raise `WouldBlock` instead."""

    def fileno(self) -> int:
        """What to wait for."""
        ...

    def recv(self, n_bytes: int) -> bytes:
        """Some bytes; none at the end."""
        ...

    def send(self, view: memoryview) -> int:
        """How many of the bytes were taken."""
        ...

    def close(self) -> None:
        """Hang up."""
        ...


class PlainChannel:
    """A socket without encryption."""

    def __init__(self, plain: socket.socket) -> None:
        self.socket = plain

    def fileno(self) -> int:
        """See `Channel`."""
        return self.socket.fileno()

    def recv(self, n_bytes: int) -> bytes:
        """See `Channel`."""
        try:
            return self.socket.recv(n_bytes)
        except BlockingIOError:
            raise WouldBlock(READ) from None

    def send(self, view: memoryview) -> int:
        """See `Channel`."""
        try:
            return self.socket.send(view)
        except BlockingIOError:
            raise WouldBlock(WRITE) from None

    def close(self) -> None:
        """See `Channel`."""
        self.socket.close()


class Connection:
    """One connection to a server; its methods raise `Cancelled` as soon as the cancellation is requested."""

    def __init__(self, address: Address, cancellation: Cancellation, connect_timeout_s: float) -> None:
        """Connect.

        Raises:
            ServerUnreachable: nobody answers there.
            EngineError: the certificate is not to be trusted, or that is no TLS server.
        """
        self._label = address.label
        self._cancellation = cancellation
        self._channel: Channel | None = None
        deadline = time.monotonic() + connect_timeout_s
        plain = self._connect(address, deadline)
        if address.scheme != "https":
            self._channel = PlainChannel(plain)
            return
        from aigc_cli.engine.tls import TlsChannel  # ssl: 6 ms that only https pays

        try:
            self._channel = channel = TlsChannel(plain, address.host)
            self._until(deadline, lambda: channel.shake_hands(self._label))
        except TimeoutError:
            self.close()
            raise ServerUnreachable(f"{self._label}: no TLS connection in time", "is it http://?") from None
        except BaseException:
            self.close()
            raise

    def _connect(self, address: Address, deadline: float) -> socket.socket:
        places: list[Place] = (
            [(socket.AF_UNIX, address.host)] if address.scheme == "unix" else self._resolve(address, deadline)
        )
        reason = OSError(errno.EADDRNOTAVAIL, os.strerror(errno.EADDRNOTAVAIL))
        for family, place in places:
            try:
                return self._connect_to(family, place, deadline)
            except OSError as error:
                reason = error
        why = "no answer in time" if isinstance(reason, TimeoutError) else reason.strerror or str(reason)
        raise ServerUnreachable(
            f"no server at {self._label}: {why[:1].lower() + why[1:]}", "start it, or check base_url"
        ) from reason

    def _resolve(self, address: Address, deadline: float) -> list[Place]:
        """Look the name up in a thread: nothing ends a look-up that hangs."""
        found: list[Place] = []
        failures: list[Exception] = []
        done, finished = socket.socketpair()

        def look_up() -> None:
            try:
                for family, _, _, _, place in socket.getaddrinfo(
                    address.host, address.port, type=socket.SOCK_STREAM
                ):
                    found.append((family, place))
            except (OSError, UnicodeError) as error:
                failures.append(error)
            finally:
                finished.close()

        threading.Thread(target=look_up, name="resolver", daemon=True).start()
        try:
            self._wait(done, READ, deadline)
        except TimeoutError as error:
            failures.append(error)
        finally:
            done.close()
        if failures:
            raise ServerUnreachable(
                f"no server is called {address.host!r}", "check base_url and the network"
            ) from failures[0]
        return found

    def _connect_to(self, family: int, place: Any, deadline: float) -> socket.socket:
        plain = socket.socket(family, socket.SOCK_STREAM)
        try:
            plain.setblocking(False)
            # for a Unix socket that error means that its queue is full
            with contextlib.suppress(*(() if plain.family == socket.AF_UNIX else (BlockingIOError,))):
                plain.connect(place)
            self._wait(plain, WRITE, deadline)
            _raise_failure(plain)
            if plain.family != socket.AF_UNIX:
                plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except BaseException:
            plain.close()
            raise
        return plain

    def send(self, payload: bytes, timeout_s: float) -> None:
        """Send all of it.

        Raises:
            OSError: the server takes no more; it may have answered already.
        """
        channel, deadline = self._open_channel(), time.monotonic() + timeout_s
        rest = memoryview(payload)
        while rest:
            n_sent = self._until(deadline, partial(channel.send, rest))
            rest = rest[n_sent:]

    def receive(self, timeout_s: float) -> bytes:
        """The next bytes; none at the end.

        Raises:
            ServerGone: the connection broke, or nothing came in time.
        """
        channel = self._open_channel()
        try:
            return self._until(time.monotonic() + timeout_s, lambda: channel.recv(_CHUNK_BYTES))
        except TimeoutError:
            raise ServerGone(
                f"{self._label}: no answer for {timeout_s:g} s",
                "first_token_timeout and idle_timeout set how long",
            ) from None
        except OSError as error:
            raise ServerGone(f"{self._label}: the connection broke: {error.strerror or error}") from error

    def close(self) -> None:
        """Hang up: the server sees it and stops its work. Closing twice is harmless."""
        channel, self._channel = self._channel, None
        if channel is not None:
            channel.close()

    def _open_channel(self) -> Channel:
        if self._channel is None:
            raise ServerGone(f"{self._label}: the connection is closed")
        return self._channel

    def _until(self, deadline: float, attempt: Callable[[], T]) -> T:
        while True:
            if self._cancellation.requested:
                raise Cancelled
            try:
                return attempt()
            except WouldBlock as blocked:
                self._wait(self._open_channel(), blocked.events, deadline)

    def _wait(self, waited_for: Channel | socket.socket, events: int, deadline: float) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._cancellation, READ)
            selector.register(waited_for, events)
            ready = selector.select(max(0.0, deadline - time.monotonic()))
        if self._cancellation.requested:
            raise Cancelled
        if not ready:
            raise TimeoutError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT))


def _raise_failure(plain: socket.socket) -> None:
    """Raise the error that a connection attempt ended with, if there was one."""
    if code := plain.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
        raise OSError(code, os.strerror(code))
