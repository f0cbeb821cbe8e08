"""Reading with plain weights and writing with repacked ones, the KV state moved between: against each alone.

    python -m benchmarks.two_contexts MODEL.gguf [--rounds N] [--threads N] [--loads 1500:100,30:300]

Plain weights read a prompt faster, weights rearranged for the CPU write a reply faster (flash attention on in
all). Both at once need the memory of both: for the 1.5B model 1.3 GB and 1.9 GB. Seconds are the medians over
the rounds, in which the three take turns. A round takes 3 minutes with a 1.5B model on two cores.
"""

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass

from aigc_cli.engine.base import Sampling
from aigc_cli.engine.context import Context, ContextOptions
from aigc_cli.engine.model import Model
from aigc_cli.engine.sampler import unconstrained_sampler
from aigc_cli.engine.sequence import UBATCH
from benchmarks.arguments import model_parser

N_CTX = 2048
TEXT = "The quick brown fox jumps over the lazy dog, and the dog does not mind it at all today. "


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds of one run."""

    prefill_s: float
    move_s: float
    decode_s: float

    @property
    def total_s(self) -> float:
        """From the prompt to the last token."""
        return self.prefill_s + self.move_s + self.decode_s


class Setup:
    """A context to read with and one to write with, which may be the same."""

    def __init__(self, name: str, reader: Model, writer: Model, n_threads: int) -> None:
        self.name = name
        options = ContextOptions(N_CTX, n_threads)
        self._writer_model = writer
        self._reader = Context(reader, options)
        self._writer = self._reader if writer is reader else Context(writer, options)
        self._reader.reserve(N_CTX)
        self._writer.reserve(N_CTX)

    def run(self, prompt: Sequence[int], n_reply: int) -> Times:
        """Read the prompt but for its last token, move, and write the reply greedily."""
        started = time.perf_counter()
        source = self._reader.open(prompt)
        source.truncate(0)
        for start in range(0, len(prompt) - 1, UBATCH):
            source.evaluate(prompt[start : min(start + UBATCH, len(prompt) - 1)])
        read = time.perf_counter()
        target = source
        if self._writer is not self._reader:
            state = source.state()
            if state is None or self._writer.restore(prompt[:-1], state) is None:
                raise SystemExit("llama.cpp does not move the state")
            target = self._writer.open(prompt)
        moved = time.perf_counter()
        sampler = unconstrained_sampler(self._writer_model, Sampling(temperature=0))
        token = prompt[-1]
        for _ in range(n_reply):
            target.evaluate([token])
            token = sampler.sample(target.handle)
        ended = time.perf_counter()
        sampler.close()
        for sequence in {source, target}:
            sequence.truncate(0)
            sequence.release()
        return Times(read - started, moved - read, ended - moved)

    def close(self) -> None:
        """Free the contexts."""
        self._reader.close()
        self._writer.close()


def main() -> None:
    """Measure and print a table for each load."""
    parser = model_parser(__doc__, rounds=3)
    parser.add_argument("--loads", default="1500:100,30:300", help="tokens read and written")
    arguments = parser.parse_args()
    plain, repacked = (
        Model(arguments.model, repack_weights=is_repacked, cancelled=lambda: False)
        for is_repacked in (False, True)
    )
    setups = [
        Setup("plain", plain, plain, arguments.threads),
        Setup("repacked", repacked, repacked, arguments.threads),
        Setup("both", plain, repacked, arguments.threads),
    ]
    for load in arguments.loads.split(","):
        n_prompt, n_reply = map(int, load.split(":"))
        prompt = (plain.tokenize(TEXT, special=False) * n_prompt)[:n_prompt]
        runs: dict[str, list[Times]] = {setup.name: [] for setup in setups}
        for _ in range(arguments.rounds):
            for setup in setups:
                runs[setup.name].append(setup.run(prompt, n_reply))
        print(f"| {n_prompt} in, {n_reply} out | prefill s | move s | decode s | total s | fastest total s |")
        print("|---|---|---|---|---|---|")
        for name, times in runs.items():
            parts = [(t.prefill_s, t.move_s, t.decode_s, t.total_s) for t in times]
            medians = [statistics.median(column) for column in zip(*parts, strict=True)]
            cells = " | ".join(f"{seconds:.2f}" for seconds in medians)
            print(f"| {name} | {cells} | {min(t.total_s for t in times):.2f} |", flush=True)
    for setup in setups:
        setup.close()
    plain.close()
    repacked.close()


if __name__ == "__main__":
    main()
