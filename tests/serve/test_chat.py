"""/v1/chat/completions, asked by OpenAI's own client."""

from typing import TYPE_CHECKING

import pytest
from openai import BadRequestError
from openai.types.chat import ChatCompletionMessageParam

from aigc_cli.engine.base import Chat, JsonSchema, Message
from tests.scripted_engine import ScriptedEngine
from tests.serve.servers import Running, serving

if TYPE_CHECKING:
    from openai.types.chat import ChatCompletionFunctionToolParam

HELLO: list[ChatCompletionMessageParam] = [{"role": "user", "content": "hello"}]


def test_an_answer_at_once(server: Running, engine: ScriptedEngine) -> None:
    answer = server.openai().chat.completions.create(model="any", messages=HELLO, temperature=0)
    assert answer.choices[0].message.content == "one two three"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (3, 3)
    assert engine.requests[0].prompt == Chat((Message("user", "hello"),))


def test_an_answer_in_pieces(server: Running) -> None:
    stream = server.openai().chat.completions.create(
        model="any", messages=HELLO, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    assert [c.choices[0].delta.content for c in chunks if c.choices] == ["", "one", " two", " three", None]
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.total_tokens == 6


def test_tools_are_refused_by_name(server: Running) -> None:
    tool: ChatCompletionFunctionToolParam = {"type": "function", "function": {"name": "run"}}
    with pytest.raises(BadRequestError, match="tools: this server has no tool calls") as caught:
        server.openai().chat.completions.create(model="any", messages=HELLO, tools=[tool])
    assert caught.value.param == "tools"
    assert server.openai().chat.completions.create(model="any", messages=HELLO, tools=[]).choices


def test_a_schema_reaches_the_engine(server: Running, engine: ScriptedEngine) -> None:
    server.openai().chat.completions.create(
        model="any",
        messages=HELLO,
        response_format={
            "type": "json_schema",
            "json_schema": {"name": "n", "schema": {"type": "integer"}, "strict": True},
        },
    )
    assert engine.requests[0].constraint == JsonSchema('{"type": "integer"}')


def test_several_candidates(server: Running) -> None:
    answer = server.openai().chat.completions.create(model="any", messages=HELLO, n=2)
    assert [choice.message.content for choice in answer.choices] == ["one two three", "four five"]


def test_probabilities(server: Running) -> None:
    answer = server.openai().chat.completions.create(
        model="any", messages=HELLO, logprobs=True, top_logprobs=2
    )
    logprobs = answer.choices[0].logprobs
    assert logprobs is not None
    assert logprobs.content is not None
    assert [token.token for token in logprobs.content] == ["one", " two", " three"]
    assert logprobs.content[0].bytes == list(b"one")
    assert [other.token for other in logprobs.content[0].top_logprobs] == ["one", "one~"]


def test_a_server_without_history_keeps_nothing_of_any_request(engine: ScriptedEngine) -> None:
    with serving(engine, private=True) as server:
        server.openai().chat.completions.create(model="any", messages=HELLO)
    assert engine.requests[0].private
