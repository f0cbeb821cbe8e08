"""The decode loop over scripted parts: when a reply ends, and what is said at its end."""

from collections.abc import Sequence
from typing import Self

import pytest

from aigc_cli.engine.decode import CHUNK, FIRST_CHUNK, Decoding
from aigc_cli.engine.evaluation import Aborted
from aigc_cli.engine.reply import REPLY_ROOM, Limits, Reply
from aigc_cli.errors import ContextOverflow
from aigc_cli.events import Done, Event, FinishReason, Prefill
from tests.engine.replies import done_of, text_of

END = 0


class Cells:
    """A KV cache that only counts; it aborts at a given evaluation."""

    handle = None

    def __init__(self, n_ctx_limit: int = 4096, abort_at: int | None = None) -> None:
        self.n_ctx_limit = n_ctx_limit
        self.abort_at = abort_at
        self.held: list[int] = []
        self.batches: list[int] = []
        self.n_logits = 0
        self.reserved = 0

    def reuse_prefix(self, tokens: Sequence[int]) -> int:
        n_shared = 0
        while n_shared < min(len(self.held), len(tokens) - 1) and self.held[n_shared] == tokens[n_shared]:
            n_shared += 1
        del self.held[n_shared:]
        return n_shared

    def reserve(self, n_tokens: int) -> None:
        self.reserved = max(self.reserved, n_tokens)

    def evaluate(self, tokens: Sequence[int], *, all_logits: bool = False) -> None:
        if len(self.batches) == self.abort_at:
            raise Aborted
        self.batches.append(len(tokens))
        self.n_logits += len(tokens) if all_logits else 1
        self.held += tokens
        assert len(self.held) <= self.reserved, "evaluated more than was reserved"

    def truncate(self, n_tokens: int) -> int:
        del self.held[n_tokens:]
        return len(self.held)

    def fork(self) -> Self:
        copy = type(self)(self.n_ctx_limit)
        copy.held, copy.batches, copy.reserved = self.held.copy(), self.batches, self.reserved
        return copy

    def release(self) -> None:
        pass


def evaluate_rows(rows: Sequence[tuple[Cells, int]]) -> None:
    for cells, token in rows:
        cells.evaluate([token])


class Script:
    """Draws the characters of a text, then the end; once told to finish, closes with a bracket."""

    def __init__(self, text: str) -> None:
        self.tokens = [ord(character) for character in text] + [END]
        self.told_to_finish_after: int | None = None
        self.drawn = 0

    def sample(self, _context: object, _row: int = -1) -> int:
        if self.told_to_finish_after is not None:
            return ord("}") if self.drawn == self.told_to_finish_after and self._count() else END
        return self.tokens[self._count() - 1]

    def _count(self) -> int:
        self.drawn += 1
        return self.drawn

    def finish_soon(self) -> None:
        self.told_to_finish_after = self.drawn


class Characters:
    """A token is a character's code."""

    def piece(self, token: int) -> bytes:
        return chr(token).encode()

    def is_end(self, token: int) -> bool:
        return token == END


def decode(
    text: str, limits: Limits | None = None, *, cells: Cells | None = None, n_prompt: int = 5
) -> tuple[list[Event], Cells]:
    cells = cells or Cells()
    reply = Reply(Script(text), Characters(), limits or Limits())
    decoding = Decoding(cells, [reply], evaluate_rows, clock=lambda: 0.0)
    return list(decoding.run(range(1, n_prompt + 1))), cells


def test_a_reply_ends_at_the_models_stop_token() -> None:
    events, cells = decode("你好, world")
    assert text_of(events) == "你好, world"
    assert done_of(events).finish_reason is FinishReason.STOP
    assert done_of(events).stats.reply_tokens == len("你好, world")
    assert len(cells.held) == 5 + len("你好, world")


def test_a_reply_ends_before_a_stop_string() -> None:
    events, _ = decode("x = 1\n```\nmore", Limits(stop=("\n```",)))
    assert text_of(events) == "x = 1"
    assert done_of(events).finish_reason is FinishReason.STOP


def test_a_reply_ends_at_max_tokens_and_shows_all_it_said() -> None:
    events, cells = decode("abcdef", Limits(max_tokens=3, stop=("cx",)))
    assert text_of(events) == "abc"
    assert done_of(events).finish_reason is FinishReason.LENGTH
    assert len(cells.held) == 5 + 2, "the last token needs no evaluation"


def test_a_reply_ends_when_the_window_is_full() -> None:
    events, cells = decode("a" * 90, Limits(guard_loops=False), cells=Cells(n_ctx_limit=5 + 60))
    assert done_of(events).finish_reason is FinishReason.LENGTH
    assert done_of(events).stats.reply_tokens == 60
    assert len(cells.held) <= 65


def test_a_reply_that_repeats_itself_is_ended() -> None:
    events, _ = decode("say it again\n" * 200)
    assert done_of(events).finish_reason is FinishReason.LOOP
    assert done_of(events).stats.reply_tokens < 200


def test_a_repetition_that_the_copied_text_has_too_is_no_loop() -> None:
    table = "0, 0, 0, 0,\n" * 80
    copied = tuple(map(ord, table))
    events, _ = decode(table, Limits(copied=copied))
    assert (text_of(events), done_of(events).finish_reason) == (table, FinishReason.STOP)
    endless, _ = decode("0, 0, 0, 0,\n" * 300, Limits(copied=copied))
    assert done_of(endless).finish_reason is FinishReason.LOOP
    assert done_of(endless).stats.reply_tokens < 1.5 * len(table)
    other, _ = decode("say it again\n" * 200, Limits(copied=copied))
    assert done_of(other).stats.reply_tokens < 200


def test_a_repeating_reply_goes_on_without_the_guard() -> None:
    events, _ = decode("say it again\n" * 50, Limits(guard_loops=False))
    assert done_of(events).finish_reason is FinishReason.STOP


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        (Limits(max_tokens=20, closing_tokens=5), FinishReason.LENGTH),
        (Limits(closing_tokens=5), FinishReason.LOOP),
    ],
)
def test_a_constrained_reply_is_brought_to_its_end_first(limits: Limits, reason: FinishReason) -> None:
    events, _ = decode("abcde" * 100, limits)
    assert text_of(events).endswith("}")
    assert done_of(events).finish_reason is reason


def test_a_prompt_too_long_is_refused_with_both_numbers_before_anything_is_evaluated() -> None:
    cells = Cells(n_ctx_limit=100)
    with pytest.raises(ContextOverflow) as caught:
        decode("a", cells=cells, n_prompt=100 - REPLY_ROOM + 1)
    assert (caught.value.n_tokens, caught.value.n_ctx) == (85, 100)
    assert cells.batches == []


def test_a_long_prompt_is_read_in_chunks_that_are_told() -> None:
    n_prompt = FIRST_CHUNK + CHUNK + 10
    events, cells = decode("a", n_prompt=n_prompt)
    assert cells.batches[:3] == [FIRST_CHUNK, CHUNK, 10]
    told = [event.done for event in events if isinstance(event, Prefill)]
    assert told == [0, FIRST_CHUNK, FIRST_CHUNK + CHUNK, n_prompt]


def test_what_the_cache_holds_is_not_read_again() -> None:
    cells = Cells()
    decode("ab", cells=cells)
    cells.batches.clear()
    events, _ = decode("ab", cells=cells, n_prompt=9)
    assert events[0] == Prefill(done=5, total=9, cached=5)
    assert cells.batches[0] == 4
    assert done_of(events).stats.cached_tokens == 5


@pytest.mark.parametrize("abort_at", range(6))
def test_an_interruption_at_any_evaluation_ends_with_what_was_said(abort_at: int) -> None:
    events, _ = decode("abcdef", Limits(stop=("cx",)), cells=Cells(abort_at=abort_at))
    assert events[-1] == Done(FinishReason.INTERRUPTED, done_of(events).stats)
    assert text_of(events) == "abcdef"[:abort_at]
