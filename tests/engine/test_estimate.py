"""The estimate for servers that do not count: never below what usual vocabularies take."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from aigc_cli.engine import estimate
from aigc_cli.engine.base import Chat, ContextFile, Infill, Message, Request, Text
from aigc_cli.engine.estimate import estimate_request, estimate_tokens
from aigc_cli.engine.model import Model
from tests.tiny_model import write_tiny_model

CHINESE = "请解释一下这段代码的作用,并指出其中可能存在的问题:时间复杂度是多少?龘靐齉爩"
PROSE = "The quick brown fox jumps over the lazy dog, and then it goes home to sleep. " * 5
CODE = Path(estimate.__file__).read_text(encoding="utf-8")
TEXTS = {
    "Chinese": CHINESE,
    "Chinese and code": f"用 Python 写一个函数 `def 求和(数列):`\n{CODE}",
    "Japanese and Korean": "このコードの問題点を説明してください。이 코드의 문제점을 설명해 주세요.",
    "Russian and German": "Объясни, что делает этот код. Größenänderungsbehandlung läuft über Äußerungen.",
    "emoji": "🙂🧑‍💻🇨🇳 done ✅",
    "English": PROSE,
    "code": CODE,
    "diff": "".join(f"+{line}\n" for line in CODE.splitlines()),
    "digits": "3.14159265358979 2718281828\n" * 9,
    "JSON": '{"a":[1,2,{"b":"x"}],"c":null},' * 9,
    "commits": "8366cea 68df49d f25ff81 b042e92 " * 5,
    "signs": "()[]{}<>!@#$%^&*-=+|\\/~`;:'\",.?_ " * 3,
}
MODELS = ("qwen2.5-coder-1.5b-instruct", "qwen2.5-coder-0.5b-instruct", "smollm2-135m-instruct")
NOT_ASCII = st.text(st.characters(min_codepoint=0x80, exclude_categories=["Cs"]), min_size=1)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Model]:
    """A vocabulary of single bytes: none takes more tokens."""
    model = Model(write_tiny_model(tmp_path_factory.mktemp("m") / "tiny.gguf"), cancelled=lambda: False)
    yield model
    model.close()


@given(NOT_ASCII)
@example(CHINESE)
def test_what_is_not_ascii_takes_no_vocabulary_more(tiny: Model, text: str) -> None:
    assert estimate_tokens(text) >= len(tiny.tokenize(text, special=False))


@given(st.text(st.characters(exclude_categories=["Cs"])), st.text(st.characters(exclude_categories=["Cs"])))
def test_a_longer_text_takes_no_less(text: str, more: str) -> None:
    assert estimate_tokens(f"{text}\n{more}") >= max(estimate_tokens(text), estimate_tokens(more))


def test_prose_is_not_taken_for_more_than_twice_its_words() -> None:
    assert estimate_tokens(PROSE) <= 2 * len(PROSE.split())


def test_half_a_character_does_no_harm() -> None:
    assert estimate_tokens("a\ud800") == 2


def test_all_parts_of_a_request_count() -> None:
    def size(prompt: Chat | Text | Infill) -> int:
        return estimate_request(Request(prompt))

    message = Message("user", PROSE)
    assert size(Text(PROSE)) > estimate_tokens(PROSE)
    assert size(Chat((message, message), PROSE)) > 3 * estimate_tokens(PROSE)
    assert size(Infill(PROSE, PROSE, (ContextFile("a", PROSE),))) > 3 * estimate_tokens(PROSE)


@pytest.mark.download
@pytest.mark.parametrize("name", MODELS)
def test_real_vocabularies_take_no_more(real_model: Callable[[str], Path], name: str) -> None:
    model = Model(real_model(name), cancelled=lambda: False)
    exact = {kind: len(model.tokenize(text, special=False)) for kind, text in TEXTS.items()}
    model.close()
    assert {kind: n for kind, n in exact.items() if n > estimate_tokens(TEXTS[kind])} == {}
    assert estimate_tokens(PROSE) <= 2 * exact["English"]
    assert estimate_tokens(CODE) <= 2 * exact["code"]
