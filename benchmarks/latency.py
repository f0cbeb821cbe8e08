"""How long a person waits for the first byte: warm, cold, after a restart, deep in a conversation.

Programs as a person runs them, from exec to the first byte of the answer.
"""

import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack

from benchmarks.home import SHORT_REPLY, Home
from benchmarks.results import OURS, Row, alternate, at_most
from benchmarks.rivals import (
    LLM,
    ONE_SHOT,
    SERVER,
    Talk,
    cold_rivals,
    compare,
    find,
    llama_server,
    warm_server,
)
from benchmarks.speed import FUNCTION

SECOND, READ_AGAIN = "its own turn 2", "reading it again"
# The command does all that comes before the request, and ends where that would be sent.
TO_THE_REQUEST = """
import os, sys
from aigc_cli.__main__ import run_process
from aigc_cli.cli.open_engine import open_engine

class UpToTheRequest:
    def __init__(self, engine):
        self.info = engine.info
    def stream(self, request):
        os._exit(0)

run_process(sys.argv[1:], lambda app, settings: UpToTheRequest(open_engine(app, settings)))
os._exit(1)
"""
TO_THE_ENGINE = """
import os, sys
from aigc_cli.__main__ import run_process
run_process(sys.argv[1:], lambda app, settings: os._exit(0))
os._exit(1)
"""


def warm(home: Home) -> Iterator[Row]:
    """A one-shot question while the engine is there."""
    home.ask(home.question())
    bars = (at_most(0.25, ONE_SHOT), at_most(0.1, LLM))
    row = Row("warm", "first byte of a short answer, model loaded", "s", {}, bars)
    with ExitStack() as stack:
        rivals = warm_server(home, stack) + cold_rivals(home)
        yield compare(row, home.rounds, lambda: home.ask(home.question()), rivals)


def cold(home: Home) -> Iterator[Row]:
    """A one-shot question while no engine is there."""

    def usual() -> float:
        home.stop()
        return home.ask(home.question())

    def very_first() -> float:
        home.forget_prefixes()
        return home.ask(home.question())

    very_first()
    bars = (at_most(0.6, ONE_SHOT),)
    note = "the file is in the page cache, what was read of the system prompt on disk"
    row = Row("cold", "first byte of a short answer, nothing loaded", "s", {}, bars, note=note)
    yield compare(row, home.rounds, usual, cold_rivals(home))
    what = "the same when nothing was ever asked before"
    yield compare(Row("first-ever", what, "s", {}), home.few, very_first, [])


def restored(home: Home) -> Iterator[Row]:
    """A long conversation goes on after the engine was stopped."""
    long = home.file(FUNCTION * 95)
    read: list[float] = []

    def prefill() -> float:
        """Seconds that reading it takes; it leaves the conversation behind."""
        home.forget_prefixes()
        home.forget_conversations()
        answer = home.answer("-f", str(long), "-c", home.question())
        read.append(answer["tokens"]["prompt"])
        return float(answer["timings"]["prefill_s"])

    def go_on() -> float:
        home.stop()
        return home.ask("-c", home.question())

    samples: dict[str, list[float]] = {OURS: [], READ_AGAIN: []}
    for _ in range(home.few):
        samples[READ_AGAIN].append(prefill())
        samples[OURS].append(go_on())
    bars = (at_most(0.1, READ_AGAIN),)
    what = f"first byte when a conversation of {read[-1]:,.0f} tokens goes on after the engine stopped"
    yield Row("resumed", what, "s", samples, bars, note="from the prefix on disk")


def turns(home: Home) -> Iterator[Row]:
    """The 20th turn of a conversation and the 2nd."""
    samples: dict[str, list[float]] = {OURS: [], SECOND: []}
    path = find(SERVER)
    for _ in range(max(1, home.few - 1)):
        home.forget_conversations()
        seconds = [home.ask("-c", home.question()) for _ in range(20)]
        samples[OURS].append(statistics.median(seconds[17:]))
        samples[SECOND].append(statistics.median(seconds[1:4]))
        if path:
            with llama_server(home, path) as url:
                talk = Talk(home, url)
                seconds = [talk.ask(home.question()) for _ in range(20)]
                samples.setdefault(SERVER, []).append(statistics.median(seconds[17:]))
    bars = (at_most(1.15, SECOND),)
    note = "medians of turns 18 to 20 and 2 to 4, each a command of its own; llama-server through `curl`"
    missing = () if path else (SERVER,)
    yield Row("turn-20", "first byte at turn 20 of a chat", "s", samples, bars, missing, note)


def client(home: Home) -> Iterator[Row]:
    """The command's own start, with a warm engine."""
    home.ask(home.question())
    line = ("-m", str(home.model), *SHORT_REPLY, "why is my loop slow?")

    def seconds(*argv: str) -> float:
        started = time.perf_counter()
        subprocess.run((sys.executable, *argv), env=home.env, stdin=subprocess.DEVNULL, check=True)
        return time.perf_counter() - started

    measures = {
        OURS: lambda: seconds("-c", TO_THE_REQUEST, *line),
        "its engine not yet looked for": lambda: seconds("-c", TO_THE_ENGINE, *line),
        "Python alone": lambda: seconds("-c", "pass"),
    }
    samples = alternate(2 * home.rounds, measures)
    yield Row("client", "start of a question, until its request is sent", "s", samples)
