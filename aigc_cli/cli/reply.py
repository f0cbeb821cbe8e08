"""One reply: the engine's events shown as they come, Ctrl-C stops it, what was said is kept."""

import signal
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from types import FrameType

from aigc_cli.cli.context import AppContext
from aigc_cli.engine.base import Engine, Request
from aigc_cli.errors import EngineError
from aigc_cli.events import Delta, Done, Event
from aigc_cli.render.console import detect_traits
from aigc_cli.render.progress import PrefillProgress
from aigc_cli.render.view import View


@dataclass(frozen=True, slots=True)
class Reply:
    """What the model said, and how it ended.

    Attributes:
        first_token_s: from the request to the first text, in seconds; None if there was none.
    """

    text: str
    done: Done
    first_token_s: float | None


def run_reply(app: AppContext, engine: Engine, request: Request, views: Sequence[View]) -> Reply:
    """Stream one reply to the views, and close them.

    The first Ctrl-C ends the reply (its `Done` says so, nothing is raised); a second one, while it is ending,
    raises KeyboardInterrupt. A view that fails, such as one whose reader went away, stops the engine at once.
    """
    pieces: list[str] = []
    first_token_s: float | None = None
    done: Done | None = None
    started = app.clock()
    with ExitStack() as stack:
        for view in views:
            stack.callback(view.close)
        interrupt = stack.enter_context(_ctrl_c_cancels(engine))
        for event in _closed_with(stack, engine.stream(request)):
            if interrupt.is_set():
                engine.cancel()  # again: a Ctrl-C before the stream began would be lost
            for view in views:
                view.show(event)
            if isinstance(event, Delta):
                first_token_s = app.clock() - started if first_token_s is None else first_token_s
                pieces.append(event.text)
            elif isinstance(event, Done):
                done = event
    if done is None:
        raise EngineError(
            "the engine stopped in the middle of a reply", "try again; aigc doctor checks the machine"
        )
    return Reply("".join(pieces), done, first_token_s)


def prefill_progress(app: AppContext) -> PrefillProgress:
    """The view that shows on stderr how far the prompt is read."""
    return PrefillProgress(app.stderr, detect_traits(app.stderr, app.env, "auto"), app.clock)


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
