"""What only a real model shows: its speed at stopping, its tokens in two languages, its JSON."""

import itertools
import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from aigc_cli.engine.base import Choices, ContextFile, Infill, JsonSchema, Request, Sampling, Text
from aigc_cli.engine.engine_options import EngineOptions
from aigc_cli.engine.llama import LlamaEngine
from aigc_cli.events import Delta, Event, FinishReason, Prefill
from tests.engine.replies import GREEDY, ask, done_of, reply, text_of

pytestmark = pytest.mark.download

RealModel = Callable[[str], Path]
QUESTIONS = (
    "Write a Python function that adds two numbers.",
    "用中文解释一下。",
    "Now in Rust.",
    "加上注释 🙂",
    "Thanks! One word, please: good or bad?",
)
CITY = {
    "type": "object",
    "properties": {
        "city": {"type": "string"},
        "population": {"type": "integer"},
        "capital": {"type": "boolean"},
        "rivers": {"type": "array", "items": {"type": "string"}, "maxItems": 3},
    },
    "required": ["city", "population", "capital", "rivers"],
    "additionalProperties": False,
}
FINDINGS = {
    "type": "array",
    "items": {
        "type": "object",
        "properties": {
            "line": {"type": "integer", "minimum": 1},
            "severity": {"enum": ["low", "medium", "high"]},
            "text": {"type": "string", "minLength": 3},
        },
        "required": ["line", "severity", "text"],
    },
    "minItems": 1,
    "maxItems": 4,
}
TREE = {
    "$defs": {
        "node": {
            "type": "object",
            "properties": {
                "name": {"type": "string"},
                "children": {"type": "array", "items": {"$ref": "#/$defs/node"}, "maxItems": 2},
            },
            "required": ["name"],
        }
    },
    "$ref": "#/$defs/node",
}


def open_model(path: Path) -> LlamaEngine:
    return LlamaEngine(EngineOptions(path, path.stem, 8192, n_threads=2), time.perf_counter)


@pytest.fixture(scope="module")
def smollm(real_model: RealModel) -> Iterator[LlamaEngine]:
    engine = open_model(real_model("smollm2-135m"))
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def coder(real_model: RealModel) -> Iterator[LlamaEngine]:
    engine = open_model(real_model("qwen2.5-coder-0.5b"))
    yield engine
    engine.close()


def cancel_when(
    engine: LlamaEngine, request: Request, ready: Callable[[Event], bool], delay_s: float
) -> tuple[list[Event], float]:
    """The events, and the seconds from `cancel` (some time after the first `ready` event) to the end."""
    cancelled_at: list[float] = []

    def cancel() -> None:
        cancelled_at.append(time.perf_counter())
        engine.cancel()

    events, timer = [], None
    for event in engine.stream(request):
        events.append(event)
        if timer is None and ready(event):
            timer = threading.Timer(delay_s, cancel)
            timer.start()
    ended = time.perf_counter()
    assert cancelled_at, "the reply was over before it could be cancelled"
    return events, ended - cancelled_at[0]


def cancelled_in_time(
    engine: LlamaEngine, request: Request, ready: Callable[[Event], bool], delay_s: float
) -> list[Event]:
    """The events of a request that ended within 100 ms of `cancel`.

    Another process may have the processor at that moment; an engine that is slow is slow twenty times.
    """
    for _ in range(20):
        events, latency_s = cancel_when(engine, request, ready, delay_s)
        assert done_of(events).finish_reason is FinishReason.INTERRUPTED
        if latency_s < 0.1:
            return events
    pytest.fail(f"it took {latency_s:.3f} s to stop")


@pytest.mark.parametrize("delay_s", [0.0, 0.013, 0.05, 0.21])
def test_a_prefill_stops_within_100_ms(coder: LlamaEngine, delay_s: float) -> None:
    request = Request(Text("for item in items: print(item)\n" * 400), GREEDY)
    events = cancelled_in_time(coder, request, lambda event: isinstance(event, Prefill), delay_s)
    assert text_of(events) == ""


@pytest.mark.parametrize("delay_s", [0.0, 0.007, 0.03, 0.11])
def test_a_reply_stops_within_100_ms_and_the_talk_goes_on(coder: LlamaEngine, delay_s: float) -> None:
    long = ask("Write a long story about a compiler.", sampling=Sampling(temperature=0, max_tokens=400))
    events = cancelled_in_time(coder, long, lambda event: isinstance(event, Delta), delay_s)
    next_turn = list(coder.stream(ask("Write a long story about a compiler.", text_of(events), "Stop.")))
    assert text_of(next_turn)
    assert done_of(next_turn).stats.cached_tokens >= done_of(events).stats.prompt_tokens


def test_five_turns_evaluate_only_new_text(coder: LlamaEngine) -> None:
    replies: list[str] = []
    evaluated = new = known = 0
    for turn, question in enumerate(QUESTIONS):
        history = itertools.chain.from_iterable(zip(QUESTIONS[:turn], replies, strict=True))
        events = list(coder.stream(ask(*history, question)))
        replies.append(text_of(events))
        stats = done_of(events).stats
        evaluated += stats.prompt_tokens - stats.cached_tokens
        new += stats.prompt_tokens - known
        known = stats.prompt_tokens + stats.reply_tokens
    assert evaluated <= 1.05 * new


@pytest.mark.parametrize("schema", [CITY, FINDINGS, TREE], ids=["city", "findings", "tree"])
def test_fifty_replies_of_a_small_model_validate_against_a_schema(
    smollm: LlamaEngine, schema: dict[str, Any]
) -> None:
    for seed in range(50):
        request = ask(
            "Make one up, as JSON.",
            sampling=Sampling(temperature=1.0, seed=seed, max_tokens=96),
            constraint=JsonSchema(json.dumps(schema)),
        )
        said = reply(smollm, request)
        assert jsonschema.Draft202012Validator(schema).is_valid(json.loads(said)), said


def test_a_small_model_chooses_one_of_the_choices(smollm: LlamaEngine) -> None:
    choices = ("positive", "negative", "中性")
    for seed in range(10):
        request = ask(
            "I love it.", sampling=Sampling(temperature=2.0, seed=seed), constraint=Choices(choices)
        )
        assert reply(smollm, request) in choices


def test_a_small_model_that_loops_is_stopped(smollm: LlamaEngine) -> None:
    request = Request(Text("import os\n" * 7), Sampling(temperature=0))
    events = list(smollm.stream(request))
    assert done_of(events).finish_reason is FinishReason.LOOP
    assert done_of(events).stats.reply_tokens < 400


def test_chinese_and_emoji_arrive_whole(coder: LlamaEngine) -> None:
    request = ask("请逐字重复这句话：你好，世界！😀", sampling=Sampling(temperature=0, max_tokens=60))
    events = list(coder.stream(request))
    assert "你好，世界！😀" in text_of(events)
    assert all("\ufffd" not in event.text for event in events if isinstance(event, Delta))


def test_a_gap_is_filled_with_a_name_from_another_file(coder: LlamaEngine) -> None:
    prefix = "import limits\n\n\ndef is_too_long(text):\n    return len(text) > limits."
    suffix = "\n\n\nprint(is_too_long('a'))\n"
    limits = ContextFile("limits.py", "LONGEST_LINE = 80\n")
    events = list(coder.stream(Request(Infill(prefix, suffix, (limits,)), GREEDY)))
    assert text_of(events).strip().lower() == "longest_line"
    assert done_of(events).finish_reason is FinishReason.STOP
