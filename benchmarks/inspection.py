"""What looking into the model costs: the attention of 512 tokens beside a plain reading of them.

    python -m benchmarks.inspection MODEL.gguf [--rounds N]

The two alternate in one run; the figures are medians.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

from aigc_cli.engine.base import Text
from aigc_cli.engine.inspection import InspectionOptions, Inspector

TEXT = Text("x = 1\n" * 103)  # 512 tokens and a few more, of the vocabularies that were tried
N_CTX = 1024


def seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    with Inspector(InspectionOptions(given.model, given.model.stem, N_CTX, n_threads=2)) as inspector:
        pairs = [
            (seconds(lambda: inspector.next(TEXT, 1)), seconds(lambda: inspector.attention(TEXT)))
            for _ in range(given.rounds)
        ]
        n_tokens = len(inspector.tokens(TEXT))
    plain, watched = (statistics.median(column) for column in zip(*pairs, strict=True))
    print(f"{n_tokens} tokens: plain {plain:.2f} s, attention {watched:.2f} s, ratio {watched / plain:.2f}")


if __name__ == "__main__":
    main()
