"""What each kind of server is sent, and what is made of its answers.

Sources of the fixtures:

- Ollama: docs/api/openai-compatibility.mdx and openai/openai.go of github.com/ollama/ollama (v0.13);
  docs.ollama.com/api/ps (v0.40) for `context_length` of what is loaded; docs/context-length.mdx there at
  948f693 for the window of 4,096 tokens where memory is small.
- vLLM: vllm/entrypoints of the package vllm 0.33.0 (openai/chat_completion/protocol.py,
  serve/tokenize/protocol.py, serve/engine/protocol.py), and
  docs.vllm.ai/en/stable/serving/openai_compatible_server.html.
- OpenAI: the API reference at platform.openai.com/docs/api-reference/chat of 2026.
- llama-server: tools/server/README.md of llama.cpp, the version in llama-cpp-python 0.3.36;
  test_llama_server.py runs the program itself.
"""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from aigc_cli.engine.base import (
    Chat,
    Choices,
    ContextFile,
    Grammar,
    Infill,
    JsonSchema,
    Message,
    Request,
    Sampling,
    Text,
)
from aigc_cli.engine.dialect import AIGC, DIALECTS, GENERIC, LLAMA_SERVER, OLLAMA, OPENAI, VLLM, Dialect
from aigc_cli.engine.encode import encode
from aigc_cli.engine.estimate import estimate_request
from aigc_cli.errors import (
    AigcError,
    ContextOverflow,
    EngineError,
    ModelError,
    UnsupportedFeature,
    UsageError,
)
from aigc_cli.events import Done, FinishReason
from tests.remote.engines import CHAT, HELLO, chat, done_of, engine_at, known_engine, text_of
from tests.remote.replaying_server import ReplayingServer, Route, answer, delta, finish, models, stream

SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}

OLLAMA_ROUTES: dict[str, Route] = {
    "/api/version": answer({"version": "0.13.3"}),
    "/v1/models": models("qwen2.5-coder:1.5b", owned_by="library", created=1686935002),
    "/api/ps": answer({"models": []}),
    "/api/show": answer(
        {
            "parameters": 'num_keep  24\nstop  "<|im_end|>"\nnum_ctx                        8192',
            "model_info": {"general.architecture": "qwen2", "qwen2.context_length": 32768},
            "capabilities": ["completion", "insert"],
        }
    ),
}
VLLM_ROUTES: dict[str, Route] = {
    "/v1/models": models(
        "Qwen/Qwen2.5-Coder-7B", owned_by="vllm", max_model_len=16384, root="x", parent=None
    ),
    "/version": answer({"version": "0.33.0"}),
    "/tokenize": answer({"count": 31, "max_model_len": 16384, "tokens": [1, 2], "token_strs": None}),
}
LLAMA_ROUTES: dict[str, Route] = {
    "/props": answer(
        {
            "default_generation_settings": {
                "n_ctx": 4096,
                "params": {
                    "temperature": 0.800000011920929,
                    "top_k": 40,
                    "seed": 4294967295,
                    "max_tokens": -1,
                },
            },
            "total_slots": 4,
            "model_alias": "/models/qwen.gguf",
            "chat_template": "{{ x }}",
        }
    ),
    "/v1/chat/completions/input_tokens": answer({"input_tokens": 42, "object": "response.input_tokens"}),
    "/tokenize": answer({"tokens": [1, 2, 3]}),
}


def body_of(request: Request, dialect: Dialect) -> dict[str, Any]:
    return encode(request, "m", dialect).body


def test_ollama_is_recognized_by_its_own_routes() -> None:
    with ReplayingServer.on_tcp(dict(OLLAMA_ROUTES)) as server:
        engine = engine_at(server.url)
        assert engine.dialect is OLLAMA
        assert (engine.info.model, engine.info.n_ctx) == ("qwen2.5-coder:1.5b", 8192)
        assert engine.info.has_infill


def test_the_window_of_a_model_that_ollama_has_loaded() -> None:
    running = answer({"models": [{"name": "qwen2.5-coder:1.5b", "context_length": 2048}]})
    with ReplayingServer.on_tcp(OLLAMA_ROUTES | {"/api/ps": running}) as server:
        assert engine_at(server.url).info.n_ctx == 2048


def test_ollama_gives_4096_tokens_where_nobody_asked_for_more() -> None:
    shown = answer({"parameters": "", "model_info": {"llama.context_length": 131072}})
    with ReplayingServer.on_tcp(OLLAMA_ROUTES | {"/api/show": shown}) as server:
        assert engine_at(server.url).info.n_ctx == 4096
        assert engine_at(server.url, n_ctx=16384).info.n_ctx == 16384


def test_a_prompt_that_ollama_would_cut_is_refused() -> None:
    with ReplayingServer.on_tcp(dict(OLLAMA_ROUTES)) as server:
        engine = engine_at(server.url)
        with pytest.raises(ContextOverflow) as caught:
            list(engine.stream(chat("word " * 9000)))
        assert "cut it silently" in caught.value.hint
        assert server.bodies(CHAT) == []


def test_vllm_is_recognized_by_its_list_of_models() -> None:
    with ReplayingServer.on_tcp(dict(VLLM_ROUTES)) as server:
        engine = engine_at(server.url)
        assert engine.dialect is VLLM
        assert (engine.info.model, engine.info.n_ctx) == ("Qwen/Qwen2.5-Coder-7B", 16384)
        assert engine.count(chat(prefix="```")) == 31
        asked = server.bodies("/tokenize")[0]
        assert asked["messages"][-1] == {"role": "assistant", "content": "```"}
        assert (asked["continue_final_message"], asked["add_generation_prompt"]) == (True, False)


def test_llama_server_is_recognized_by_one_request() -> None:
    with ReplayingServer.on_tcp(dict(LLAMA_ROUTES)) as server:
        engine = engine_at(f"{server.url}/v1/")
        assert engine.dialect is LLAMA_SERVER
        assert (engine.info.model, engine.info.n_ctx) == ("qwen.gguf", 4096)
        assert (engine.info.sampling.temperature, engine.info.sampling.seed) == (0.8, None)
        assert [each.path for each in server.seen] == ["/props"]
        assert engine.count(chat()) == 42
        assert engine.count(Request(Text("abc"))) == 3


def test_our_own_server_is_recognized_over_a_socket(tmp_path: Path) -> None:
    props = {
        "default_generation_settings": {"n_ctx": 2048, "params": {}},
        "model_alias": "tiny",
        "x_aigc": {},
    }
    routes: dict[str, Route] = {"/props": answer(props), CHAT: stream(delta("hi"), finish())}
    with ReplayingServer.on_unix(routes, tmp_path / "s") as server:
        engine = engine_at(server.url)
        assert engine.dialect is AIGC
        assert text_of(engine.stream(chat())) == "hi"


def test_a_gateway_below_a_path() -> None:
    routes: dict[str, Route] = {
        "/api/v1/models": models("a/b", context_length=200_000),
        "/api/v1/chat/completions": stream(delta("hi"), finish()),
    }
    with ReplayingServer.on_tcp(routes) as server:
        engine = engine_at(f"{server.url}/api/v1", key="sk-1")
        assert engine.dialect is GENERIC
        assert (engine.info.model, engine.info.n_ctx) == ("a/b", 200_000)
        assert text_of(engine.stream(chat())) == "hi"
        assert {each.headers.get("authorization") for each in server.seen} == {"Bearer sk-1"}


def test_several_models_and_none_named() -> None:
    with ReplayingServer.on_tcp({"/v1/models": models("a", "b")}) as server:
        with pytest.raises(UsageError, match="several models: a, b"):
            _ = engine_at(server.url).info
        assert engine_at(server.url, model="b").info.model == "b"
        assert engine_at(server.url).model_names() == ("a", "b")


def test_no_model_at_all() -> None:
    with (
        ReplayingServer.on_tcp({"/v1/models": models()}) as server,
        pytest.raises(ModelError, match="no model"),
    ):
        _ = engine_at(server.url).info


def test_a_key_that_is_refused_is_told_at_the_first_question() -> None:
    routes: dict[str, Route] = {
        "/v1/models": answer({"error": {"message": "Invalid API Key"}}, "401 Unauthorized")
    }
    with ReplayingServer.on_tcp(routes) as server, pytest.raises(EngineError, match="API key"):
        _ = engine_at(server.url).info


def test_a_web_site_is_no_chat_server() -> None:
    routes: dict[str, Route] = {"/v1/models": answer(b"<html>", kind="text/html")}
    with ReplayingServer.on_tcp(routes) as server, pytest.raises(EngineError, match="web page"):
        _ = engine_at(server.url).info


def test_every_value_reaches_llama_server() -> None:
    sampling = Sampling(1.1, 32, 0.5, 20, 0.9, 0.1, 0.3, 7, 99, ("END",), 0.2, -0.3)
    body = body_of(Request(HELLO, sampling, candidates=3, top_logprobs=0), LLAMA_SERVER)
    assert body["messages"] == [{"role": "user", "content": "hello"}]
    expected = {
        "repeat_penalty": 1.1,
        "repeat_last_n": 32,
        "dry_multiplier": 0.5,
        "top_k": 20,
        "top_p": 0.9,
        "min_p": 0.1,
        "temperature": 0.3,
        "seed": 7,
        "max_tokens": 99,
        "stop": ["END"],
        "frequency_penalty": 0.2,
        "presence_penalty": -0.3,
        "n": 3,
        "logprobs": True,
        "top_logprobs": 1,
        "return_progress": True,
        "stream": True,
    }
    assert {name: body[name] for name in expected} == expected


def test_only_what_somebody_chose_is_sent_to_a_server_with_values_of_its_own() -> None:
    chosen = replace(VLLM.recommended, temperature=0.2, unset=("top_p", "top_k", "min_p", "repeat_last_n"))
    body = body_of(Request(HELLO, replace(chosen, repeat_penalty=1.2)), VLLM)
    assert body["temperature"] == 0.2
    assert body["repetition_penalty"] == 1.2
    assert not {"top_p", "top_k", "min_p", "repeat_penalty", "repeat_last_n"} & body.keys()


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda each: each.name)
def test_a_plain_question_works_everywhere(dialect: Dialect) -> None:
    body = body_of(Request(HELLO, dialect.recommended, prediction="x", private=True), dialect)
    assert body["messages"] == [{"role": "user", "content": "hello"}]
    assert ("prediction" in body) is (dialect is AIGC)
    assert ("x_aigc" in body) is (dialect is AIGC)


LACKING: list[tuple[Dialect, Request, str]] = [
    (OLLAMA, Request(HELLO, replace(OLLAMA.recommended, top_k=5, unset=())), "top_k"),
    (GENERIC, Request(HELLO, replace(GENERIC.recommended, min_p=0.1, unset=())), "min_p"),
    (VLLM, Request(HELLO, replace(VLLM.recommended, dry_multiplier=0.8, unset=())), "dry_multiplier"),
    (VLLM, Request(HELLO, replace(VLLM.recommended, infill=True)), "sampler for filling in"),
    (OLLAMA, Request(HELLO, OLLAMA.recommended, candidates=2), "several candidates"),
    (GENERIC, Request(HELLO, GENERIC.recommended, Grammar('root ::= "a"')), "grammars"),
    (GENERIC, Request(Text("a"), GENERIC.recommended, JsonSchema("{}")), "JSON schema outside a chat"),
    (VLLM, Request(Infill("a", "b"), VLLM.recommended), "filling in the middle"),
    (OLLAMA, Request(Infill("a", "b", (ContextFile("c", "d"),)), OLLAMA.recommended), "neighbouring files"),
    (OLLAMA, Request(Text("a"), OLLAMA.recommended, top_logprobs=1), "token probabilities"),
]


@pytest.mark.parametrize(("dialect", "request_", "feature"), LACKING)
def test_what_a_server_lacks_is_named(dialect: Dialect, request_: Request, feature: str) -> None:
    with pytest.raises(UnsupportedFeature, match=feature) as caught:
        encode(request_, "m", dialect)
    assert dialect.name in caught.value.message


def test_constraints_in_each_dialect() -> None:
    schema, grammar, choices = JsonSchema(json.dumps(SCHEMA)), Grammar('root ::= "a"'), Choices(("yes", "no"))

    def fields(constraint: JsonSchema | Grammar | Choices, dialect: Dialect) -> dict[str, Any]:
        body = body_of(Request(HELLO, dialect.recommended, constraint), dialect)
        return {
            name: body[name]
            for name in ("response_format", "grammar", "structured_outputs", "x_aigc")
            if name in body
        }

    wanted = {"type": "json_schema", "json_schema": {"name": "reply", "schema": SCHEMA}}
    for dialect in (AIGC, LLAMA_SERVER, VLLM):
        assert fields(schema, dialect) == {"response_format": wanted}
    for dialect in (OLLAMA, OPENAI, GENERIC):
        assert fields(schema, dialect)["response_format"]["json_schema"]["strict"] is True
    assert fields(grammar, AIGC) == fields(grammar, LLAMA_SERVER) == {"grammar": 'root ::= "a"'}
    assert fields(grammar, VLLM) == {"structured_outputs": {"grammar": 'root ::= "a"'}}
    assert fields(choices, AIGC) == {"x_aigc": {"choices": ["yes", "no"]}}
    assert fields(choices, LLAMA_SERVER) == {"grammar": 'root ::= "yes" | "no"'}
    assert fields(choices, VLLM) == {"structured_outputs": {"choice": ["yes", "no"]}}
    text = encode(Request(Text("a"), Sampling(), schema), "m", LLAMA_SERVER)
    assert (text.route, text.body["json_schema"]) == ("/completions", SCHEMA)


def test_openai_calls_the_limit_by_its_new_name() -> None:
    body = body_of(Request(HELLO, replace(OPENAI.recommended, max_tokens=5)), OPENAI)
    assert (body["max_completion_tokens"], "max_tokens" in body) == (5, False)


def test_a_choice_comes_out_of_its_wrapping() -> None:
    pieces = stream(delta('{"cho'), delta('ice": "no"}'), finish())
    with ReplayingServer.on_tcp({CHAT: pieces}) as server:
        events = list(known_engine(server.url).stream(chat(constraint=Choices(("yes", "no")))))
    assert text_of(events) == "no"
    assert isinstance(events[-1], Done)


def test_a_wrapped_choice_that_is_none() -> None:
    routes: dict[str, Route] = {CHAT: stream(delta("Well, yes."), finish())}
    with ReplayingServer.on_tcp(routes) as server, pytest.raises(EngineError, match="none of the choices"):
        list(known_engine(server.url).stream(chat(constraint=Choices(("yes", "no")))))


def test_a_server_that_can_only_be_asked_to_begin_so() -> None:
    pieces = stream(delta("Sure! Here it is:\n``"), delta("`python\npri"), delta("nt(1)\n"), finish())
    with ReplayingServer.on_tcp({CHAT: pieces}) as server:
        assert text_of(known_engine(server.url).stream(chat(prefix="```python\n"))) == "print(1)\n"
        assert "Begin your reply with exactly this" in server.bodies(CHAT)[0]["messages"][-1]["content"]


@pytest.mark.parametrize("reply", ["I can't do that.", "x" * 1000])
def test_a_model_that_does_not_begin_as_asked(reply: str) -> None:
    routes: dict[str, Route] = {CHAT: stream(delta(reply), finish())}
    with ReplayingServer.on_tcp(routes) as server, pytest.raises(UnsupportedFeature, match="begin"):
        list(known_engine(server.url).stream(chat(prefix="```python\n")))


def test_ollamas_suffix_fills_in_the_middle() -> None:
    encoded = encode(Request(Infill("def f(", "return x"), OLLAMA.recommended), "m", OLLAMA)
    assert encoded.route == "/completions"
    assert (encoded.body["prompt"], encoded.body["suffix"]) == ("def f(", "return x")


def test_infill_as_llama_server_answers_it() -> None:
    pieces = stream(
        {"index": 0, "content": "x):", "tokens": [1], "stop": False},
        {
            "index": 0,
            "content": "",
            "stop": True,
            "stop_type": "limit",
            "timings": {"predicted_n": 3, "prompt_n": 4},
        },
    )
    with ReplayingServer.on_tcp({"/infill": pieces}) as server:
        request = Request(Infill("def f(", "\n", (ContextFile("a.py", "A = 1"),)), Sampling())
        events = list(known_engine(server.url, LLAMA_SERVER).stream(request))
        body = server.bodies("/infill")[0]
    assert text_of(events) == "x):"
    assert done_of(events).finish_reason is FinishReason.LENGTH
    assert body["input_extra"] == [{"filename": "a.py", "text": "A = 1"}]


def test_an_estimate_is_rather_too_high() -> None:
    assert estimate_request(Request(Text("def main():\n    print('hello')\n" * 10))) > 10 * 9
    assert estimate_request(Request(Text("你好世界" * 10))) >= 40
    with ReplayingServer.on_tcp({}) as server:
        engine = known_engine(server.url)
        assert engine.count(chat("hi")) == estimate_request(chat("hi"))


def test_a_message_with_bytes_that_are_no_text_is_sent_all_the_same() -> None:
    with ReplayingServer.on_tcp({CHAT: stream(delta("ok"), finish())}) as server:
        request = Request(Chat((Message("user", "a\udcff b 你好"),)), GENERIC.recommended)
        assert text_of(known_engine(server.url).stream(request)) == "ok"
        assert server.bodies(CHAT)[0]["messages"][0]["content"] == "a? b 你好"


def test_a_schema_that_is_no_json() -> None:
    with pytest.raises(AigcError, match="no JSON"):
        encode(Request(HELLO, Sampling(), JsonSchema("{")), "m", VLLM)
