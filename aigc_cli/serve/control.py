"""The resident engine's own routes, beside those of `aigc serve`: greet it, look at it, stop it."""

import asyncio
import json
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from aigc_cli.errors import AigcError
from aigc_cli.serve.lifecycle import Lifecycle

if TYPE_CHECKING:
    from concurrent.futures import Future

    from starlette.types import ASGIApp

HELLO, STATUS, STOP = "/aigc/hello", "/aigc/status", "/aigc/stop"
Report = dict[str, Any]


class ResidentApp:
    """Serves its own routes from the start, and all others once the model is loaded.

    Args:
        version: of the program that started this process.
        lifecycle: told of all work.
        loading: becomes the app that answers requests for replies.
        status: what `aigc engine status` shows.
    """

    def __init__(
        self,
        version: str,
        lifecycle: Lifecycle,
        loading: "Future[ASGIApp]",
        status: Callable[[], Report],
    ) -> None:
        self._version = version
        self._lifecycle = lifecycle
        self._loading = loading
        self._status = status
        self._n_requests = 0
        self._sole_user = ""
        self._is_shared = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request (ASGI)."""
        if scope["type"] != "http":
            return
        if scope["path"] in (HELLO, STATUS, STOP):
            response = await self._control(Request(scope, receive))
            await response(scope, receive, send)
            return
        self._lifecycle.begin()
        self._n_requests += 1
        try:
            app = await asyncio.shield(asyncio.wrap_future(self._loading))
            # Connections of a Unix-domain socket have no address. Each command waits in line for itself.
            await app({**scope, "client": (f"request-{self._n_requests}", 0)}, receive, send)
        finally:
            self._lifecycle.end()

    async def _control(self, request: Request) -> Response:
        path, is_post = request.url.path, request.method == "POST"
        if path == STATUS and not is_post:
            return JSONResponse(self._status())
        if path == STATUS or not is_post:
            return Response(status_code=405)
        fields = _fields(await request.body())
        if path == HELLO:
            return await self._hello(fields)
        if "sole_user" in fields and not self._is_only_for(fields["sole_user"]):
            return JSONResponse({"leaves": False})
        self._lifecycle.leave("it was told to", at_once=not fields.get("drain"))
        return JSONResponse({"leaves": True})

    def _is_only_for(self, user: object) -> bool:
        """Whether nobody else has come here, and nothing is at work."""
        return user == self._sole_user and not self._is_shared and not self._lifecycle.n_working

    def _note_user(self, user: object) -> None:
        """Remember whether one client has this engine to itself; one without a name is everybody."""
        name = user if isinstance(user, str) else ""
        self._is_shared = self._is_shared or not name or name != (self._sole_user or name)
        self._sole_user = self._sole_user or name

    async def _hello(self, fields: Report) -> Response:
        """Who is there, and whether the model is loaded; a client of this version may wait until it is."""
        keep_alive = fields.get("keep_alive")
        answer: Report = {"version": self._version, "pid": os.getpid()}
        if fields.get("version") != self._version:
            return JSONResponse(answer)
        self._note_user(fields.get("user"))
        self._lifecycle.greet(float(keep_alive) if isinstance(keep_alive, int | float) else None)
        if fields.get("wait"):
            self._lifecycle.begin()
            try:
                await asyncio.wait([asyncio.wrap_future(self._loading)])
            finally:
                self._lifecycle.end()
                self._lifecycle.greet()
        if not self._loading.done():
            return JSONResponse(answer | {"state": "loading"})
        if error := self._loading.exception():
            return JSONResponse(answer | {"failure": failure_fields(error)})
        return JSONResponse(answer)


def failure_fields(error: BaseException) -> Report:
    """A failure in the form that `residence.failure_from` reads."""
    if isinstance(error, AigcError):
        return {"message": error.message, "hint": error.hint, "kind": type(error).__name__}
    message = "out of memory" if isinstance(error, MemoryError) else f"{type(error).__name__}: {error}"
    return {"message": message, "hint": "aigc engine log", "kind": "ModelLoadError"}


def _fields(body: bytes) -> Report:
    try:
        fields = json.loads(body or b"{}")
    except ValueError:
        return {}
    return fields if isinstance(fields, dict) else {}
