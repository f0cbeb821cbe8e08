"""How fast the model reads and writes, and how soon it is loaded, against llama.cpp's own programs."""

import re
import time
from collections.abc import Iterator

from benchmarks.home import AIGC, Home, run_s
from benchmarks.results import Bar, Row, at_least
from benchmarks.rivals import BENCH, BENCH_SAME, SERVER, Rival, bench_rate, compare, llama_server
from benchmarks.terminal import run_in_terminal

N_PROMPT = 1024
N_REPLY = 128
TUNING_S = 50
FUNCTION = "def merge(first, second):\n    result = sorted(first + second)\n    return result\n\n"
LONG_ANSWER = "Explain in detail, with examples in Python, how a hash table works and when it is slow."


def _empty_cache(home: Home) -> None:
    """A new engine: llama-bench has no other conversations in its cache either, and their cells cost time."""
    home.stop()
    home.ask(home.question())


def prefill(home: Home) -> Iterator[Row]:
    """Reading a file of a thousand tokens that nobody read before, by the engine in the background."""
    yield _reading(home, "prefill", "reading a prompt")
    home.run("models", "tune", str(home.model), "--limit", f"{TUNING_S}")
    yield _reading(home, "tuned prefill", "the same after `aigc models tune`", at_least(1.3, BENCH))
    home.run("models", "tune", str(home.model), "--forget")


def _reading(home: Home, name: str, what: str, *bars: Bar) -> Row:
    def read() -> tuple[int, float]:
        _empty_cache(home)
        question = home.question()  # in front of the file too: nothing behind it is in a cache
        answer = home.answer("-f", str(home.file(f"# {question}\n{FUNCTION * 47}")), question)
        n_read = answer["tokens"]["prompt"] - answer["tokens"]["cached"]
        return n_read, float(answer["timings"]["prefill_tokens_per_s"])

    n_read, _ = read()
    words = ("-p", str(N_PROMPT), "-n", "0")
    rivals = [
        Rival(BENCH, "llama-bench", lambda path: bench_rate(home, path, *words)),
        Rival(BENCH_SAME, "llama-bench", lambda path: bench_rate(home, path, *words, *home.same_settings())),
    ]
    setting = " ".join(home.same_settings())
    note = f"{n_read:,} tokens by `aigc`, {N_PROMPT:,} by llama-bench; `{setting}`"
    return compare(Row(name, what, "tokens/s", {}, bars, note=note), home.few, lambda: read()[1], rivals)


def decode(home: Home) -> Iterator[Row]:
    """Writing a reply into a real terminal, highlighted as it comes."""
    _empty_cache(home)
    depth = home.answer(LONG_ANSWER)["tokens"]["prompt"]
    line = home.line(
        "--seed", "1", "--temperature", "0.7", "--max-tokens", str(N_REPLY), "--stats", LONG_ANSWER
    )

    def ours() -> float:
        _empty_cache(home)
        shown = run_in_terminal(line, home.env)
        found = re.search(r"(\d+) tokens, ", shown.err)
        assert found is not None, shown.err
        assert int(found[1]) == N_REPLY, f"the reply ended early: {shown.err}"
        return (N_REPLY - 1) / shown.seconds

    words = ("-p", "0", "-n", str(N_REPLY), "-d", str(depth))
    rivals = [
        Rival(BENCH_SAME, "llama-bench", lambda path: bench_rate(home, path, *words, *home.same_settings())),
        Rival(BENCH, "llama-bench", lambda path: bench_rate(home, path, *words)),
    ]
    note = f"{N_REPLY} tokens after {depth}; from the first to the last byte that a pseudo-terminal got"
    row = Row(
        "decode", "writing a reply, in a terminal", "tokens/s", {}, (at_least(0.97, BENCH_SAME),), note=note
    )
    n_rounds = 2 * home.rounds - 1  # rounds differ by more than the bar leaves
    yield compare(row, n_rounds, ours, rivals)


def load(home: Home) -> Iterator[Row]:
    """From the start of the program until the model in the background takes requests."""

    def ours() -> float:
        home.stop()
        return run_s((*AIGC, "engine", "start", "-m", str(home.model)), home.env)

    def server(path: str) -> float:
        started = time.perf_counter()
        with llama_server(home, path):
            return time.perf_counter() - started

    row = Row(
        "load", "loading the model, until it takes requests", "s", {}, note="the file is in the page cache"
    )
    yield compare(row, home.rounds, ours, [Rival(SERVER, SERVER, server)])
