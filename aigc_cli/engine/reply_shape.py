"""Replies of servers that can only be asked, brought into the form that the request promised."""

import json
from collections.abc import Iterable, Iterator

from aigc_cli.engine.encode import CHOICE
from aigc_cli.errors import EngineError, UnsupportedFeature
from aigc_cli.events import Delta, Done, Event, FinishReason

_INTERRUPTED = FinishReason.INTERRUPTED
_MOST_BEFORE = 400  # characters of chatter that may come before the beginning that was asked for


def after_prefix(events: Iterable[Event], prefix: str) -> Iterator[Event]:
    """Drop what a reply says up to the prefix that it was asked to begin with.

    Raises:
        UnsupportedFeature: the model did not do as asked, and the server can't make it.
    """
    held: dict[int, str] = {}
    found: set[int] = set()
    for event in events:
        if (
            isinstance(event, Done)
            and event.finish_reason is not _INTERRUPTED
            and event.candidate not in found
        ):
            raise _no_prefix(prefix)
        if not isinstance(event, Delta) or event.candidate in found:
            yield event
            continue
        text = held.get(event.candidate, "") + event.text
        before, begun, rest = text.partition(prefix)
        if begun:
            found.add(event.candidate)
            yield Delta(rest, event.n_tokens, event.candidate, event.tokens)
        elif len(before) > _MOST_BEFORE + len(prefix):
            raise _no_prefix(prefix)
        else:
            held[event.candidate] = text


def _no_prefix(prefix: str) -> UnsupportedFeature:
    return UnsupportedFeature(
        f"the reply does not begin with {prefix.strip()!r}, and this server can't be made to begin so",
        "llama-server, vLLM, Ollama and aigc serve can; or ask without it",
    )


def unwrapped_choice(events: Iterable[Event]) -> Iterator[Event]:
    """Give the choice itself, which a server wrapped into a JSON object.

    Raises:
        EngineError: the reply is no such object.
    """
    held: dict[int, list[Delta]] = {}
    for event in events:
        if isinstance(event, Delta):
            held.setdefault(event.candidate, []).append(event)
            continue
        deltas = held.pop(event.candidate, []) if isinstance(event, Done) else []
        if deltas and isinstance(event, Done) and event.finish_reason is not _INTERRUPTED:
            tokens = tuple(token for delta in deltas for token in delta.tokens)
            choice = _choice("".join(delta.text for delta in deltas))
            yield Delta(choice, sum(delta.n_tokens for delta in deltas), event.candidate, tokens)
        yield event


def _choice(text: str) -> str:
    try:
        return str(json.loads(text)[CHOICE])
    except (ValueError, KeyError, TypeError):
        raise EngineError(f"the reply is none of the choices: {text[:60]!r}", "try again") from None
