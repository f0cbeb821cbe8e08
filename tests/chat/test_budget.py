"""What a chat drops when its window is full."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aigc_cli.chat.budget import LEAST_REPLY_TOKENS, Plan, fit, reply_reserve
from aigc_cli.engine.base import Message
from aigc_cli.errors import ContextOverflow

SYSTEM = (Message("system", "be brief"),)
QUESTION = Message("user", "now this")


def count(messages: tuple[Message, ...]) -> int:
    return sum(len(message.content.split()) + 2 for message in messages)


def turn(n_words: int) -> tuple[Message, Message]:
    return Message("user", "ask"), Message("assistant", "w " * n_words)


def plan(turns: list[tuple[Message, Message]], n_ctx: int, question: Message = QUESTION) -> Plan:
    return fit(SYSTEM, turns, question, count=count, n_ctx=n_ctx, reserve=reply_reserve(n_ctx))


def test_nothing_is_dropped_while_everything_fits_and_one_count_is_enough() -> None:
    counted: list[tuple[Message, ...]] = []

    def counting(messages: tuple[Message, ...]) -> int:
        counted.append(messages)
        return count(messages)

    turns = [turn(100)] * 5
    seen = fit(SYSTEM, turns, QUESTION, count=counting, n_ctx=4096, reserve=1024)
    assert (seen.n_dropped, len(counted)) == (0, 1)
    assert seen.messages == (*SYSTEM, *(message for t in turns for message in t), QUESTION)


@given(
    sizes=st.lists(st.integers(0, 700), max_size=30),
    question_words=st.integers(1, 900),
    n_ctx=st.sampled_from([256, 512, 1024, 4096]),
)
def test_the_plan_fits_keeps_the_newest_turns_the_system_prompt_and_the_question(
    sizes: list[int], question_words: int, n_ctx: int
) -> None:
    question = Message("user", "q " * question_words)
    turns = [turn(n) for n in sizes]
    n_alone = count((*SYSTEM, question))
    if n_alone > n_ctx - LEAST_REPLY_TOKENS:
        with pytest.raises(ContextOverflow):
            plan(turns, n_ctx, question)
        return
    seen = plan(turns, n_ctx, question)
    kept = [message for t in turns[seen.n_dropped :] for message in t]
    assert seen.messages == (*SYSTEM, *kept, question)
    assert seen.n_tokens == count(seen.messages)
    assert seen.n_tokens <= max(n_alone, n_ctx - reply_reserve(n_ctx))
    assert seen.n_tokens <= n_ctx - LEAST_REPLY_TOKENS


@given(st.lists(st.integers(1, 300), min_size=1, max_size=40), st.sampled_from([1024, 4096]))
def test_turns_are_dropped_only_when_they_must_be(sizes: list[int], n_ctx: int) -> None:
    turns = [turn(n) for n in sizes]
    everything = count((*SYSTEM, *(message for t in turns for message in t), QUESTION))
    assert (plan(turns, n_ctx).n_dropped > 0) == (everything > n_ctx - reply_reserve(n_ctx))


def test_a_drop_lasts_for_several_turns_so_that_the_prefix_stays_cached() -> None:
    turns: list[tuple[Message, Message]] = []
    hidden, drops = 0, []
    for i in range(100):
        seen = plan(turns[hidden:], 4096)
        hidden += seen.n_dropped
        if seen.n_dropped:
            drops.append(i)
        turns.append(turn(100))
    assert len(drops) > 3
    assert min(b - a for a, b in pairwise(drops)) >= 8


def test_finding_what_to_drop_takes_few_counts() -> None:
    calls = 0

    def counting(messages: tuple[Message, ...]) -> int:
        nonlocal calls
        calls += 1
        return count(messages)

    fit(SYSTEM, [turn(10)] * 1000, QUESTION, count=counting, n_ctx=4096, reserve=1024)
    assert calls <= 13


def test_a_large_question_leaves_old_turns_half_of_the_room_it_does_not_take() -> None:
    question = Message("user", "w " * 2500)
    seen = plan([turn(50)] * 20, 4096, question)
    room_left = 4096 - 1024 - count((*SYSTEM, question))
    kept = seen.n_tokens - count((*SYSTEM, question))
    assert room_left // 2 - 60 <= kept <= room_left // 2


def test_a_question_that_does_not_fit_alone_is_refused_with_both_numbers() -> None:
    with pytest.raises(ContextOverflow, match=r"5,008 tokens.*4,096"):
        plan([turn(10)], 4096, Message("user", "w " * 5002))


def test_a_question_that_only_shortens_its_reply_is_let_through_alone() -> None:
    question = Message("user", "w " * 3900)
    assert plan([turn(10)], 4096, question).messages == (*SYSTEM, question)


def test_the_reserve_follows_the_window_and_the_longest_reply() -> None:
    assert reply_reserve(8192) == 1024
    assert reply_reserve(2048) == 512
    assert reply_reserve(8192, max_tokens=100) == 100
