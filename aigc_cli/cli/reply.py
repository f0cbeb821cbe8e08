"""One reply: the engine's events shown as they come, Ctrl-C stops it, what was said is kept."""

import signal
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from types import FrameType

from aigc_cli.cli.context import AppContext
from aigc_cli.engine.base import Engine, Request
from aigc_cli.errors import EngineError
from aigc_cli.events import Delta, Done, EngineDied, Event, TokenLogprob
from aigc_cli.render.console import detect_traits
from aigc_cli.render.progress import PrefillProgress
from aigc_cli.render.view import View


@dataclass(frozen=True, slots=True)
class Reply:
    """What the model said, and how it ended.

    Attributes:
        first_token_s: from the request to the first text, in seconds; None if there was none.
        mean_logprob: of its tokens; None unless the request asked for probabilities.
        tokens: with their probabilities, if the request asked for them.
    """

    text: str
    done: Done
    first_token_s: float | None
    mean_logprob: float | None = None
    tokens: tuple[TokenLogprob, ...] = ()


def run_reply(app: AppContext, engine: Engine, request: Request, views: Sequence[View]) -> Reply:
    """Stream one reply to the views, and close them.

    The first Ctrl-C ends the reply (its `Done` says so, nothing is raised); a second one, while it is ending,
    raises KeyboardInterrupt. A view that fails, such as one whose reader went away, stops the engine at once.
    """
    return run_replies(app, engine, request, views)[0]


def run_replies(app: AppContext, engine: Engine, request: Request, views: Sequence[View]) -> list[Reply]:
    """The replies of all candidates of a request, as `run_reply` streams one."""
    growing = [_Growing() for _ in range(request.candidates)]
    started = app.clock()
    with ExitStack() as stack:
        for view in views:
            stack.callback(view.close)
        interrupt = stack.enter_context(_ctrl_c_cancels(engine))
        for event in _closed_with(stack, engine.stream(request)):
            if interrupt.is_set():
                engine.cancel()  # again: a Ctrl-C before the stream began would be lost
            # that the engine died is a line of the first view: the others make way for it before
            for view in reversed(views) if isinstance(event, EngineDied) else views:
                view.show(event)
            if isinstance(event, Delta):
                growing[event.candidate].add(event, app.clock() - started)
            elif isinstance(event, Done):
                growing[event.candidate].done = event
    return [each.reply() for each in growing]


@dataclass(slots=True)
class _Growing:
    """One reply while its events come."""

    pieces: list[str] = field(default_factory=list)
    tokens: list[TokenLogprob] = field(default_factory=list)
    first_token_s: float | None = None
    done: Done | None = None

    def add(self, delta: Delta, after_s: float) -> None:
        if self.first_token_s is None:
            self.first_token_s = after_s
        self.pieces.append(delta.text)
        self.tokens += delta.tokens

    def reply(self) -> Reply:
        if self.done is None:
            raise EngineError(
                "the engine stopped in the middle of a reply", "try again; aigc doctor checks the machine"
            )
        logprobs = [token.logprob for token in self.tokens]
        mean = sum(logprobs) / len(logprobs) if logprobs else None
        return Reply("".join(self.pieces), self.done, self.first_token_s, mean, tuple(self.tokens))


def prefill_progress(app: AppContext, *, counts_reply: bool = False) -> PrefillProgress:
    """The view that shows on stderr how far the prompt is read, and a reply that nothing else shows."""
    traits = detect_traits(app.stderr, app.env, "auto")
    return PrefillProgress(app.stderr, traits, app.clock, counts_reply=counts_reply)


def _closed_with(stack: ExitStack, events: Iterator[Event]) -> Iterator[Event]:
    """Close the iterator with the stack: garbage collection would, at a time of its own."""
    if isinstance(events, Generator):
        stack.callback(events.close)
    return events


@contextmanager
def _ctrl_c_cancels(engine: Engine) -> Iterator[threading.Event]:
    pressed = threading.Event()

    def on_sigint(_signal: int, _frame: FrameType | None) -> None:
        if pressed.is_set():
            raise KeyboardInterrupt
        pressed.set()
        engine.cancel()

    with sigint_goes_to(on_sigint):
        yield pressed


@contextmanager
def sigint_goes_to(on_sigint: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Let a function have Ctrl-C for a while."""
    # Only the main thread can install handlers; and a command started with SIGINT ignored (nohup, a script's
    # background job) keeps ignoring it.
    if (
        threading.current_thread() is not threading.main_thread()
        or signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    ):
        yield
        return
    previous = signal.signal(signal.SIGINT, on_sigint)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous or signal.SIG_DFL)
