"""LoRA adapters of a server: listed, chosen by each request, refused where they make no sense."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aigc_cli.engine.base import Adapter, Chat, Message, Request, Sampling, Text
from aigc_cli.engine.llama import LlamaEngine
from aigc_cli.errors import ModelError
from aigc_cli.serve.adapters import ServedAdapters
from tests.engine.replies import reply
from tests.remote.engines import engine_at
from tests.scripted_engine import ScriptedEngine
from tests.serve.servers import Running, serving
from tests.tiny_adapter import write_tiny_adapter

BODY: dict[str, Any] = {"prompt": "hello", "max_tokens": 12, "temperature": 0}
GREEDY = Sampling(temperature=0, max_tokens=12)
HELLO = Request(Text("hello"), GREEDY)


@pytest.fixture
def own(tmp_path: Path) -> tuple[Adapter, ...]:
    """Two of the server's: one as it was trained, one switched off."""
    paths = [write_tiny_adapter(tmp_path / f"{name}.gguf", seed=n) for n, name in enumerate(("sql", "style"))]
    return (Adapter(str(paths[0])), Adapter(str(paths[1]), 0.0))


@pytest.fixture
def server(tiny: LlamaEngine, own: tuple[Adapter, ...]) -> Iterator[Running]:
    with serving(tiny, adapters=ServedAdapters(own)) as running:
        yield running


def said(server: Running, **change: Any) -> str:
    answer = server.post("/v1/completions", BODY | change)
    assert answer.status_code == 200, answer.text
    text: str = answer.json()["choices"][0]["text"]
    return text


def direct(engine: LlamaEngine, *adapters: Adapter) -> str:
    return reply(engine, Request(Text("hello"), GREEDY, adapters=adapters))


def test_they_are_listed_without_their_directories(server: Running) -> None:
    with server.client() as client:
        listed = client.get("/lora-adapters").json()
    assert listed == [
        {"id": 0, "path": "sql.gguf", "scale": 1.0},
        {"id": 1, "path": "style.gguf", "scale": 0.0},
    ]


def test_each_request_chooses(server: Running, tiny: LlamaEngine, own: tuple[Adapter, ...]) -> None:
    sql, style = own[0], Adapter(own[1].file)
    none, by_default, other = direct(tiny), direct(tiny, sql), direct(tiny, style)
    assert len({none, by_default, other}) == 3
    assert said(server) == by_default
    assert said(server, lora=[{"id": 1, "scale": 1.0}]) == other
    assert said(server, lora=[]) == none
    assert said(server, lora=[{"id": 0, "scale": 0}, {"id": 1}]) == none
    assert said(server) == by_default


@pytest.mark.parametrize(
    ("lora", "param"),
    [
        ([{"id": 2, "scale": 1}], "lora[0].id"),
        ([{"id": -1}], "lora[0].id"),
        ([{"scale": 1}], "lora[0].id"),
        ([{"id": 0, "scale": "much"}], "lora[0].scale"),
        ([{"id": 0, "path": "/etc/passwd"}], "lora[0].path"),
        (["sql"], "lora[0]"),
        ({"id": 0}, "lora"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(server: Running, lora: Any, param: str) -> None:
    answer = server.post("/v1/completions", BODY | {"lora": lora})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


def test_a_scale_out_of_range_and_one_named_twice(server: Running) -> None:
    for lora in ([{"id": 0, "scale": 99}], [{"id": 0, "scale": 1}, {"id": 0, "scale": 2}]):
        answer = server.post("/v1/completions", BODY | {"lora": lora})
        assert (answer.status_code, answer.json()["error"]["type"]) == (400, "invalid_request_error")


def test_nobody_sets_them_for_all(server: Running) -> None:
    answer = server.post("/lora-adapters", [{"id": 0, "scale": 0}])
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "unsupported_feature")


def test_a_server_without_adapters_says_how_it_gets_them() -> None:
    with serving(ScriptedEngine(["hi"])) as server:
        answer = server.post("/v1/completions", BODY | {"lora": [{"id": 0, "scale": 1}]})
        assert answer.status_code == 400
        assert "--lora" in answer.json()["error"]["message"]
        assert said(server, lora=[]) == "hi"


def test_a_client_names_them_by_their_files(
    server: Running, tiny: LlamaEngine, own: tuple[Adapter, ...]
) -> None:
    remote = engine_at(server.url)
    chosen = Request(Text("hello"), GREEDY, adapters=(Adapter("/elsewhere/style.gguf"),))
    assert reply(remote, chosen) == direct(tiny, Adapter(own[1].file))
    assert reply(remote, Request(Text("hello"), GREEDY, adapters=())) == direct(tiny)
    assert reply(remote, HELLO) == direct(tiny, own[0])
    with pytest.raises(ModelError, match=r"no adapter 'other\.gguf'") as caught:
        reply(remote, Request(Text("hello"), GREEDY, adapters=(Adapter("other.gguf"),)))
    assert "sql.gguf, style.gguf" in caught.value.hint


def test_an_engine_of_ones_own_reads_any_file(tiny: LlamaEngine, own: tuple[Adapter, ...]) -> None:
    with serving(tiny, adapters=ServedAdapters(reads_files=True)) as server:
        assert said(server, lora=[{"path": own[0].file, "scale": 1.0}]) == direct(tiny, own[0])
        assert said(server) == direct(tiny)
        for path in ("sql.gguf", "", None):
            answer = server.post("/v1/completions", BODY | {"lora": [{"path": path, "scale": 1}]})
            assert (answer.status_code, answer.json()["error"]["param"]) == (400, "lora[0].path")


def test_a_file_that_is_gone_keeps_its_message_and_exit_code(tiny: LlamaEngine, tmp_path: Path) -> None:
    with serving(tiny, adapters=ServedAdapters([Adapter(str(tmp_path / "gone.gguf"))])) as server:
        remote = engine_at(server.url)
        with pytest.raises(ModelError, match=r"gone\.gguf can't be read") as caught:
            reply(remote, Request(Chat((Message("user", "hi"),)), GREEDY))
        assert caught.value.hint
