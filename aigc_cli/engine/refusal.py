"""What a server's refusal means: an HTTP status and a body, or an error inside a stream, as one of ours."""

import json
import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from aigc_cli.engine.exchange import Answer
from aigc_cli.errors import (
    AigcError,
    ContextOverflow,
    EngineError,
    ExitCode,
    ModelError,
    UnsupportedFeature,
    UsageError,
)

MOST_BODY_BYTES = 4 << 20
_MOST_QUOTED = 300  # characters of a server's own words
_OVERFLOW_CODES = ("exceed_context_size_error", "context_length_exceeded")
# the texts of servers that have no code for it; the numbers are the window, the prompt, or what is too much
_OVERFLOW_TEXT = re.compile(
    r"maximum (?:context|model) length|max(?:imum)? context (?:length|size|window)"
    r"|available context size"
    r"|context (?:length|window) (?:was |is )?exceeded|exceeds? the (?:model's )?context"
    r"|prompt (?:is )?too long"
    r"|longer than the maximum model length",
    re.IGNORECASE,
)
_WINDOW = re.compile(
    r"(?:context length|context size|context window|model length)(?: is| of)? \(?(\d+)", re.IGNORECASE
)
# the first that matches: some texts name the length of the prompt and that of the whole request
_PROMPT = (
    re.compile(r"contains (?:at least )?(\d+) input tokens"),
    re.compile(r"\((\d+) (?:tokens )?in the messages"),
    re.compile(r"request \((\d+) tokens\)"),
    re.compile(r"(?:resulted in|you requested) (\d+) tokens"),
)
_MODEL_MISSING = re.compile(
    r"model\b.*\b(?:not found|does not exist|not exist|unknown)|no such model", re.IGNORECASE
)
_NOT_SUPPORTED = ("not_supported_error", "unsupported_feature")


class UncountedOverflow(ContextOverflow):
    """The prompt does not fit, and the server does not say by how much."""

    def __init__(self, said: str, hint: str) -> None:
        AigcError.__init__(self, f"the prompt does not fit the context window: {said}", hint)
        self.n_tokens = self.n_ctx = 0


def read_body(answer: Answer) -> bytes:
    """All of an answer that is no stream.

    Raises:
        EngineError: it is larger than any answer should be.
    """
    body = bytearray()
    for piece in answer.body:
        body += piece
        if len(body) > MOST_BODY_BYTES:
            raise EngineError(
                f"the server's answer is longer than {MOST_BODY_BYTES >> 20} MB", "check base_url"
            )
    return bytes(body)


def is_web_page(answer: Answer) -> bool:
    """Whether that is a page for people: the address of a site, or a gateway's login."""
    return "html" in answer.headers.get("content-type", "").lower()


def web_page(label: str) -> EngineError:
    """The error for a page where JSON should be."""
    return EngineError(
        f"{label} answers with a web page, not as a chat server", "check base_url; most end with /v1"
    )


def refusal(answer: Answer, label: str, model: str) -> AigcError:
    """The error that an answer with a status other than 200 means."""
    if HTTPStatus.MULTIPLE_CHOICES <= answer.status < HTTPStatus.BAD_REQUEST:
        place = answer.headers.get("location", "another address")
        return EngineError(f"{label} sends on to {place}", "set base_url to where the server is")
    body = read_body(answer)
    if is_web_page(answer) and answer.status not in _BY_STATUS:
        return web_page(label)
    error = _error_object(body)
    known = _known(error, model)
    if known is not None:
        return known
    what, hint = _BY_STATUS.get(answer.status, ("", ""))
    if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        what, hint = what or "the server failed", hint or "look at its log, and try again"
    if seconds := answer.headers.get("retry-after", ""):
        hint = f"try again in {seconds} s" if seconds.isdecimal() else hint
    said = _quoted(error) if not is_web_page(answer) else ""
    parts = [label, what or "the server refuses", said]
    return EngineError(": ".join(part for part in parts if part) + f" (HTTP {answer.status})", hint)


_BY_STATUS: Mapping[int, tuple[str, str]] = {
    401: ("it wants an API key that it knows", "OPENAI_API_KEY or api_key_command gives it"),
    403: ("access is refused", "has this API key the right to do that?"),
    404: ("it has no such route", "check base_url; most end with /v1"),
    405: ("it has no such route", "check base_url; most end with /v1"),
    413: ("the request is too large for it", "attach fewer files"),
    429: ("too many requests, or a quota is used up", "try again later"),
    502: ("the gateway reaches no server", "look at the gateway's log, and try again"),
    503: ("it is not ready", "wait until its model is loaded, and try again"),
    504: ("the gateway waited in vain for the server", "look at the gateway's log, and try again"),
}


def streamed_error(chunk: Mapping[str, Any], label: str, model: str) -> AigcError:
    """The error that an object in a stream tells of."""
    error = _unwrap(chunk)
    return _known(error, model) or EngineError(
        f"{label}: {_quoted(error) or 'the server failed in the middle of its answer'}",
        "look at the server's log, and try again",
    )


def _known(error: Mapping[str, Any], model: str) -> AigcError | None:
    """Errors whose meaning does not depend on the status."""
    message = str(error.get("message") or "")
    kinds = {error.get("type"), error.get("code")}
    if kinds & set(_OVERFLOW_CODES) or _OVERFLOW_TEXT.search(message):
        return _overflow(error, message)
    if own := _own_error(error, message):
        return own
    if kinds & set(_NOT_SUPPORTED):
        return UnsupportedFeature(f"the server can't do that: {_quoted(error)}", _hint(error))
    if "model_not_found" in kinds or _MODEL_MISSING.search(message):
        return ModelError(
            f"the server has no model {model!r}", _hint(error) or "--model names one that it has"
        )
    return None


def _own_error(error: Mapping[str, Any], message: str) -> AigcError | None:
    """What `aigc serve` says, with the exit code that the error had there."""
    extra = error.get("x_aigc")
    if not isinstance(extra, Mapping):
        return None
    try:
        code = ExitCode(extra.get("exit_code", ExitCode.FAILURE))
    except ValueError:
        code = ExitCode.FAILURE
    kind: type[AigcError] = EngineError
    if error.get("type") in _NOT_SUPPORTED:
        kind = UnsupportedFeature
    elif code is ExitCode.USAGE:
        kind = UsageError
    elif code is ExitCode.NO_MODEL:
        kind = ModelError
    return kind(message or "the server failed", _hint(error))


def _hint(error: Mapping[str, Any]) -> str:
    extra = error.get("x_aigc")
    return str(extra.get("hint") or "") if isinstance(extra, Mapping) else ""


def _overflow(error: Mapping[str, Any], message: str) -> AigcError:
    hint = _hint(error) or "shorten it, attach fewer files, or give the server a larger window"
    n_tokens, n_ctx = error.get("n_prompt_tokens"), error.get("n_ctx")
    if not isinstance(n_tokens, int) or not isinstance(n_ctx, int):
        window = _WINDOW.search(message)
        prompt = next((found for pattern in _PROMPT if (found := pattern.search(message))), None)
        if window is None or prompt is None:
            return UncountedOverflow(_quoted(error), hint)
        n_ctx, n_tokens = int(window[1]), int(prompt[1])
    return ContextOverflow(n_tokens, n_ctx, hint)


def _error_object(body: bytes) -> Mapping[str, Any]:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return {"message": body.decode("utf-8", "replace").strip()}
    return _unwrap(value)


def _unwrap(value: Any) -> Mapping[str, Any]:
    """The error object, however a server wraps it."""
    if not isinstance(value, Mapping):
        return {"message": str(value)}
    inner = value.get("error", value.get("detail", value))
    if not isinstance(inner, Mapping):
        return {"message": str(inner)}
    if "x_aigc" in value and "x_aigc" not in inner:
        return {**inner, "x_aigc": value["x_aigc"]}
    return inner


def _quoted(error: Mapping[str, Any]) -> str:
    text = " ".join(str(error.get("message") or "").split())
    return text if len(text) <= _MOST_QUOTED else f"{text[:_MOST_QUOTED]}…"
