"""Speculation: the reply is the same, the evaluations are fewer, and drafts that fail come to an end."""

import random
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aigc_cli.engine.base import Choices, JsonSchema, Request, Sampling, Text
from aigc_cli.engine.batch_costs import PRIOR_COSTS, BatchCosts
from aigc_cli.engine.decode import Decoding
from aigc_cli.engine.llama import LlamaEngine
from aigc_cli.engine.reply import Limits, Reply
from aigc_cli.engine.speculate import Speculation
from aigc_cli.events import Delta, Done, FinishReason
from tests.engine.conftest import OpenEngine
from tests.engine.replies import ask, done_of, reply, text_of
from tests.engine.test_decode import Cells, Characters, Script, evaluate_rows
from tests.tiny_model import write_tiny_model

LONG = Sampling(temperature=0, max_tokens=300)
LETTERS = "".join(chr(0x4E00 + 7 * n % 3000) for n in range(700))  # no three in a row come twice


@pytest.fixture(scope="module")
def ascii_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Says ASCII, whose text can be tokenized back into what was said, or nearly so."""
    return write_tiny_model(tmp_path_factory.mktemp("ascii") / "ascii.gguf", ascii_only=True)


@pytest.fixture
def engine(open_engine: OpenEngine, ascii_model: Path) -> LlamaEngine:
    return open_engine(ascii_model)


def edited(text: str) -> str:
    """As if the reply changed a few places of an older text."""
    return f"{text[:40]}OLD{text[45:120]}{text[130:200]}more words here{text[200:]}"


class SteadyCosts(BatchCosts):
    """Costs that noise does not change."""

    def note(self, n_rows: int, seconds: float) -> None:
        pass


def decode(said: str, prediction: str, n_prompt: int = 5, abort_at: int | None = None) -> tuple[Done, Cells]:
    """A reply that is written down in advance, over scripted cells."""
    cells = Cells(n_ctx_limit=8192, abort_at=abort_at)
    script = RowScript(said, cells)
    ours = Reply(script, Characters(), Limits(guard_loops=False))
    speculation = Speculation(SteadyCosts(), [ord(c) for c in prediction], range(1, n_prompt + 1))
    decoding = Decoding(cells, [ours], evaluate_rows, lambda: 0.0, speculation)
    events = list(decoding.run(range(1, n_prompt + 1)))
    assert said.startswith(text_of(events))
    assert text_of(events) == said or abort_at is not None
    assert cells.held[n_prompt:] == ours.tokens[: len(cells.held) - n_prompt]
    return done_of(events), cells


class RowScript(Script):
    """A script that fails when a row is asked for that the last evaluation did not compute."""

    def __init__(self, text: str, cells: Cells) -> None:
        super().__init__(text)
        self.cells = cells

    def sample(self, _context: object, row: int = -1) -> int:
        assert row < self.cells.batches[-1]
        return super().sample(_context, row)


def test_a_copied_text_takes_few_evaluations() -> None:
    done, cells = decode(LETTERS, LETTERS)
    assert len(cells.batches) < len(LETTERS) / 20
    assert done.stats.accepted_tokens > 0.9 * len(LETTERS)
    assert done.stats.reply_tokens == len(LETTERS)


def test_a_text_with_a_few_changes_takes_few_evaluations() -> None:
    done, cells = decode(edited(LETTERS), LETTERS)
    assert len(cells.batches) < len(LETTERS) / 10
    assert done.stats.accepted_tokens > 0.8 * len(LETTERS)


def test_a_name_that_is_changed_everywhere_takes_few_evaluations() -> None:
    old = "名".join(LETTERS[n : n + 20] for n in range(0, len(LETTERS), 20))
    done, cells = decode(old.replace("名", "name"), old)
    assert len(cells.batches) < len(LETTERS) / 20
    assert done.stats.accepted_tokens > 0.9 * done.stats.drafted_tokens


def test_a_wrong_prediction_is_given_up() -> None:
    _, cells = decode(LETTERS, LETTERS[::-1])
    steps = sum(PRIOR_COSTS[size] for size in cells.batches[1:] if size in PRIOR_COSTS)
    assert steps < 1.1 * len(LETTERS)


def test_without_copies_nothing_is_drafted() -> None:
    done, cells = decode(LETTERS, "")
    assert done.stats.drafted_tokens == 0
    assert set(cells.batches[1:]) == {1}


def test_what_looks_like_a_copy_and_is_none_costs_next_to_nothing() -> None:
    # Every line begins alike, as in tables and tests, and goes on differently.
    lines = "".join(
        f"    assert parse(\u4e00{chr(0x5000 + n)}" + LETTERS[6 * n : 6 * n + 6] for n in range(100)
    )
    _, cells = decode(lines, "")
    steps = sum(PRIOR_COSTS[min(size for size in PRIOR_COSTS if size >= rows)] for rows in cells.batches[1:])
    assert steps < 1.02 * len(lines)


@pytest.mark.parametrize("abort_at", range(1, 12))
def test_an_interruption_at_any_evaluation_leaves_the_cells_consistent(abort_at: int) -> None:
    done, _ = decode(edited(LETTERS), LETTERS, abort_at=abort_at)
    assert done.finish_reason is FinishReason.INTERRUPTED


class Dice:
    """Draws from a distribution that depends on the tokens before the row, as a language model's does."""

    def __init__(self, cells: Cells, seed: int) -> None:
        self._cells = cells
        self._random = random.Random(seed)

    def sample(self, _context: object, row: int = -1) -> int:
        n_rows = self._cells.batches[-1]
        before = self._cells.held[: len(self._cells.held) - n_rows + (row % n_rows) + 1]
        seen = random.Random(str(before[-4:]))
        likely, rare = seen.randrange(0x61, 0x71), seen.randrange(0x61, 0x71)
        return likely if self._random.random() < 0.9 else rare

    def finish_soon(self) -> None:
        pass


def thrown(seed: int, prediction: str | None) -> tuple[list[int], int]:
    """The tokens drawn with a seed, and how many of them were drafted; None is without speculation."""
    cells = Cells()
    ours = Reply(Dice(cells, seed), Characters(), Limits(max_tokens=400, guard_loops=False))
    guesses = [ord(character) for character in prediction or ""]
    speculation = None if prediction is None else Speculation(SteadyCosts(), guesses, [1, 2, 3])
    list(Decoding(cells, [ours], evaluate_rows, lambda: 0.0, speculation).run([1, 2, 3]))
    return ours.tokens, ours.n_accepted


@pytest.mark.parametrize("seed", range(20))
def test_a_sampled_reply_is_the_one_of_its_seed(seed: int) -> None:
    plain, _ = thrown(seed, None)
    text = "".join(map(chr, plain))
    for prediction in (text, edited(text), ""):
        drafted, n_accepted = thrown(seed, prediction)
        assert drafted == plain
        assert n_accepted > 100 or not prediction


@pytest.mark.parametrize("question", ["hello", "再说一遍", "hello world " * 20])
def test_a_greedy_reply_of_a_model_is_the_same(
    open_engine: OpenEngine, ascii_model: Path, question: str
) -> None:
    sampling = Sampling(temperature=0, max_tokens=120)
    plain = reply(open_engine(ascii_model, speculate=False), ask(question, sampling=sampling))
    engine = open_engine(ascii_model)
    for prediction in (plain, edited(plain), "something else", ""):
        events = list(engine.stream(replace(ask(question, sampling=sampling), prediction=prediction)))
        assert text_of(events) == plain


def test_sampled_replies_of_a_model_are_those_of_their_seeds(
    open_engine: OpenEngine, ascii_model: Path
) -> None:
    plain, drafting = open_engine(ascii_model, speculate=False), open_engine(ascii_model)
    n_same = n_accepted = 0
    for seed in range(24):
        request = ask("hello", sampling=Sampling(temperature=0.8, top_p=0.95, seed=seed, max_tokens=50))
        said = reply(plain, request)
        events = list(drafting.stream(replace(request, prediction=said)))
        n_same += text_of(events) == said
        n_accepted += done_of(events).stats.accepted_tokens
    # A batch rounds logits otherwise than a step does (by 0.001), so now and then a draw falls on the other
    # side of a border between two tokens.
    assert n_same >= 20
    assert n_accepted > 300


def test_the_drafts_of_a_right_prediction_are_accepted(engine: LlamaEngine) -> None:
    said = reply(engine, ask("hello", sampling=LONG))
    events = list(engine.stream(replace(ask("hello", sampling=LONG), prediction=edited(said))))
    stats = done_of(events).stats
    assert stats.accepted_tokens > 100
    assert stats.accepted_tokens <= stats.drafted_tokens


def test_a_constrained_reply_is_the_same_with_drafts(open_engine: OpenEngine, ascii_model: Path) -> None:
    schema = JsonSchema(
        '{"type": "array", "items": {"enum": ["left", "right"]}, "minItems": 20, "maxItems": 30}'
    )
    sampling = Sampling(temperature=1.0, seed=3, max_tokens=400)
    request = ask("hello", sampling=sampling, constraint=schema)
    plain = reply(open_engine(ascii_model, speculate=False), request)
    drafted = list(open_engine(ascii_model).stream(replace(request, prediction=plain)))
    assert text_of(drafted) == plain
    assert done_of(drafted).stats.accepted_tokens > 0
    chosen = replace(request, constraint=Choices(("yes", "no")), prediction="maybe")
    assert reply(open_engine(ascii_model), chosen) in {"yes", "no"}


def test_probabilities_and_stop_strings_work_with_drafts(engine: LlamaEngine) -> None:
    said = reply(engine, ask("hello", sampling=LONG))
    stop = said[150:156]
    request = ask("hello", sampling=replace(LONG, stop=(stop,)))
    events = list(engine.stream(replace(request, prediction=said, top_logprobs=1)))
    assert text_of(events) == said[: said.index(stop)]
    assert done_of(events).finish_reason is FinishReason.STOP
    for event in events:
        if isinstance(event, Delta):
            assert len(event.tokens) == event.n_tokens
            assert all(token.piece == token.alternatives[0].piece for token in event.tokens)


def test_the_next_turn_finds_only_what_was_said(engine: LlamaEngine) -> None:
    said = reply(engine, ask("hello", sampling=LONG))
    stop = said[100:106]
    request = ask("hello", sampling=replace(LONG, stop=(stop,)))
    first = reply(engine, replace(request, prediction=said))
    resumed = text_of(list(engine.stream(ask("hello", first, "go on"))))
    reply(engine, Request(Text("unrelated"), LONG))
    assert reply(engine, ask("hello", first, "go on")) == resumed


def test_drafts_respect_the_window_and_the_limit(open_engine: OpenEngine, ascii_model: Path) -> None:
    engine = open_engine(ascii_model, n_ctx=256)
    whole = reply(engine, ask("hello", sampling=Sampling(temperature=0)))
    events = list(engine.stream(replace(ask("hello", sampling=Sampling(temperature=0)), prediction=whole)))
    assert text_of(events) == whole
    assert done_of(events).finish_reason is FinishReason.LENGTH
    short = list(
        engine.stream(replace(ask("hello", sampling=Sampling(temperature=0, max_tokens=9)), prediction=whole))
    )
    assert done_of(short).stats.reply_tokens == 9


def test_costs_follow_what_is_measured() -> None:
    costs = BatchCosts()
    assert costs.in_steps(16) == PRIOR_COSTS[16]
    costs.note(1, 0.05)
    for _ in range(50):
        costs.note(16, 0.1)
    assert costs.in_steps(16) == pytest.approx(2, rel=0.05)
    assert costs.in_steps(10) == costs.in_steps(16), "a batch is measured by its size rounded up"
    assert costs.in_steps(63) == pytest.approx(2 * PRIOR_COSTS[63] / PRIOR_COSTS[16]), "others are scaled"


def test_a_hiccup_at_the_first_measurement_rules_no_size_out() -> None:
    costs = BatchCosts()
    for size, steps in PRIOR_COSTS.items():
        costs.note(size, 0.05 * steps * (10 if size == 32 else 1))
    assert costs.in_steps(32) < 4 * PRIOR_COSTS[32]
    assert costs.in_steps(16) < 2 * PRIOR_COSTS[16]


@given(st.lists(st.tuples(st.integers(1, 100), st.floats(0, 10)), max_size=30), st.integers(1, 100))
def test_any_measurements_give_a_cost(measured: list[tuple[int, float]], n_rows: int) -> None:
    costs = BatchCosts()
    for rows, seconds in measured:
        costs.note(rows, seconds)
    assert costs.in_steps(n_rows) >= 1
