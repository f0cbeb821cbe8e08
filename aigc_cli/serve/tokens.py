"""llama-server's routes about the model's vocabulary and chat template: nothing here waits for the engine."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request as HttpRequest
from starlette.routing import Route
from starlette.types import ASGIApp

from aigc_cli.engine.base import Engine, ModelText
from aigc_cli.errors import UnsupportedFeature
from aigc_cli.serve.answering import JsonAnswer
from aigc_cli.serve.fields import Fields, parse_object, required
from aigc_cli.serve.guard import read_body
from aigc_cli.serve.prompts import decode_chat

Answer = Callable[[ModelText, Fields], dict[str, Any]]


def token_routes(engine: Engine, most_bytes: int) -> list[Route]:
    """Routes that answer from the model's text; an engine without one at hand refuses."""

    def endpoint(answer: Answer) -> Callable[[HttpRequest], Awaitable[ASGIApp]]:
        async def respond(request: HttpRequest) -> ASGIApp:
            """Read the body, then answer in a thread: a long text takes a while."""
            fields = Fields(parse_object(await read_body(request, most_bytes)))
            if not isinstance(engine, ModelText):
                raise UnsupportedFeature("this server's engine does not show the model's tokens")
            return JsonAnswer(await asyncio.to_thread(answer, engine, fields))

        return respond

    paths = {"/tokenize": _tokenize, "/detokenize": _detokenize, "/apply-template": _apply_template}
    return [Route(path, endpoint(answer), methods=["POST"]) for path, answer in paths.items()]


def _tokenize(model: ModelText, fields: Fields) -> dict[str, Any]:
    text = required(fields, "content", fields.text("content"))
    special, add_bos = fields.flag("parse_special"), fields.flag("add_special")
    tokens = model.tokenize(text, special=special is not False, add_bos=add_bos is True)
    if not fields.flag("with_pieces"):
        return {"tokens": tokens}
    return {"tokens": [{"id": token, "piece": _piece(model.spelling(token))} for token in tokens]}


def _piece(spelling: bytes) -> str | list[int]:
    """Text, or the bytes of a part of a character."""
    try:
        return spelling.decode("utf-8")
    except UnicodeDecodeError:
        return list(spelling)


def _detokenize(model: ModelText, fields: Fields) -> dict[str, Any]:
    tokens = required(fields, "tokens", fields.array("tokens"))
    if not all(_is_token(token, model.n_vocab) for token in tokens):
        fields.refuse("tokens", f"an array of token ids from 0 to {model.n_vocab - 1}")
    return {"content": b"".join(map(model.spelling, tokens)).decode("utf-8", "replace")}


def _is_token(value: Any, n_vocab: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < n_vocab


def _apply_template(model: ModelText, fields: Fields) -> dict[str, Any]:
    return {"prompt": model.chat_text(decode_chat(fields))}
