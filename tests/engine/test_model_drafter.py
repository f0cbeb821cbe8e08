"""Drafts of a small model: as long as they pay, none where they don't, and the reply stays what it was."""

import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from aigc_cli.engine.base import Request, Sampling, Text
from aigc_cli.engine.batch_costs import SIZES, BatchCosts
from aigc_cli.engine.decode import Decoding
from aigc_cli.engine.draft_model import DraftModel
from aigc_cli.engine.engine_options import DraftOptions, EngineOptions
from aigc_cli.engine.evaluation import Aborted
from aigc_cli.engine.llama import LlamaEngine
from aigc_cli.engine.model_drafter import MOST_UNREAD, READ_AT_ONCE, TRIAL, ModelDrafter
from aigc_cli.engine.reply import Limits, Reply
from aigc_cli.engine.speculate import Speculation
from aigc_cli.events import Done, FinishReason
from tests.engine.replies import GREEDY, ask, done_of, reply, text_of, ticking
from tests.engine.test_decode import Cells, Characters, evaluate_rows
from tests.engine.test_speculate import RowScript
from tests.tiny_model import N_CTX, write_tiny_model

SAID = "".join(chr(0x4E00 + 7 * n % 3000) for n in range(400))  # nothing in it comes twice
SAMPLED = Sampling(temperature=0.9, top_k=40, max_tokens=120)
SURE = 8.0  # a random model is unsure, and a model that is unsure is not asked
OpenPair = Callable[..., LlamaEngine]


CHEAP = {size: 1 + 0.1 * (size - 1) for size in SIZES}


class Clock:
    """Seconds that only pass when somebody works."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class TimedCells(Cells):
    """Cells whose batches take the time that they take on a machine where batches are cheap."""

    def __init__(self, clock: Clock, steps_of: Callable[[int], float]) -> None:
        super().__init__(n_ctx_limit=8192)
        self._clock, self._steps_of = clock, steps_of

    def evaluate(self, tokens: Sequence[int], *, all_logits: bool = False) -> None:
        super().evaluate(tokens, all_logits=all_logits)
        self._clock.now += self._steps_of(len(tokens))


class Guesser:
    """A small model that knows the text, but for some places, and is as sure as it is told to be."""

    relative_size = 0.1
    n_ctx = 4096
    is_ready = True

    def __init__(self, clock: Clock, said: str, right: float, sure: float) -> None:
        self._clock, self._sure = clock, sure
        rng = random.Random(5)
        self._text = [ord(c) if rng.random() < right else 1 for c in said] + [1] * 100
        self.held: list[int] = []
        self.n_prompt = 0
        self.reads: list[int] = []

    def n_unread(self, tokens: Sequence[int]) -> int:
        shared = 0
        while shared < min(len(self.held), len(tokens) - 1) and self.held[shared] == tokens[shared]:
            shared += 1
        return len(tokens) - shared

    def read(self, tokens: Sequence[int]) -> None:
        self.reads.append(self.n_unread(tokens))
        self._clock.now += 0.02 * self.reads[-1]
        self.held = list(tokens)

    def best(self) -> tuple[int, float]:
        return self._text[len(self.held) - self.n_prompt], self._sure

    def push(self, token: int) -> None:
        self._clock.now += self.relative_size
        self.held.append(token)


def cheap_batches(n_rows: int) -> float:
    return 1 + 0.02 * (n_rows - 1)


def decode(
    said: str,
    *,
    right: float,
    sure: float,
    steps_of: Callable[[int], float] = cheap_batches,
    n_prompt: int = 5,
) -> tuple[Done, TimedCells, Guesser, float]:
    """A reply that is written down in advance; returns the seconds from the first token on, too."""
    clock = Clock()
    cells = TimedCells(clock, steps_of)
    guesser = Guesser(clock, said, right, sure)
    guesser.n_prompt = n_prompt
    costs = BatchCosts({size: steps_of(size) for size in SIZES})
    prompt = range(1, n_prompt + 1)
    speculation = Speculation(costs, [], prompt, ModelDrafter(guesser, costs, clock))
    ours = Reply(RowScript(said, cells), Characters(), Limits(guard_loops=False))
    events = list(Decoding(cells, [ours], evaluate_rows, clock, speculation).run(prompt))
    assert text_of(events) == said
    done = done_of(events)
    assert cells.held[n_prompt:] == ours.tokens[: len(cells.held) - n_prompt]
    return done, cells, guesser, done.stats.decode_s


def test_a_small_model_that_is_mostly_right_makes_the_reply_faster() -> None:
    done, cells, _, seconds = decode(SAID, right=0.9, sure=0.9)
    assert seconds < 0.6 * len(SAID)
    assert len(cells.batches) < 0.5 * len(SAID)
    assert done.stats.accepted_tokens > 0.5 * len(SAID)


def test_a_small_model_that_is_mostly_wrong_costs_little() -> None:
    _, _, _, seconds = decode(SAID, right=0.1, sure=0.9)
    assert seconds < 1.05 * len(SAID)


def test_drafts_are_short_where_batches_are_dear() -> None:
    def dear(n_rows: int) -> float:
        return 1 + 0.45 * (n_rows - 1)

    _, cells, _, seconds = decode(SAID, right=0.95, sure=0.97, steps_of=dear)
    assert 1 < max(cells.batches[1:]) <= 6
    assert seconds < len(SAID)


def test_a_first_draft_finds_out_what_batches_cost() -> None:
    clock = Clock()
    guesser = Guesser(clock, SAID, right=1, sure=0.99)
    drafter = ModelDrafter(guesser, costs := BatchCosts(), clock)
    assert len(drafter.draft([], [ord(SAID[0])], 50)) == TRIAL
    costs.note(1, 1.0)
    costs.note(1 + TRIAL, 4.0)  # a batch saves nothing
    assert not drafter.draft([], [ord(SAID[0])], 50)
    costs = BatchCosts(CHEAP)  # known before
    assert len(ModelDrafter(guesser, costs, clock).draft([], [ord(SAID[0])], 50)) > TRIAL


def test_what_it_is_unsure_of_is_not_drafted() -> None:
    unsure, _, _, _ = decode(SAID[:60], right=0.1, sure=0.2)
    sure, _, _, _ = decode(SAID[:60], right=0.1, sure=0.9)
    assert sure.stats.drafted_tokens > 1.5 * unsure.stats.drafted_tokens


def test_a_short_reply_does_not_pay_for_reading_a_long_prompt() -> None:
    done, _, guesser, _ = decode(SAID[:20], right=1, sure=0.99, n_prompt=2000)
    assert not guesser.reads
    assert done.stats.drafted_tokens == 0


def test_a_long_prompt_is_read_in_pieces_between_the_steps() -> None:
    _, _, guesser, seconds = decode(SAID, right=0.95, sure=0.97, n_prompt=600)
    assert max(guesser.reads) <= READ_AT_ONCE + MOST_UNREAD
    assert sum(guesser.reads) > 600
    assert seconds < len(SAID)


def test_a_reply_longer_than_its_window_goes_on_without_it() -> None:
    done, _, guesser, _ = decode(SAID, right=1, sure=0.99, n_prompt=4090)
    assert done.stats.drafted_tokens == 0
    assert not guesser.reads


@pytest.fixture
def open_pair(tmp_path: Path) -> Iterator[OpenPair]:
    """Engines over a tiny model, with another tiny model, or itself, that guesses.

    Their clock stands still: what batches cost is what was guessed, whatever else the machine does.
    """
    large = write_tiny_model(tmp_path / "large.gguf", ascii_only=True, sharpness=SURE)
    engines: list[LlamaEngine] = []

    def open_one(
        small: Path | None = large, n_ctx: int = N_CTX, clock: Callable[[], float] = lambda: 0.0
    ) -> LlamaEngine:
        draft = DraftOptions(small, small.stem, n_ctx, 1, 0.1) if small else None
        options = EngineOptions(large, "large", N_CTX, 1, guard_loops=False, draft=draft, batch_steps=CHEAP)
        engines.append(LlamaEngine(options, clock))
        return engines[-1]

    yield open_one
    for engine in engines:
        engine.close()


def request_of(text: str, sampling: Sampling) -> Request:
    return Request(Text(text), sampling)


def wait_for_the_small_one(engine: LlamaEngine) -> None:
    """Ask until it is at work: it is loaded in the background."""
    deadline = time.monotonic() + 60
    while engine.report().draft_model is None:
        assert time.monotonic() < deadline, "the draft model is not at work"
        list(engine.stream(request_of("Guess with me.", Sampling(temperature=0, max_tokens=8))))


@pytest.mark.parametrize("text", ["def f(x):", "and then", "你好"])
def test_the_greedy_reply_of_a_model_is_the_same(open_pair: OpenPair, text: str) -> None:
    request = request_of(text, Sampling(temperature=0, max_tokens=200))
    with_draft = open_pair()
    wait_for_the_small_one(with_draft)
    assert reply(with_draft, request) == reply(open_pair(None), request)


def test_sampled_replies_of_a_model_are_those_of_their_seeds(open_pair: OpenPair) -> None:
    alone, with_draft = open_pair(None), open_pair()
    wait_for_the_small_one(with_draft)
    n_same = 0
    for seed in range(16):
        request = request_of("and then", replace(SAMPLED, seed=seed))
        n_same += reply(with_draft, request) == reply(alone, request)
    assert n_same >= 13  # a batch rounds otherwise than a step, which now and then decides a draw


def test_a_model_that_guesses_for_itself_is_right(open_pair: OpenPair) -> None:
    engine = open_pair()
    wait_for_the_small_one(engine)
    stats = done_of(list(engine.stream(request_of("x = 1", Sampling(temperature=0, max_tokens=200))))).stats
    assert stats.drafted_tokens > 30
    assert stats.accepted_tokens > 0.6 * stats.drafted_tokens  # copies are guessed too, and may be wrong


def test_another_vocabulary_length_is_no_danger(open_pair: OpenPair, tmp_path: Path) -> None:
    fewer = write_tiny_model(tmp_path / "fewer.gguf", merges=("h e", "l l"), ascii_only=True, sharpness=SURE)
    alone, with_draft = open_pair(None), open_pair(fewer)
    greedy = Sampling(temperature=0, max_tokens=200)
    for text in ("hello world", "a b c"):
        assert reply(with_draft, request_of(text, greedy)) == reply(alone, request_of(text, greedy))


def test_a_small_model_that_cannot_be_loaded_is_done_without(open_pair: OpenPair, tmp_path: Path) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF, or so it says")
    greedy = Sampling(temperature=0, max_tokens=50)
    assert reply(open_pair(broken), request_of("x", greedy)) == reply(
        open_pair(None), request_of("x", greedy)
    )


@pytest.mark.parametrize("after", [1, 2, 5, 20])
def test_an_interruption_leaves_it_usable(open_pair: OpenPair, after: int) -> None:
    engine = open_pair(clock=ticking())
    wait_for_the_small_one(engine)
    # long enough that the engine, which decodes ahead of who listens, is not done with it
    events = engine.stream(request_of("count", Sampling(temperature=0, max_tokens=1900)))
    seen = [next(events) for _ in range(after)]
    engine.cancel()
    assert done_of([*seen, *events]).finish_reason is FinishReason.INTERRUPTED
    again = request_of("count", Sampling(temperature=0, max_tokens=100))
    assert reply(engine, again) == reply(open_pair(None), again)


def test_a_draft_model_stops_at_once_when_told(tmp_path: Path) -> None:
    path = write_tiny_model(tmp_path / "small.gguf")
    model = DraftModel(DraftOptions(path, "small", N_CTX, 1, 0.1), n_vocab=300)
    deadline = time.monotonic() + 60
    while not model.is_ready and time.monotonic() < deadline:
        time.sleep(0.01)
    tokens = [5, 6, 7, 8] * 20
    model.read(tokens)
    assert model.n_unread([*tokens, 9]) == 1
    model.abort()
    with pytest.raises(Aborted):
        model.push(9)
    model.allow()
    model.push(9)
    model.end()
    assert model.n_unread([*tokens, 9, 10]) == 1
    model.close()
    model.close()


@pytest.mark.download
def test_a_real_small_model_is_often_right_about_a_real_large_one(real_model: Callable[[str], Path]) -> None:
    large, small = real_model("qwen2.5-coder-1.5b"), real_model("qwen2.5-coder-0.5b")
    draft = DraftOptions(small, small.stem, 2048, 2, 0.1)
    engine = LlamaEngine(
        EngineOptions(large, large.stem, 2048, 2, draft=draft, batch_steps=CHEAP), lambda: 0.0
    )
    with closing(engine):
        wait_for_the_small_one(engine)
        request = ask("Write a Python function that merges two sorted lists.")
        stats = done_of(list(engine.stream(replace(request, sampling=replace(GREEDY, max_tokens=120))))).stats
    assert stats.drafted_tokens > 20
    assert stats.accepted_tokens > 0.5 * stats.drafted_tokens
