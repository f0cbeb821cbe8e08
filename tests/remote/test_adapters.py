"""LoRA adapters on a server: those of a llama-server by number, and a clear word where there are none.

Source of the list: tools/server/README.md of llama.cpp, the version in llama-cpp-python 0.3.36.
"""

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from aigc_cli.engine.base import Adapter
from aigc_cli.engine.dialect import GENERIC, LLAMA_SERVER, OLLAMA, OPENAI, VLLM, Dialect
from aigc_cli.errors import ModelError, UnsupportedFeature
from tests.remote.engines import CHAT, chat, known_engine
from tests.remote.replaying_server import ReplayingServer, answer, delta, finish, stream

if TYPE_CHECKING:
    from tests.remote.replaying_server import Route

ADAPTED = replace(chat(), adapters=(Adapter("/home/me/style.gguf", 0.5),))


def test_llama_server_is_told_the_numbers_of_adapters() -> None:
    listed = [{"id": n, "path": f"/srv/{name}.gguf", "scale": 1.0} for n, name in enumerate(("sql", "style"))]
    routes: dict[str, Route] = {CHAT: stream(delta("hi"), finish()), "/lora-adapters": answer(listed)}
    with ReplayingServer.on_tcp(routes) as server:
        engine = known_engine(server.url, LLAMA_SERVER)
        list(engine.stream(ADAPTED))
        assert server.seen[-1].body["lora"] == [{"id": 0, "scale": 0.0}, {"id": 1, "scale": 0.5}]
        list(engine.stream(chat()))
        assert "lora" not in server.seen[-1].body
        with pytest.raises(ModelError, match=r"no adapter 'other\.gguf'"):
            list(engine.stream(replace(ADAPTED, adapters=(Adapter("other.gguf"),))))


def test_a_llama_server_without_a_list_of_adapters() -> None:
    with (
        ReplayingServer.on_tcp({"/lora-adapters": answer({"error": "?"}, "404 Not Found")}) as server,
        pytest.raises(UnsupportedFeature, match="does not list its LoRA adapters"),
    ):
        list(known_engine(server.url, LLAMA_SERVER).stream(ADAPTED))


@pytest.mark.parametrize("dialect", [VLLM, OLLAMA, OPENAI, GENERIC])
def test_a_server_that_takes_no_adapter_is_named(dialect: Dialect) -> None:
    with ReplayingServer.on_tcp({}) as server:
        with pytest.raises(UnsupportedFeature, match=f"^{dialect.name} takes no LoRA adapter") as caught:
            list(known_engine(server.url, dialect).stream(ADAPTED))
        assert not server.seen, "the request was sent all the same"
    assert ("--model NAME" in caught.value.hint) == (dialect is VLLM)
