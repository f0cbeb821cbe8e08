"""/v1/completions, asked by OpenAI's own client; and how probabilities are written."""

import json
import math

import pytest
from openai import BadRequestError

from aigc_cli.engine.base import Infill, Text
from aigc_cli.events import Alternative, TokenLogprob
from aigc_cli.serve.counts import chat_logprobs, text_logprobs
from tests.scripted_engine import ScriptedEngine
from tests.serve.servers import Running


def test_a_text_goes_on(server: Running, engine: ScriptedEngine) -> None:
    answer = server.openai().completions.create(model="any", prompt="a b", max_tokens=9, n=2)
    assert [choice.text for choice in answer.choices] == ["one two three", "four five"]
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (2, 5)
    assert engine.requests[0].prompt == Text("a b")


def test_a_text_in_pieces(server: Running) -> None:
    chunks = list(server.openai().completions.create(model="any", prompt="a", stream=True))
    assert "".join(chunk.choices[0].text for chunk in chunks) == "one two three"
    assert chunks[-1].choices[0].finish_reason == "stop"


def test_a_suffix_makes_a_gap(server: Running, engine: ScriptedEngine) -> None:
    server.openai().completions.create(model="any", prompt="a", suffix="b")
    assert engine.requests[0].prompt == Infill("a", "b")


def test_probabilities_in_the_older_form(server: Running) -> None:
    answer = server.openai().completions.create(model="any", prompt="a", logprobs=2)
    logprobs = answer.choices[0].logprobs
    assert logprobs is not None
    assert logprobs.tokens == ["one", " two", " three"]
    assert logprobs.text_offset == [0, 3, 7]
    assert logprobs.token_logprobs == pytest.approx([math.log(0.5)] * 3)
    assert logprobs.top_logprobs is not None
    assert set(logprobs.top_logprobs[0]) == {"one", "one~"}


def test_the_offsets_of_a_stream_go_on(server: Running) -> None:
    chunks = server.openai().completions.create(model="any", prompt="a", logprobs=0, stream=True)
    offsets = [chunk.choices[0].logprobs.text_offset for chunk in chunks if chunk.choices[0].logprobs]
    assert offsets == [[0], [3], [7]]


def test_several_prompts_are_refused(server: Running) -> None:
    with pytest.raises(BadRequestError, match="one text a request"):
        server.openai().completions.create(model="any", prompt=["a", "b"])


def test_what_can_t_happen_has_a_number_that_json_can_write() -> None:
    never = TokenLogprob(b"\xe4\xbd", -math.inf, (Alternative(b"x", math.nan),))
    for written in (chat_logprobs([never]), text_logprobs([never], 0)):
        text = json.dumps(written, allow_nan=False)
        assert "-9999.0" in text
        assert json.loads(text)["content"][0]["bytes"] == [0xE4, 0xBD]
