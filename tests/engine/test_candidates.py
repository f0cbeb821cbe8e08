"""Several replies to one prompt: each is what it would be alone, and each has its end."""

from collections import defaultdict
from dataclasses import replace

import pytest

from aigc_cli.engine.base import Choices, JsonSchema, Request, Sampling, Text
from aigc_cli.engine.llama import LlamaEngine
from aigc_cli.engine.reply import REPLY_ROOM
from aigc_cli.errors import ContextOverflow
from aigc_cli.events import Delta, Done, Event, FinishReason, Prefill
from tests.engine.conftest import OpenEngine
from tests.engine.replies import ask, reply, ticking

SAMPLED = Sampling(temperature=1.5, top_k=0, top_p=1, min_p=0, seed=11, max_tokens=60, stop=("a", "\ufffdh"))


def texts_of(events: list[Event]) -> dict[int, str]:
    texts: defaultdict[int, str] = defaultdict(str)
    for event in events:
        if isinstance(event, Delta):
            texts[event.candidate] += event.text
    return dict(texts)


def ends_of(events: list[Event]) -> dict[int, Done]:
    ends = [event for event in events if isinstance(event, Done)]
    assert len({end.candidate for end in ends}) == len(ends)
    return {end.candidate: end for end in ends}


def alone(engine: LlamaEngine, sampling: Sampling, number: int) -> str:
    return reply(engine, ask("hello", sampling=replace(sampling, seed=(sampling.seed or 0) + number)))


@pytest.mark.parametrize("n_candidates", [2, 5, 16])
def test_each_candidate_says_what_its_seed_alone_says(engine: LlamaEngine, n_candidates: int) -> None:
    request = replace(ask("hello", sampling=SAMPLED), candidates=n_candidates)
    events = list(engine.stream(request))
    expected = {n: alone(engine, SAMPLED, n) for n in range(n_candidates)}
    assert {n: texts_of(events).get(n, "") for n in range(n_candidates)} == expected
    assert set(ends_of(events)) == set(range(n_candidates))
    assert len({end.stats.reply_tokens for end in ends_of(events).values()}) > 1, (
        "they end at different times"
    )


def test_nothing_of_a_candidate_comes_after_its_end(engine: LlamaEngine) -> None:
    ended: set[int] = set()
    for event in engine.stream(replace(ask("hello", sampling=SAMPLED), candidates=8)):
        if isinstance(event, Delta):
            assert event.candidate not in ended
        if isinstance(event, Done):
            ended.add(event.candidate)
    assert len(ended) == 8


def test_the_prompt_is_read_once_for_all(engine: LlamaEngine) -> None:
    request = replace(ask("hello " * 100, sampling=replace(SAMPLED, stop=(), max_tokens=5)), candidates=4)
    events = list(engine.stream(request))
    read = [event.done for event in events if isinstance(event, Prefill)]
    assert read[-1] == engine.count(request)
    assert sorted(read) == read
    for end in ends_of(events).values():
        assert end.stats.prompt_tokens == engine.count(request)
        assert end.stats.reply_tokens == 5


def test_greedy_candidates_are_alike(engine: LlamaEngine) -> None:
    request = replace(ask("hello"), candidates=3)
    assert texts_of(list(engine.stream(request))) == dict.fromkeys(range(3), reply(engine, ask("hello")))


def test_without_a_seed_candidates_differ(engine: LlamaEngine) -> None:
    sampling = replace(SAMPLED, seed=None, stop=())
    said = texts_of(list(engine.stream(replace(ask("hello", sampling=sampling), candidates=3))))
    assert len(set(said.values())) == 3


def test_the_highest_seed_has_a_successor(engine: LlamaEngine) -> None:
    sampling = replace(SAMPLED, seed=2**32 - 2)
    events = list(engine.stream(replace(ask("hello", sampling=sampling), candidates=2)))
    assert texts_of(events)[1] == alone(engine, replace(SAMPLED, seed=0), 0)


def test_every_candidate_keeps_to_the_constraint(engine: LlamaEngine) -> None:
    sampling = replace(SAMPLED, stop=())
    chosen = replace(ask("hello", sampling=sampling, constraint=Choices(("yes", "no"))), candidates=6)
    assert set(texts_of(list(engine.stream(chosen))).values()) == {"yes", "no"}
    schema = JsonSchema('{"type": "array", "items": {"type": "boolean"}, "maxItems": 3}')
    valued = replace(ask("hello", sampling=sampling, constraint=schema), candidates=4)
    for text in texts_of(list(engine.stream(valued))).values():
        assert text.startswith("[")
        assert text.rstrip().endswith("]")


def test_each_candidates_tokens_have_their_own_probabilities(engine: LlamaEngine) -> None:
    together: defaultdict[int, list[bytes]] = defaultdict(list)
    sampling = replace(SAMPLED, stop=())
    for event in engine.stream(replace(ask("hello", sampling=sampling), candidates=3, top_logprobs=1)):
        if isinstance(event, Delta):
            assert len(event.tokens) == event.n_tokens
            together[event.candidate] += [token.piece for token in event.tokens]
    for number in range(3):
        request = ask("hello", sampling=replace(sampling, seed=11 + number))
        single = [
            t.piece
            for e in engine.stream(replace(request, top_logprobs=1))
            if isinstance(e, Delta)
            for t in e.tokens
        ]
        assert together[number] == single


@pytest.mark.parametrize("interrupt_at", [0, 1, 2, 7, 30])
def test_an_interruption_ends_every_candidate_that_goes_on(
    open_engine: OpenEngine, interrupt_at: int
) -> None:
    engine = open_engine(clock=ticking())
    events: list[Event] = []
    endless = Sampling(temperature=0)  # a sampled reply might end by itself before it is interrupted
    for event in engine.stream(replace(ask("hello", sampling=endless), candidates=4)):
        events.append(event)
        if len(events) > interrupt_at:
            engine.cancel()
    ends = ends_of(events)
    assert set(ends) == set(range(4))
    assert {end.finish_reason for end in ends.values()} == {FinishReason.INTERRUPTED}
    assert reply(engine, ask("hello"))


def test_candidates_leave_the_engine_free_for_the_next_ones(engine: LlamaEngine) -> None:
    for seed in range(5):
        request = ask(f"hello {seed}", sampling=replace(SAMPLED, stop=(), max_tokens=20))
        assert len(ends_of(list(engine.stream(replace(request, candidates=16))))) == 16


def test_candidates_share_the_window(open_engine: OpenEngine) -> None:
    engine = open_engine(n_ctx=512)
    sampling = Sampling(temperature=0)
    ends = ends_of(list(engine.stream(Request(Text("x" * 200), sampling, candidates=4))))
    assert {end.finish_reason for end in ends.values()} == {FinishReason.LENGTH}
    assert {end.stats.reply_tokens for end in ends.values()} == {(512 - 200) // 4}
    with pytest.raises(ContextOverflow):
        list(engine.stream(Request(Text("x" * (512 - 4 * REPLY_ROOM + 1)), sampling, candidates=4)))
