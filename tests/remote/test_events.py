"""Streamed answers to events, in the shapes that servers give them."""

import json
from dataclasses import replace
from typing import Any

from aigc_cli.engine.base import (
    Request,
    Text,
)
from aigc_cli.engine.dialect import AIGC, VLLM
from aigc_cli.events import Alternative, Delta, Done, FinishReason, Prefill, Queued, Stats, TokenLogprob
from tests.remote.engines import CHAT, chat, done_of, known_engine, text_of
from tests.remote.replaying_server import ReplayingServer, answer, finish, stream


def test_progress_queue_probabilities_and_counts() -> None:
    logprobs = {
        "content": [
            {"token": "h", "bytes": [104], "logprob": -0.5, "top_logprobs": [{"token": "y", "logprob": -2}]}
        ]
    }
    text = {
        "choices": [{"index": 0, "delta": {"content": "h"}, "logprobs": logprobs}],
        "x_aigc": {"n_tokens": 2},
    }
    timings = {
        "cache_n": 5,
        "prompt_n": 7,
        "prompt_ms": 2000,
        "predicted_n": 3,
        "predicted_ms": 500,
        "draft_n": 4,
    }
    usage = {"prompt_tokens": 12, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 5}}
    progress = {"total": 12, "cache": 5, "processed": 9, "time_ms": 1}
    pieces = stream(
        {"choices": [], "x_aigc": {"queue": 2}},
        {"choices": [], "prompt_progress": progress},
        text,
        finish("stop", x_aigc={"finish_reason": "loop"}),
        {"choices": [], "usage": usage, "timings": timings | {"draft_n_accepted": 1}},
    )
    with ReplayingServer.on_tcp({CHAT: pieces}) as server:
        events = list(known_engine(server.url, AIGC).stream(replace(chat(), top_logprobs=1)))
    token = TokenLogprob(b"h", -0.5, (Alternative(b"y", -2.0),))
    assert events == [
        Queued(2),
        Prefill(done=9, total=12, cached=5),
        Delta("h", 2, 0, (token,)),
        Done(FinishReason.LOOP, Stats(12, 5, 3, 2.0, 0.5, 4, 1)),
    ]


def test_completions_with_openais_older_probabilities() -> None:
    logprobs = {
        "tokens": ["a"],
        "token_logprobs": [-1.5],
        "top_logprobs": [{"b": -3.0, "a": -1.5}],
        "text_offset": [0],
    }
    pieces = stream({"choices": [{"index": 0, "text": "a", "logprobs": logprobs, "finish_reason": "length"}]})
    with ReplayingServer.on_tcp({"/v1/completions": pieces}) as server:
        events = list(
            known_engine(server.url, VLLM).stream(Request(Text("x"), VLLM.recommended, top_logprobs=2))
        )
    best = (Alternative(b"a", -1.5), Alternative(b"b", -3.0))
    assert events[0] == Delta("a", 1, 0, (TokenLogprob(b"a", -1.5, best),))
    assert done_of(events).finish_reason is FinishReason.LENGTH


def test_several_candidates_with_counts_for_all_together() -> None:
    def piece(number: int, text: str, reason: str | None = None) -> dict[str, Any]:
        return {"choices": [{"index": number, "delta": {"content": text}, "finish_reason": reason}]}

    usage = {"prompt_tokens": 9, "completion_tokens": 3}
    pieces = stream(
        piece(1, "x"),
        piece(0, "a"),
        piece(1, "y", "stop"),
        piece(0, "", "length"),
        {"choices": [], "usage": usage},
    )
    with ReplayingServer.on_tcp({CHAT: pieces}) as server:
        events = list(known_engine(server.url).stream(replace(chat(), candidates=2)))
    done = [each for each in events if isinstance(each, Done)]
    assert [(each.candidate, each.finish_reason, each.stats.reply_tokens) for each in done] == [
        (0, FinishReason.LENGTH, 1),
        (1, FinishReason.STOP, 2),
    ]
    assert {each.stats.prompt_tokens for each in done} == {9}


def test_a_server_that_does_not_stream() -> None:
    whole = {
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "all"}, "finish_reason": "stop"}]
    }
    with ReplayingServer.on_tcp({CHAT: answer(json.dumps(whole, indent=1).encode())}) as server:
        assert text_of(known_engine(server.url).stream(chat())) == "all"
