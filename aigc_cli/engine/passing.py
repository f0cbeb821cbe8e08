"""What stands in front of another engine: each kind changes the one thing that it is for."""

from collections.abc import Iterator

from aigc_cli.engine.base import Engine, EngineInfo, Request
from aigc_cli.events import Event


class PassingEngine:
    """Passes everything on to another engine."""

    def __init__(self, engine: Engine) -> None:
        """Stand in front of this engine."""
        self.engine = engine

    @property
    def info(self) -> EngineInfo:
        """The model at work and its limits."""
        return self.engine.info

    def stream(self, request: Request) -> Iterator[Event]:
        """Yield the events of one reply; see `Engine.stream`."""
        return self.engine.stream(request)

    def count(self, request: Request) -> int:
        """Length of the request's prompt in tokens."""
        return self.engine.count(request)

    def cancel(self) -> None:
        """End the request at work."""
        self.engine.cancel()

    def close(self) -> None:
        """Free the model."""
        self.engine.close()
