"""An engine that answers with LoRA adapters: whatever asks it need not know of them."""

from collections.abc import Iterator
from dataclasses import replace

from aigc_cli.engine.base import Adapter, Engine, Request
from aigc_cli.engine.passing import PassingEngine
from aigc_cli.events import Event


class AdaptedEngine(PassingEngine):
    """Passes requests on to another engine, with these adapters where they name none."""

    def __init__(self, engine: Engine, adapters: tuple[Adapter, ...]) -> None:
        super().__init__(engine)
        self._adapters = adapters

    def stream(self, request: Request) -> Iterator[Event]:
        """Yield the events of one reply; see `Engine.stream`."""
        if request.adapters is None:
            request = replace(request, adapters=self._adapters)
        return self.engine.stream(request)


def bare(engine: Engine) -> Engine:
    """The engine without what was put over it here."""
    return engine.engine if isinstance(engine, AdaptedEngine) else engine


def adapted(engine: Engine, adapters: tuple[Adapter, ...]) -> Engine:
    """The same engine, its model still loaded, with these adapters instead of those it had."""
    return AdaptedEngine(bare(engine), adapters) if adapters else bare(engine)
