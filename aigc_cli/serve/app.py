"""The routes: what OpenAI's clients and llama-server's ask for, answered by one engine."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect
from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from aigc_cli import __version__
from aigc_cli.engine.base import Engine, ModelText, Sampling
from aigc_cli.errors import AigcError, UnsupportedFeature
from aigc_cli.serve.adapters import ServedAdapters
from aigc_cli.serve.answering import Answering, JsonAnswer, send_refusal, to_json
from aigc_cli.serve.decoding import Call, chat_call, infill_call, text_call
from aigc_cli.serve.fields import parse_object
from aigc_cli.serve.guard import Guard, Rules, read_body
from aigc_cli.serve.refusals import Refused, refusal_of
from aigc_cli.serve.replies import (
    FINGERPRINT,
    ChatDialect,
    Dialect,
    Head,
    InfillDialect,
    TextDialect,
)
from aigc_cli.serve.sampling import NUMBERS
from aigc_cli.serve.tokens import token_routes
from aigc_cli.serve.turns import MOST_WAITING, Turns, Watch

ADAPTERS = "/lora-adapters"
SHOWN = (*NUMBERS, "top_k", "repeat_last_n")
Decode = Callable[[dict[str, Any], Sampling], Call]


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """How to serve.

    Attributes:
        rules: whose requests are taken.
        most_waiting: requests in line; more are turned away.
        clock: monotonic seconds.
        now: seconds since 1970.
        on_bug: told of exceptions that nobody expects.
        private: nothing of any request may be written to disk.
        watch: shown every event of every reply.
        adapters: what requests may put over the model's weights.
    """

    clock: Callable[[], float]
    now: Callable[[], float]
    rules: Rules = field(default_factory=Rules)
    most_waiting: int = MOST_WAITING
    on_bug: Callable[[BaseException], None] = lambda _error: None
    private: bool = False
    watch: Watch | None = None
    adapters: ServedAdapters = field(default_factory=ServedAdapters)


class Service:
    """The engine, its line, and the answers of each route."""

    def __init__(self, engine: Engine, options: ServeOptions) -> None:
        self.engine = engine
        self.options = options
        self.turns = Turns(engine, most_waiting=options.most_waiting, watch=options.watch)
        self._started_at = int(options.now())

    def routes(self) -> list[BaseRoute]:
        """What is served."""
        return [
            *(Route(path, self._health) for path in ("/health", "/v1/health")),
            Route("/props", self._props),
            *(Route(path, self._models) for path in ("/v1/models", "/models")),
            Route("/v1/models/{name:path}", self._model),
            Route(ADAPTERS, self._list_adapters),
            self._post(ADAPTERS, self._set_adapters),
            *(self._post(path, self._chat) for path in ("/v1/chat/completions", "/chat/completions")),
            self._post("/v1/completions", self._text),
            self._post("/infill", self._infill),
            self._post("/v1/chat/completions/input_tokens", self._input_tokens),
            *token_routes(self.engine, self.options.rules.most_bytes),
        ]

    def _post(self, path: str, endpoint: Callable[[HttpRequest], Awaitable[ASGIApp]]) -> Route:
        return Route(path, endpoint, methods=["POST"])

    async def _health(self, _request: HttpRequest) -> ASGIApp:
        return JsonAnswer({"status": "ok"})

    async def _props(self, _request: HttpRequest) -> ASGIApp:
        info = self.engine.info
        sampling = {name: getattr(info.sampling, name) for name in SHOWN}
        params = sampling | {"stop": list(info.sampling.stop), "max_tokens": info.sampling.max_tokens or -1}
        text = (
            {"chat_template": self.engine.chat_template or ""} if isinstance(self.engine, ModelText) else {}
        )
        return JsonAnswer(
            {
                **text,
                "default_generation_settings": {"n_ctx": info.n_ctx, "params": params | {"seed": -1}},
                "total_slots": 1,
                "model_alias": info.model,
                "model_path": info.model,
                "modalities": {"vision": False, "audio": False},
                "build_info": FINGERPRINT,
                "is_sleeping": False,
                "x_aigc": {
                    "version": __version__,
                    "has_chat_template": info.has_chat_template,
                    "has_infill": info.has_infill,
                },
            }
        )

    async def _list_adapters(self, _request: HttpRequest) -> ASGIApp:
        return JsonAnswer(self.options.adapters.listed())

    async def _set_adapters(self, _request: HttpRequest) -> ASGIApp:
        raise UnsupportedFeature(
            "no client sets the LoRA adapters of all",
            "a request's own lora field says what is in force for it",
        )

    async def _models(self, _request: HttpRequest) -> ASGIApp:
        return JsonAnswer({"object": "list", "data": [self._model_object()]})

    async def _model(self, request: HttpRequest) -> ASGIApp:
        if request.path_params["name"] != self.engine.info.model:
            raise _not_found(f"this server has the model {self.engine.info.model} only")
        return JsonAnswer(self._model_object())

    def _model_object(self) -> dict[str, Any]:
        info = self.engine.info
        return {
            "id": info.model,
            "object": "model",
            "created": self._started_at,
            "owned_by": "aigc",
            "meta": {"n_ctx": info.n_ctx},
        }

    async def _chat(self, request: HttpRequest) -> ASGIApp:
        call = await self._decode(request, chat_call)
        return self._answering(request, call, ChatDialect(self._head("chatcmpl")))

    async def _text(self, request: HttpRequest) -> ASGIApp:
        call = await self._decode(request, text_call)
        return self._answering(request, call, TextDialect(self._head("cmpl")))

    async def _infill(self, request: HttpRequest) -> ASGIApp:
        call = await self._decode(request, infill_call)
        return self._answering(request, call, InfillDialect(self._head("infill"), call.wishes.fields))

    async def _input_tokens(self, request: HttpRequest) -> ASGIApp:
        call = await self._decode(request, chat_call)
        return JsonAnswer({"input_tokens": await self._length(call), "object": "response.input_tokens"})

    async def _length(self, call: Call) -> int:
        return await asyncio.to_thread(self.engine.count, call.request)

    async def _decode(self, request: HttpRequest, decode: Decode) -> Call:
        body = await read_body(request, self.options.rules.most_bytes)
        fields = parse_object(body)
        call = decode(fields, self.engine.info.sampling)
        private = call.request.private or self.options.private
        adapters = self.options.adapters.wanted(fields)
        return replace(call, request=replace(call.request, private=private, adapters=adapters))

    def _head(self, kind: str) -> Head:
        return Head(f"{kind}-{secrets.token_hex(12)}", int(self.options.now()), self.engine.info.model)

    def _answering(self, request: HttpRequest, call: Call, dialect: Dialect) -> ASGIApp:
        connection = f"{request.client.host}:{request.client.port}" if request.client else ""
        return Answering(self.turns, call, dialect, call.client or connection, self.options.clock)


class Refusals:
    """ASGI middleware: errors become OpenAI's error object, and no client ever sees a traceback."""

    def __init__(self, app: ASGIApp, on_bug: Callable[[BaseException], None]) -> None:
        self._app = app
        self._on_bug = on_bug

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on; tell of an error if nothing was sent yet."""
        started = False

        async def send_noted(message: Message) -> None:
            """Send, and note that there is no way back."""
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(scope, receive, send_noted)
        except (ClientDisconnect, OSError):  # nobody is left to tell
            return
        except Exception as error:  # noqa: BLE001  # the one boundary of a request
            if not isinstance(error, AigcError):
                self._on_bug(error)
            if not started:
                await send_refusal(send, refusal_of(error))


def serve_app(service: Service, extra_routes: Sequence[BaseRoute] = ()) -> ASGIApp:
    """The ASGI application: guarded, its routes those of the service and these; a server runs it."""
    return Starlette(
        routes=[*service.routes(), *extra_routes],
        middleware=[
            Middleware(Guard, rules=service.options.rules),
            Middleware(Refusals, on_bug=service.options.on_bug),
        ],
        exception_handlers={404: _unknown_path, 405: _wrong_method},
    )


async def _unknown_path(request: HttpRequest, _error: Exception) -> Response:
    return _as_response(_not_found(f"nothing is served at {request.url.path}"))


async def _wrong_method(request: HttpRequest, _error: Exception) -> Response:
    message = f"{request.method} is not for {request.url.path}"
    return _as_response(Refused(405, "invalid_request_error", "method_not_allowed", message))


def _as_response(error: Refused) -> Response:
    refusal = refusal_of(error)
    body = to_json({"error": refusal.body})
    return Response(body, refusal.status, refusal.headers, media_type="application/json")


def _not_found(message: str) -> Refused:
    return Refused(404, "not_found_error", "not_found", message)
