"""The decode loop: prefix reuse, prefill, sample, stop.

One request is a generator of events over parts that tests can replace: a context that evaluates tokens, and a
reply with its sampler, which draws them, and its vocabulary, which spells them.
"""

from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Any, Protocol

from aigc_cli.engine.reply import REPLY_ROOM, Reply
from aigc_cli.errors import ContextOverflow
from aigc_cli.events import Done, Event, FinishReason, Prefill, Stats

CHUNK = 512  # prompt tokens evaluated between two progress events
# The first chunk is short so that the speed, and with it the time left, is known early.
FIRST_CHUNK = 128


class Aborted(Exception):
    """The evaluation was cancelled; the context holds what was evaluated before."""


class TokenContext(Protocol):
    """A KV cache that evaluates tokens."""

    @property
    def handle(self) -> Any:
        """What the sampler reads logits from."""
        ...

    @property
    def n_ctx_limit(self) -> int:
        """The most tokens it can ever hold."""
        ...

    def reuse_prefix(self, tokens: Sequence[int]) -> int:
        """Keep the shared start, drop the rest; returns the number of tokens kept."""
        ...

    def reserve(self, n_tokens: int) -> None:
        """Make room for so many tokens in all."""
        ...

    def evaluate(self, tokens: Sequence[int]) -> None:
        """Append tokens; raises `Aborted`."""
        ...


class Decoding:
    """One request at work: it fills the reply that it is given."""

    def __init__(self, context: TokenContext, reply: Reply, clock: Callable[[], float]) -> None:
        self._context = context
        self._reply = reply
        self._clock = clock

    def run(self, prompt: Sequence[int]) -> Iterator[Event]:
        """Yield `Prefill`* `Delta`* `Done`.

        Raises:
            ContextOverflow: the prompt leaves no room for a reply; nothing was evaluated.
        """
        if len(prompt) + REPLY_ROOM > self._context.n_ctx_limit:
            raise ContextOverflow(len(prompt), self._context.n_ctx_limit)
        started = self._clock()
        self._context.reserve(len(prompt) + REPLY_ROOM)
        n_cached = self._context.reuse_prefix(prompt)
        try:
            yield from self._prefill(prompt, n_cached)
        except Aborted:
            yield Done(
                FinishReason.INTERRUPTED, Stats(len(prompt), n_cached, 0, self._clock() - started, 0.0)
            )
            return
        first = self._clock()
        reason = yield from self._decode(len(prompt))
        n_reply = len(self._reply.tokens)
        yield Done(reason, Stats(len(prompt), n_cached, n_reply, first - started, self._clock() - first))

    def _prefill(self, prompt: Sequence[int], n_cached: int) -> Iterator[Event]:
        yield Prefill(n_cached, len(prompt), n_cached)
        done, size = n_cached, FIRST_CHUNK
        while done < len(prompt):
            chunk = prompt[done : done + size]
            self._context.evaluate(chunk)
            done, size = done + len(chunk), CHUNK
            yield Prefill(done, len(prompt), n_cached)

    def _decode(self, n_prompt: int) -> Generator[Event, None, FinishReason]:
        reply = self._reply
        reply.begin(self._context.n_ctx_limit - n_prompt)
        try:
            while True:
                if delta := reply.draw(self._context.handle):
                    yield delta
                if reply.finish_reason:
                    break
                self._context.reserve(n_prompt + len(reply.tokens))
                self._context.evaluate(reply.tokens[-1:])
        except Aborted:
            reply.finish_reason = FinishReason.INTERRUPTED
        if delta := reply.finish():
            yield delta
        return reply.finish_reason
