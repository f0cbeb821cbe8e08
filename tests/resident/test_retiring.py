"""An engine that its only user needs no more goes at once; one that others use stays."""

import asyncio
import json
from concurrent.futures import Future
from pathlib import Path

import pytest
from starlette.types import Message

from aigc_cli.serve.control import HELLO, STOP, ResidentApp
from aigc_cli.serve.lifecycle import Lifecycle
from tests.resident.command import aigc
from tests.resident.engines import World, ask, is_alive


def test_an_engine_that_one_client_had_to_itself_ends_with_it(world: World) -> None:
    engine = world.open()
    list(engine.stream(ask("hello")))
    pid = world.pid
    engine.retire()
    assert not is_alive(pid)
    assert world.reports() == []


def test_an_engine_that_somebody_else_has_used_stays(world: World) -> None:
    first, second = world.open(), world.open()
    list(first.stream(ask("hello")))
    second.close()
    first.retire()
    assert [report["state"] for report in world.reports()] == ["idle"]


def told(app: ResidentApp, route: str, **fields: object) -> dict[str, object]:
    """The answer of an engine's own routes."""
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": json.dumps(fields).encode()}

    async def send(message: Message) -> None:
        sent.append(message)

    asyncio.run(app({"type": "http", "method": "POST", "path": route, "headers": []}, receive, send))
    answer: dict[str, object] = json.loads(sent[1]["body"])
    return answer


def test_an_engine_at_work_stays() -> None:
    lifecycle = Lifecycle(60, lambda: 0.0, lambda: 10**9, 0)
    app = ResidentApp("1", lifecycle, Future(), dict)
    told(app, HELLO, version="1", user="only")
    lifecycle.begin()
    assert told(app, STOP, drain=True, sole_user="only") == {"leaves": False}
    lifecycle.end()
    assert told(app, STOP, drain=True, sole_user="another") == {"leaves": False}
    assert told(app, STOP, drain=True, sole_user="only") == {"leaves": True}


def test_a_client_without_a_name_is_taken_for_somebody_else(world: World) -> None:
    engine = world.open()
    world.residence().reach()
    engine.retire()
    assert len(world.reports()) == 1


def test_another_window_in_a_chat_leaves_one_engine(
    byte_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIGC_RESIDENT", "1")
    monkeypatch.setenv("AIGC_KEEP_ALIVE", "60")
    lines = b"hello\n/set context 1024\nhello\n/set threads 1\nhello\n"
    try:
        talked = aigc("chat", "-m", str(byte_model), "--max-tokens", "5", stdin=lines)
        assert talked.returncode == 0, talked.stderr
        (left,) = json.loads(aigc("engine", "status", "--json").stdout)
        assert left["n_ctx"] == 1024
    finally:
        aigc("engine", "stop")
