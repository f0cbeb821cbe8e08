"""The engine of the tests keeps the promises of the protocol that tests rely on."""

import math

from aigc_cli.engine.base import Request, Text
from aigc_cli.events import Alternative, Delta, Done, FinishReason, Prefill, Stats, TokenLogprob
from tests.scripted_engine import ScriptedEngine


def test_candidates_take_turns_and_each_has_its_end() -> None:
    engine = ScriptedEngine(["a b c", "d"])
    events = list(engine.stream(Request(Text("go"), candidates=2)))
    assert [event for event in events if not isinstance(event, Prefill)] == [
        Delta("a", candidate=0),
        Delta("d", candidate=1),
        Delta(" b", candidate=0),
        Done(FinishReason.STOP, Stats(1, 0, 1, 0.1, 0.1), 1),
        Delta(" c", candidate=0),
        Done(FinishReason.STOP, Stats(1, 0, 3, 0.1, 0.1), 0),
    ]


def test_the_next_request_takes_the_reply_after_the_last_candidates() -> None:
    engine = ScriptedEngine(["a", "b", "c"])
    list(engine.stream(Request(Text("go"), candidates=2)))
    assert next(e for e in engine.stream(Request(Text("go"))) if isinstance(e, Delta)).text == "c"


def test_an_interruption_ends_every_candidate() -> None:
    engine = ScriptedEngine(["a b", "c d", "e"])
    ends = []
    for event in engine.stream(Request(Text("go"), candidates=3)):
        if isinstance(event, Delta) and event.text == " b":
            engine.cancel()
        if isinstance(event, Done):
            ends.append((event.candidate, event.finish_reason, event.stats.reply_tokens))
    interrupted = FinishReason.INTERRUPTED
    assert ends == [(0, interrupted, 2), (1, interrupted, 1), (2, interrupted, 1)]


def test_probabilities_come_when_asked_for() -> None:
    engine = ScriptedEngine(["a"])
    (delta,) = [e for e in engine.stream(Request(Text("go"), top_logprobs=2)) if isinstance(e, Delta)]
    half, quarter = math.log(0.5), 2 * math.log(0.5)
    assert delta.tokens == (TokenLogprob(b"a", half, (Alternative(b"a", half), Alternative(b"a~", quarter))),)
