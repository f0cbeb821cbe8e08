"""The sampling fields of a request: OpenAI's names and llama-server's, over the model's own defaults."""

from dataclasses import replace
from typing import Any

from aigc_cli.engine.base import Sampling
from aigc_cli.errors import UsageError
from aigc_cli.serve.fields import Fields
from aigc_cli.serve.refusals import BadField

NUMBERS = (
    *("temperature", "top_p", "min_p", "repeat_penalty", "dry_multiplier"),
    *("frequency_penalty", "presence_penalty"),
)
LONGEST = ("max_completion_tokens", "max_tokens", "n_predict")  # the later one wins, as in llama-server
NO_LIMIT = -1
RANDOM_SEEDS = (-1, 2**32 - 1)  # llama-server takes both for "draw one"
MOST_STOPS = 64
# llama-server's samplers: name, letter, and what switches ours off. Those without a value are off anyway.
SAMPLERS: dict[str, tuple[str, dict[str, float]]] = {
    "penalties": ("e", {"repeat_penalty": 1.0, "frequency_penalty": 0.0, "presence_penalty": 0.0}),
    "dry": ("d", {"dry_multiplier": 0.0}),
    "top_n_sigma": ("s", {}),
    "top_k": ("k", {"top_k": 0}),
    "typ_p": ("y", {}),
    "top_p": ("p", {"top_p": 1.0}),
    "min_p": ("m", {"min_p": 0.0}),
    "xtc": ("x", {}),
    "temperature": ("t", {"temperature": 1.0}),
    "infill": ("i", {}),
    "adaptive_p": ("a", {}),
}


def decode_sampling(fields: Fields, defaults: Sampling) -> Sampling:
    """How the reply is sampled; what a request does not say comes from `defaults`.

    Raises:
        BadField: a value that can't be used.
    """
    given: dict[str, Any] = {name: fields.number(name) for name in NUMBERS}
    given["repeat_last_n"] = fields.whole("repeat_last_n")
    given["top_k"] = _top_k(fields)
    given = {name: value for name, value in given.items() if value is not None}
    given |= _samplers(fields)
    given |= {"seed": _seed(fields), "stop": _stop(fields)}
    n_tokens = reply_limit(fields)
    given["max_tokens"] = max(n_tokens, 1) if n_tokens is not None else None
    try:
        return replace(defaults, **given)
    except UsageError as error:
        raise BadField(error.message.partition(" ")[0], error.message, error.hint) from None


def reply_limit(fields: Fields) -> int | None:
    """The longest reply in tokens; 0 asks for the prompt to be read and no more, None sets no limit."""
    limit = None
    for name in LONGEST:
        value = fields.whole(name)
        if value is None:
            continue
        if not NO_LIMIT <= value < 2**31:
            fields.refuse(name, "a number of tokens, or -1 for no limit")
        limit = None if value == NO_LIMIT else value
    return limit


def _top_k(fields: Fields) -> int | None:
    value = fields.whole("top_k")
    return 0 if value == -1 else value  # other servers write "off" so


def _seed(fields: Fields) -> int | None:
    value = fields.whole("seed")
    if value is None or value in RANDOM_SEEDS:
        return None
    return value % (
        2**32 - 1
    )  # OpenAI's seeds have 64 bits, llama.cpp's 32, and the highest means "draw one"


def _stop(fields: Fields) -> tuple[str, ...]:
    stop = tuple(text for text in fields.texts("stop") or () if text)
    if len(stop) > MOST_STOPS:
        fields.refuse("stop", f"at most {MOST_STOPS} strings")
    return stop


def _samplers(fields: Fields) -> dict[str, float]:
    """What `samplers` leaves out is off; the order of the chain is the engine's own."""
    value = fields.raw("samplers")
    if value is None:
        return {}
    if isinstance(value, str):
        named = {name for name, (letter, _) in SAMPLERS.items() if letter in value}
        known = {letter for letter, _ in SAMPLERS.values()}
        if not set(value) <= known:
            fields.refuse("samplers", f"letters out of {''.join(sorted(known))}")
    else:
        named = set(fields.texts("samplers") or ())
        if not named <= set(SAMPLERS):
            fields.refuse("samplers", f"names out of {', '.join(SAMPLERS)}")
    off: dict[str, float] = {"infill": "infill" in named}
    for name, (_, values) in SAMPLERS.items():
        if name not in named:
            off |= values
    return off
