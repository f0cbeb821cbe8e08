"""The KV cache: cached equals uncached, also after an interruption at any evaluation."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.strategies import DataObject, data, integers, lists, sampled_from

from aigc_cli.engine.base import Sampling
from aigc_cli.engine.context import (
    FIRST_SIZE,
    FORK_TAIL,
    N_SEQUENCES,
    N_WORTH_GROWING_FOR,
    Context,
    ContextOptions,
)
from aigc_cli.engine.decode import Decoding
from aigc_cli.engine.evaluation import Aborted
from aigc_cli.engine.library import lib
from aigc_cli.engine.model import Model
from aigc_cli.engine.reply import Limits, Reply
from aigc_cli.engine.sampler import Sampler
from aigc_cli.engine.sequence import Row
from aigc_cli.errors import ContextOverflow, EngineError
from aigc_cli.events import FinishReason
from tests.engine.replies import done_of
from tests.tiny_model import N_CTX, write_tiny_model

PROMPT = "hello world, hello 你好"
N_REPLY = 24


class InterruptedContext(Context):
    """Is cancelled just before one of its evaluations, as by a Ctrl-C at that moment."""

    interrupt_at: int | None = None
    evaluations = 0

    def evaluate(self, rows: Sequence[Row]) -> None:
        if self.evaluations == self.interrupt_at:
            self.abort()
        self.evaluations += 1
        super().evaluate(rows)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Model]:
    model = Model(write_tiny_model(tmp_path_factory.mktemp("m") / "tiny.gguf"), cancelled=lambda: False)
    yield model
    model.close()


@pytest.fixture
def context(model: Model) -> Iterator[InterruptedContext]:
    context = InterruptedContext(model, ContextOptions(N_CTX, n_threads=1))
    yield context
    context.close()


def decode(
    model: Model, context: Context, prompt: Sequence[int], n_reply: int = N_REPLY
) -> tuple[list[int], FinishReason]:
    context.allow()
    sampler = Sampler(model, Sampling(temperature=0))
    reply = Reply(sampler, model, Limits(max_tokens=n_reply, guard_loops=False))
    with closing(sampler), context.open(prompt) as sequence:
        events = list(Decoding(sequence, [reply], context.evaluate_rows, lambda: 0.0).run(prompt))
    return reply.tokens, done_of(events).finish_reason


def forget(context: Context) -> None:
    for sequence in context.sequences:
        sequence.truncate(0)


def greedy(model: Model, context: Context, row: int) -> int:
    logits = lib.llama_get_logits_ith(context.handle, row)
    return int(np.argmax(np.ctypeslib.as_array(logits, (model.n_vocab,))))


@pytest.mark.parametrize("interrupt_at", range(N_REPLY))
def test_after_an_interruption_at_any_token_the_output_is_the_same(
    model: Model, context: InterruptedContext, interrupt_at: int
) -> None:
    prompt = model.tokenize(PROMPT, special=True)
    undisturbed, _ = decode(model, context, prompt)
    forget(context)
    context.evaluations, context.interrupt_at = 0, interrupt_at
    said, reason = decode(model, context, prompt)
    assert reason is FinishReason.INTERRUPTED
    assert said == undisturbed[:interrupt_at]
    context.interrupt_at = None
    assert decode(model, context, prompt)[0] == undisturbed


@pytest.mark.parametrize("n_shared", [0, 1, 5, 11])
def test_a_shared_prefix_changes_nothing(model: Model, context: InterruptedContext, n_shared: int) -> None:
    prompt = model.tokenize(PROMPT, special=True)
    undisturbed, _ = decode(model, context, prompt)
    forget(context)
    other = prompt[:n_shared] + model.tokenize("something else entirely", special=True)
    decode(model, context, other)
    assert context.open(prompt).shares(prompt) == n_shared
    assert decode(model, context, prompt)[0] == undisturbed


def test_the_last_token_of_a_prompt_is_evaluated_again(model: Model, context: InterruptedContext) -> None:
    prompt = model.tokenize(PROMPT, special=True)
    sequence = context.open(prompt)
    sequence.evaluate(prompt)
    assert sequence.reuse_prefix(prompt) == len(prompt) - 1


def test_nothing_of_an_aborted_batch_counts_as_held(model: Model, context: InterruptedContext) -> None:
    prompt = model.tokenize(PROMPT, special=True)
    sequence = context.open(prompt)
    sequence.evaluate(prompt[:3])
    context.abort()
    with pytest.raises(Aborted):
        sequence.evaluate(prompt[3:])
    assert sequence.held == prompt[:3]
    context.allow()
    sequence.evaluate(prompt[3:])
    assert sequence.held == prompt


def test_more_than_the_limit_is_refused(context: InterruptedContext) -> None:
    with pytest.raises(ContextOverflow):
        context.reserve(N_CTX + 1)
    with pytest.raises(ContextOverflow):
        context.open([1] * (N_CTX + 1))


def test_a_full_cache_is_an_error_and_not_a_crash(model: Model) -> None:
    context = Context(model, ContextOptions(256, n_threads=1))
    sequence = context.open([1])
    sequence.evaluate([1] * 256)
    with pytest.raises(EngineError, match="KV cache"):
        sequence.evaluate([1])
    assert len(sequence.held) == 256
    context.close()


def test_closing_twice_is_harmless(model: Model) -> None:
    context = Context(model, ContextOptions(256, n_threads=1))
    context.close()
    context.close()
    assert context.handle is None


def test_conversations_in_turn_read_nothing_twice(model: Model, context: InterruptedContext) -> None:
    beginning = model.tokenize("you are a helpful assistant " * 5, special=True)
    talks = [[*beginning, n, *model.tokenize("conversation " * 12, special=True)] for n in range(3)]
    for _ in range(4):
        for talk in talks:
            said, _ = decode(model, context, talk)
            talk += [*said, *model.tokenize("next", special=True)]
    assert context.n_evaluated <= sum(map(len, talks)) - 2 * len(beginning)


def test_a_regenerated_reply_takes_the_place_of_the_old_one(
    model: Model, context: InterruptedContext
) -> None:
    prompt = model.tokenize(PROMPT, special=True)
    for _ in range(3):
        decode(model, context, prompt, n_reply=2 * FORK_TAIL)
    assert sum(bool(sequence.held) for sequence in context.sequences) == 1


def test_a_conversation_with_the_same_beginning_leaves_the_other_whole(
    model: Model, context: InterruptedContext
) -> None:
    first = model.tokenize("hello world, one", special=True) + [5] * 2 * FORK_TAIL
    second = first[: FORK_TAIL // 2]
    decode(model, context, first)
    held = context.sequences[-1].held.copy()
    decode(model, context, [*second, 7, 8, 9])
    assert context.sequences[-2].held == held
    assert context.open(first).shares(first) == len(first) - 1


def test_a_short_tail_is_overwritten(model: Model, context: InterruptedContext) -> None:
    prompt = model.tokenize(PROMPT, special=True)
    decode(model, context, [*prompt, 1, 2, 3])
    decode(model, context, [*prompt, 4, 5, 6])
    assert sum(bool(sequence.held) for sequence in context.sequences) == 1


def test_a_fork_goes_on_as_the_original_would(model: Model, context: InterruptedContext) -> None:
    prompt = model.tokenize(PROMPT, special=True)
    undisturbed, _ = decode(model, context, prompt)
    forget(context)
    first = context.open(prompt)
    first.evaluate(prompt)
    second = first.fork()
    token = greedy(model, context, len(prompt) - 1)
    said: list[list[int]] = [[token], [7]]  # two candidates, one of which goes its own way
    for _ in range(N_REPLY - 1):
        context.evaluate_rows([(first, said[0][-1]), (second, said[1][-1])])
        for row in (0, 1):
            said[row].append(greedy(model, context, row))
    assert said[0] == undisturbed
    forget(context)
    assert decode(model, context, [*prompt, 7])[0][: N_REPLY - 1] == said[1][1:]


def test_rows_of_a_draft_have_the_logits_of_single_steps(model: Model, context: InterruptedContext) -> None:
    prompt = model.tokenize(PROMPT, special=True)
    undisturbed, _ = decode(model, context, prompt)
    forget(context)
    sequence = context.open(prompt)
    sequence.evaluate([*prompt, *undisturbed[:8], 7, 7], all_logits=True)
    said = [greedy(model, context, row) for row in range(len(prompt) - 1, len(prompt) + 8)]
    assert said == undisturbed[:9]
    assert sequence.truncate(len(prompt) + 8) == len(prompt) + 8
    sequence.evaluate(undisturbed[8:9])
    assert greedy(model, context, 0) == undisturbed[9]


def test_an_aborted_batch_of_rows_leaves_no_sequence_longer(
    model: Model, context: InterruptedContext
) -> None:
    prompt = model.tokenize(PROMPT, special=True)
    first = context.open(prompt)
    first.evaluate(prompt)
    second = first.fork()
    context.abort()
    with pytest.raises(Aborted):
        context.evaluate_rows([(first, 1), (second, 2)])
    assert first.held == second.held == prompt


def test_more_sequences_at_work_than_there_are_is_a_clear_error(
    model: Model, context: InterruptedContext
) -> None:
    prompt = model.tokenize(PROMPT, special=True)
    first = context.open(prompt)
    first.evaluate(prompt)
    forks = [first.fork() for _ in range(N_SEQUENCES - 1)]
    with pytest.raises(EngineError, match="sequences are at work"):
        first.fork()
    forks[0].release()
    assert first.fork().held == prompt


def test_the_least_recently_used_conversation_makes_room(model: Model) -> None:
    evicted: list[list[int]] = []
    context = Context(model, ContextOptions(512, n_threads=1), lambda s: evicted.append(s.held.copy()))
    for number in range(1, 5):
        with context.open([number]) as sequence:
            sequence.evaluate([number] * 150)
    assert evicted == [[1] * 150]
    with context.open([2] * 151) as sequence:
        assert sequence.shares([2] * 151) == 150
    with context.open([5]) as sequence:
        sequence.evaluate([5] * 150)
    assert evicted == [[1] * 150, [3] * 150]
    context.close()


def test_a_private_conversation_is_not_offered_when_it_is_evicted(model: Model) -> None:
    evicted: list[int] = []
    context = Context(model, ContextOptions(512, n_threads=1), lambda s: evicted.append(s.held[0]))
    for number in range(1, 6):
        with context.open([number], private=number == 1) as sequence:
            sequence.evaluate([number] * 150)
    assert evicted == [2]
    context.close()


def test_the_cache_grows_for_recent_conversations_and_not_for_old_ones(tmp_path: Path) -> None:
    roomy = Model(write_tiny_model(tmp_path / "m.gguf", n_ctx=4 * FIRST_SIZE), cancelled=lambda: False)
    context = Context(roomy, ContextOptions(4 * FIRST_SIZE, n_threads=1))
    for number in range(1, 40):
        with context.open([number]) as sequence:
            for _ in range(3):
                sequence.evaluate([number] * (FIRST_SIZE // 8))
        assert context.capacity <= 2 * FIRST_SIZE
    held = [sequence.held[0] for sequence in context.sequences if sequence.held]
    assert held[-N_WORTH_GROWING_FOR:] == [36, 37, 38, 39]
    context.close()
    roomy.close()


def test_all_conversations_move_along_when_the_cache_grows(tmp_path: Path) -> None:
    roomy = Model(write_tiny_model(tmp_path / "m.gguf", n_ctx=2 * FIRST_SIZE), cancelled=lambda: False)
    context = Context(roomy, ContextOptions(2 * FIRST_SIZE, n_threads=1))
    prompts = [roomy.tokenize(text * 30, special=True) for text in ("hello world ", "再说一遍", "hello ab ")]
    fresh = []
    for prompt in prompts:
        fresh.append(decode(roomy, context, prompt)[0])
        forget(context)
    for prompt in prompts:
        decode(roomy, context, prompt)
    context.reserve(2 * FIRST_SIZE)
    assert context.capacity == 2 * FIRST_SIZE
    for prompt, said in zip(prompts, fresh, strict=True):
        assert context.open(prompt).shares(prompt) == len(prompt) - 1
        assert decode(roomy, context, prompt)[0] == said
    context.close()
    roomy.close()


# Attention adds up over the cells in their order, in 16 bits: a sequence whose cells fill gaps differs from a
# contiguous one by up to 0.005. Tokens of a wrong conversation would move a logit by 0.1 and more.
ROUNDING = 0.02


def shortfalls(model: Model, context: Context, prompt: Sequence[int], said: Sequence[int]) -> list[float]:
    """By how much each token of a greedy reply misses the highest logit, all read at once."""
    forget(context)
    with context.open([0]) as sequence:
        sequence.evaluate([*prompt, *said[:-1]], all_logits=True)
    rows = range(len(prompt) - 1, len(prompt) + len(said) - 1)
    logits = [
        np.ctypeslib.as_array(lib.llama_get_logits_ith(context.handle, row), (model.n_vocab,)) for row in rows
    ]
    return [float(row.max() - row[token]) for row, token in zip(logits, said, strict=True)]


@settings(max_examples=40, deadline=None)
@given(data())
def test_any_interleaving_says_what_a_fresh_engine_says(model: Model, draw: DataObject) -> None:
    """Conversations take turns, go back to earlier states, share beginnings, and evict each other."""
    context = Context(model, ContextOptions(512, n_threads=1))
    fresh = Context(model, ContextOptions(512, n_threads=1))
    states: list[list[int]] = [model.tokenize(PROMPT, special=True), model.tokenize("another", special=True)]
    for _ in range(draw.draw(integers(1, 12))):
        state = draw.draw(sampled_from(states))
        kept = draw.draw(integers(0, min(len(state), 300)))
        prompt = [*state[:kept], *draw.draw(lists(integers(0, 255), min_size=1, max_size=100))]
        said, _ = decode(model, context, prompt, n_reply=draw.draw(integers(1, 40)))
        assert max(shortfalls(model, fresh, prompt, said)) < ROUNDING
        states.append(prompt + said)
    context.close()
    fresh.close()
