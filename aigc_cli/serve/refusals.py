"""What goes wrong, as HTTP: a status and OpenAI's error object, with aigc's hint and exit code beside it."""

from dataclasses import dataclass, field
from typing import Any

from aigc_cli.errors import (
    AigcError,
    ContextOverflow,
    EngineError,
    ExitCode,
    ModelError,
    UnsupportedFeature,
    UsageError,
)

OVERFLOW = "exceed_context_size_error"  # llama-server's name


class BadField(UsageError):
    """A field of a request holds what it can't hold; `param` names it."""

    def __init__(self, param: str, message: str, hint: str = "") -> None:
        super().__init__(message, hint)
        self.param = param


class UnservedField(UnsupportedFeature):
    """A field asks for something that this server does not do; `param` names it."""

    def __init__(self, param: str, message: str, hint: str = "") -> None:
        super().__init__(message, hint)
        self.param = param


class Refused(AigcError):
    """A request is turned away before anybody looks at what it asks.

    Attributes:
        status: of the HTTP response.
        kind: OpenAI's error type.
        code: OpenAI's error code.
        retry_after_s: when it may be worth another try; 0 says nothing about that.
    """

    def __init__(
        self, status: int, kind: str, code: str, message: str, *, hint: str = "", retry_after_s: int = 0
    ) -> None:
        super().__init__(message, hint)
        self.status = status
        self.kind = kind
        self.code = code
        self.retry_after_s = retry_after_s


@dataclass(frozen=True, slots=True)
class Refusal:
    """A status, a JSON body and headers that tell of an error."""

    status: int
    body: dict[str, Any]
    headers: dict[str, str] = field(default_factory=dict)


def refusal_of(error: BaseException) -> Refusal:
    """How an error is told to a client; what is no known error is told without its details."""
    if not isinstance(error, AigcError):
        body = _error("a bug in aigc; the server's own log says more", "server_error", "internal_error")
        return Refusal(500, body | {"x_aigc": {"hint": "", "exit_code": ExitCode.FAILURE.value}})
    status, kind, code = _classify(error)
    body = _error(error.message, kind, code, getattr(error, "param", None))
    if isinstance(error, ContextOverflow):
        body |= {"n_prompt_tokens": error.n_tokens, "n_ctx": error.n_ctx}
    body["x_aigc"] = {"hint": error.hint, "exit_code": error.exit_code.value}
    headers = {}
    if isinstance(error, Refused):
        if error.retry_after_s:
            headers["Retry-After"] = str(error.retry_after_s)
        if error.status == 401:  # noqa: PLR2004  # RFC 9110 asks for the challenge
            headers["WWW-Authenticate"] = "Bearer"
    return Refusal(status, body, headers)


def error_body(error: BaseException) -> dict[str, Any]:
    """The JSON object that tells of an error: `{"error": …}`."""
    return {"error": refusal_of(error).body}


# status, type and code of each branch of the tree; the first that fits
_KINDS: tuple[tuple[type[AigcError], tuple[int, str, str | None]], ...] = (
    (ContextOverflow, (400, OVERFLOW, "context_length_exceeded")),
    # 400 and not 501: clients repeat a request that got a status from 500 on
    (UnsupportedFeature, (400, "not_supported_error", "unsupported_feature")),
    (UsageError, (400, "invalid_request_error", None)),
    (ModelError, (503, "unavailable_error", "model_unavailable")),
    (EngineError, (500, "server_error", "engine_error")),
    (AigcError, (500, "server_error", None)),
)


def _classify(error: AigcError) -> tuple[int, str, str | None]:
    """Status, type and code."""
    if isinstance(error, Refused):
        return error.status, error.kind, error.code
    return next(answer for kind, answer in _KINDS if isinstance(error, kind))


def _error(message: str, kind: str, code: str | None, param: str | None = None) -> dict[str, Any]:
    return {"message": message, "type": kind, "param": param, "code": code}
