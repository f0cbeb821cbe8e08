"""The client against our own server: what the engine there says arrives here."""

import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from aigc_cli.engine.base import Choices, EngineInfo, Infill, Request, Sampling, Text
from aigc_cli.engine.dialect import AIGC
from aigc_cli.errors import ContextOverflow, UsageError
from aigc_cli.events import Delta, Done, FinishReason
from tests.remote.engines import chat, done_of, engine_at, text_of
from tests.scripted_engine import ScriptedEngine
from tests.serve.servers import serving

if TYPE_CHECKING:
    from aigc_cli.events import Event

SAMPLING = Sampling(temperature=0.3, top_k=7, min_p=0.01, repeat_penalty=1.1)


def scripted(*replies: str, **knobs: float) -> ScriptedEngine:
    info = EngineInfo("tiny", 300, SAMPLING, has_infill=True)
    return ScriptedEngine(list(replies), info, delay_s=knobs.get("delay_s", 0.0))


def test_what_the_engine_is() -> None:
    with serving(scripted("hi")) as running:
        engine = engine_at(running.url)
        assert engine.dialect is AIGC
        assert engine.info == EngineInfo("tiny", 300, SAMPLING, has_infill=True)
        assert engine.model_names() == ("tiny",)


def test_the_request_and_the_reply_are_the_same_on_both_sides() -> None:
    local = scripted("Hello wörld, 你好 🎉\nbye")
    request = replace(
        chat("why?", prefix="Be"),
        sampling=replace(SAMPLING, stop=("END",), seed=4),
        top_logprobs=2,
        private=True,
    )
    with serving(local) as running:
        events = list(engine_at(running.url).stream(request))
    assert local.requests[-1] == request
    expected = list(local.stream(request))
    assert text_of(events) == text_of(expected)
    assert [each for each in events if isinstance(each, Delta)] == [
        each for each in expected if isinstance(each, Delta)
    ]
    theirs, ours = done_of(expected), done_of(events)
    assert ours.finish_reason is theirs.finish_reason
    assert ours.stats.prompt_tokens == theirs.stats.prompt_tokens
    assert ours.stats.reply_tokens == theirs.stats.reply_tokens


def test_candidates_choices_text_and_infill() -> None:
    local = scripted("yes")
    with serving(local) as running:
        engine = engine_at(running.url)
        for request in (
            Request(Text("a b"), SAMPLING, candidates=2),
            Request(Infill("a", "b"), SAMPLING),
            Request(chat().prompt, SAMPLING, Choices(("yes", "no"))),
        ):
            done = [each for each in engine.stream(request) if isinstance(each, Done)]
            assert len(done) == request.candidates
            assert local.requests[-1] == request


def test_tokens_are_counted_as_the_engine_there_does() -> None:
    local = scripted("hi")
    with serving(local) as running:
        assert engine_at(running.url).count(chat("one two three")) == local.count(chat("one two three"))


def test_a_prompt_that_does_not_fit() -> None:
    with serving(scripted("hi")) as running, pytest.raises(ContextOverflow) as caught:
        list(engine_at(running.url).stream(chat("word " * 400)))
    assert caught.value.n_ctx == 300


def test_a_mistake_is_told_in_the_words_of_the_server() -> None:
    request = replace(chat(), sampling=replace(SAMPLING, stop=tuple(f"stop {n}" for n in range(65))))
    with serving(scripted("hi")) as running, pytest.raises(UsageError, match="stop"):
        list(engine_at(running.url).stream(request))


def test_a_cancelled_reply_ends_here_and_there() -> None:
    local = scripted("word " * 2000, delay_s=0.05)  # far longer than the test may take
    with serving(local) as running:
        engine = engine_at(running.url)
        events: list[Event] = []
        for event in engine.stream(chat()):
            if not events:
                threading.Timer(0.2, engine.cancel).start()
            events.append(event)
        assert done_of(events).finish_reason is FinishReason.INTERRUPTED
        local.replies = ["next"]
        assert text_of(engine.stream(chat())) == "next"  # not after 2,000 words
