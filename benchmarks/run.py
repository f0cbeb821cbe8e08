"""The whole benchmark: aigc against llama.cpp's own programs and `llm`, as Markdown and as JSON.

    python -m benchmarks.run MODEL.gguf [--only ROW,…] [--missing] [--rounds N] [--quick] [--llm MODEL-OF-LLM]

Every row is written to the file of results as soon as it is measured, in place of an older one of its name.
What is compared takes turns, and the figures are medians with the least and the most. From that file
`python -m docs.generate` makes docs/performance.md and its plots. llama.cpp's programs are found or built by
`python -m benchmarks.native`; a program that is not there is told as not found.
"""

import argparse
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from benchmarks import floor, footprint, growth, latency, report, speed, together
from benchmarks.home import Home
from benchmarks.machine import describe
from benchmarks.results import Growth, Results, Row

Measure = Callable[[Home], Iterator[Row | Growth]]
MEASURES: Mapping[str, Measure] = {
    "prefill": speed.prefill,
    "decode": speed.decode,
    "load": speed.load,
    "warm": latency.warm,
    "cold": latency.cold,
    "client": latency.client,
    "turns": latency.turns,
    "resumed": latency.restored,
    "memory": footprint.memory,
    "edit": together.edit,
    "candidates": together.candidates,
    "reply": growth.reply,
    "history": growth.history,
    "sessions": growth.sessions,
    "floor": floor.floor,
}
LONG = ("reply", "history", "sessions", "turns", "resumed")
# What tells one run from another; results of two machines or models are never mixed in one file.
SAME = ("processor", "memory", "model")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--only", help=f"some of {', '.join(MEASURES)}")
    parser.add_argument("--missing", action="store_true", help="only what the file of results does not have")
    parser.add_argument("--rounds", type=int, default=5, help="of what is short; what is long has fewer")
    parser.add_argument("--quick", action="store_true", help=f"one round, and no {', '.join(LONG)}")
    parser.add_argument("--llm", help="the model's name in llm")
    parser.add_argument("--results", type=Path, default=report.RESULTS, help="file of results to add to")
    given = parser.parse_args()
    unknown = set((given.only or "").split(",")) - {"", *MEASURES}
    if unknown:
        parser.error(f"no such row: {', '.join(sorted(unknown))}; there are {', '.join(MEASURES)}")
    return given


def chosen(given: argparse.Namespace, results: Results) -> list[str]:
    """The names of what to measure."""
    names = given.only.split(",") if given.only else list(MEASURES)
    if given.quick and not given.only:
        names = [name for name in names if name not in LONG]
    done = set(results.measured) if given.missing else set()
    return [name for name in names if name not in done]


def opened(path: Path, about: dict[str, str]) -> Results:
    """The results so far, to be added to."""
    results = Results.load(path) if path.exists() else Results()
    differing = [name for name in SAME if results.about.get(name, about[name]) != about[name]]
    if differing:
        sys.exit(f"{path} is about another {', '.join(differing)}: give another file as --results")
    results.about = about
    return results


def measure_all(names: list[str], home: Home, results: Results, path: Path) -> bool:
    """Measure and keep each; False when one could not be measured. The others go on."""
    is_whole = True
    for name in names:
        started = time.perf_counter()
        try:
            for measured in MEASURES[name](home):
                results.add(measured)
            results.measured[name] = round(time.perf_counter() - started, 1)
            results.save(path)
        except Exception:  # noqa: BLE001  # twenty minutes of other rows must not be lost for one
            traceback.print_exc()
            is_whole = False
        print(f"{name}: {time.perf_counter() - started:.0f} s", file=sys.stderr, flush=True)
    return is_whole


def main() -> int:
    given = arguments()
    results = opened(given.results, describe(given.model, given.llm))
    with tempfile.TemporaryDirectory(prefix="aigc-") as folder:
        home = Home(given.model, Path(folder), 1 if given.quick else given.rounds, given.llm)
        try:
            is_whole = measure_all(chosen(given, results), home, results, given.results)
        finally:
            home.stop()
    print(report.as_page(results))
    return 0 if is_whole else 1


if __name__ == "__main__":
    sys.exit(main())
