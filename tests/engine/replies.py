"""What tests ask engines, and how they read the answers."""

import itertools
from collections.abc import Callable

from aigc_cli.engine.base import Chat, Constraint, Engine, Message, Request, Sampling
from aigc_cli.events import Delta, Done, Event

GREEDY = Sampling(temperature=0, max_tokens=40)


def ask(*contents: str, sampling: Sampling = GREEDY, constraint: Constraint | None = None) -> Request:
    """A conversation: user, assistant, user, …"""
    roles = ("user", "assistant")
    messages = tuple(Message(roles[n % 2], content) for n, content in enumerate(contents))  # type: ignore[arg-type]
    return Request(Chat(messages), sampling, constraint)


def text_of(events: list[Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, Delta))


def ticking() -> Callable[[], float]:
    """A clock that is a second later whenever one looks: an engine tells each token by itself."""
    return map(float, itertools.count()).__next__


def done_of(events: list[Event]) -> Done:
    (done,) = [event for event in events if isinstance(event, Done)]
    assert events[-1] is done
    return done


def reply(engine: Engine, request: Request) -> str:
    return text_of(list(engine.stream(request)))
