"""Replies that end sooner than the model wants: what editors ask for to keep a suggestion short.

llama-server's n_indent, t_max_predict_ms, and n_predict = 0. They look at text and time, so they need
nothing of the engine but to be cancelled.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace

from aigc_cli.events import Delta, Done, Event, FinishReason
from aigc_cli.serve.decoding import Wishes


class Shortening:
    """Passes on the events of one reply until it is long enough; says so in `is_enough`."""

    def __init__(self, wishes: Wishes, clock: Callable[[], float]) -> None:
        self._wishes = wishes
        self._clock = clock
        self._first_delta: float | None = None  # clock seconds
        self._held: Delta | None = None  # a line break and white space: whether they belong is not known yet
        self.is_enough = False

    def keep(self, event: Event) -> Iterator[Event]:
        """What remains of an event."""
        match event:
            case Delta():
                yield from self._delta(event)
            case Done():
                yield from self._done(event)
            case _:
                yield event

    def _delta(self, delta: Delta) -> Iterator[Event]:
        if self._wishes.prefill_only:
            self.is_enough = True
        if self.is_enough:
            return
        if self._first_delta is None:
            self._first_delta = self._clock()
        if self._wishes.least_indent:
            yield from self._indented(delta)
        else:
            yield delta
        if self._is_late() and "\n" in delta.text:
            self.is_enough = True

    def _is_late(self) -> bool:
        limit_ms = self._wishes.most_predict_ms
        return bool(limit_ms) and (self._clock() - (self._first_delta or 0.0)) * 1000 > limit_ms

    def _indented(self, delta: Delta) -> Iterator[Event]:
        """Hold back what follows a line break until the line's indentation is known."""
        if self._held is not None:
            delta = replace(
                delta,
                text=self._held.text + delta.text,
                n_tokens=self._held.n_tokens + delta.n_tokens,
                tokens=self._held.tokens + delta.tokens,
            )
            self._held = None
        kept, rest = self._cut(delta.text)
        if kept:
            yield replace(delta, text=kept)
            delta = replace(delta, n_tokens=0, tokens=())
        if rest and not self.is_enough:
            self._held = replace(delta, text=rest)

    def _cut(self, text: str) -> tuple[str, str]:
        """What belongs for certain, and what does not or is not known to: line breaks and white space."""
        first, *lines = text.split("\n")
        certain = position = len(first)
        for line in lines:
            position += 1 + len(line)
            words = line.lstrip(" \t")
            if not words:
                continue
            if len(line) - len(words) < self._wishes.least_indent:
                self.is_enough = True
                break
            certain = position
        return text[:certain], text[certain:]

    def _done(self, done: Done) -> Iterator[Event]:
        if self._held is not None and not self.is_enough:
            yield self._held
        if self.is_enough and done.finish_reason is FinishReason.INTERRUPTED:
            done = replace(done, finish_reason=FinishReason.LENGTH)
        if self._wishes.prefill_only:
            stats = replace(done.stats, reply_tokens=0, decode_s=0.0)
            done = replace(done, stats=stats, finish_reason=FinishReason.LENGTH)
        yield done
