"""A socket with the application behind it, from its first connection to a shutdown that loses nothing."""

import asyncio
import signal
import socket
from collections.abc import Callable
from types import FrameType

import uvicorn
from starlette.types import ASGIApp

from aigc_cli.errors import AigcError
from aigc_cli.serve.turns import Turns

GRACE_S = 3.0  # what a reply gets to end by itself
SEND_S = 2  # and its last bytes to be read
MOST_CONNECTIONS = 512


def bind(host: str, port: int) -> socket.socket:
    """A TCP socket of this address, not listening yet; port 0 takes a free one.

    Raises:
        AigcError: the port is taken, or the address is none of this machine.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        bound = socket.socket(family, kind, protocol)
    except OSError as error:
        raise AigcError(f"{host}: {error.strerror}", "use --host 127.0.0.1") from error
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
    except OSError as error:
        bound.close()
        raise AigcError(
            f"can't listen on {host} port {port}: {error.strerror}",
            "choose another --port, or 0 for a free one",
        ) from error
    return bound


class HttpServer(uvicorn.Server):
    """Serves an application on sockets until it is told to stop.

    The first signal (or `stop`) lets the running reply end within `GRACE_S`; the second one cuts it.
    """

    def __init__(
        self,
        app: ASGIApp,
        turns: Turns,
        on_ready: Callable[[], None] = lambda: None,
        on_stopping: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http="h11",
                ws="none",
                loop="asyncio",
                lifespan="off",
                log_config=None,  # aigc's own words are the only ones
                access_log=False,
                server_header=False,
                limit_concurrency=MOST_CONNECTIONS,
                timeout_graceful_shutdown=SEND_S,
            )
        )
        self._turns = turns
        self._on_ready = on_ready
        self._on_stopping = on_stopping
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Task[None] | None = None
        self.ended_by: signal.Signals | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, then say so."""
        await super().startup(sockets)
        self._loop = asyncio.get_running_loop()
        self._on_ready()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002  # a signal handler
        """A signal: stop, the sooner the more of them."""
        self.ended_by = signal.Signals(sig)
        self.stop()

    def stop(self) -> None:
        """Begin to shut down; once more: at once. Any thread and any signal handler may call it."""
        if self._loop is None:  # not even listening
            self.should_exit = True
            return
        self._loop.call_soon_threadsafe(self._stop)

    def _stop(self) -> None:
        if self._stopping is None:
            self._on_stopping()
            self._stopping = asyncio.create_task(self._shut_down())
        else:
            self._turns.cancel_running()

    async def _shut_down(self) -> None:
        await self._turns.close(GRACE_S)
        self.should_exit = True
