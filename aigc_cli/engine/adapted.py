"""An engine that answers with LoRA adapters: whatever asks it need not know of them."""

from collections.abc import Iterator
from dataclasses import replace

from aigc_cli.engine.base import Adapter, Engine, EngineInfo, Request
from aigc_cli.events import Event


class AdaptedEngine:
    """Passes requests on to another engine, with these adapters where they name none."""

    def __init__(self, engine: Engine, adapters: tuple[Adapter, ...]) -> None:
        self.engine = engine
        self._adapters = adapters

    @property
    def info(self) -> EngineInfo:
        """The model at work and its limits."""
        return self.engine.info

    def stream(self, request: Request) -> Iterator[Event]:
        """Yield the events of one reply; see `Engine.stream`."""
        if request.adapters is None:
            request = replace(request, adapters=self._adapters)
        return self.engine.stream(request)

    def count(self, request: Request) -> int:
        """Length of the request's prompt in tokens, which no adapter changes."""
        return self.engine.count(request)

    def cancel(self) -> None:
        """End the request at work."""
        self.engine.cancel()

    def close(self) -> None:
        """Free the model."""
        self.engine.close()


def bare(engine: Engine) -> Engine:
    """The engine without what was put over it here."""
    return engine.engine if isinstance(engine, AdaptedEngine) else engine


def adapted(engine: Engine, adapters: tuple[Adapter, ...]) -> Engine:
    """The same engine, its model still loaded, with these adapters instead of those it had."""
    return AdaptedEngine(bare(engine), adapters) if adapters else bare(engine)
