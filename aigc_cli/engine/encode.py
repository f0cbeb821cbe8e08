"""A Request to the JSON that a server takes; what the server lacks is refused by name, never left out."""

import json
from dataclasses import dataclass
from typing import Any, assert_never

from aigc_cli.engine.base import (
    Chat,
    Choices,
    Constraint,
    Grammar,
    Infill,
    JsonSchema,
    Message,
    Request,
    Sampling,
    Text,
)
from aigc_cli.engine.constrain import choices_to_gbnf
from aigc_cli.engine.dialect import NEUTRAL, Constraints, Continuation, Dialect, Infilling
from aigc_cli.errors import UnsupportedFeature, UsageError

CHOICE = "choice"  # the property that holds it where choices can only be a JSON schema

SAMPLING = (
    *("temperature", "top_p", "top_k", "min_p", "repeat_penalty", "repeat_last_n", "dry_multiplier"),
    *("frequency_penalty", "presence_penalty", "seed"),
)

# llama-server's names; what is not named is off
SAMPLERS_WITH_INFILL = ("penalties", "dry", "top_k", "top_p", "min_p", "infill", "temperature")

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Encoded:
    """A request as a server takes it.

    Attributes:
        route: below the server's root, or below its OpenAI routes.
        is_native: the route is below the root.
    """

    route: str
    body: Json
    is_native: bool = False


def encode(request: Request, model: str, dialect: Dialect) -> Encoded:
    """The route and the body of a request that streams its reply.

    Raises:
        UnsupportedFeature: the server lacks something that the request asks for; the message names it.
        UsageError: the request itself makes no sense.
    """
    route, prompt = _encode_prompt(request.prompt, dialect)
    is_chat = isinstance(request.prompt, Chat)
    body: Json = {"model": model, **prompt, "stream": True, "stream_options": {"include_usage": True}}
    body |= encode_sampling(request.sampling, dialect)
    body |= _encode_constraint(request.constraint, dialect, is_chat=is_chat)
    body |= _encode_candidates(request, dialect)
    body |= _encode_logprobs(request, dialect)
    if dialect.tells_progress:
        body |= {"return_progress": True, "cache_prompt": True}
    if request.prediction and dialect.has_prediction:  # it only changes how fast a reply comes
        body["prediction"] = {"type": "content", "content": request.prediction}
    if request.private and dialect.has_private:
        body.setdefault("x_aigc", {})["private"] = True
    return Encoded(route, body, is_native=route == "/infill")


def encode_messages(chat: Chat, dialect: Dialect) -> Json:
    """The messages of a chat, and how its reply begins."""
    messages = list(chat.messages)
    if not chat.reply_prefix:
        return {"messages": [_encode_message(message) for message in messages]}
    if dialect.continuation is Continuation.ASK:
        last = messages.pop()
        messages.append(Message(last.role, f"{last.content}\n\n{_wish(chat.reply_prefix)}"))
        return {"messages": [_encode_message(message) for message in messages]}
    messages.append(Message("assistant", chat.reply_prefix))
    body: Json = {"messages": [_encode_message(message) for message in messages]}
    if dialect.continuation is Continuation.FLAGS:
        # said outright: llama-server repeats the beginning in its reply when it has to find out by itself
        body |= {"continue_final_message": True, "add_generation_prompt": False}
    return body


def _wish(reply_prefix: str) -> str:
    return f"Begin your reply with exactly this, and nothing before it:\n{reply_prefix}"


def _encode_message(message: Message) -> Json:
    return {"role": message.role, "content": message.content}


def _encode_prompt(prompt: Chat | Text | Infill, dialect: Dialect) -> tuple[str, Json]:
    match prompt:
        case Chat():
            return "/chat/completions", encode_messages(prompt, dialect)
        case Text(text):
            return "/completions", {"prompt": text}
        case Infill():
            return _encode_infill(prompt, dialect)
        case _:
            assert_never(prompt)


def _encode_infill(prompt: Infill, dialect: Dialect) -> tuple[str, Json]:
    match dialect.infilling:
        case Infilling.ROUTE:
            extra = [{"filename": file.name, "text": file.text} for file in prompt.extra]
            return "/infill", {
                "input_prefix": prompt.prefix,
                "input_suffix": prompt.suffix,
                "input_extra": extra,
            }
        case Infilling.SUFFIX if prompt.extra:
            raise _lacks(dialect, "neighbouring files when it fills in the middle")
        case Infilling.SUFFIX:
            return "/completions", {"prompt": prompt.prefix, "suffix": prompt.suffix}
        case Infilling.NONE:
            raise _lacks(dialect, "filling in the middle")
        case _:
            assert_never(dialect.infilling)


def encode_sampling(sampling: Sampling, dialect: Dialect) -> Json:
    """The values that somebody chose, under the server's names."""
    body: Json = {}
    for name in SAMPLING:
        value = getattr(sampling, name)
        if value is None or name in sampling.unset:
            continue
        if name in dialect.sampling:
            body[dialect.sampling[name]] = value
        elif value not in NEUTRAL[name]:
            raise _lacks(dialect, name, f"leave --{name.replace('_', '-')} out")
    if sampling.infill and not dialect.has_infill_sampler:
        raise _lacks(dialect, "the sampler for filling in the middle")
    if sampling.infill:
        body["samplers"] = list(SAMPLERS_WITH_INFILL)
    if sampling.max_tokens is not None:
        body[dialect.max_tokens] = sampling.max_tokens
    if sampling.stop:
        body["stop"] = list(sampling.stop)
    return body


def _encode_candidates(request: Request, dialect: Dialect) -> Json:
    if request.candidates == 1:
        return {}
    if not dialect.many:
        raise _lacks(dialect, "several candidates at once", "ask for one")
    return {"n": request.candidates}


def _encode_logprobs(request: Request, dialect: Dialect) -> Json:
    wanted = request.top_logprobs
    if wanted is None:
        return {}
    wanted = max(wanted, dialect.least_logprobs)
    match request.prompt:
        case Chat():
            return {"logprobs": True, "top_logprobs": wanted}
        case Infill() if dialect.infilling is Infilling.ROUTE:
            return {"n_probs": max(wanted, 1)}
        case _ if dialect.text_logprobs:
            return {"logprobs": wanted}
        case _:
            raise _lacks(dialect, "token probabilities outside a chat")


def _encode_constraint(constraint: Constraint | None, dialect: Dialect, *, is_chat: bool) -> Json:
    match constraint:
        case None:
            return {}
        case JsonSchema(schema):
            return _encode_schema(_parse_schema(schema), dialect, is_chat=is_chat)
        case Grammar(gbnf):
            return _encode_grammar(gbnf, dialect)
        case Choices(options):
            return _encode_choices(options, dialect, is_chat=is_chat)
        case _:
            assert_never(constraint)


def _parse_schema(schema: str) -> Any:
    try:
        return json.loads(schema)
    except ValueError as error:
        raise UsageError(f"the JSON Schema is no JSON: {error}") from error


def _encode_schema(schema: Any, dialect: Dialect, *, is_chat: bool) -> Json:
    if dialect.constraints is Constraints.LLAMA_SERVER and not is_chat:
        return {"json_schema": schema}
    if dialect.constraints is Constraints.OPENAI and not is_chat:
        raise _lacks(dialect, "a JSON schema outside a chat")
    inner: Json = {"name": "reply", "schema": schema}
    if dialect.constraints is Constraints.OPENAI:
        inner["strict"] = True  # without it the schema is a wish
    return {"response_format": {"type": "json_schema", "json_schema": inner}}


def _encode_grammar(gbnf: str, dialect: Dialect) -> Json:
    match dialect.constraints:
        case Constraints.AIGC | Constraints.LLAMA_SERVER:
            return {"grammar": gbnf}
        case Constraints.VLLM:
            return {"structured_outputs": {"grammar": gbnf}}
        case Constraints.OPENAI:
            raise _lacks(dialect, "grammars", "a JSON schema (--schema) may do")
        case _:
            assert_never(dialect.constraints)


def _encode_choices(options: tuple[str, ...], dialect: Dialect, *, is_chat: bool) -> Json:
    gbnf = choices_to_gbnf(options)  # refuses an empty choice everywhere alike
    match dialect.constraints:
        case Constraints.AIGC:
            return {"x_aigc": {"choices": list(options)}}
        case Constraints.LLAMA_SERVER:
            return {"grammar": gbnf}
        case Constraints.VLLM:
            return {"structured_outputs": {"choice": list(options)}}
        case Constraints.OPENAI:
            return _encode_schema(choice_schema(options), dialect, is_chat=is_chat)
        case _:
            assert_never(dialect.constraints)


def choice_schema(options: tuple[str, ...]) -> Json:
    """Choices as an object: OpenAI's strict schemas have one at the top."""
    return {
        "type": "object",
        "properties": {CHOICE: {"type": "string", "enum": list(options)}},
        "required": [CHOICE],
        "additionalProperties": False,
    }


def shapes_choices(constraint: Constraint | None, dialect: Dialect) -> bool:
    """Whether the choice comes wrapped in the object of `choice_schema`."""
    return isinstance(constraint, Choices) and dialect.constraints is Constraints.OPENAI


def _lacks(dialect: Dialect, feature: str, hint: str = "") -> UnsupportedFeature:
    return UnsupportedFeature(
        f"{dialect.name} has no {feature}", hint or "llama-server and aigc serve have it"
    )
