"""How long llama.cpp's threads wait busily for each other before they sleep: alone, beside a busy program.

    python -m benchmarks.waiting MODEL.gguf

Alternates the spin counts, each run in a process of its own, and prints medians of `--rounds`.
"""

import multiprocessing
import os
import statistics
import subprocess
import sys
from pathlib import Path

from benchmarks.arguments import model_parser

# Rounds of the busy loop before a thread sleeps; libgomp's own default is 300,000.
SPIN_COUNTS = (300_000, 10_000, 1_000, 0)
ONE_RUN = """
import sys, time
from pathlib import Path
from aigc_cli.engine.context import Context, ContextOptions
from aigc_cli.engine.library import lib
from aigc_cli.engine.model import Model

model = Model(Path(sys.argv[1]), cancelled=lambda: False)
context = Context(model, ContextOptions(4096, int(sys.argv[2])))
sequence = context.open([0])
started = time.perf_counter()
sequence.evaluate(model.tokenize("x " * 300, special=False)[:256])
lib.llama_synchronize(context.handle)
read = time.perf_counter()
for _ in range(24):
    sequence.evaluate([100])
    lib.llama_synchronize(context.handle)
print(256 / (read - started), 24 / (time.perf_counter() - read))
"""


def keep_a_core_busy() -> None:
    """Another program that computes."""
    while True:
        pass


def measure(model: Path, n_threads: int, spin_count: int) -> tuple[float, float]:
    """Tokens per second: prefill and decode."""
    run = subprocess.run(
        [sys.executable, "-c", ONE_RUN, str(model), str(n_threads)],
        env={**os.environ, "GOMP_SPINCOUNT": str(spin_count)},
        check=True,
        capture_output=True,
        text=True,
    )
    prefill, decode = map(float, run.stdout.split())
    return prefill, decode


def main() -> None:
    """Measure and print the table."""
    parser = model_parser(__doc__, rounds=5)
    arguments = parser.parse_args()
    print("| beside it | spin count | prefill tok/s | decode tok/s |\n|---|---|---|---|")
    for n_busy in (0, 1):
        others = [multiprocessing.Process(target=keep_a_core_busy, daemon=True) for _ in range(n_busy)]
        for other in others:
            other.start()
        speeds: dict[int, list[tuple[float, float]]] = {count: [] for count in SPIN_COUNTS}
        for _ in range(arguments.rounds):
            for count in SPIN_COUNTS:
                speeds[count].append(measure(arguments.model, arguments.threads, count))
        for other in others:
            other.terminate()
        for count, pairs in speeds.items():
            prefill, decode = (statistics.median(values) for values in zip(*pairs, strict=True))
            print(f"| {n_busy} busy programs | {count:,} | {prefill:.1f} | {decode:.1f} |")


if __name__ == "__main__":
    main()
