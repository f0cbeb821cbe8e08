"""Many clients, one engine: places in line, fairness, limits, and a server that answers meanwhile."""

import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx2

from aigc_cli.engine.address import Address
from aigc_cli.engine.base import Chat, Message, Request
from aigc_cli.engine.client import Client
from aigc_cli.engine.remote import Expected, RemoteEngine
from aigc_cli.events import Event
from tests.scripted_engine import ScriptedEngine
from tests.serve.servers import Running, serving
from tests.serve.test_disconnect import read_until, send, wait_until

CHAT = "/v1/chat/completions"


def question(text: str, user: str = "", **more: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}], "user": user} | more


def asked(engine: ScriptedEngine) -> list[str]:
    prompts = [request.prompt for request in engine.requests]
    return [prompt.messages[-1].content for prompt in prompts if isinstance(prompt, Chat)]


def echo(request: Request) -> str:
    assert isinstance(request.prompt, Chat)
    return request.prompt.messages[-1].content


class Gate(ScriptedEngine):
    """Holds each request until it is let through."""

    def __init__(self) -> None:
        super().__init__([self._reply_to])
        self.gate = threading.Semaphore(0)

    def _reply_to(self, request: Request) -> str:
        self.gate.acquire()
        return echo(request)


def wait_for_line(engine: ScriptedEngine, server: Running, n_waiting: int) -> None:
    """Wait until one request runs and so many wait."""
    wait_until(lambda: (len(engine.requests), server.turns.n_waiting) == (1, n_waiting))


def test_clients_take_turns() -> None:
    engine = Gate()
    with serving(engine) as server, ThreadPoolExecutor(8) as pool:
        order = [("first", "x"), *((f"greedy {n}", "greedy") for n in range(4)), ("modest", "modest")]
        answers = []
        for n, (text, user) in enumerate(order):
            answers.append(pool.submit(server.post, CHAT, question(text, user)))
            wait_for_line(engine, server, n)
        for _ in order:
            engine.gate.release()
        for (text, _), answer in zip(order, answers, strict=True):
            assert answer.result().json()["choices"][0]["message"]["content"] == text
    assert asked(engine) == ["first", "greedy 0", "modest", "greedy 1", "greedy 2", "greedy 3"]


def test_processes_at_the_same_unix_socket_take_turns(tmp_path: Path) -> None:
    engine = Gate()
    address = Address("unix", str(tmp_path / "s"))

    def ask(text: str, user: str) -> list[Event]:
        client = Client(address, retry_pauses_s=())
        with closing(RemoteEngine(client, time.monotonic, Expected(user=user))) as far:
            return list(far.stream(Request(Chat((Message("user", text),)))))

    with serving(engine, path=tmp_path / "s") as server, ThreadPoolExecutor(8) as pool:
        order = [("first", "x"), *((f"greedy {n}", "greedy") for n in range(3)), ("modest", "modest")]
        for n, (text, user) in enumerate(order):
            pool.submit(ask, text, user)
            wait_for_line(engine, server, n)
        engine.gate.release(len(order))
    assert asked(engine) == ["first", "greedy 0", "modest", "greedy 1", "greedy 2"]


def chunks(lines: Iterator[str]) -> Iterator[dict[str, Any]]:
    for line in lines:
        if line.startswith("data: {"):
            yield json.loads(line.removeprefix("data: "))


def test_who_waits_is_told_the_place() -> None:
    engine = Gate()
    with serving(engine) as server, ThreadPoolExecutor(3) as pool, server.client() as client:
        for n in range(2):
            pool.submit(server.post, CHAT, question(f"before {n}", f"{n}"))
            wait_for_line(engine, server, n)
        with client.stream("POST", CHAT, json=question("me", "me", stream=True)) as answer:
            seen = chunks(answer.iter_lines())
            places = [next(seen)["choices"][0]["delta"]["role"]]
            for _ in range(2):
                places.append(next(seen)["x_aigc"]["queue"])
                engine.gate.release()
            engine.gate.release()
            text = "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in seen)
    assert places == ["assistant", 2, 1]
    assert text == "me"


def test_a_full_line_turns_away_and_says_when_to_come_again() -> None:
    engine = Gate()
    with serving(engine, most_waiting=4) as server:
        held = [send(server, user="running", stream=True)]
        wait_until(lambda: len(engine.requests) == 1)
        held += [send(server, user="greedy", stream=True) for _ in range(2)]
        for connection in held[1:]:
            read_until(connection, b'"queue"')
        refused = server.post(CHAT, question("x", "greedy"))
        assert (refused.status_code, refused.json()["error"]["code"]) == (429, "too_many_requests")
        assert int(refused.headers["retry-after"]) >= 1
        held += [send(server, user=f"other {n}", stream=True) for n in range(2)]
        for connection in held[3:]:
            read_until(connection, b'"queue"')
        refused = server.post(CHAT, question("x", "newcomer"))
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "queue_full")
        assert int(refused.headers["retry-after"]) >= 1
        for connection in held:
            connection.close()
        engine.gate.release(10)
        wait_until(lambda: server.post(CHAT, question("after", "newcomer")).status_code == 200)


def test_the_server_answers_while_it_decodes() -> None:
    engine = Gate()
    with serving(engine) as server, server.client() as client:
        running = send(server, stream=True)
        wait_until(lambda: len(engine.requests) == 1)
        for path in ("/health", "/props", "/v1/models"):
            assert client.get(path).status_code == 200
        count = client.post("/v1/chat/completions/input_tokens", json=question("one two three"))
        assert count.json()["input_tokens"] == 5
        engine.gate.release()
        running.close()


def test_eight_clients_at_once_get_their_own_answers() -> None:
    engine = ScriptedEngine([echo])
    with serving(engine) as server, ThreadPoolExecutor(8) as pool:
        wrong = sum(pool.map(lambda name: _mixed_up(server, name), range(8)))
    assert wrong == 0
    assert len(engine.requests) == 8 * 50


def _mixed_up(server: Running, name: int) -> int:
    """How many of a client's fifty answers are not its own."""
    wrong = 0
    with server.client() as client:
        for n in range(50):
            text = f"client {name} question {n}"
            wrong += _answer(client, text, stream=n % 2 == 1) != text
    return wrong


def _answer(client: httpx2.Client, text: str, *, stream: bool) -> str:
    if not stream:
        answer = client.post(CHAT, json=question(text))
        return str(answer.json()["choices"][0]["message"]["content"])
    with client.stream("POST", CHAT, json=question(text, stream=True)) as reply:
        pieces = [chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks(reply.iter_lines())]
    return "".join(pieces)
