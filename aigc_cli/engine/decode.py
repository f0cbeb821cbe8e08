"""The decode loop: prefix reuse, prefill, sample, stop.

One request is a generator of events over three parts that tests can replace: a context that evaluates tokens,
a sampler that draws them, a vocabulary that spells them.
"""

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from aigc_cli.engine.detokenize import Detokenizer
from aigc_cli.engine.repetition import RepetitionGuard
from aigc_cli.errors import ContextOverflow
from aigc_cli.events import Delta, Done, Event, FinishReason, Prefill, Stats

CHUNK = 512  # prompt tokens evaluated between two progress events
# The first chunk is short so that the speed, and with it the time left, is known early.
FIRST_CHUNK = 128
REPLY_ROOM = 16  # tokens that a prompt must leave free: a window filled to the brim has no answer in it


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


class TokenSampler(Protocol):
    """Draws the next token."""

    def sample(self, context: Any) -> int:
        """The token after the last one evaluated."""
        ...

    def finish_soon(self) -> None:
        """Prefer tokens that end the reply, where the sampler can."""
        ...


class TokenSpelling(Protocol):
    """Spells tokens."""

    def piece(self, token: int) -> bytes:
        """The bytes of a token."""
        ...

    def is_end(self, token: int) -> bool:
        """Whether the token ends a reply."""
        ...


@dataclass(frozen=True, slots=True)
class Limits:
    """When a reply ends other than by itself.

    Attributes:
        max_tokens: None is what the window leaves.
        stop: stop strings.
        guard_loops: end a reply that repeats itself.
        closing_tokens: tokens kept free to bring a constrained reply to its end; 0 is none.
    """

    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    guard_loops: bool = True
    closing_tokens: int = 0


class Decoding:
    """One request at work. After `run`, `tokens` and `text` hold the reply."""

    def __init__(
        self,
        context: TokenContext,
        sampler: TokenSampler,
        spelling: TokenSpelling,
        limits: Limits,
        clock: Callable[[], float],
    ) -> None:
        self._context = context
        self._sampler = sampler
        self._spelling = spelling
        self._limits = limits
        self._clock = clock
        self._deltas: list[str] = []
        self._guard = RepetitionGuard() if limits.guard_loops else None
        self._end_reason = FinishReason.STOP
        self.tokens: list[int] = []

    @property
    def text(self) -> str:
        """The reply so far."""
        return "".join(self._deltas)

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
        yield Done(
            reason, Stats(len(prompt), n_cached, len(self.tokens), first - started, self._clock() - first)
        )

    def _prefill(self, prompt: Sequence[int], n_cached: int) -> Iterator[Event]:
        yield Prefill(n_cached, len(prompt), n_cached)
        done, size = n_cached, FIRST_CHUNK
        while done < len(prompt):
            chunk = prompt[done : done + size]
            self._context.evaluate(chunk)
            done, size = done + len(chunk), CHUNK
            yield Prefill(done, len(prompt), n_cached)

    def _decode(self, n_prompt: int) -> Generator[Event, None, FinishReason]:
        detokenizer = Detokenizer(self._limits.stop)
        n_unspelled = 0
        try:
            while True:
                token = self._sampler.sample(self._context.handle)
                if self._spelling.is_end(token):
                    reason = self._end_reason
                    break
                self.tokens.append(token)
                n_unspelled += 1
                if text := detokenizer.push(self._spelling.piece(token)):
                    yield self._delta(text, n_unspelled)
                    n_unspelled = 0
                if detokenizer.stopped:
                    reason = FinishReason.STOP
                    break
                if cut := self._cut(token, n_prompt):
                    reason = cut
                    break
                self._context.reserve(n_prompt + len(self.tokens))
                self._context.evaluate([token])
        except Aborted:
            reason = FinishReason.INTERRUPTED
        if text := detokenizer.finish():
            yield self._delta(text, n_unspelled)
        return reason

    def _delta(self, text: str, n_tokens: int) -> Delta:
        self._deltas.append(text)
        return Delta(text, n_tokens)

    def _cut(self, token: int, n_prompt: int) -> FinishReason | None:
        """Why the reply ends after this token; a constrained one is brought to its end first."""
        room = self._context.n_ctx_limit - n_prompt
        n_left = min(room, self._limits.max_tokens or room) - len(self.tokens)
        if n_left <= 0:
            return FinishReason.LENGTH
        looping = self._guard is not None and self._guard.push(token)
        if looping and not self._limits.closing_tokens:
            return FinishReason.LOOP
        if looping or n_left == self._limits.closing_tokens:
            self._end_reason = FinishReason.LOOP if looping else FinishReason.LENGTH
            self._guard = None
            self._sampler.finish_soon()
        return None
