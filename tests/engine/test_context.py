"""The KV cache: cached equals uncached, also after an interruption at any evaluation."""

from collections.abc import Iterator, Sequence

import pytest

from aigc_cli.engine.base import Sampling
from aigc_cli.engine.context import Context, ContextOptions
from aigc_cli.engine.decode import Aborted, Decoding
from aigc_cli.engine.model import Model
from aigc_cli.engine.reply import Limits, Reply
from aigc_cli.engine.sampler import Sampler
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

    def evaluate(self, tokens: Sequence[int]) -> None:
        if self.evaluations == self.interrupt_at:
            self.abort()
        self.evaluations += 1
        super().evaluate(tokens)


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


def decode(model: Model, context: Context, prompt: Sequence[int]) -> tuple[list[int], FinishReason]:
    context.allow()
    sampler = Sampler(model, Sampling(temperature=0))
    limits = Limits(max_tokens=N_REPLY, guard_loops=False)
    reply = Reply(sampler, model, limits)
    events = list(Decoding(context, reply, clock=lambda: 0.0).run(prompt))
    sampler.close()
    return reply.tokens, done_of(events).finish_reason


@pytest.mark.parametrize("interrupt_at", range(N_REPLY))
def test_after_an_interruption_at_any_token_the_output_is_the_same(
    model: Model, context: InterruptedContext, interrupt_at: int
) -> None:
    prompt = model.tokenize(PROMPT, special=True)
    undisturbed, _ = decode(model, context, prompt)
    context.reuse_prefix([0])
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
    other = prompt[:n_shared] + model.tokenize("something else entirely", special=True)
    decode(model, context, other)
    assert context.reuse_prefix(prompt) == n_shared
    assert decode(model, context, prompt)[0] == undisturbed


def test_the_last_token_of_a_prompt_is_evaluated_again(model: Model, context: InterruptedContext) -> None:
    prompt = model.tokenize(PROMPT, special=True)
    context.evaluate(prompt)
    assert context.reuse_prefix(prompt) == len(prompt) - 1


def test_nothing_of_an_aborted_batch_counts_as_held(model: Model, context: InterruptedContext) -> None:
    prompt = model.tokenize(PROMPT, special=True)
    context.evaluate(prompt[:3])
    context.abort()
    with pytest.raises(Aborted):
        context.evaluate(prompt[3:])
    assert context.held == prompt[:3]
    context.allow()
    context.evaluate(prompt[3:])
    assert context.held == prompt


def test_more_than_the_limit_is_refused(context: InterruptedContext) -> None:
    with pytest.raises(ContextOverflow):
        context.reserve(N_CTX + 1)


def test_a_full_cache_is_an_error_and_not_a_crash(model: Model) -> None:
    context = Context(model, ContextOptions(256, n_threads=1))
    context.evaluate([1] * 256)
    with pytest.raises(EngineError, match="KV cache"):
        context.evaluate([1])
    context.close()


def test_closing_twice_is_harmless(model: Model) -> None:
    context = Context(model, ContextOptions(256, n_threads=1))
    context.close()
    context.close()
    assert context.handle is None
