"""Measuring for real, with a tiny model."""

import itertools
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from aigc_cli.config import Settings
from aigc_cli.engine.base import Request, Sampling, Text
from aigc_cli.engine.connect import machine_with
from aigc_cli.engine.engine_options import EngineOptions
from aigc_cli.engine.llama import LlamaEngine
from aigc_cli.engine.tuning import Setting
from aigc_cli.engine.tuning_plan import plan_search, space_for
from aigc_cli.engine.tuning_rig import DEPTH, N_WARM, BenchOptions, LlamaRig, LlamaWorkbench
from aigc_cli.engine.tuning_search import OutOfTime, Space
from aigc_cli.errors import ModelLoadError
from aigc_cli.events import Delta
from aigc_cli.models.machine import Machine

ONE = Setting(n_threads=1, n_threads_prefill=1)
LIMIT_S = 60.0


def workbench(path: Path, *, holds_both: bool = True, limit_s: float = LIMIT_S) -> LlamaWorkbench:
    options = BenchOptions(path, 0, holds_both, resident_bytes=lambda: 1, busy=lambda: 0.0)
    return LlamaWorkbench(options, time.perf_counter, limit_s)


@pytest.fixture
def bench(tiny_model: Path) -> Iterator[LlamaWorkbench]:
    bench = workbench(tiny_model)
    yield bench
    bench.close()


@pytest.mark.parametrize(
    "setting",
    [
        ONE,
        Setting(1, 1, repack_weights=True),
        Setting(1, 1, flash_attention=False, n_ubatch=64),
    ],
)
def test_a_rig_measures_at_depth(bench: LlamaWorkbench, setting: Setting) -> None:
    rig = bench.open(setting)
    assert rig.depth == DEPTH
    for seconds in (rig.prefill(256), rig.decode(4), rig.batch(32), rig.prefill(256)):
        assert 0 < seconds < LIMIT_S
    assert rig.depth == DEPTH + 256
    assert rig.load_s > 0
    assert N_WARM < DEPTH
    rig.close()


def test_a_setting_that_llama_cpp_refuses_is_a_load_error(bench: LlamaWorkbench) -> None:
    """A cache of 8 bits needs flash attention."""
    with pytest.raises(ModelLoadError):
        bench.open(Setting(1, 1, flash_attention=False, kv_type="q8_0"))


def test_where_memory_is_short_one_model_goes_before_the_other_comes(tiny_model: Path) -> None:
    bench = workbench(tiny_model, holds_both=False)
    first = bench.open(ONE)
    assert bench.open(Setting(1, 1, repack_weights=True)).decode(1) > 0
    assert not first.context.handle  # its model is freed, and so is what stood on it
    bench.close()


def test_a_stop_ends_the_measuring(bench: LlamaWorkbench) -> None:
    rig = bench.open(ONE)
    threading.Timer(0.1, bench.stop).start()
    endless = (rig.prefill(512) for _ in itertools.count())
    with pytest.raises(OutOfTime):
        sum(endless)
    with pytest.raises(OutOfTime):
        bench.open(ONE)


def test_the_limit_is_a_stop(tiny_model: Path) -> None:
    bench = workbench(tiny_model, limit_s=0.2)
    endless = (bench.open(ONE).decode(1) for _ in itertools.count())
    with pytest.raises(OutOfTime):
        sum(endless)
    bench.close()


def test_a_whole_search_with_a_tiny_model(tiny_model: Path) -> None:
    shown: list[Setting] = []
    plan = plan_search(
        Settings(threads=1),
        tiny_model,
        (),
        machine_with(()),
        clock=time.perf_counter,
        limit_s=LIMIT_S,
        on_trial=shown.append,
    )
    with plan:
        estimate_s = plan.search.probe()
        tuning = plan.search.run()
    assert 0 < estimate_s <= LIMIT_S
    assert ONE in shown
    measured = {one.setting for one in tuning.measured}
    assert {(one.repack_weights, one.flash_attention) for one in measured} == {
        (repack, attention) for repack in (False, True) for attention in (False, True)
    }
    assert {one.n_threads for one in measured} == {1}
    assert all(one.memory_bytes > 0 for one in tuning.measured)
    assert 0 <= tuning.busy <= 1


def test_an_engine_runs_with_every_setting(tiny_model: Path, tmp_path: Path) -> None:
    """What one saves of its prefixes never comes to another that would compute it otherwise."""

    def reply(**values: object) -> str:
        options = EngineOptions(
            tiny_model,
            "tiny",
            1024,
            n_threads=1,
            kv_directory=tmp_path,
            sha256="a" * 64,
            **values,  # type: ignore[arg-type]
        )
        engine = LlamaEngine(options, time.perf_counter)
        request = Request(Text("def hello(world):\n" * 30), Sampling(temperature=0, max_tokens=12))
        text = "".join(event.text for event in engine.stream(request) if isinstance(event, Delta))
        engine.close()
        return text

    plain = reply()
    assert len(plain) > 0
    for values in (
        {"n_ubatch": 64},
        {"flash_attention": False},
        {"repack_weights": True, "batch_steps": {4: 2.0, 16: 4.0, 32: 6.0}},
    ):
        assert len(reply(**values)) > 0
        assert reply() == plain


def test_what_is_varied_depends_on_the_machine() -> None:
    machine = Machine(memory_bytes=1, available_bytes=1, n_cores=1)
    assert space_for(Settings(), machine, on_gpu=True) == Space(weights=False)
    assert space_for(Settings(threads=1), machine, on_gpu=False, n_logical=8) == Space()
    assert space_for(Settings(), machine, on_gpu=False, n_logical=2) == Space(threads=(2,))


def test_closing_waits_for_a_thread_that_still_measures(tiny_model: Path) -> None:
    """Ctrl-C can leave one behind: nothing is freed under it, and it ends by itself."""
    for _ in range(5):
        bench = workbench(tiny_model)
        rig = bench.open(ONE)
        seen: list[BaseException] = []

        def measure(rig: LlamaRig = rig, seen: list[BaseException] = seen) -> None:
            try:
                while True:
                    rig.prefill(128)
            except OutOfTime as error:
                seen.append(error)

        thread = threading.Thread(target=measure)
        thread.start()
        bench.close()
        thread.join(20)
        assert len(seen) == 1
