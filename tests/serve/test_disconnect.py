"""A client that goes away takes its request with it: waiting, in the prompt, in the reply."""

import json
import socket
import time
from collections.abc import Callable
from typing import Any

import pytest

from aigc_cli.engine.base import Chat, Request
from aigc_cli.engine.llama import LlamaEngine
from aigc_cli.events import Delta, Done, FinishReason
from tests.scripted_engine import ScriptedEngine
from tests.serve.servers import Recorded, Running, serving
from tests.serve.test_chat import HELLO

CHAT = "/v1/chat/completions"
LONG = " ".join(["word"] * 1000)
LAST = [{"role": "user", "content": "last"}]


def long_unless_last(request: Request) -> str:
    assert isinstance(request.prompt, Chat)
    return "next" if request.prompt.messages[-1].content == "last" else LONG


def send(server: Running, **body: Any) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=60)
    text = json.dumps({"messages": HELLO} | body).encode()
    head = f"POST {CHAT} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(text)}\r\n\r\n"
    connection.sendall(head.encode() + text)
    return connection


def read_until(connection: socket.socket, wanted: bytes) -> None:
    seen = b""
    while wanted not in seen:
        part = connection.recv(65536)
        assert part, seen
        seen += part


def wait_until(true: Callable[[], bool], within_s: float = 60) -> None:
    limit = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < limit
        time.sleep(0.005)


@pytest.mark.parametrize("stream", [True, False])
def test_a_reply_ends_when_nobody_listens(stream: bool) -> None:  # noqa: FBT001  # a case
    said: list[float] = []
    engine = ScriptedEngine([LONG, "next"], delay_s=0.1)
    with serving(engine) as server:
        connection = send(server, stream=stream)
        wait_until(lambda: len(engine.requests) == 1)
        time.sleep(0.1)
        connection.close()
        gone = time.monotonic()
        assert server.post(CHAT, {"messages": HELLO}).json()["choices"][0]["message"]["content"] == "next"
        said.append(time.monotonic() - gone)
    assert said[0] < 60  # the whole reply takes a hundred seconds


def test_a_prompt_is_read_no_further_when_nobody_waits() -> None:
    engine = ScriptedEngine(["never", "next"], prefill_steps=1000, prefill_delay_s=0.1)
    with serving(engine) as server:
        connection = send(server, stream=True)
        wait_until(lambda: len(engine.requests) == 1)
        connection.close()
        engine.prefill_steps = 1
        started = time.monotonic()
        assert server.post(CHAT, {"messages": HELLO}).status_code == 200
        assert time.monotonic() - started < 60  # reading the first prompt takes a hundred seconds


def test_one_that_waits_and_goes_is_never_begun() -> None:
    engine = ScriptedEngine([long_unless_last], delay_s=0.05)
    with serving(engine) as server:
        first = send(server, stream=True)
        wait_until(lambda: len(engine.requests) == 1)
        waiting = send(server, messages=[{"role": "user", "content": "impatient"}], stream=True)
        read_until(waiting, b'"queue":1')
        waiting.close()
        wait_until(lambda: server.turns.n_waiting == 0)
        first.close()
        assert server.post(CHAT, {"messages": LAST}).status_code == 200
    assert len(engine.requests) == 2


@pytest.mark.parametrize("stream", [True, False])
def test_a_real_engine_stops_in_the_middle_of_a_reply(endless: LlamaEngine, stream: bool) -> None:  # noqa: FBT001  # a case
    engine = Recorded(endless)
    with serving(engine) as server:
        connection = send(server, stream=stream, temperature=0, max_tokens=30_000)
        wait_until(lambda: sum(isinstance(event, Delta) for event in engine.events) > 1)
        connection.close()
        answer = server.post(CHAT, {"messages": HELLO, "max_tokens": 3, "temperature": 0}).json()
    first = next(event for event in engine.events if isinstance(event, Done))
    assert first.finish_reason is FinishReason.INTERRUPTED
    assert first.stats.reply_tokens < 30_000
    assert answer["usage"]["completion_tokens"] == 3


def test_a_real_engine_stops_in_the_middle_of_a_prompt(endless: LlamaEngine) -> None:
    engine = Recorded(endless)
    text = "".join(chr(97 + n % 26) for n in range(30_000))
    with serving(engine) as server:
        connection = send(server, messages=[{"role": "user", "content": text}], stream=True, max_tokens=5)
        wait_until(lambda: bool(engine.events))
        connection.close()
        wait_until(lambda: any(isinstance(event, Done) for event in engine.events))
    assert engine.events[-1].finish_reason is FinishReason.INTERRUPTED  # type: ignore[union-attr]  # a Done


def test_one_that_goes_before_the_engine_has_begun_is_ended_too() -> None:
    with serving(ScriptedEngine([long_unless_last], delay_s=0.1)) as server:
        for n in range(20):
            connection = send(server, stream=True)
            time.sleep(0.002 * (n % 3))
            connection.close()
        started = time.monotonic()
        assert server.post(CHAT, {"messages": LAST}).status_code == 200
        assert time.monotonic() - started < 60  # one whole reply of the others takes a hundred seconds
