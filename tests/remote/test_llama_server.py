"""The client against llama.cpp's own server with a real model."""

import os
import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from aigc_cli.engine.base import Chat, Choices, Grammar, JsonSchema, Message, Request, Sampling, Text
from aigc_cli.engine.connection import Timeouts
from aigc_cli.engine.dialect import LLAMA_SERVER
from aigc_cli.engine.estimate import estimate_request
from aigc_cli.errors import AigcError, ContextOverflow, EngineError, UnsupportedFeature
from aigc_cli.events import Delta, Done, FinishReason, Prefill
from benchmarks.native import find_program
from tests.remote.engines import chat, done_of, engine_at, text_of

START_TIMEOUT_S = 120
_ENV = dict(os.environ)  # as it is before a test replaces it
GREEDY = Sampling(temperature=0.0, max_tokens=12)
SERVER_KEY = "sk-test-only"
PATIENT = Timeouts(connect_s=30, first_byte_s=100, idle_s=60)

pytestmark = [
    pytest.mark.download,
    pytest.mark.skipif(
        find_program("llama-server", _ENV) is None, reason="python -m benchmarks.native builds llama-server"
    ),
]


@pytest.fixture(scope="module")
def url(real_model: Callable[[str], Path]) -> Iterator[str]:
    program = find_program("llama-server", _ENV)
    assert program is not None
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    options = ["--port", str(port), "-c", "4096", "-t", "2", "-np", "2", "--api-key", SERVER_KEY]
    argv = [str(program), "-m", str(real_model("smollm2-135m-instruct")), *options]
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        _wait_until_ready(f"http://127.0.0.1:{port}/health")
        yield f"http://127.0.0.1:{port}"
        process.terminate()


def _wait_until_ready(address: str) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(address, timeout=5):
                return
        except OSError:
            time.sleep(0.2)
    raise TimeoutError(address)


def greedy(text: str, prefix: str = "") -> Request:
    return Request(Chat((Message("user", text),), prefix), GREEDY)


def test_it_is_recognized(url: str) -> None:
    engine = engine_at(url, key=SERVER_KEY, timeouts=PATIENT)
    assert engine.dialect is LLAMA_SERVER
    assert engine.info.n_ctx == 2048
    assert engine.info.sampling.top_k == 40


def test_a_reply_with_progress_and_counts(url: str) -> None:
    engine = engine_at(url, key=SERVER_KEY, timeouts=PATIENT)
    request = greedy("Count: one two three " * 30)
    events = list(engine.stream(request))
    done = done_of(events)
    assert any(isinstance(each, Prefill) for each in events)
    assert text_of(events)
    assert done.stats.prompt_tokens == engine.count(request)
    assert (done.stats.reply_tokens, done.finish_reason) == (12, FinishReason.LENGTH)
    assert done.stats.decode_s > 0
    again = done_of(engine.stream(request))
    assert again.stats.cached_tokens > 0


def test_a_reply_is_continued_and_its_beginning_not_repeated(url: str) -> None:
    engine = engine_at(url, key=SERVER_KEY, timeouts=PATIENT)
    reply = text_of(engine.stream(greedy("Write a Python function.", "```python\ndef ")))
    assert reply
    assert "```python" not in reply
    assert not reply.startswith("def ")


def test_what_a_reply_must_be(url: str) -> None:
    engine = engine_at(url, key=SERVER_KEY, timeouts=PATIENT)
    schema = '{"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}'
    asked = replace(greedy("A number?"), sampling=replace(GREEDY, max_tokens=60))
    assert text_of(engine.stream(replace(asked, constraint=Choices(("left", "right"))))) in ("left", "right")
    assert text_of(engine.stream(replace(asked, constraint=Grammar('root ::= "你好"')))) == "你好"
    assert '"n"' in text_of(engine.stream(replace(asked, constraint=JsonSchema(schema))))
    plain = Request(Text("n = "), asked.sampling, JsonSchema(schema))
    assert '"n"' in text_of(engine.stream(plain))


@pytest.mark.parametrize("k", [0, 3])
def test_probabilities(url: str, k: int) -> None:
    events = list(
        engine_at(url, key=SERVER_KEY, timeouts=PATIENT).stream(replace(greedy("Hi"), top_logprobs=k))
    )
    tokens = [token for each in events if isinstance(each, Delta) for token in each.tokens]
    assert tokens
    assert all(token.logprob <= 0 and len(token.alternatives) == k for token in tokens)
    assert (
        b"".join(token.piece for token in tokens).decode("utf-8", "replace").startswith(text_of(events)[:5])
    )


def test_two_candidates(url: str) -> None:
    events = list(
        engine_at(url, key=SERVER_KEY, timeouts=PATIENT).stream(replace(greedy("Hi"), candidates=2))
    )
    texts = [
        text_of(each for each in events if isinstance(each, Delta) and each.candidate == i) for i in (0, 1)
    ]
    assert texts[0] == texts[1] != ""  # greedy
    assert [each.candidate for each in events if isinstance(each, Done)] == [0, 1]


def test_what_does_not_fit_and_what_it_lacks(url: str) -> None:
    engine = engine_at(url, key=SERVER_KEY, timeouts=PATIENT)
    with pytest.raises(ContextOverflow) as caught:
        list(engine.stream(greedy("hi there " * 3000)))
    assert caught.value.n_ctx == 2048
    assert caught.value.n_tokens > 6000
    from aigc_cli.engine.base import Infill

    with pytest.raises(UnsupportedFeature, match="Infill"):
        list(engine.stream(Request(Infill("a", "b"), GREEDY)))
    with pytest.raises(AigcError, match="grammar"):
        list(engine.stream(replace(greedy("x"), constraint=Grammar("root ::= ("))))


def test_a_wrong_key(url: str) -> None:
    with pytest.raises(EngineError, match="API key") as caught:
        list(engine_at(url, key="sk-wrong", timeouts=PATIENT).stream(greedy("x")))
    assert "sk-wrong" not in caught.value.message


@pytest.mark.parametrize("seconds", [0.05, 0.6])
def test_ctrl_c_in_prefill_and_in_the_reply(url: str, seconds: float) -> None:
    engine = engine_at(url, key=SERVER_KEY, timeouts=PATIENT)
    _ = engine.info
    request = Request(Chat((Message("user", f"{seconds} " * 300),)), Sampling(temperature=0.0))
    moments: list[float] = []

    def cancel() -> None:
        moments.append(time.monotonic())
        engine.cancel()

    threading.Timer(seconds, cancel).start()
    done = done_of(engine.stream(request))
    assert done.finish_reason is FinishReason.INTERRUPTED
    assert time.monotonic() - moments[0] < 2  # on a busy machine
    assert text_of(engine.stream(greedy("Hi")))


@pytest.mark.parametrize(
    "text",
    [
        "The quick brown fox jumps over the lazy dog, and then it goes home to sleep. " * 10,
        "def main(argv: list[str]) -> int:\n    for name in argv:\n        print(f'{name!r}: {len(name)}')\n"
        * 10,
        "请用中文解释一下这个函数的时间复杂度是多少。" * 10,
    ],
    ids=["English", "code", "Chinese"],
)
def test_the_estimate_for_other_servers_is_rather_too_high(url: str, text: str) -> None:
    exact, estimated = (
        engine_at(url, key=SERVER_KEY, timeouts=PATIENT).count(chat(text)),
        estimate_request(chat(text)),
    )
    assert exact <= estimated <= (2 if text.isascii() else 3) * exact
