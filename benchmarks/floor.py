"""How fast a token could be written at best, and where the rest of its time goes."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from aigc_cli.engine.llama import LlamaEngine
from aigc_cli.models.gguf_format import read_container
from aigc_cli.models.machine import this_machine
from benchmarks import rendering
from benchmarks.engine import measure_overhead
from benchmarks.home import Home
from benchmarks.results import OURS, Row
from benchmarks.together import options_for

ARRAY_BYTES = 2**30
TRIES = 7


def floor(home: Home) -> Iterator[Row]:
    """Bytes of weights for a token, the speed of memory, and what aigc itself adds."""
    yield Row("weights", "weights read for each token", "GB", {OURS: [weights_per_token(home.model) / 1e9]})
    note = f"{this_machine().n_cores} threads that read {ARRAY_BYTES / 1e9:.1f} GB with numpy"
    yield Row("bandwidth", "reading memory", "GB/s", {OURS: [bandwidth() / 1e9]}, note=note)
    pieces = rendering.tokens(rendering.mixed(500))
    samples = [1000 * rendering.render_s(pieces) / len(pieces) for _ in range(home.rounds)]
    yield Row("rendering", "rendering a token, CPU time", "ms", {OURS: samples})
    engine = LlamaEngine(options_for(home), time.perf_counter)
    share = 100 * measure_overhead(engine, 1)
    engine.close()
    yield Row("outside", "time of a reply outside llama.cpp's evaluation", "%", {OURS: [share]})


def weights_per_token(model: Path) -> int:
    """Bytes of all tensors that one token multiplies with: of the embeddings it takes one row."""
    with model.open("rb") as file:
        tensors = read_container(file, model.stat().st_size).tensors
    sizes = {tensor.name: tensor.n_bytes for tensor in tensors}
    embeddings = sizes["token_embd.weight"]
    # a model without output weights multiplies with its embeddings once more
    return sum(sizes.values()) - (embeddings if "output.weight" in sizes else 0)


def bandwidth() -> float:
    """Bytes a second that all cores together read from memory."""
    n_threads = this_machine().n_cores
    parts = np.array_split(np.ones(ARRAY_BYTES // 8, dtype=np.uint64), n_threads)
    with ThreadPoolExecutor(n_threads) as pool:
        times = []
        for _ in range(TRIES):
            started = time.perf_counter()
            list(pool.map(np.bitwise_xor.reduce, parts))  # numpy lets go of the GIL
            times.append(time.perf_counter() - started)
    return ARRAY_BYTES / min(times)
