"""A request that outlives its engine: what of the reply is out already, and what to ask the next engine."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import assert_never

from aigc_cli.engine.base import MOST_CANDIDATES, Chat, Infill, Request, Text
from aigc_cli.errors import EngineError
from aigc_cli.events import Delta, Done, EngineDied, Event, FinishReason, Prefill, Queued, Stats

SEEDS = 2**32 - 1 - MOST_CANDIDATES  # candidate i takes seed + i


class Repeatable:
    """One request, with the events that its reply has brought so far.

    A reply without constraints goes on from its own text, which the next engine reads as a prompt. Where that
    is not possible (a grammar begins at its root; candidates share a prompt) everything is drawn again from
    the same seed, and what is out already is not shown twice.
    """

    def __init__(self, request: Request, draw_seed: Callable[[int], int]) -> None:
        """`draw_seed` gives a number below its argument, for a request without a seed."""
        seed = request.sampling.seed
        sampling = replace(request.sampling, seed=draw_seed(SEEDS) if seed is None else seed)
        self._asked = self.request = replace(request, sampling=sampling)
        self._goes_on = request.constraint is None and request.candidates == 1
        self._said = [""] * request.candidates
        self._to_skip = [""] * request.candidates
        self._ended = [False] * request.candidates
        self._n_tokens = 0  # of the only candidate, where the reply goes on
        self._prompt_tokens: int | None = None
        self._n_before = 0
        self.is_begun = False  # this engine works on it, or has it in its line

    @property
    def has_text(self) -> bool:
        """Whether any of the reply is out."""
        return any(self._said)

    @property
    def is_complete(self) -> bool:
        """Whether the only thing missing is the end: the reply is as long as it may be."""
        return self._goes_on and self._tokens_left() == 0

    def repeat(self) -> None:
        """The engine died: what to ask the next one stands in `request`."""
        self.is_begun = False
        if not self._goes_on:
            self._to_skip = list(self._said)
        elif not self.is_complete:
            self._n_before = self._n_tokens
            left = replace(self._asked.sampling, max_tokens=self._tokens_left())
            self.request = replace(self._asked, prompt=self._prompt_so_far(), sampling=left)

    def take(self, event: Event) -> Iterator[Event]:
        """What to pass on of an engine's event.

        Raises:
            EngineError: drawn again, the reply is another one.
        """
        self.is_begun = True
        match event:
            case Queued() | Prefill():
                if isinstance(event, Prefill) and self._prompt_tokens is None:
                    self._prompt_tokens = event.total
                if not self.has_text:  # a reply that has begun is not read again before a person's eyes
                    yield event
            case Delta():
                yield from self._take_delta(event)
            case Done(candidate=candidate):
                if not self._ended[candidate]:
                    self._ended[candidate] = True
                    yield replace(event, stats=self._whole_stats(event.stats))
            case EngineDied():
                yield event
            case _:
                assert_never(event)

    def end(self) -> Done:
        """The end of a reply that is complete."""
        return Done(FinishReason.LENGTH, Stats(self._prompt_tokens or 0, 0, self._n_tokens))

    def _take_delta(self, delta: Delta) -> Iterator[Delta]:
        number, text = delta.candidate, delta.text
        if skipped := self._to_skip[number]:
            n_common = min(len(skipped), len(text))
            if skipped[:n_common] != text[:n_common]:
                raise EngineError(
                    "the engine died; started again, it gives another reply than the one shown", "ask again"
                )
            self._to_skip[number] = skipped[n_common:]
            text = text[n_common:]
            if not text:
                return
        self._said[number] += text
        self._n_tokens += delta.n_tokens
        yield replace(delta, text=text)

    def _tokens_left(self) -> int | None:
        most = self._asked.sampling.max_tokens
        return None if most is None else max(0, most - self._n_tokens)

    def _prompt_so_far(self) -> Chat | Text | Infill:
        said = self._said[0]
        match self._asked.prompt:
            case Chat(messages, reply_prefix):
                return Chat(messages, reply_prefix + said)
            case Text(text):
                return Text(text + said)
            case Infill(prefix, suffix, extra):
                return Infill(prefix + said, suffix, extra)
            case _:
                assert_never(self._asked.prompt)

    def _whole_stats(self, stats: Stats) -> Stats:
        """Counts of the whole reply; the second engine read its beginning as a prompt."""
        if not self._n_before:
            return stats
        prompt = self._prompt_tokens or max(0, stats.prompt_tokens - self._n_before)
        return replace(
            stats,
            prompt_tokens=prompt,
            cached_tokens=min(stats.cached_tokens, prompt),
            reply_tokens=stats.reply_tokens + self._n_before,
        )
