"""An engine whose replies end as soon as enough is said: what comes after is not waited for."""

from collections.abc import Iterator
from dataclasses import replace

from aigc_cli.engine.base import Engine, Request
from aigc_cli.engine.passing import PassingEngine
from aigc_cli.events import Delta, Done, Event, FinishReason
from aigc_cli.tasks.fill_end import FillEnd


class EndingEngine(PassingEngine):
    """Passes on the events of another engine, and cancels it when each candidate has reached its end."""

    def __init__(self, engine: Engine, end: FillEnd) -> None:
        super().__init__(engine)
        self._end = end

    def stream(self, request: Request) -> Iterator[Event]:
        """As the engine does; a candidate that has reached its end is done, and not interrupted."""
        texts = [""] * request.candidates
        ended: set[int] = set()
        for event in self.engine.stream(request):
            if isinstance(event, Delta):
                if event.candidate in ended:
                    continue
                texts[event.candidate] += event.text
                if self._end.cut(texts[event.candidate], is_whole=False)[1]:
                    ended.add(event.candidate)
                    if len(ended) == request.candidates:
                        self.engine.cancel()
            if isinstance(event, Done) and event.candidate in ended:
                event = replace(event, finish_reason=FinishReason.STOP)  # noqa: PLW2901  # the same event, said rightly
            yield event
