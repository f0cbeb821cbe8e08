"""What a batch costs by its number of rows: evaluation with the logits of the last row, of all, and drawing.

    python -m benchmarks.batches MODEL.gguf [--repack] [--threads N] [--rounds N] [--depth N] [--sizes 1,2,4]

Milliseconds, the fastest of the rounds, in which the sizes take turns. With `--threads 1` it is CPU time, on
which other programs have little influence; with more threads it is wall time. Drawing is for one row.
"""

import time
from collections import defaultdict
from typing import TYPE_CHECKING

from aigc_cli.engine.base import Sampling
from aigc_cli.engine.context import Context, ContextOptions
from aigc_cli.engine.model import Model
from aigc_cli.engine.sampler import Sampler, unconstrained_sampler
from aigc_cli.engine.sequence import UBATCH
from benchmarks.arguments import repack_parser

if TYPE_CHECKING:
    from collections.abc import Callable

    from aigc_cli.engine.sequence import TokenSequence

SIZES = "1,2,3,4,6,8,12,16,24,32,48,63"
GREEDY, SAMPLED = Sampling(temperature=0), Sampling(temperature=0.7, seed=1)
COLUMNS = ("last row", "all rows", "greedy", "greedy, llama.cpp", "sampled")


class Bench:
    """A sequence of some depth, and what is measured at its end."""

    def __init__(self, model: Model, sequence: "TokenSequence", clock: "Callable[[], float]") -> None:
        self._model = model
        self._sequence = sequence
        self._clock = clock
        self._samplers = {
            "greedy": unconstrained_sampler(model, GREEDY),
            "greedy, llama.cpp": Sampler(model, GREEDY),
            "sampled": Sampler(model, SAMPLED),
        }

    def measure(self, n_rows: int) -> dict[str, float]:
        """Seconds by column."""
        depth = len(self._sequence.held)
        rows = [(depth + 7919 * n) % self._model.n_vocab for n in range(n_rows)]
        seconds = {}
        for column in ("last row", "all rows"):
            started = self._clock()
            self._sequence.evaluate(rows, all_logits=column == "all rows")
            seconds[column] = self._clock() - started
            if column == "last row":
                self._sequence.truncate(depth)
        for name, sampler in self._samplers.items():
            started = self._clock()
            for row in range(n_rows):
                sampler.sample(self._sequence.handle, row)
            seconds[name] = (self._clock() - started) / n_rows
        self._sequence.truncate(depth)
        return seconds

    def close(self) -> None:
        """Free the samplers."""
        for sampler in self._samplers.values():
            sampler.close()


def main() -> None:
    """Measure and print the table."""
    parser = repack_parser(__doc__, rounds=5)
    parser.add_argument("--depth", type=int, default=300, help="tokens before the batch")
    parser.add_argument("--sizes", default=SIZES)
    arguments = parser.parse_args()
    sizes = [int(size) for size in arguments.sizes.split(",")]
    model = Model(arguments.model, repack_weights=arguments.repack, cancelled=lambda: False)
    context = Context(model, ContextOptions(arguments.depth + UBATCH, arguments.threads))
    tokens = [7919 * n % model.n_vocab for n in range(1, arguments.depth + 1)]
    context.reserve(arguments.depth + UBATCH)
    sequence = context.open(tokens)
    for start in range(0, len(tokens), UBATCH):
        sequence.evaluate(tokens[start : start + UBATCH])
    bench = Bench(model, sequence, time.thread_time if arguments.threads == 1 else time.perf_counter)
    fastest: dict[tuple[int, str], float] = defaultdict(lambda: float("inf"))
    for _ in range(arguments.rounds):
        for size in sizes:
            for column, seconds in bench.measure(size).items():
                fastest[size, column] = min(fastest[size, column], seconds)
    print(f"| rows | {' | '.join(COLUMNS)} |\n|---|{'---|' * len(COLUMNS)}")
    for size in sizes:
        cells = (
            f"{1000 * fastest[size, column]:.{2 if index > 1 else 0}f}"
            for index, column in enumerate(COLUMNS)
        )
        print(f"| {size} | {' | '.join(cells)} |")
    bench.close()
    context.close()
    model.close()


if __name__ == "__main__":
    main()
