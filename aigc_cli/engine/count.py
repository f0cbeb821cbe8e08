"""How many tokens a prompt takes on a server."""

from typing import Any, assert_never

from aigc_cli.engine.base import Chat, Infill, Request, Text
from aigc_cli.engine.client import Client
from aigc_cli.engine.dialect import Counting, Dialect
from aigc_cli.engine.encode import encode_messages
from aigc_cli.engine.estimate import estimate_request
from aigc_cli.errors import EngineError

_INFILL_MARKS = 8  # the tokens before prefix, suffix and middle, and around the names of files


def count_tokens(client: Client, dialect: Dialect, model: str, request: Request) -> int:
    """Length of a prompt in tokens; an estimate on the high side where the server does not count.

    Raises:
        AigcError: the server does not answer.
    """
    match dialect.counting:
        case Counting.LLAMA_SERVER:
            return _count_as_llama_server(client, dialect, model, request)
        case Counting.VLLM:
            return _count_as_vllm(client, dialect, model, request)
        case Counting.ESTIMATE:
            return estimate_request(request)
        case _:
            assert_never(dialect.counting)


def _count_as_llama_server(client: Client, dialect: Dialect, model: str, request: Request) -> int:
    match request.prompt:
        case Chat() as chat:
            body = {"model": model, **encode_messages(chat, dialect)}
            answer = client.fetch(f"{client.address.api}/chat/completions/input_tokens", body, model=model)
            return _number(answer.get("input_tokens"))
        case Text(text):
            return _n_tokens(client, {"content": text, "add_special": True})
        case Infill(prefix, suffix, extra):
            parts = [prefix, suffix, *(part for file in extra for part in (file.name, file.text))]
            return sum(_n_tokens(client, {"content": part}) for part in parts) + _INFILL_MARKS
        case _:
            assert_never(request.prompt)


def _count_as_vllm(client: Client, dialect: Dialect, model: str, request: Request) -> int:
    match request.prompt:
        case Chat() as chat:
            body = {"model": model, "add_generation_prompt": True, **encode_messages(chat, dialect)}
        case Text(text):
            body = {"model": model, "prompt": text}
        case Infill():
            return estimate_request(request)
        case _:
            assert_never(request.prompt)
    return _number(client.fetch(f"{client.address.root}/tokenize", body, model=model).get("count"))


def _n_tokens(client: Client, body: Any) -> int:
    tokens = client.fetch(f"{client.address.root}/tokenize", body).get("tokens")
    return len(tokens) if isinstance(tokens, list) else _number(None)


def _number(value: object) -> int:
    if not isinstance(value, int):
        raise EngineError("the server does not say how many tokens the prompt takes", "is it up to date?")
    return value
