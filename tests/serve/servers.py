"""A real server on a loopback port, in a thread of its own."""

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
from openai import OpenAI

from aigc_cli.engine.base import Engine, Request
from aigc_cli.events import Event
from aigc_cli.serve.app import ServeOptions, Service, serve_app
from aigc_cli.serve.guard import Rules
from aigc_cli.serve.listening import HttpServer, bind
from aigc_cli.serve.turns import Turns

START_TIMEOUT_S = 60


@dataclass
class Running:
    """A server at work."""

    url: str
    port: int
    server: HttpServer
    turns: Turns
    bugs: list[BaseException] = field(default_factory=list)
    clients: list[OpenAI] = field(default_factory=list)

    def client(self, **options: Any) -> httpx2.Client:
        # plain HTTP: reading the certificates takes longer than the requests
        return httpx2.Client(base_url=self.url, timeout=90, trust_env=False, verify=False, **options)

    def openai(self, **options: Any) -> OpenAI:
        given: dict[str, Any] = {"api_key": "none", "max_retries": 0, "timeout": 90} | options
        self.clients.append(OpenAI(base_url=f"{self.url}/v1", **given))
        return self.clients[-1]

    def post(self, path: str, body: Any, **options: Any) -> httpx2.Response:
        with self.client() as client:
            return client.post(path, json=body, **options)


@contextmanager
def serving(
    engine: Engine, rules: Rules | None = None, *, path: Path | None = None, **options: Any
) -> Iterator[Running]:
    """Serve an engine on a free port or a Unix socket; at the end nothing unexpected may have happened."""
    if path is None:
        address = bind("127.0.0.1", 0)
        port = address.getsockname()[1]
    else:
        address, port = socket.socket(socket.AF_UNIX), 0
        address.bind(str(path))
        address.listen()
    ready = threading.Event()
    bugs: list[BaseException] = []
    made: list[tuple[HttpServer, Turns]] = []

    def run() -> None:
        service = Service(
            engine,
            ServeOptions(time.monotonic, time.time, rules or Rules(), on_bug=bugs.append, **options),
        )
        server = HttpServer(serve_app(service), service.turns, ready.set)
        made.append((server, service.turns))
        with asyncio.Runner() as runner:
            runner.run(server.serve([address]))

    thread = threading.Thread(target=run, name="server")
    thread.start()
    assert ready.wait(START_TIMEOUT_S)
    running = Running(f"http://127.0.0.1:{port}", port, *made[0], bugs)
    try:
        yield running
    finally:
        for client in running.clients:
            client.close()
        running.server.stop()
        running.server.stop()
        thread.join(START_TIMEOUT_S)
    assert not thread.is_alive()
    assert bugs == []


class Recorded:
    """An engine that remembers what it said."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.info = engine.info
        self.events: list[Event] = []

    def stream(self, request: Request) -> Iterator[Event]:
        for event in self._engine.stream(request):
            self.events.append(event)
            yield event

    def count(self, request: Request) -> int:
        return self._engine.count(request)

    def cancel(self) -> None:
        self._engine.cancel()

    def close(self) -> None:
        self._engine.close()
