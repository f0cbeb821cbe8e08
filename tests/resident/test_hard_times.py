"""What happens to an engine and its clients when files, terminals and signals get in the way."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from aigc_cli.events import Delta, Done, FinishReason, Queued
from aigc_cli.serve.engine_log import open_log, previous_log, rotate_if_long
from tests.resident.command import AIGC, aigc
from tests.resident.engines import LONG_CONTEXT, World, ask, wait_for
from tests.tiny_model import write_tiny_model


@pytest.fixture
def background(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Commands use an engine in the background, which does not outlive the test."""
    monkeypatch.setenv("AIGC_RESIDENT", "1")
    monkeypatch.setenv("AIGC_KEEP_ALIVE", "60")
    monkeypatch.setenv("AIGC_LOOP_GUARD", "0")
    yield
    aigc("engine", "stop")


def status() -> list[dict[str, object]]:
    reports: list[dict[str, object]] = json.loads(aigc("engine", "status", "--json").stdout)
    return reports


@pytest.mark.usefixtures("background")
def test_a_terminal_that_is_closed_while_the_engine_starts_takes_only_the_command(byte_model: Path) -> None:
    line = [*AIGC, "-m", str(byte_model), "--max-tokens", "5", "--no-stdin", "hello"]
    engines = Path(os.environ["AIGC_HOME"]) / "state" / "engines"
    with subprocess.Popen(line, start_new_session=True, stdout=subprocess.PIPE) as command:
        wait_for(lambda: list(engines.glob("*.pid")), "the start of the engine", 60)
        os.killpg(command.pid, signal.SIGHUP)
    (started,) = status()
    assert aigc("-m", str(byte_model), "--max-tokens", "5", "hello").returncode == 0
    assert [report["pid"] for report in status()] == [started["pid"]]


def test_ctrl_c_in_the_line_leaves_it_and_the_reply_at_work_goes_on(long_world: World) -> None:
    at_work = long_world.endless()
    waiting = long_world.open(long_world.launch(context=LONG_CONTEXT))
    in_line = waiting.stream(ask("hello"))
    assert isinstance(next(in_line), Queued)
    waiting.cancel()
    end = list(in_line)[-1]
    assert isinstance(end, Done)
    assert end.finish_reason is FinishReason.INTERRUPTED
    wait_for(lambda: long_world.reports()[0]["waiting"] == 0, "an empty line")
    assert all(isinstance(next(at_work), Delta) for _ in range(3))
    assert long_world.reports()[0]["state"] == "busy"
    at_work.close()  # type: ignore[attr-defined]  # it is a generator
    wait_for(lambda: long_world.reports()[0]["replies"] == 1, "the end of the one reply")


def test_a_model_file_in_the_place_of_another_gets_an_engine_of_its_own(world: World, tmp_path: Path) -> None:
    """Even with the size and the time of the old one, as `cp -p` and package managers leave it."""
    world.model = write_tiny_model(tmp_path / "model.gguf", ascii_only=True, merges=("ÿ þ",))
    old = world.residence().reach()
    times = world.model.stat()
    new = tmp_path / "new.gguf"
    new.write_bytes(world.model.read_bytes()[:-1] + b"\x01")
    os.utime(new, ns=(times.st_atime_ns, times.st_mtime_ns))
    new.replace(world.model)
    assert world.residence().reach().pid != old.pid


def test_a_log_that_can_not_be_set_aside_is_written_on(world: World) -> None:
    world.place.prepare()
    log = world.place.log(world.launch().name)
    log.write_text("an old line\n" * 100_000)
    previous_log(log).mkdir()
    assert not rotate_if_long(log)
    os.close(open_log(log))
    world.residence().reach()
    assert "engine starts" in log.read_text(encoding="utf-8")


def test_what_a_dead_engine_left_and_nobody_can_remove_is_no_engine(world: World) -> None:
    world.place.prepare()
    world.place.socket("dead").mkdir()  # as good as one in a directory that can't be written
    assert world.reports() == []
