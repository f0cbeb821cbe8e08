"""/infill, as the editor plug-ins of llama.cpp ask for it: fields and answers written from their sources.

llama.vim (autoload/llama.vim) and llama.vscode (src/llama-server.ts), as of 2025.
"""

import json
from typing import Any

import pytest

from aigc_cli.engine.base import ContextFile, EngineInfo, Infill
from aigc_cli.events import FinishReason
from tests.scripted_engine import ScriptedEngine
from tests.serve.servers import Running, serving

VIM: dict[str, Any] = {
    "input_prefix": "def add(a, b):\n",
    "input_suffix": "\nprint(add(1, 2))\n",
    "input_extra": [{"text": "x = 1\n", "time": [1, 2], "filename": "other.py"}],
    "prompt": "    ret",
    "n_predict": 128,
    "n_indent": 4,
    "top_k": 40,
    "top_p": 0.99,
    "stream": False,
    "samplers": ["top_k", "top_p", "infill"],
    "cache_prompt": True,
    "t_max_prompt_ms": 500,
    "t_max_predict_ms": 1000,
    "response_fields": [
        "content",
        "timings/prompt_n",
        "timings/prompt_ms",
        "timings/prompt_per_token_ms",
        "timings/prompt_per_second",
        "timings/predicted_n",
        "timings/predicted_ms",
        "timings/predicted_per_token_ms",
        "timings/predicted_per_second",
        "truncated",
        "tokens_cached",
    ],
}
VSCODE_WARM_UP: dict[str, Any] = {
    "input_prefix": "",
    "input_suffix": "",
    "input_extra": [{"text": "x = 1\n", "time": 1700000000000, "filename": "other.py"}],
    "prompt": "",
    "n_predict": 0,
    "samplers": [],
    "cache_prompt": True,
    "t_max_prompt_ms": 500,
    "t_max_predict_ms": 1,
}


def filler(*replies: str, **knobs: Any) -> ScriptedEngine:
    return ScriptedEngine([*replies], EngineInfo("scripted", 4096, has_infill=True), **knobs)


def test_llama_vim_gets_what_it_reads() -> None:
    engine = filler("urn a + b")
    with serving(engine) as server:
        answer = server.post("/infill", VIM).json()
    assert set(answer) == set(VIM["response_fields"])
    assert answer["content"] == "urn a + b"
    assert answer["timings/predicted_n"] == 4
    request = engine.requests[0]
    assert request.prompt == Infill(
        "def add(a, b):\n    ret", "\nprint(add(1, 2))\n", (ContextFile("other.py", "x = 1\n"),)
    )
    assert (request.sampling.top_p, request.sampling.min_p, request.sampling.max_tokens) == (0.99, 0.0, 128)
    assert request.sampling.infill


def test_llama_vscode_warms_the_cache_up_and_gets_no_text() -> None:
    engine = filler("never shown")
    with serving(engine) as server:
        answer = server.post("/infill", VSCODE_WARM_UP).json()
    assert (answer["content"], answer["tokens_predicted"], answer["stop"]) == ("", 0, True)
    assert engine.requests[0].prompt == Infill("", "", (ContextFile("other.py", "x = 1\n"),))
    assert not engine.requests[0].sampling.infill


def test_llama_vscode_gets_what_it_reads() -> None:
    body = {key: value for key, value in VIM.items() if key != "response_fields"}
    with serving(filler("urn a + b")) as server:
        answer = server.post("/infill", body).json()
    assert (answer["content"], answer["truncated"], answer["stop_type"]) == ("urn a + b", False, "eos")
    assert answer["tokens_cached"] > 0
    assert {"prompt_n", "prompt_ms", "prompt_per_second", "predicted_n", "predicted_ms"} <= set(
        answer["timings"]
    )


CUT_BY_INDENT = [
    ("a\n    b\nc", 4, "a\n    b"),
    ("a\n    b\n\n    c", 4, "a\n    b\n\n    c"),
    ("a\n\t\tb\n\tc", 2, "a\n\t\tb"),
    ("a\n\n\n", 4, "a\n\n\n"),
    ("a", 4, "a"),
    ("\nb", 1, ""),
    ("a\nb", 0, "a\nb"),
    ("one two\n  three\n\n four", 2, "one two\n  three"),
]


@pytest.mark.parametrize(("reply", "n_indent", "kept"), CUT_BY_INDENT)
@pytest.mark.parametrize("stream", [False, True])
def test_a_suggestion_ends_where_the_indentation_does(
    reply: str,
    n_indent: int,
    kept: str,
    stream: bool,  # noqa: FBT001  # a case
) -> None:
    body = {"input_prefix": "", "input_suffix": "", "n_indent": n_indent, "stream": stream}
    with serving(filler(reply)) as server:
        answer = server.post("/infill", body)
    if stream:
        parts = [line.removeprefix("data: ") for line in answer.text.splitlines() if line]
        assert "[DONE]" not in parts
        chunks = [json.loads(part) for part in parts]
        assert [chunk["stop"] for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
        assert "".join(chunk["content"] for chunk in chunks) == kept
    else:
        assert answer.json()["content"] == kept


def test_a_suggestion_ends_at_a_line_break_when_it_takes_too_long() -> None:
    engine = filler("\n".join(["slow"] * 100), delay_s=0.02)
    body = {"input_prefix": "", "input_suffix": "", "t_max_predict_ms": 100}
    with serving(engine) as server:
        answer = server.post("/infill", body).json()
    assert 0 < answer["content"].count("slow") < 50
    assert answer["stop_type"] == "limit"


def test_a_reply_that_went_round_in_circles_says_so() -> None:
    with serving(filler("a a a", finish_reason=FinishReason.LOOP)) as server:
        answer = server.post("/infill", {"input_prefix": "", "input_suffix": ""}).json()
    assert (answer["stop_type"], answer["x_aigc"]) == ("limit", {"finish_reason": "loop"})


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"input_prefix": None}, "input_prefix"),
        ({"input_suffix": 1}, "input_suffix"),
        ({"input_extra": {}}, "input_extra"),
        ({"input_extra": [{"filename": "x"}]}, "input_extra[0].text"),
        ({"input_extra": ["x"]}, "input_extra[0]"),
        ({"prompt": ["x"]}, "prompt"),
        ({"samplers": ["nonsense"]}, "samplers"),
        ({"lora": [{"id": 0, "scale": 0.5}]}, "lora[0].id"),
        ({"n_predict": -2}, "n_predict"),
        ({"n": 2, "n_indent": 4}, "n"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(server: Running, change: dict[str, Any], param: str) -> None:
    answer = server.post("/infill", VIM | change)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)
