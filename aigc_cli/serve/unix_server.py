"""Uvicorn on the resident engine's socket, with signals that end it in order."""

import signal
from collections.abc import Callable
from types import FrameType

import uvicorn
from starlette.types import ASGIApp


class UnixServer(uvicorn.Server):
    """Serves until `should_exit` is set.

    Args:
        app: what answers.
        on_signal: told the name of SIGTERM or SIGINT; it sees to the end.
    """

    def __init__(self, app: ASGIApp, on_signal: Callable[[str], None]) -> None:
        # By the time that `should_exit` is set nobody is to be waited for any more.
        config = uvicorn.Config(
            app, lifespan="off", access_log=False, log_config=None, log_level="warning", ws="none",
            http="h11", loop="asyncio", timeout_graceful_shutdown=0,
        )  # fmt: skip
        super().__init__(config)
        self._on_signal = on_signal

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002  # uvicorn's signature
        """Pass a signal on, instead of raising it again after the shutdown."""
        self._on_signal(signal.Signals(sig).name)
