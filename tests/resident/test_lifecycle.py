"""When a resident engine leaves: the clock alone, and whole processes."""

import shutil
import signal
import time
from dataclasses import dataclass

import pytest

from aigc_cli.errors import EngineError
from aigc_cli.events import Queued
from aigc_cli.serve import engine_log
from aigc_cli.serve.engine_log import cause_of_death, rotate_if_long, tail
from aigc_cli.serve.lifecycle import GRACE_S, Lifecycle
from aigc_cli.serve.stopping import stop_engine
from tests.resident.engines import LONG_CONTEXT, World, ask, is_alive, text_of, wait_for


@dataclass
class Machine:
    """A clock and a memory that a test sets."""

    now_s: float = 100.0
    free_bytes: int = 1000

    def lifecycle(self, keep_alive_s: float) -> Lifecycle:
        return Lifecycle(keep_alive_s, lambda: self.now_s, lambda: self.free_bytes, spare_bytes=100)


def leaves_after(machine: Machine, lifecycle: Lifecycle, most_s: float = 10_000) -> float:
    """Seconds until there is a reason to leave."""
    started_s = machine.now_s
    while machine.now_s < started_s + most_s:
        if lifecycle._reason():
            return machine.now_s - started_s
        machine.now_s += 1
    return most_s


def test_it_leaves_so_long_after_the_last_work() -> None:
    machine = Machine()
    lifecycle = machine.lifecycle(300)
    lifecycle.begin()
    assert leaves_after(machine, lifecycle) == 10_000
    lifecycle.end()
    assert leaves_after(machine, lifecycle) == 300


def test_nought_leaves_after_the_work_but_not_before_it() -> None:
    machine = Machine()
    lifecycle = machine.lifecycle(0)
    lifecycle.greet()
    assert leaves_after(machine, lifecycle) == GRACE_S
    machine.now_s = 0
    lifecycle = machine.lifecycle(0)
    lifecycle.greet()
    machine.now_s += 1
    lifecycle.begin()
    lifecycle.end()
    assert leaves_after(machine, lifecycle) == 0


def test_minus_one_stays() -> None:
    machine = Machine()
    assert leaves_after(machine, machine.lifecycle(-1)) == 10_000


def test_the_newest_client_says_how_long() -> None:
    machine = Machine()
    lifecycle = machine.lifecycle(300)
    lifecycle.greet(20)
    assert leaves_after(machine, lifecycle) == 20


def test_an_idle_engine_makes_room_when_memory_runs_short() -> None:
    machine = Machine()
    lifecycle = machine.lifecycle(-1)
    machine.now_s += GRACE_S + 1
    machine.free_bytes = 99
    assert "memory" in lifecycle._reason()
    lifecycle.begin()
    assert lifecycle._reason() == ""


@pytest.mark.parametrize("keep_alive_s", [0, 0.5])
def test_the_process_leaves_after_its_work(world: World, keep_alive_s: float) -> None:
    engine = world.open(world.launch(keep_alive_s=keep_alive_s))
    pid = world.pid
    assert len(text_of(list(engine.stream(ask("hello"))))) == 40
    wait_for(lambda: not is_alive(pid), "its end")
    assert world.place.names() == ()
    assert "no work for" in world.log
    assert len(text_of(list(engine.stream(ask("hello"))))) == 40  # and comes again by itself


def test_sigterm_ends_it_in_order(world: World) -> None:
    world.residence().reach()
    pid = world.pid
    world.kill(signal.SIGTERM)
    wait_for(lambda: not is_alive(pid), "its end")
    assert world.place.names() == ()
    assert "SIGTERM" in world.log
    assert "engine ends" in world.log


@pytest.mark.parametrize("is_at_work", [False, True])
def test_an_engine_that_nobody_can_find_any_more_leaves(world: World, *, is_at_work: bool) -> None:
    events = world.open(world.launch(keep_alive_s=-1)).stream(ask("hello", max_tokens=1500))
    next(events)
    if not is_at_work:
        list(events)
    pid = world.pid
    shutil.rmtree(world.place.directory)  # as at a logout, or with the whole home
    if is_at_work:
        assert len(text_of(list(events))) == 1500
    wait_for(lambda: not is_alive(pid), "its end")
    assert not world.place.directory.exists()


def test_a_reply_at_the_time_of_a_stop_ends_with_an_honest_error(long_world: World) -> None:
    events = long_world.endless()
    (name,) = long_world.place.names()
    assert stop_engine(long_world.place, name)
    with pytest.raises(EngineError, match="was stopped"):
        list(events)
    assert long_world.log.count("engine starts") == 1


def test_a_stop_before_the_first_word_is_not_undone_by_the_client(long_world: World) -> None:
    at_work = long_world.endless()
    in_line = long_world.open(long_world.launch(context=LONG_CONTEXT)).stream(ask("hello"))
    assert isinstance(next(in_line), Queued)
    (name,) = long_world.place.names()
    assert stop_engine(long_world.place, name)
    for events in (in_line, at_work):
        with pytest.raises(EngineError, match="was stopped"):
            list(events)
    assert long_world.log.count("engine starts") == 1


def test_a_process_that_does_not_answer_is_ended_with_force(world: World) -> None:
    world.residence().reach()
    pid = world.pid
    world.kill(signal.SIGSTOP)
    (name,) = world.place.names()
    started = time.monotonic()
    assert stop_engine(world.place, name, polite_s=0.5)
    assert time.monotonic() - started < 60
    wait_for(lambda: not is_alive(pid), "its end")
    assert world.place.names() == ()


def test_a_log_that_has_grown_long_is_set_aside(world: World) -> None:
    world.place.prepare()
    log = world.place.log(world.launch().name)
    log.write_text("an old line\n" * 100_000)
    world.residence().reach()
    assert log.stat().st_size < engine_log.MOST_BYTES
    assert engine_log.previous_log(log).stat().st_size > 1_000_000
    assert not rotate_if_long(log)
    assert log.stat().st_mode & 0o077 == 0


def test_the_tail_and_the_cause_are_read_from_the_end(world: World) -> None:
    world.place.prepare()
    log = world.place.log("x")
    log.write_text(
        "RuntimeError: old\n2026 engine starts: process 1\nGGML_ASSERT(a) failed\nstack\nmore stack\n"
    )
    assert cause_of_death(log) == "GGML_ASSERT(a) failed"
    assert tail(log, 15) == "more stack\n"
    log.write_text("2026 engine starts: process 1\n2026 loaded in 1.50 s\n")
    assert cause_of_death(log) == ""
    assert cause_of_death(world.place.log("y")) == ""
