"""A request's JSON to what the engine takes and how the answer is wanted.

The counterpart of what a client writes: any `Request` survives the way there and back.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from aigc_cli.engine.base import (
    MOST_ALTERNATIVES,
    MOST_CANDIDATES,
    Chat,
    Infill,
    Request,
    Sampling,
    Text,
)
from aigc_cli.serve.constraints import decode_constraint
from aigc_cli.serve.fields import Fields
from aigc_cli.serve.prompts import decode_chat, decode_infill, decode_text, text_of
from aigc_cli.serve.refusals import BadField
from aigc_cli.serve.sampling import decode_sampling, reply_limit
from aigc_cli.serve.unserved import refuse_unserved


@dataclass(frozen=True, slots=True)
class Wishes:
    """How a client wants its answer, whatever the engine says.

    Attributes:
        include_usage: a last chunk with the counts.
        return_progress: chunks that tell how far the prompt is read.
        prefill_only: read the prompt into the cache and say nothing.
        most_predict_ms: end the reply at a line break after so long; 0 sets no limit.
        least_indent: end the reply before a line that is indented less (spaces and tabs).
        fields: of /infill's answer, the only ones that are wanted, as paths such as `timings/prompt_n`.
    """

    stream: bool = False
    include_usage: bool = False
    return_progress: bool = False
    prefill_only: bool = False
    most_predict_ms: int = 0
    least_indent: int = 0
    fields: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Call:
    """One request of a client: what to answer, how, and who asks (empty: it did not say)."""

    request: Request
    wishes: Wishes
    client: str = ""


def chat_call(body: dict[str, Any], defaults: Sampling) -> Call:
    """Decode the body of /v1/chat/completions.

    Raises:
        UsageError: a field that makes no sense.
        UnsupportedFeature: a field that this server does not serve.
    """
    return _call(Fields(body), defaults, decode_chat, _chat_logprobs)


def text_call(body: dict[str, Any], defaults: Sampling) -> Call:
    """Decode the body of /v1/completions; raises as `chat_call`."""
    return _call(Fields(body), defaults, decode_text, lambda fields: _alternatives(fields, "logprobs"))


def infill_call(body: dict[str, Any], defaults: Sampling) -> Call:
    """Decode the body of /infill; raises as `chat_call`."""
    # n_probs 0, the default of llama-server's clients, asks for no probabilities
    return _call(
        Fields(body), defaults, decode_infill, lambda fields: _alternatives(fields, "n_probs") or None
    )


def _call(
    fields: Fields,
    defaults: Sampling,
    decode_prompt: Callable[[Fields], Chat | Text | Infill],
    decode_logprobs: Callable[[Fields], int | None],
) -> Call:
    refuse_unserved(fields)
    request = Request(
        prompt=decode_prompt(fields),
        sampling=decode_sampling(fields, defaults),
        constraint=decode_constraint(fields),
        prediction=_prediction(fields),
        candidates=_candidates(fields),
        top_logprobs=decode_logprobs(fields),
        private=fields.nested("x_aigc").flag("private") or False,
    )
    wishes = _wishes(fields)
    if request.candidates > 1 and (wishes.least_indent or wishes.most_predict_ms):
        raise BadField("n", "n is for replies that are not cut by n_indent or t_max_predict_ms")
    return Call(request, wishes, fields.text("user") or "")


def _wishes(fields: Fields) -> Wishes:
    least_indent, most_predict_ms = fields.whole("n_indent") or 0, fields.whole("t_max_predict_ms") or 0
    return Wishes(
        stream=fields.flag("stream") or False,
        include_usage=fields.nested("stream_options").flag("include_usage") or False,
        return_progress=fields.flag("return_progress") or False,
        prefill_only=reply_limit(fields) == 0,
        most_predict_ms=max(0, most_predict_ms),
        least_indent=max(0, least_indent),
        fields=fields.texts("response_fields") or (),
    )


def _prediction(fields: Fields) -> str:
    prediction = fields.nested("prediction")
    if "prediction" in fields and prediction.text("type") != "content":
        prediction.refuse("type", "content")
    return text_of(prediction, "content") or ""


def _candidates(fields: Fields) -> int:
    for name in ("n", "n_cmpl"):
        value = fields.whole(name)
        if value is None:
            continue
        if not 1 <= value <= MOST_CANDIDATES:
            fields.refuse(name, f"a number from 1 to {MOST_CANDIDATES}")
        return value
    return 1


def _chat_logprobs(fields: Fields) -> int | None:
    wanted, alternatives = fields.flag("logprobs"), _alternatives(fields, "top_logprobs")
    if alternatives is not None and not wanted:
        raise BadField("top_logprobs", "top_logprobs needs logprobs to be true")
    return (alternatives or 0) if wanted else None


def _alternatives(fields: Fields, name: str) -> int | None:
    value = fields.whole(name)
    if value is not None and not 0 <= value <= MOST_ALTERNATIVES:
        fields.refuse(name, f"a number from 0 to {MOST_ALTERNATIVES}")
    return value
