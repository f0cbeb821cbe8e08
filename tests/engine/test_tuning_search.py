"""The measuring loop, on a machine whose clock and speeds are made up."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace

import pytest

from aigc_cli.engine.tuning import USUAL_SHAPE, Setting, Shape, Use, best
from aigc_cli.engine.tuning_search import LONG, SHORT, OutOfTime, Search, Space
from aigc_cli.errors import ModelLoadError

BASE = Setting(n_threads=4, n_threads_prefill=4)
SPACE = Space(threads=(2, 8))
Speeds = Callable[[Setting], tuple[float, float] | None]


def as_measured_here(setting: Setting) -> tuple[float, float]:
    """Tokens per second, reading and writing: plain weights read faster, rearranged ones write faster."""
    read, write = (80.0, 22.5) if setting.repack_weights else (100.0, 19.0)
    if not setting.flash_attention:
        read, write = read * 0.9, write * 0.95
    read *= {2: 0.5, 4: 1.0, 8: 0.9}[setting.n_threads_prefill]
    write *= {2: 1.2, 4: 1.0, 8: 0.8}[setting.n_threads]
    if setting.kv_type != "f16":
        read, write = read * 0.95, write * 1.02
    return read, write


@dataclass
class Machine:
    """A workbench and its clock. What runs longer than `limit_s` is ended there, as the real one does it.

    Attributes:
        speeds: tokens per second with a setting, reading and writing; None: it can't be loaded.
        slowness: multiplies times; other programs make it grow as time goes on.
        busy: share of the processor that those take.
    """

    speeds: Speeds = as_measured_here
    limit_s: float = 60.0
    holds_both: bool = True
    busy: float = 0.0
    load_s: float = 0.4
    slowness: Callable[[float], float] = lambda _now_s: 1.0
    now_s: float = 0.0
    loaded: set[bool] = field(default_factory=set)
    most_loaded: int = 0
    opened: list["Rig"] = field(default_factory=list)

    def clock(self) -> float:
        return self.now_s

    def spend(self, seconds: float) -> float:
        seconds *= self.slowness(self.now_s)
        if self.now_s + seconds > self.limit_s:
            self.now_s = self.limit_s
            raise OutOfTime
        self.now_s += seconds
        return seconds

    def open(self, setting: Setting) -> "Rig":
        speeds = self.speeds(setting)
        if speeds is None:
            raise ModelLoadError("no such thing")
        if setting.repack_weights not in self.loaded:
            if not self.holds_both:
                assert all(rig.is_closed for rig in self.opened)
                self.loaded.clear()
            self.loaded.add(setting.repack_weights)
            self.most_loaded = max(self.most_loaded, len(self.loaded))
            self.spend(self.load_s * (5 if setting.repack_weights else 1))
        rig = Rig(self, *speeds)
        self.spend(32 / rig.read)
        self.opened.append(rig)
        return rig


@dataclass
class Rig:
    machine: Machine
    read: float
    write: float
    load_s: float = 0.4
    memory_bytes: int = 10**9
    is_closed: bool = False
    n_trials: int = 0

    def prefill(self, n_tokens: int) -> float:
        self.n_trials += 1
        return self.machine.spend(n_tokens / self.read)

    def decode(self, n_tokens: int) -> float:
        return self.machine.spend(n_tokens / self.write)

    def batch(self, n_rows: int) -> float:
        return self.machine.spend(max(1.0, n_rows / 3) / self.write)

    def close(self) -> None:
        self.is_closed = True


def search(machine: Machine, space: Space = SPACE, base: Setting = BASE) -> Search:
    return Search(machine, base, space, machine.clock, limit_s=machine.limit_s)


def test_it_finds_what_reads_and_what_writes_best() -> None:
    machine = Machine(limit_s=120.0)
    subject = search(machine)
    subject.probe()
    measured = subject.run().measured
    reading = best(measured, Use.RESIDENT, LONG, BASE).setting
    writing = best(measured, Use.RESIDENT, Shape(1, 300), BASE).setting
    assert reading == replace(BASE, n_threads=2)  # two threads write faster, four read faster
    assert writing == replace(BASE, repack_weights=True, n_threads=2)
    assert all(rig.is_closed for rig in machine.opened)


def test_rates_are_those_of_the_machine() -> None:
    machine = Machine()
    subject = search(machine)
    subject.probe()
    for one in subject.run().measured:
        assert (one.prefill_tokens_per_s, one.decode_tokens_per_s) == pytest.approx(
            as_measured_here(one.setting)
        )


def test_rates_are_compared_as_of_the_same_moment_while_the_machine_slows_down() -> None:
    """After 20 s everything takes three times as long: what came later looks no worse for it."""
    machine = Machine(limit_s=200.0, slowness=lambda now_s: 1.0 if now_s < 20 else 3.0)
    subject = search(machine)
    subject.probe()
    first, *others = subject.run().measured
    assert machine.now_s > 40
    for one in others:
        ratio = one.prefill_tokens_per_s / first.prefill_tokens_per_s
        assert ratio == pytest.approx(as_measured_here(one.setting)[0] / as_measured_here(BASE)[0], rel=0.01)


@pytest.mark.parametrize("times", [0.5, 2.0])
@pytest.mark.parametrize("attention", [True, False])
def test_what_is_left_out_after_a_round_is_compared_with_others_in_that_round(
    times: float, *, attention: bool
) -> None:
    """From the second round on everything takes half or twice the time: the choice is the same."""

    def speeds(setting: Setting) -> tuple[float, float]:
        read, write = as_measured_here(replace(setting, flash_attention=True))
        share = 1.0 if setting.flash_attention is attention else 0.78  # left out after the first round
        return read * share, write * share

    steady, changing = Machine(speeds, limit_s=400.0), Machine(speeds, limit_s=400.0)
    changing.slowness = lambda _now_s: times if any(rig.n_trials > 1 for rig in changing.opened) else 1.0
    chosen = []
    for machine in (steady, changing):
        subject = search(machine)
        subject.probe()
        measured = subject.run().measured
        chosen.append(
            [best(measured, Use.RESIDENT, shape, BASE).setting for shape in (USUAL_SHAPE, LONG, SHORT)]
        )
    assert {rig.n_trials for rig in changing.opened[1:5]} == {1, 2}
    assert chosen[1] == chosen[0]
    assert {setting.flash_attention for setting in chosen[0]} == {attention}
    for one in measured:
        ratio = one.decode_tokens_per_s / measured[0].decode_tokens_per_s
        assert ratio == pytest.approx(speeds(one.setting)[1] / speeds(measured[0].setting)[1])


def test_it_stops_when_the_answer_is_clear() -> None:
    """Each is a third better or worse: one round says all."""

    def clear(setting: Setting) -> tuple[float, float]:
        worse = 1.5 ** (setting.repack_weights + (not setting.flash_attention) + (setting.kv_type != "f16"))
        return 1000 / worse, 100 / worse

    def near(setting: Setting) -> tuple[float, float]:
        read, write = clear(replace(setting, repack_weights=False, flash_attention=True))
        return read * (1.0 + 0.04 * setting.repack_weights), write * (1.0 + 0.04 * setting.flash_attention)

    machines = [Machine(clear), Machine(near)]
    for machine in machines:
        subject = search(machine, Space())
        subject.probe()
        subject.run()
    first_contest = [[rig.n_trials for rig in machine.opened[1:5]] for machine in machines]
    assert first_contest == [[1, 1, 1, 1], [3, 3, 3, 3]]
    assert machines[0].now_s < machines[1].now_s


@pytest.mark.parametrize("limit_s", [5.0, 12.0, 31.7, 60.0])
@pytest.mark.parametrize("speed", [0.02, 0.3, 1.0, 40.0])
def test_it_never_takes_longer_than_the_limit(limit_s: float, speed: float) -> None:
    def speeds(setting: Setting) -> tuple[float, float]:
        read, write = as_measured_here(setting)
        return read * speed, write * speed

    machine = Machine(speeds, limit_s=limit_s)
    subject = search(machine)
    try:
        estimate_s = subject.probe()
        tuning = subject.run()
    except OutOfTime:
        assert speed < 1  # nothing could be measured in that time
    else:
        assert tuning.measured
        assert tuning.took_s <= limit_s
        assert estimate_s <= limit_s
    assert machine.now_s <= limit_s
    assert all(rig.is_closed for rig in machine.opened)


@pytest.mark.parametrize("speed", [1.0, 5.0, 40.0])
def test_the_estimate_is_near_what_it_takes(speed: float) -> None:
    machine = Machine(lambda setting: (as_measured_here(setting)[0] * speed, as_measured_here(setting)[1]))
    subject = search(machine)
    estimate_s = subject.probe()
    took_s = subject.run().took_s
    assert 0.5 < estimate_s / took_s < 2


def test_a_setting_that_cant_be_loaded_is_left_out() -> None:
    def speeds(setting: Setting) -> tuple[float, float] | None:
        return None if setting.repack_weights or setting.kv_type != "f16" else as_measured_here(setting)

    subject = search(Machine(speeds))
    subject.probe()
    settings = [one.setting for one in subject.run().measured]
    assert BASE in settings
    assert not any(setting.repack_weights or setting.kv_type != "f16" for setting in settings)


def test_a_model_that_cant_be_loaded_at_all_is_an_error() -> None:
    with pytest.raises(ModelLoadError):
        search(Machine(lambda _setting: None)).probe()


def test_two_copies_of_the_weights_are_never_loaded_where_memory_is_short() -> None:
    machine = Machine(holds_both=False)
    subject = search(machine)
    subject.probe()
    kinds = {one.setting.repack_weights for one in subject.run().measured}
    assert kinds == {True, False}
    assert machine.most_loaded == 1


def test_threads_are_not_judged_beside_a_busy_program() -> None:
    subject = search(Machine(busy=0.5))
    subject.probe()
    tuning = subject.run()
    assert {one.setting.n_threads for one in tuning.measured} == {BASE.n_threads}
    assert tuning.is_doubtful


def test_on_a_gpu_weights_and_threads_stay() -> None:
    machine = Machine()
    subject = Search(machine, BASE, Space(weights=False), machine.clock, on_gpu=True)
    subject.probe()
    tuning = subject.run()
    assert tuning.on_gpu
    assert {(one.setting.repack_weights, one.setting.n_threads) for one in tuning.measured} == {(False, 4)}
    assert {one.setting.n_ubatch for one in tuning.measured} == {512, 128}
    assert {one.setting.kv_type for one in tuning.measured} == {"f16", "q8_0"}
    assert {one.setting.flash_attention for one in tuning.measured} == {True, False}


def test_where_nothing_is_clearly_faster_the_default_stays() -> None:
    """Each variant is a little faster, as any is on a machine where all are the same."""

    def speeds(setting: Setting) -> tuple[float, float]:
        percent = sum(getattr(setting, name) != value for name, value in asdict(BASE).items()) / 2
        return 100.0 * (1 + percent / 100), 20.0 * (1 + percent / 100)

    subject = search(Machine(speeds, limit_s=120.0))
    subject.probe()
    measured = subject.run().measured
    assert len(measured) > 5
    for shape in (USUAL_SHAPE, LONG, SHORT):
        assert best(measured, Use.RESIDENT, shape, BASE).setting == BASE


def test_what_batches_cost_is_known_of_what_is_chosen() -> None:
    subject = search(Machine(limit_s=120.0))
    subject.probe()
    measured = subject.run().measured
    for shape in (Shape(1500, 100), Shape(30, 300)):
        steps = best(measured, Use.RESIDENT, shape, BASE).batch_steps
        assert steps == pytest.approx({4: 4 / 3, 16: 16 / 3, 32: 32 / 3})


def test_on_a_slow_machine_something_is_measured_rather_than_nothing() -> None:
    """After the first look, a trial would end behind the share of the first stage."""
    machine = Machine(lambda _setting: (3.0, 0.7), limit_s=60.0, load_s=0.1)
    subject = search(machine)
    subject.probe()
    assert [one.setting for one in subject.run().measured] == [BASE]
