"""A request's JSON to what the engine takes."""

from typing import Any

import pytest

from aigc_cli.engine.base import (
    Chat,
    Choices,
    Grammar,
    Infill,
    JsonSchema,
    Message,
    Sampling,
    Text,
)
from aigc_cli.errors import AigcError, UnsupportedFeature, UsageError
from aigc_cli.serve.decoding import Call, chat_call, infill_call, text_call
from aigc_cli.serve.fields import DEEPEST, parse_object
from aigc_cli.serve.refusals import refusal_of
from aigc_cli.serve.unserved import LLAMA_SERVER, OPENAI

PUBLISHED = Sampling(temperature=0.3, top_k=7, min_p=0.0)
USER = [{"role": "user", "content": "hi"}]


def chat(**fields: Any) -> Call:
    return chat_call({"messages": USER} | fields, PUBLISHED)


def sampling(**fields: Any) -> Sampling:
    return chat(**fields).request.sampling


def refused(**fields: Any) -> dict[str, Any]:
    with pytest.raises(AigcError) as caught:
        chat(**fields)
    refusal = refusal_of(caught.value)
    assert refusal.status == 400
    return refusal.body


def test_what_is_not_said_is_what_the_model_s_publisher_recommends() -> None:
    assert sampling() == PUBLISHED
    assert sampling(temperature=None, top_k=None) == PUBLISHED
    assert sampling(temperature=1, top_p=0.5).temperature == 1


def test_all_sampling_fields_arrive() -> None:
    given: dict[str, Any] = {
        "repeat_penalty": 1.1,
        "repeat_last_n": 32,
        "dry_multiplier": 0.5,
        "top_k": 3,
        "top_p": 0.4,
        "min_p": 0.01,
        "temperature": 1.5,
        "seed": 42,
        "max_tokens": 9,
        "stop": ["a", "b"],
        "frequency_penalty": -1.0,
        "presence_penalty": 1.0,
    }
    assert sampling(**given) == Sampling(**(given | {"stop": ("a", "b")}))


@pytest.mark.parametrize(
    ("fields", "name", "value"),
    [
        ({"max_completion_tokens": 5}, "max_tokens", 5),
        ({"n_predict": 5}, "max_tokens", 5),
        ({"max_tokens": 4, "n_predict": 5}, "max_tokens", 5),
        ({"max_tokens": -1}, "max_tokens", None),
        ({"max_tokens": 40.0}, "max_tokens", 40),
        ({"seed": -1}, "seed", None),
        ({"seed": 2**32 - 1}, "seed", None),
        ({"seed": 2**40}, "seed", 2**40 % (2**32 - 1)),
        ({"top_k": -1}, "top_k", 0),
        ({"stop": "x"}, "stop", ("x",)),
        ({"stop": ["", "x"]}, "stop", ("x",)),
        ({"stop": None}, "stop", ()),
        ({"samplers": "kt", "min_p": 0.3}, "min_p", 0.0),
        ({"samplers": ["min_p", "xtc"], "min_p": 0.3}, "min_p", 0.3),
        ({"samplers": ["top_k"]}, "temperature", 1.0),
        ({"samplers": ["top_k", "infill"]}, "infill", True),
        ({"samplers": "ki"}, "infill", True),
        ({"samplers": ["top_k"]}, "infill", False),
    ],
)
def test_other_spellings(fields: dict[str, Any], name: str, value: object) -> None:
    assert getattr(sampling(**fields), name) == value


@pytest.mark.parametrize(
    "fields",
    [
        {"temperature": "0.5"},
        {"temperature": True},
        {"temperature": -1},
        {"temperature": 1e308},
        {"temperature": float("inf")},
        {"temperature": 10**30},
        {"top_p": 1.1},
        {"top_k": 1.5},
        {"top_k": 2**31},
        {"seed": 2**63},
        {"seed": "1"},
        {"max_tokens": -2},
        {"max_tokens": 2**31},
        {"n": 0},
        {"n": 17},
        {"n": 1.5},
        {"stop": [1]},
        {"stop": ["x"] * 65},
        {"stream": "yes"},
        {"stream_options": []},
        {"logprobs": 3},
        {"top_logprobs": 21},
        {"prediction": "text"},
        {"prediction": {"type": "other"}},
        {"response_format": "json"},
        {"response_format": {"type": "xml"}},
        {"grammar": 1},
        {"json_schema": []},
        {"x_aigc": 1},
        {"messages": None},
        {"messages": []},
        {"messages": "hi"},
        {"messages": ["hi"]},
    ],
    ids=str,
)
def test_a_value_that_makes_no_sense_is_refused_by_name(fields: dict[str, Any]) -> None:
    error = refused(**fields)
    name = next(iter(fields))
    assert error["type"] == "invalid_request_error"
    assert error["param"].startswith(name)
    assert name in error["message"]


@pytest.mark.parametrize("name", [*OPENAI, *LLAMA_SERVER])
def test_what_is_not_served_is_refused_by_name_unless_it_asks_for_nothing(name: str) -> None:
    error = refused(**{name: {"something": "else"}})
    assert (error["type"], error["param"]) == ("not_supported_error", name)
    assert name in error["message"]
    _, neutral = (OPENAI | LLAMA_SERVER)[name]
    for value in (None, *neutral):
        assert chat(**{name: value}) == chat()


def test_a_number_is_no_truth_value() -> None:
    assert refused(echo=0)["param"] == "echo"
    assert refused(mirostat=False)["param"] == "mirostat"


def test_dry_is_what_the_engine_has_built_in() -> None:
    assert chat(dry_base=3).request.sampling.dry_multiplier == 0
    assert chat(dry_multiplier=0.8, dry_base=1.75, dry_allowed_length=2)
    assert refused(dry_multiplier=0.8, dry_base=3)["param"] == "dry_base"


def test_unknown_fields_are_ignored() -> None:
    assert chat(store=True, metadata={"a": "b"}, something_of_2030=[1]) == chat()


def test_messages() -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    call = chat_call(
        {
            "messages": [
                {"role": "developer", "content": "Be brief."},
                {"role": "user", "content": parts, "name": "Ann"},
                {"role": "assistant", "content": None},
                {"role": "user", "content": ""},
                {"role": "assistant", "content": "```py"},
            ]
        },
        PUBLISHED,
    )
    assert call.request.prompt == Chat(
        (
            Message("system", "Be brief."),
            Message("user", "ab"),
            Message("assistant", ""),
            Message("user", ""),
        ),
        reply_prefix="```py",
    )


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ({"role": "tool", "content": "x"}, "tool calls"),
        ({"role": "assistant", "tool_calls": [{"id": "1"}]}, "tool calls"),
        ({"role": "wizard", "content": "x"}, "messages[0].role must be one of"),
        ({"role": "user"}, "messages[0].content is missing"),
        ({"content": "x"}, "messages[0].role is missing"),
        ({"role": "user", "content": 5}, "messages[0].content must be a string"),
        ({"role": "user", "content": [{"type": "image_url", "image_url": {}}]}, "no image_url"),
        ({"role": "user", "content": [{"text": "x"}]}, "messages[0].content[0].type is missing"),
        ({"role": "user", "content": [{"type": "text"}]}, "messages[0].content[0].text is missing"),
    ],
)
def test_a_message_that_makes_no_sense_is_refused(message: dict[str, Any], said: str) -> None:
    assert said in refused(messages=[message])["message"]


@pytest.mark.parametrize(
    ("fields", "constraint"),
    [
        ({"response_format": {"type": "text"}}, None),
        ({"response_format": {"type": "json_object"}}, JsonSchema('{"type": "object"}')),
        ({"response_format": {"type": "json_object", "schema": {"const": 1}}}, JsonSchema('{"const": 1}')),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"schema": {"const": "é"}}}},
            JsonSchema('{"const": "é"}'),
        ),
        ({"response_format": {"type": "json_schema", "schema": {"const": 1}}}, JsonSchema('{"const": 1}')),
        ({"json_schema": {"const": 1}}, JsonSchema('{"const": 1}')),
        ({"grammar": 'root ::= "x"'}, Grammar('root ::= "x"')),
        ({"grammar": ""}, None),
        ({"x_aigc": {"choices": ["yes", "no"]}}, Choices(("yes", "no"))),
    ],
)
def test_constraints(fields: dict[str, Any], constraint: object) -> None:
    assert chat(**fields).request.constraint == constraint


def test_two_constraints_exclude_each_other() -> None:
    error = refused(grammar="x", response_format={"type": "json_object"})
    assert "response_format and grammar exclude each other" in error["message"]


def test_the_rest_of_a_request() -> None:
    call = chat(
        n=3,
        logprobs=True,
        top_logprobs=2,
        prediction={"type": "content", "content": [{"type": "text", "text": "code"}]},
        x_aigc={"private": True},
        user="Ann",
        stream=True,
        stream_options={"include_usage": True},
        return_progress=True,
        cache_prompt=True,
    )
    request = call.request
    assert (request.candidates, request.top_logprobs, request.prediction) == (3, 2, "code")
    assert request.private
    assert call.client == "Ann"
    assert (call.wishes.stream, call.wishes.include_usage, call.wishes.return_progress) == (True, True, True)
    assert chat(logprobs=True).request.top_logprobs == 0
    assert chat(logprobs=False).request.top_logprobs is None
    assert refused(top_logprobs=2)["param"] == "top_logprobs"


def test_text_completions() -> None:
    assert text_call({"prompt": "a"}, PUBLISHED).request.prompt == Text("a")
    assert text_call({"prompt": ["a"]}, PUBLISHED).request.prompt == Text("a")
    assert text_call({"prompt": "a", "suffix": "b"}, PUBLISHED).request.prompt == Infill("a", "b")
    assert text_call({"prompt": "a", "logprobs": 3}, PUBLISHED).request.top_logprobs == 3
    unserved: list[Any] = [["a", "b"], [1, 2], [[1]]]
    senseless: list[Any] = [None, 5, {"a": 1}]
    for prompt in unserved:
        with pytest.raises(UnsupportedFeature, match="prompt"):
            text_call({"prompt": prompt}, PUBLISHED)
    for prompt in senseless:
        with pytest.raises(UsageError, match="prompt"):
            text_call({"prompt": prompt}, PUBLISHED)


def test_probabilities_of_infill() -> None:
    body = {"input_prefix": "", "input_suffix": ""}
    assert infill_call(body | {"n_probs": 0}, PUBLISHED).request.top_logprobs is None
    assert infill_call(body | {"n_probs": 4}, PUBLISHED).request.top_logprobs == 4


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"null",
        b"5",
        b'"text"',
        b"{",
        b"\xff\xfe",
        b'{"a": NaN}',
        b'{"a": -Infinity}',
        b'{"a": "\\ud800"}',
        b'{"\\udfff": 1}',
        b'{"a": ' + b"9" * 5000 + b"}",
        b'{"a": ' * (DEEPEST + 1) + b"1" + b"}" * (DEEPEST + 1),
        b"[" * 200_000,
        b'{"a":' * 200_000,
    ],
    ids=lambda body: repr(body[:20]),
)
def test_a_body_that_is_no_json_object_is_refused(body: bytes) -> None:
    with pytest.raises(UsageError, match=r"the body|half a surrogate"):
        parse_object(body)


def test_a_whole_pair_is_a_character() -> None:
    assert parse_object(b'{"a": "\\ud83c\\udf0d"}') == {"a": "🌍"}
