"""What grows with a reply, with a conversation, with the number of kept conversations."""

import json
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from functools import partial

from aigc_cli.chat.store import FILE_NAME, SessionStore
from benchmarks.home import AIGC, Home, run_s
from benchmarks.results import OURS, Growth, Row, alternate, at_most
from benchmarks.rivals import BENCH_SAME, bench_rate, find
from benchmarks.sessions import fill
from benchmarks.speed import FUNCTION
from benchmarks.terminal import run_in_terminal

WINDOW = 128  # tokens whose times make one point
REPLY_POINTS = (100, 500, 1000, 2000, 3000, 4000)  # tokens
HISTORY_POINTS = (500, 1000, 2000, 4000, 8000)  # tokens
SESSION_POINTS = (10, 100, 1000, 10_000)
N_FUNCTION = 22  # tokens of FUNCTION, about


def reply(home: Home) -> Iterator[Row | Growth]:
    """Time per token along a reply; what attention itself costs is llama-bench's time at the same depth."""
    home.stop()
    program = find("llama-bench")
    n_tokens = REPLY_POINTS[-1]
    ends = (REPLY_POINTS[0] + WINDOW, n_tokens)

    def bench(end: int) -> tuple[int, float]:
        assert program is not None
        words = ("-p", "0", "-n", str(WINDOW), "-d", str(end - WINDOW), *home.same_settings())
        return end, 1000 / bench_rate(home, program, *words)

    native = [bench(ends[0])] if program else []
    line = (sys.executable, "-m", "benchmarks.long_reply", str(home.model), str(n_tokens))
    shown = run_in_terminal(line, {"GOMP_SPINCOUNT": "1000", **home.env})  # as `aigc` sets it
    stamps = json.loads(shown.err.splitlines()[-1])
    native += [bench(end) for end in (ends[1], n_tokens // 2) if program]
    ours = [(end, window_ms(stamps, end)) for end in sorted({*ends, *REPLY_POINTS[1:]})]
    lines = {OURS: ours} | ({BENCH_SAME: sorted(native)} if native else {})
    note = f"means of {WINDOW} tokens, rendered in a pseudo-terminal; llama-bench starts at that depth"
    yield Growth("reply", "a token of a long reply", "tokens of the reply so far", "ms a token", lines, note)
    theirs = dict(native)
    samples = {OURS: [ours[-1][1] / ours[0][1]]}
    if program:
        samples[BENCH_SAME] = [theirs[ends[1]] / theirs[ends[0]]]
    what = f"time per token at the end of {n_tokens:,}, over the start"
    bars = (at_most(1.03, BENCH_SAME),) if program else ()
    yield Row("reply-end", what, "times", samples, bars, () if program else (BENCH_SAME,))


def window_ms(stamps: Sequence[float], end: int) -> float:
    """Milliseconds a token of the window that ends there."""
    return (stamps[end - 1] - stamps[end - 1 - WINDOW]) / WINDOW * 1000


def history(home: Home) -> Iterator[Growth]:
    """The first byte of the next short answer behind a longer and longer conversation."""
    home.forget_prefixes()
    home.forget_conversations()
    first_s, read_rates = [], []
    held = 0
    for number, wanted in enumerate(HISTORY_POINTS):
        text = f"# part {number}\n{FUNCTION * max(1, (wanted - held - 150) // N_FUNCTION)}"
        answer = home.answer("-f", str(home.file(text, f"part{number}.py")), "-c", home.question())
        held = answer["tokens"]["prompt"] + answer["tokens"]["reply"]
        read_rates.append((held, answer["timings"]["prefill_tokens_per_s"]))
        first_s.append((held, statistics.median(home.ask("-c", home.question()) for _ in range(home.few))))
    x, note = "tokens of the conversation", "the conversation is held by the engine in the background"
    yield Growth("history", "first byte of the next answer", x, "s", {OURS: first_s}, note)
    yield Growth("reading", "reading a file that is new to it", x, "tokens/s", {OURS: read_rates})


def sessions(home: Home) -> Iterator[Growth]:
    """The commands that look into kept conversations, as processes."""
    folder = home.folder / "kept"
    env = {**home.env, "AIGC_HOME": str(folder)}
    store = SessionStore(folder / "data" / FILE_NAME, time.time)
    commands = {"sessions list": ("list",), "search, a common word": ("search", "function")}
    commands["search, a rare word"] = ("search", "xylophone")
    lines: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
    held = 0
    for wanted in SESSION_POINTS:
        fill(store, wanted - held)
        held = wanted
        measures = {
            name: partial(run_s, (*AIGC, "sessions", *words), env) for name, words in commands.items()
        }
        for name, samples in alternate(home.rounds, measures).items():
            lines[name].append((held, statistics.median(samples)))
    store.close()
    note = "commands as processes; a conversation has four turns"
    yield Growth("sessions", "finding a conversation", "conversations kept", "s", lines, note)
