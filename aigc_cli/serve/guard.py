"""Who may ask: the Host and Origin of a request, its key and its size, before anything reads it.

A page in a browser can send requests to this machine. It names its origin when it does, and a name that
was pointed at this machine to look like the page's own (DNS rebinding) shows in `Host`.
"""

import asyncio
import hmac
import ipaddress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.requests import Request as HttpRequest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from aigc_cli.errors import AigcError
from aigc_cli.serve.answering import send_json, send_refusal
from aigc_cli.serve.refusals import Refused, refusal_of

OPEN_TO_ALL = ("/health", "/v1/health")  # says nothing but that there is a server
READ_TIMEOUT_S = 30.0
LOCAL_NAMES = ("localhost",)
_PREFLIGHT = {
    "Access-Control-Allow-Methods": "GET, POST",
    "Access-Control-Allow-Headers": "Authorization, Content-Type, X-Api-Key",
    "Access-Control-Max-Age": "600",
}


@dataclass(frozen=True, slots=True)
class Rules:
    """What is let through.

    Attributes:
        api_key: None asks for none.
        host_names: names that `Host` may hold besides localhost and IP addresses; None: any name.
        origins: of pages in a browser that may ask, e.g. `https://chat.example`; `*`: any.
        most_bytes: longest body.
    """

    api_key: str | None = field(default=None, repr=False)
    host_names: tuple[str, ...] | None = ()
    origins: tuple[str, ...] = ()
    most_bytes: int = 16 * 2**20


class Guard:
    """ASGI middleware that turns away what the rules do not allow."""

    def __init__(self, app: ASGIApp, rules: Rules) -> None:
        self._app = app
        self._rules = rules

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass an allowed request on, with the headers that its page needs."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        try:
            allowed_origin = self._check_browser(headers)
            if allowed_origin and scope["method"] == "OPTIONS":
                await send_json(send, 200, {}, _PREFLIGHT | _allow(allowed_origin))
                return
            if scope["path"] not in OPEN_TO_ALL:
                self._check_key(headers)
            self._check_length(headers)
        except AigcError as error:
            await send_refusal(send, refusal_of(error))
            return
        await self._app(scope, receive, _with_origin(send, allowed_origin) if allowed_origin else send)

    def _check_browser(self, headers: Headers) -> str:
        """The origin to allow in the answer; empty when none is needed."""
        host = headers.get("host", "")
        if not self._knows_host(host):
            raise _forbidden(
                "host_not_allowed", "this Host is not served", "ask for localhost or the IP address"
            )
        origin = headers.get("origin")
        if origin is None or (host and origin.lower() == f"http://{host}".lower()):
            return ""
        if origin in self._rules.origins or "*" in self._rules.origins:
            return origin
        raise _forbidden(
            "origin_not_allowed", "pages of this origin may not ask", "start with --allow-origin"
        )

    def _knows_host(self, host: str) -> bool:
        names = self._rules.host_names
        if names is None:
            return True
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        return name in (*LOCAL_NAMES, *names) or _is_address(name)

    def _check_key(self, headers: Headers) -> None:
        key = self._rules.api_key
        if key is None:
            return
        given = headers.get("x-api-key", "")
        scheme, _, credentials = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            given = credentials.strip()
        # of bytes, and in a time that does not tell how much of it was right
        if not hmac.compare_digest(given.encode("utf-8"), key.encode("utf-8")):
            raise Refused(
                401,
                "authentication_error",
                "invalid_api_key",
                "the API key is missing or wrong",
                hint="send the header Authorization: Bearer KEY",
            )

    def _check_length(self, headers: Headers) -> None:
        length = headers.get("content-length", "0")
        if not length.isdigit() or int(length[:20]) > self._rules.most_bytes:
            raise too_large(self._rules.most_bytes)


async def read_body(request: HttpRequest, most_bytes: int) -> bytes:
    """The body of a request, also of one that does not say how long it is.

    Raises:
        Refused: it is too long, or does not come.
    """
    body = bytearray()
    try:
        async with asyncio.timeout(READ_TIMEOUT_S):
            async for part in request.stream():
                body += part
                if len(body) > most_bytes:
                    raise too_large(most_bytes)
    except TimeoutError:
        raise Refused(408, "invalid_request_error", "timeout", "the request's body did not come") from None
    return bytes(body)


def too_large(most_bytes: int) -> Refused:
    """The refusal of a body that is longer than that."""
    message = f"the body is longer than {most_bytes:,} bytes"
    return Refused(413, "invalid_request_error", "body_too_large", message)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        return False
    return True


def _forbidden(code: str, message: str, hint: str) -> Refused:
    return Refused(403, "permission_error", code, message, hint=hint)


def _allow(origin: str) -> dict[str, str]:
    return {"Access-Control-Allow-Origin": origin, "Vary": "Origin"}


def _with_origin(send: Send, origin: str) -> Send:
    async def send_allowed(message: Message) -> None:
        """The message, its headers naming the origin that may read it."""
        if message["type"] == "http.response.start":
            allowed = [
                (name.lower().encode(), value.encode("latin-1")) for name, value in _allow(origin).items()
            ]
            message = {**message, "headers": [*message["headers"], *allowed]}
        await send(message)

    return send_allowed
