"""The decode loop: prefix reuse, prefill, sample, stop.

One request is a generator of events over parts that tests can replace: a sequence of tokens in a KV cache,
and replies with their samplers, which draw tokens, and their vocabulary, which spells them.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Generic

from aigc_cli.engine.candidates import decode_together
from aigc_cli.engine.evaluation import Aborted, EvaluateRows, S
from aigc_cli.engine.reply import REPLY_ROOM, Reply
from aigc_cli.engine.speculate import Speculation, decode_with_drafts
from aigc_cli.errors import ContextOverflow
from aigc_cli.events import Done, Event, FinishReason, Prefill, Stats

CHUNK = 512  # prompt tokens evaluated between two progress events
# The first chunk is short so that the speed, and with it the time left, is known early.
FIRST_CHUNK = 128


class Decoding(Generic[S]):
    """One request at work: it fills the replies that it is given."""

    def __init__(
        self,
        sequence: S,
        replies: Sequence[Reply],
        evaluate_rows: EvaluateRows[S],
        clock: Callable[[], float],
        speculation: Speculation | None = None,
    ) -> None:
        """Put the parts together.

        Args:
            sequence: where the prompt goes, and the first reply.
            replies: those to draw.
            evaluate_rows: evaluates a token of each of several sequences.
            clock: seconds.
            speculation: guesses ahead, for a reply that is drawn alone.
        """
        self._sequence = sequence
        self._replies = replies
        self._evaluate_rows = evaluate_rows
        self._clock = clock
        self._speculation = speculation
        self._n_prompt = self._n_cached = 0
        self._started_at = clock()
        self._read_at: float | None = None  # when the whole prompt was evaluated

    def run(self, prompt: Sequence[int]) -> Iterator[Event]:
        """Yield `Prefill`* `Delta`* `Done`*, one `Done` a reply.

        Raises:
            ContextOverflow: the prompt leaves no room for the replies; nothing was evaluated.
        """
        n_ctx, n_replies = self._sequence.n_ctx_limit, len(self._replies)
        needed = len(prompt) + n_replies * REPLY_ROOM
        if needed > n_ctx:
            raise ContextOverflow(len(prompt), n_ctx)
        self._started_at = self._clock()
        self._sequence.reserve(needed)
        self._n_prompt, self._n_cached = len(prompt), self._sequence.reuse_prefix(prompt)
        for reply in self._replies:
            reply.begin((n_ctx - len(prompt)) // n_replies)
        try:
            yield from self._prefill(prompt)
            yield from self._decode()
        except Aborted:
            for reply in self._replies:
                if reply.finish_reason is None:
                    reply.finish_reason = FinishReason.INTERRUPTED
                    yield from self._finish(reply)

    def _prefill(self, prompt: Sequence[int]) -> Iterator[Event]:
        yield Prefill(self._n_cached, len(prompt), self._n_cached)
        done, size = self._n_cached, FIRST_CHUNK
        while done < len(prompt):
            chunk = prompt[done : done + size]
            self._sequence.evaluate(chunk)
            done, size = done + len(chunk), CHUNK
            yield Prefill(done, len(prompt), self._n_cached)
        self._read_at = self._clock()

    def _decode(self) -> Iterator[Event]:
        if len(self._replies) > 1:
            yield from decode_together(
                self._sequence, self._n_prompt, self._replies, self._evaluate_rows, self._finish
            )
            return
        (reply,) = self._replies
        if self._speculation is None:
            yield from self._decode_plainly(reply)
        else:
            yield from decode_with_drafts(
                self._sequence, self._n_prompt, reply, self._speculation, self._clock
            )
        yield from self._finish(reply)

    def _decode_plainly(self, reply: Reply) -> Iterator[Event]:
        sequence = self._sequence
        while True:
            if delta := reply.draw(sequence.handle):
                yield delta
            if reply.finish_reason:
                return
            sequence.reserve(self._n_prompt + len(reply.tokens))
            sequence.evaluate(reply.tokens[-1:])

    def _finish(self, reply: Reply) -> Iterator[Event]:
        """The last events of a reply that has ended."""
        if delta := reply.finish():
            yield delta
        now = self._clock()
        read_at = now if self._read_at is None else self._read_at
        stats = Stats(
            self._n_prompt,
            self._n_cached,
            len(reply.tokens),
            prefill_s=read_at - self._started_at,
            decode_s=now - read_at,
            drafted_tokens=reply.n_drafted,
            accepted_tokens=reply.n_accepted,
        )
        yield Done(reply.finish_reason or FinishReason.STOP, stats, reply.number)
