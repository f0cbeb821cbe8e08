"""What guessing ahead brings to an edit, and what four replies drawn together cost."""

import statistics
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import count

from aigc_cli.engine.engine_options import EngineOptions
from aigc_cli.engine.llama import LlamaEngine
from aigc_cli.models.machine import this_machine
from benchmarks.home import Home
from benchmarks.results import OURS, Row, alternate, at_least, at_most
from benchmarks.speculation import (
    EDITS,
    N_CANDIDATES,
    N_CTX,
    N_PLAIN,
    N_REPLY,
    edit_of,
    new_file,
    request_s,
    run,
    run_unread,
    step_s,
)

PLAIN, ONE = "without guesses", "one reply"
ATTACHED = "bisect"  # a module of about 115 lines


def options_for(home: Home) -> EngineOptions:
    """The engine as a command opens it."""
    return EngineOptions(home.model, home.model.stem, N_CTX, this_machine().n_cores)


def edit(home: Home) -> Iterator[Row]:
    """A file written whole again with a small change, the old text as its prediction."""
    drafting = LlamaEngine(options_for(home), time.perf_counter)
    plain = LlamaEngine(replace(options_for(home), speculate=False), time.perf_counter)
    samples: dict[str, list[float]] = {OURS: [], PLAIN: []}
    module, instruction = EDITS[0]
    for _ in range(max(1, home.few - 1)):
        request = edit_of(module, instruction)
        beginning = replace(request, sampling=replace(request.sampling, max_tokens=N_PLAIN))
        samples[PLAIN].append(1 / step_s(run(plain, beginning)))
        samples[OURS].append(1 / step_s(run(drafting, request)))
    drafting.close()
    plain.close()
    note = f"`{module}` of the standard library: {instruction} Without guesses, its first {N_PLAIN} tokens"
    yield Row("edit", "editing a file", "tokens/s", samples, (at_least(1.8, PLAIN),), note=note)


def candidates(home: Home) -> Iterator[Row]:
    """Four replies to one question, without a file and with one."""
    yield _together(home, "candidates", None)
    yield _together(home, "candidates for a file", ATTACHED)


def _together(home: Home, name: str, module: str | None) -> Row:
    engine = LlamaEngine(replace(options_for(home), speculate=False), time.perf_counter)
    number, drawn = count(1), []

    def seconds(n: int) -> float:
        done = run_unread(engine, replace(new_file(next(number), module), candidates=n))
        drawn.append((n, done))
        return request_s(done)

    samples = alternate(home.rounds, {OURS: lambda: seconds(N_CANDIDATES), ONE: lambda: seconds(1)})
    engine.close()
    decode_s = {n: statistics.median(each.stats.decode_s for m, each in drawn if m == n) for n, _ in drawn}
    n_prompt = drawn[0][1].stats.prompt_tokens
    with_file = f" with `{module}.py`" if module else ""
    what = f"{N_CANDIDATES} replies of {N_REPLY} tokens to a prompt of {n_prompt}{with_file}, drawn together"
    note = (
        f"Without the time that the prompt takes: {decode_s[N_CANDIDATES] / decode_s[1]:.2f} times one reply"
    )
    return Row(name, what, "s", samples, (at_most(2.5, ONE),), note=note)
