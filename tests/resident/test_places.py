"""One person, several environments: an engine is found wherever another command has started it."""

import os
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from aigc_cli.serve.residence import Residence
from aigc_cli.serve.socket_place import SocketPlace, find_place
from aigc_cli.serve.stopping import engine_reports, make_room, stop_all
from tests.resident.engines import World, is_alive, wait_for


@pytest.fixture
def desktop(world: World, tmp_path: Path) -> Iterator[SocketPlace]:
    """The place of the same home where a runtime directory is named; `world.place` has none."""
    (tmp_path / "run").mkdir(mode=0o700)
    place = find_place(world.directories.state, str(tmp_path / "run"), world.root)
    yield place
    stop_all(place, ())


def at(place: SocketPlace, world: World, **settings: Any) -> Residence:
    return Residence(world.launch(**settings), place, {}, nullcontext)


def test_a_desktop_finds_the_engine_of_a_cron_job(world: World, desktop: SocketPlace) -> None:
    assert desktop.directory != world.place.directory
    started = at(world.place, world).reach()
    assert at(desktop, world).reach() == started
    assert world.log.count("engine starts") == 1


def test_the_engine_of_a_desktop_is_found_by_who_names_its_directory(
    world: World, desktop: SocketPlace
) -> None:
    started = at(desktop, world).reach()
    assert started.socket.parent == desktop.directory
    assert at(desktop, world).reach() == started
    assert stop_all(desktop, ()) == 1
    assert not is_alive(started.pid)


def test_all_engines_are_looked_at_and_stopped(world: World, desktop: SocketPlace) -> None:
    pids = [at(world.place, world).reach().pid, at(desktop, world, context=1024).reach().pid]
    assert sorted(report["pid"] for report in engine_reports(desktop)) == sorted(pids)
    assert make_room(desktop, "another")
    wait_for(lambda: not any(map(is_alive, pids)), "the end of both")
    assert engine_reports(desktop) == []


def test_a_directory_that_others_can_enter_is_not_looked_into(world: World, desktop: SocketPlace) -> None:
    found = at(world.place, world).reach()
    world.place.directory.chmod(0o755)
    try:
        assert list(desktop.everywhere()) == [desktop]
        assert engine_reports(desktop) == []
    finally:
        world.place.directory.chmod(0o700)
    assert [report["pid"] for report in engine_reports(desktop)] == [found.pid]


def test_a_runtime_directory_of_somebody_else_is_not_taken(tmp_path: Path) -> None:
    runtime = Path("/")
    if os.getuid() == 0:
        runtime = tmp_path / "run"
        runtime.mkdir()
        os.chown(runtime, 12345, 12345)
    taken = find_place(tmp_path / "state", str(runtime), tmp_path)
    assert taken.directory == tmp_path / "state" / "engines"
