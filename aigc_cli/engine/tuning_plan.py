"""A search over the settings of one model on this machine: what to vary, and what memory allows."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from aigc_cli.config import Settings
from aigc_cli.engine.connect import default_setting, n_threads, placement_of
from aigc_cli.engine.placement import USABLE_RAM, Device
from aigc_cli.engine.tuning_rig import N_CELLS, BenchOptions, LlamaWorkbench
from aigc_cli.engine.tuning_search import OnTrial, Search, Space
from aigc_cli.models.gguf import read_header
from aigc_cli.models.machine import Machine

MOST_RIGS = 4  # contexts that are open at once


@dataclass(frozen=True, slots=True)
class Plan:
    """A search and its workbench, which is closed at the end of the `with`."""

    search: Search
    bench: LlamaWorkbench

    def stop(self) -> None:
        """End it; any thread may call this."""
        self.bench.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.bench.close()


def plan_search(
    settings: Settings,
    model: Path,
    found: Sequence[Device],
    machine: Machine,
    *,
    clock: Callable[[], float],
    limit_s: float,
    on_trial: OnTrial,
) -> Plan:
    """Prepare a search; nothing is loaded yet.

    Raises:
        ModelError: the file is damaged, or the memory does not hold it.
    """
    header = read_header(model)
    placement = placement_of(settings, header, found, machine)
    on_gpu = placement.n_gpu_layers != 0
    needed = header.memory(N_CELLS)
    both_bytes = 2 * needed.weights_bytes + MOST_RIGS * (needed.kv_bytes + needed.compute_bytes)
    options = BenchOptions(
        model,
        placement.n_gpu_layers,
        holds_both=both_bytes <= machine.available_bytes * USABLE_RAM,
        resident_bytes=_resident_bytes,
        busy=_watch_others(),
    )
    bench = LlamaWorkbench(options, clock, limit_s)
    search = Search(
        bench,
        default_setting(settings, machine),
        space_for(settings, machine, on_gpu=on_gpu),
        clock,
        on_gpu=on_gpu,
        limit_s=limit_s,
        on_trial=on_trial,
    )
    return Plan(search, bench)


def space_for(settings: Settings, machine: Machine, *, on_gpu: bool, n_logical: int | None = None) -> Space:
    """What is worth varying: where layers are on a GPU, threads and weights on the CPU matter little.

    A number of threads that the person set stays. `n_logical` counts hyperthreads, os.cpu_count() by default.
    """
    if on_gpu:
        return Space(weights=False)
    n = n_threads(settings, machine)
    counts = {n - 1, n // 2, n_logical or os.cpu_count() or n} - {0, n}
    return Space(threads=() if settings.threads else tuple(sorted(counts)))


def _watch_others() -> Callable[[], float]:
    """A function that tells which share of the processor others took since now."""
    import psutil

    own = psutil.Process()

    def used() -> tuple[float, float, float]:
        """Seconds of all processors, those at work, those at work for this process."""
        times, mine = psutil.cpu_times(), own.cpu_times()
        return sum(times), sum(times) - times.idle, mine.user + mine.system

    before = used()

    def share() -> float:
        """From 0 to 1."""
        total, busy, mine = (now - then for now, then in zip(used(), before, strict=True))
        return min(1.0, max(0.0, (busy - mine) / total)) if total > 0 else 0.0

    return share


def _resident_bytes() -> int:
    import psutil

    return int(psutil.Process().memory_info().rss)
