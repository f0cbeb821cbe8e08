"""Text is told at the pace of a screen: nothing is lost, nothing waits for long, little is told often."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aigc_cli.engine.pace import paced
from aigc_cli.errors import EngineError
from aigc_cli.events import Delta, Done, Event, FinishReason, Prefill, Stats, TokenLogprob
from tests.engine.conftest import OpenEngine
from tests.engine.replies import ask, done_of, reply, text_of, ticking

END = Done(FinishReason.STOP, Stats())


class Timed:
    """Events that come at given times; `told` are those that came out, each with its time."""

    def __init__(self, *events: tuple[float, Event]) -> None:
        self._events = events
        self._now = 0.0

    def _coming(self) -> Iterator[Event]:
        for at, event in self._events:
            self._now = at
            yield event

    def told(self) -> list[tuple[float, Event]]:
        return [(self._now, event) for event in paced(self._coming(), lambda: self._now)]


def letters(gap_s: float, text: str) -> list[tuple[float, Event]]:
    return [(n * gap_s, Delta(letter)) for n, letter in enumerate(text)]


def test_tokens_of_a_usual_laptop_come_in_threes_after_the_first() -> None:
    told = Timed(*letters(0.041, "abcdef"), (0.25, END)).told()
    assert [event.text for _, event in told[:-1] if isinstance(event, Delta)] == ["a", "bcd", "ef"]
    assert told[-1] == (0.25, END)


def test_slow_tokens_come_singly_and_at_once() -> None:
    said = letters(0.07, "abcdef")
    assert Timed(*said).told() == said


def test_a_fast_reply_is_told_eight_times_a_second() -> None:
    told = Timed(*letters(0.002, "x" * 1000)).told()
    assert len(told) == pytest.approx(16, abs=2)


def test_a_token_that_comes_late_takes_the_ones_before_along() -> None:
    told = Timed((0, Delta("a")), (0.01, Delta("b")), (5, Delta("c")), (9, Delta("d"))).told()
    assert told == [(0, Delta("a")), (5, Delta("bc", 2)), (9, Delta("d"))]


def test_each_candidate_has_a_pace_of_its_own() -> None:
    first = [(0.0, Delta("a", candidate=n)) for n in range(3)]
    second = [(0.01, Delta("b", candidate=n)) for n in range(3)]
    end = (0.02, Done(FinishReason.STOP, Stats(), candidate=1))
    told = Timed(*first, *second, end, (0.5, Delta("c", candidate=0))).told()
    assert told[:5] == [*first, (0.02, Delta("b", candidate=1)), end]
    assert told[5:] == [(0.5, Delta("bc", 2, candidate=0))]


def test_probabilities_stay_with_their_tokens() -> None:
    a, b = TokenLogprob(b"a", -0.1), TokenLogprob(b"b", -0.2)
    said = [(0.0, Delta("x")), (0.01, Delta("a", tokens=(a,))), (0.02, Delta("b", tokens=(b,)))]
    assert Timed(*said, (0.03, END)).told()[1] == (0.03, Delta("ab", 2, tokens=(a, b)))


def test_what_is_held_is_told_before_an_error() -> None:
    def breaks() -> Iterator[Event]:
        yield Delta("a")
        yield Delta("b")
        raise EngineError("broken", "")

    events = paced(breaks(), lambda: 0.0)
    assert [next(events), next(events)] == [Delta("a"), Delta("b")]
    with pytest.raises(EngineError, match="broken"):
        next(events)


@given(st.lists(st.tuples(st.floats(0, 0.3), st.integers(0, 2), st.text(max_size=3)), max_size=40))
def test_nothing_is_lost_and_nothing_is_told_between_two_tokens(
    steps: list[tuple[float, int, str]],
) -> None:
    said: list[tuple[float, Event]] = [(0.0, Prefill(1, 1, 0))]
    now = 0.0
    for gap, number, text in steps:
        now += gap
        said.append((now, Delta(text, candidate=number)))
    said += [(now, Done(FinishReason.STOP, Stats(), n)) for n in range(3)]
    told = Timed(*said).told()
    for number in range(3):
        before = [(at, e) for at, e in said if isinstance(e, Delta) and e.candidate == number]
        after = [(at, e) for at, e in told if isinstance(e, Delta) and e.candidate == number]
        assert text_of([e for _, e in before]) == text_of([e for _, e in after])
        assert sum(e.n_tokens for _, e in after) == len(before)
        assert {at for at, _ in after} <= {at for at, _ in before} | {now}


def test_a_real_engine_tells_all_that_comes_at_once_together(open_engine: OpenEngine) -> None:
    engine = open_engine(clock=lambda: 0.0)  # time stands still
    events = list(engine.stream(ask("hello")))
    first, rest = (event for event in events if isinstance(event, Delta))
    assert first.n_tokens + rest.n_tokens <= done_of(events).stats.reply_tokens
    assert first.text + rest.text == reply(open_engine(clock=ticking()), ask("hello"))
