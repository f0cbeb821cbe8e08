"""The engine against llama.cpp itself, in one process and with the same settings.

    python -m benchmarks.engine MODEL.gguf [--schema-model SMALL.gguf]

Prints a table: what was measured, the figure, the bar. Absolute times differ between machines and hours;
every figure is a ratio of two things measured in turn in this run, medians of `--rounds`.
"""

import ctypes
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self

from aigc_cli.engine.base import Chat, JsonSchema, Message, Request, Sampling, Text
from aigc_cli.engine.engine_options import EngineOptions
from aigc_cli.engine.library import lib
from aigc_cli.engine.llama import LlamaEngine
from aigc_cli.events import Delta, Done
from benchmarks.arguments import model_parser

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

N_REPLY = 200
N_PROMPT = 1024
N_CTX = 4096
QUESTION = "Write a Python class for a priority queue with tests, and explain every line."
TURNS = (
    "Write a Python function that merges two sorted lists.",
    "用中文解释它的时间复杂度。",
    "Now make it work for any number of lists.",
    "Write three unit tests for it.",
    "Rename the function to merge_all and show it again.",
)
SCHEMA = {
    "type": "object",
    "properties": {
        "title": {"type": "string"},
        "year": {"type": "integer"},
        "tags": {"type": "array", "items": {"type": "string"}, "maxItems": 8},
        "summary": {"type": "string"},
    },
    "required": ["title", "year", "tags", "summary"],
}
LOAD_ONLY = """
import resource, sys, time
from pathlib import Path
from aigc_cli.engine.context import Context, ContextOptions
from aigc_cli.engine.model import Model
model = Model(Path(sys.argv[1]), cancelled=lambda: False)
context = Context(model, ContextOptions(int(sys.argv[2]), 2))
tokens = model.tokenize("x " * 500, special=False)[:500]
context.open(tokens).evaluate(tokens)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""
WHOLE_REPLY = """
import resource, sys, time
from pathlib import Path
from aigc_cli.engine.base import Request, Sampling, Text
from aigc_cli.engine.library import lib
from aigc_cli.engine.engine_options import EngineOptions
from aigc_cli.engine.llama import LlamaEngine
engine = LlamaEngine(EngineOptions(Path(sys.argv[1]), "m", int(sys.argv[2]), 2), time.perf_counter)
for event in engine.stream(Request(Text("x " * 500), Sampling(max_tokens=200))):
    pass
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


class DecodeClock:
    """Adds up the time spent inside llama_decode."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._native = lib.llama_decode

    def __enter__(self) -> Self:
        def timed(context: object, batch: object) -> int:
            started = time.perf_counter()
            try:
                return int(self._native(context, batch))
            finally:
                self.seconds += time.perf_counter() - started

        lib.llama_decode = timed
        return self

    def __exit__(self, *_: object) -> None:
        lib.llama_decode = self._native


def open_engine(path: Path, n_threads: int) -> LlamaEngine:
    """An engine that never stops a reply by itself: the lengths must be equal."""
    options = EngineOptions(path, path.stem, N_CTX, n_threads=n_threads, guard_loops=False)
    return LlamaEngine(options, time.perf_counter)


def forget(engine: LlamaEngine) -> None:
    """Empty the KV cache."""
    for sequence in engine._context.sequences:  # noqa: SLF001  # no request asks for that
        sequence.truncate(0)


def run(engine: LlamaEngine, request: Request) -> tuple[Done, str, float]:
    """The end, the text and the wall time of one reply."""
    started = time.perf_counter()
    events = list(engine.stream(request))
    done = events[-1]
    assert isinstance(done, Done)
    return done, "".join(e.text for e in events if isinstance(e, Delta)), time.perf_counter() - started


def text_request(engine: LlamaEngine, n_tokens: int, sampling: Sampling) -> Request:
    """A raw prompt of exactly this many tokens."""
    words = "def merge(first, second):\n    result = []\n    return result\n\n" * n_tokens
    low, high = 1, len(words)
    while low < high:
        middle = (low + high) // 2
        if engine.count(Request(Text(words[:middle]))) < n_tokens:
            low = middle + 1
        else:
            high = middle
    return Request(Text(words[:low]), sampling)


def native_rate(engine: LlamaEngine, tokens: "Sequence[int]", chunks: "Sequence[int]") -> float:
    """Tokens per second of llama_decode over these chunks, called directly on the engine's own context."""
    context = engine._context  # noqa: SLF001  # the same context is the point of the comparison
    context.allow()
    handle, memory = context.handle, lib.llama_get_memory(context.handle)
    for sequence in context.sequences:
        sequence.truncate(0)
    array = (lib.llama_token * len(tokens))(*tokens)
    offset = 0
    started = time.perf_counter()
    for size in chunks:
        pointer = ctypes.cast(ctypes.byref(array, offset * ctypes.sizeof(lib.llama_token)), lib.llama_token_p)
        assert lib.llama_decode(handle, lib.llama_batch(n_tokens=size, token=pointer)) == 0
        offset += size
    lib.llama_synchronize(handle)
    seconds = time.perf_counter() - started
    lib.llama_memory_clear(memory, True)
    return offset / seconds


def measure_overhead(engine: LlamaEngine, rounds: int) -> float:
    """Share of a reply's wall time that is spent outside llama_decode."""
    shares = []
    for _ in range(rounds):
        forget(engine)
        with DecodeClock() as clock:
            sampling = Sampling(temperature=0.7, top_k=20, repeat_penalty=1.1, max_tokens=N_REPLY, seed=1)
            _, _, wall = run(engine, Request(Chat((Message("user", QUESTION),)), sampling))
        shares.append(1 - clock.seconds / wall)
    return statistics.median(shares)


def measure_rates(engine: LlamaEngine, rounds: int) -> tuple[float, float]:
    """Prefill and decode rate, as a share of llama_decode's own."""
    greedy = Sampling(temperature=0, max_tokens=N_REPLY)
    prompt = text_request(engine, N_PROMPT, Sampling(temperature=0, max_tokens=1))
    short = text_request(engine, 16, greedy)
    ids = engine._prompt_tokens(prompt)  # noqa: SLF001  # the native run needs the same tokens
    prefill, decode = [], []
    for _ in range(rounds):
        native = native_rate(engine, ids, [512] * (len(ids) // 512) + [len(ids) % 512] * (len(ids) % 512 > 0))
        forget(engine)
        stats = run(engine, prompt)[0].stats
        prefill.append((stats.prompt_tokens - stats.cached_tokens) / stats.prefill_s / native)
        native = native_rate(engine, ids[: 16 + N_REPLY], [1] * (16 + N_REPLY))
        forget(engine)
        stats = run(engine, short)[0].stats
        decode.append(stats.decode_tokens_per_s / native)
    return statistics.median(prefill), statistics.median(decode)


def measure_turns(engine: LlamaEngine) -> float:
    """Prompt tokens evaluated over five turns, over the tokens that were in no prompt or reply before."""
    forget(engine)
    messages: list[Message] = []
    evaluated = new = known = 0
    for question in TURNS:
        messages.append(Message("user", question))
        done, text, _ = run(engine, Request(Chat(tuple(messages)), Sampling(temperature=0, max_tokens=120)))
        evaluated += done.stats.prompt_tokens - done.stats.cached_tokens
        new += done.stats.prompt_tokens - known
        known = done.stats.prompt_tokens + done.stats.reply_tokens
        messages.append(Message("assistant", text))
    return evaluated / new


def measure_memory(path: Path) -> float:
    """Peak resident memory of a whole reply, over that of the model with a context that was used once."""

    def peak(script: str) -> int:
        command = [sys.executable, "-c", script, str(path), str(N_CTX)]
        return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)

    return peak(WHOLE_REPLY) / peak(LOAD_ONLY)


def measure_schema(path: Path, n_threads: int, rounds: int) -> float:
    """Time per token with a JSON schema, over the time without, at the same length."""
    engine = open_engine(path, n_threads)
    prompt = Chat((Message("user", "Make up a book, as JSON."),))
    ratios = []
    for seed in range(rounds):
        sampling = Sampling(temperature=1.0, seed=seed, max_tokens=150)
        bound = run(engine, Request(prompt, sampling, JsonSchema(json.dumps(SCHEMA))))[0].stats
        n_tokens = max(bound.reply_tokens, 2)
        free = run(engine, Request(prompt, Sampling(temperature=1.0, seed=seed, max_tokens=n_tokens)))[
            0
        ].stats
        ratios.append(free.decode_tokens_per_s / bound.decode_tokens_per_s)
    engine.close()
    return statistics.median(ratios)


def main() -> None:
    """Measure and print the table."""
    parser = model_parser(__doc__, rounds=5)
    parser.add_argument("--schema-model", type=Path, help="a small model for the schema row")
    arguments = parser.parse_args()
    engine = open_engine(arguments.model, arguments.threads)
    overhead = measure_overhead(engine, arguments.rounds)
    prefill, decode = measure_rates(engine, arguments.rounds)
    turns = measure_turns(engine)
    engine.close()
    rows: list[tuple[str, float, str, Callable[[float], bool]]] = [
        (f"{N_REPLY}-token reply: time outside llama_decode", overhead, "<= 0.03", lambda x: x <= 0.03),
        ("prefill, of llama_decode's own rate", prefill, ">= 0.97", lambda x: x >= 0.97),
        ("decode, of llama_decode's own rate", decode, ">= 0.97", lambda x: x >= 0.97),
        ("five turns: tokens evaluated over new tokens", turns, "<= 1.05", lambda x: x <= 1.05),
        (
            "peak memory over model and context",
            measure_memory(arguments.model),
            "<= 1.05",
            lambda x: x <= 1.05,
        ),
    ]
    if arguments.schema_model:
        schema = measure_schema(arguments.schema_model, arguments.threads, 4 * arguments.rounds)
        rows.append(("--schema: time per token over free text", schema, "<= 1.10", lambda x: x <= 1.10))
    print(f"| {arguments.model.name} | measured | bar | |\n|---|---|---|---|")
    for what, value, bar, holds in rows:
        print(f"| {what} | {value:.3f} | {bar} | {'yes' if holds(value) else 'NO'} |")


if __name__ == "__main__":
    main()
