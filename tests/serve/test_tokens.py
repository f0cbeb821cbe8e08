"""llama-server's routes about tokens and the template, with a real vocabulary."""

from collections.abc import Iterator

import pytest

from aigc_cli.engine.llama import LlamaEngine
from tests.scripted_engine import ScriptedEngine
from tests.serve.servers import Running, serving
from tests.tiny_model import CHATML

CHINESE = "你好 🌍 <|im_end|>\n"


@pytest.fixture
def served(tiny: LlamaEngine) -> Iterator[Running]:
    with serving(tiny) as running:
        yield running


def test_there_and_back(served: Running) -> None:
    tokens = served.post("/tokenize", {"content": CHINESE}).json()["tokens"]
    assert all(isinstance(token, int) for token in tokens)
    assert served.post("/detokenize", {"tokens": tokens}).json() == {"content": CHINESE}


def test_control_tokens_can_be_taken_as_text(served: Running) -> None:
    as_control = served.post("/tokenize", {"content": "<|im_end|>"}).json()["tokens"]
    as_text = served.post("/tokenize", {"content": "<|im_end|>", "parse_special": False}).json()["tokens"]
    assert len(as_control) == 1 < len(as_text)


def test_pieces_are_text_or_bytes(served: Running) -> None:
    answer = served.post("/tokenize", {"content": "hello é", "with_pieces": True}).json()["tokens"]
    assert [token["piece"] for token in answer] == ["hello", " ", [0xC3], [0xA9]]


@pytest.mark.parametrize("tokens", [[-1], [10**9], [2**31], [2**63], ["1"], [1.5], [True], [[1]], "1", None])
def test_what_is_no_token_is_refused(served: Running, tokens: object) -> None:
    answer = served.post("/detokenize", {"tokens": tokens})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "tokens")


def test_the_template_is_applied(served: Running) -> None:
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": "He"},
    ]
    assert served.post("/apply-template", {"messages": messages}).json() == {
        "prompt": "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nhi<|im_end|>\n"
        "<|im_start|>assistant\nHe"
    }


def test_the_count_is_that_of_the_template(served: Running) -> None:
    messages = [{"role": "user", "content": "hi"}]
    text = served.post("/apply-template", {"messages": messages}).json()["prompt"]
    n_tokens = len(served.post("/tokenize", {"content": text}).json()["tokens"])
    counted = served.post("/v1/chat/completions/input_tokens", {"messages": messages}).json()
    answer = served.post("/v1/chat/completions", {"messages": messages, "max_tokens": 1}).json()
    assert counted["input_tokens"] == n_tokens == answer["usage"]["prompt_tokens"]


def test_the_properties_show_the_template(served: Running) -> None:
    with served.client() as client:
        props = client.get("/props").json()
    assert props["chat_template"] == CHATML
    assert props["default_generation_settings"]["n_ctx"] == 2048
    assert props["default_generation_settings"]["params"]["top_k"] == 40
    assert props["total_slots"] == 1


def test_an_engine_that_does_not_show_its_tokens_says_so(engine: ScriptedEngine) -> None:
    with serving(engine) as server:
        answer = server.post("/tokenize", {"content": "x"})
    assert (answer.status_code, answer.json()["error"]["type"]) == (400, "not_supported_error")
