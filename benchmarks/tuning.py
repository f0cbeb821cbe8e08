"""What tuning chooses, against llama.cpp's defaults, alternating in one run.

    python -m benchmarks.tuning MODEL.gguf [--rounds N] [--threads N] [--limit SECONDS]

llama.cpp's defaults: weights rearranged, flash attention off (`auto` is measured too), a thread a core, 512
tokens a batch. Prompts and replies are evaluated through the engine's own context, without drafts. The first
rows have the setting that is chosen for their shape, the last two the one that is chosen for any.
Bars: 1,500 tokens in and 100 out at least 1.2 times sooner, 30 in and 300 out in at most 1.1 times the time.
"""

import argparse
import statistics
import sys
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

from aigc_cli.cli.setting_text import describe
from aigc_cli.config import Settings
from aigc_cli.engine.connect import devices, machine_with
from aigc_cli.engine.context import Context
from aigc_cli.engine.library import lib
from aigc_cli.engine.model import Model
from aigc_cli.engine.sequence import UBATCH
from aigc_cli.engine.tuning import USUAL_SHAPE, Measured, Setting, Shape, Tuning, Use, best
from aigc_cli.engine.tuning_plan import plan_search
from aigc_cli.engine.tuning_rig import context_options

N_CTX = 2048
LONG, SHORT = Shape(1500, 100), Shape(30, 300)
SOONER, LATER = 1.2, 1.1
N_TIMED = 32  # tokens of a reply that are timed, in its middle; the rest takes as long
TEXT = "def merge(first, second):\n    result = []\n    return sorted(first + second)\n\n" * 100


@dataclass(frozen=True)
class Runner:
    """A context with one setting, and the seconds of requests by their shape."""

    model: Model
    setting: Setting
    context: Context
    seconds: dict[Shape, list[float]] = field(default_factory=dict)

    def run(self, shape: Shape) -> None:
        """Read a prompt whole, and write the middle of the reply."""
        tokens = self.model.tokenize(TEXT, special=False)[: shape.n_prompt + shape.n_reply]
        with self.context.open([0]) as sequence:
            sequence.truncate(0)
            started = time.perf_counter()
            for first in range(0, shape.n_prompt, UBATCH):
                sequence.evaluate(tokens[first : min(first + UBATCH, shape.n_prompt)])
            lib.llama_synchronize(self.context.handle)
            read_s = time.perf_counter() - started
            n_before = (shape.n_reply - N_TIMED) // 2
            sequence.evaluate(tokens[shape.n_prompt : shape.n_prompt + n_before])  # as if it were written
            lib.llama_synchronize(self.context.handle)
            started = time.perf_counter()
            for token in tokens[shape.n_prompt + n_before :][:N_TIMED]:
                sequence.evaluate([token])
            lib.llama_synchronize(self.context.handle)
            step_s = (time.perf_counter() - started) / N_TIMED
            sequence.truncate(0)
        self.seconds.setdefault(shape, []).append(read_s + shape.n_reply * step_s)


def tune(path: Path, n_threads: int | None, limit_s: float) -> Tuning:
    """What `aigc models tune` does."""
    found = devices()
    plan = plan_search(
        Settings(threads=n_threads),
        path,
        found,
        machine_with(found),
        clock=time.perf_counter,
        limit_s=limit_s,
        on_trial=lambda setting: print(f"  {describe(setting)}", file=sys.stderr),
    )
    with plan:
        plan.search.probe()
        return plan.search.run()


class Bench:
    """Models and contexts, each made once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._models: dict[bool, Model] = {}
        self.runners: dict[Setting, Runner] = {}

    def runner(self, setting: Setting) -> Runner:
        """The context with this setting."""
        if setting not in self.runners:
            repack = setting.repack_weights
            if repack not in self._models:
                self._models[repack] = Model(self._path, repack_weights=repack, cancelled=lambda: False)
            model = self._models[repack]
            context = Context(model, context_options(setting, N_CTX))
            self.runners[setting] = Runner(model, setting, context)
        return self.runners[setting]


def best_for(tuning: Tuning, shape: Shape, untuned: Setting) -> Measured:
    """What an engine that stays would choose."""
    return best(tuning.measured, Use.RESIDENT, shape, untuned)


def print_measured(tuning: Tuning, untuned: Setting) -> None:
    """What tuning found."""
    print(
        f"Tuned in {tuning.took_s:.0f} s, other programs took {100 * tuning.busy:.0f} % of the processor.\n"
    )
    print(
        "| setting | prefill tok/s | decode tok/s | load s | memory MB | chosen for |\n"
        "|---|---|---|---|---|---|"
    )
    shapes = {"1,500 + 100": LONG, "30 + 300": SHORT, "any": USUAL_SHAPE}
    for one in tuning.measured:
        chosen = [name for name, shape in shapes.items() if best_for(tuning, shape, untuned) is one]
        print(
            f"| {describe(one.setting)} | {one.prefill_tokens_per_s:.1f} | {one.decode_tokens_per_s:.1f}"
            f" | {one.load_s:.2f} | {one.memory_bytes / 1e6:,.0f} | {', '.join(chosen)} |"
        )
    print()


def main() -> None:
    """Tune, compare, print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, help="of both; default: tuned, against a thread a core")
    parser.add_argument("--limit", type=float, default=60.0, help="seconds for tuning")
    arguments = parser.parse_args()
    tuning = tune(arguments.model, arguments.threads, arguments.limit)
    n_threads = arguments.threads or machine_with(()).n_cores
    untuned = Setting(n_threads, n_threads)
    print_measured(tuning, untuned)
    default = Setting(n_threads, n_threads, repack_weights=True, flash_attention=False)
    bench = Bench(arguments.model)
    usual = best_for(tuning, USUAL_SHAPE, untuned).setting
    own = {shape: best_for(tuning, shape, untuned).setting for shape in (LONG, SHORT)}
    for _ in range(arguments.rounds):
        for shape in (LONG, SHORT):
            for setting in dict.fromkeys(
                (default, replace(default, flash_attention=True), own[shape], usual)
            ):
                bench.runner(setting).run(shape)
    print(
        "| request | setting | seconds | llama.cpp's defaults | ratio | bar | |\n"
        "|---|---|---|---|---|---|---|"
    )
    rows = [(LONG, own[LONG], True), (SHORT, own[SHORT], True), (LONG, usual, False), (SHORT, usual, False)]
    for shape, setting, has_bar in rows:
        print(row(bench, shape, setting, default, has_bar=has_bar))
    auto = replace(default, flash_attention=True)
    times = " and ".join(f"{compared(bench, shape, auto, default):.2f}" for shape in (LONG, SHORT))
    print(f"\nWith flash attention on, llama.cpp's defaults take {times} times as long.")


def compared(bench: Bench, shape: Shape, setting: Setting, default: Setting) -> float:
    """Median over the rounds of one's time over the other's."""
    pairs = zip(bench.runners[setting].seconds[shape], bench.runners[default].seconds[shape], strict=True)
    return statistics.median(ours / theirs for ours, theirs in pairs)


def row(bench: Bench, shape: Shape, setting: Setting, default: Setting, *, has_bar: bool) -> str:
    """A row of the table; the ratio says how many times sooner, or for long replies how long."""
    ours, theirs = (statistics.median(bench.runners[each].seconds[shape]) for each in (setting, default))
    ratio = compared(bench, shape, setting, default)
    if shape == LONG:
        text, bar, holds = f"{1 / ratio:.2f} times sooner", f">= {SOONER}", 1 / ratio >= SOONER
    else:
        text, bar, holds = f"{ratio:.2f} of the time", f"<= {LATER}", ratio <= LATER
    verdict = f"{bar} | {'yes' if holds else 'NO'}" if has_bar else "(chosen for any request) | "
    cells = f"{shape.n_prompt:,} in, {shape.n_reply} out | {describe(setting)} | {ours:.1f} | {theirs:.1f}"
    return f"| {cells} | {text} | {verdict} |"


if __name__ == "__main__":
    main()
