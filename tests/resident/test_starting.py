"""Finding a resident engine, starting one, and what stands in the way."""

import os
import signal
import socket
import threading
from contextlib import nullcontext
from pathlib import Path

import pytest

from aigc_cli.errors import ConfigError, EngineError, InvalidModelFile, ModelLoadError
from aigc_cli.serve.launch import engine_environment
from aigc_cli.serve.residence import Residence
from aigc_cli.serve.socket_place import find_place
from aigc_cli.serve.stopping import stop_engine
from tests.resident.engines import World, ask, is_alive, text_of, wait_for


def test_the_second_command_finds_the_engine_of_the_first(world: World) -> None:
    first, second = world.open(), world.open()
    assert text_of(list(first.stream(ask("hello")))) == text_of(list(second.stream(ask("hello"))))
    assert first.info == second.info
    (report,) = world.reports()
    assert (report["model"], report["replies"], report["n_ctx"]) == ("tiny", 2, 2048)
    assert world.waited == ["loading"]


def test_two_first_commands_at_once_start_one_engine(world: World) -> None:
    barrier, found = threading.Barrier(4), []

    def first_command() -> None:
        residence = world.residence()
        barrier.wait()
        found.append(residence.reach().pid)

    threads = [threading.Thread(target=first_command) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert len(set(found)) == 1
    assert world.log.count("engine starts") == 1


def test_other_settings_get_an_engine_of_their_own(world: World) -> None:
    world.residence().reach()
    world.residence(world.launch(context=1024)).reach()
    assert sorted(report["n_ctx"] for report in world.reports()) == [1024, 2048]


def test_the_process_has_nothing_of_the_terminal_and_of_the_shells_secrets(world: World) -> None:
    env = {**os.environ, "OPENAI_API_KEY": "sk-1", "HF_TOKEN": "hf-1", "EDITOR": "vi", "LC_ALL": "C.UTF-8"}
    world.residence(env=env).reach()
    process = Path(f"/proc/{world.pid}")
    seen = dict(entry.partition("=")[::2] for entry in (process / "environ").read_text().split("\0"))
    assert {"OPENAI_API_KEY", "HF_TOKEN", "EDITOR"}.isdisjoint(seen)
    assert (seen["LC_ALL"], seen["GOMP_SPINCOUNT"]) == ("C.UTF-8", "1000")
    assert os.getsid(world.pid) == world.pid
    assert (process / "cwd").readlink() == Path("/")
    assert (process / "fd/0").readlink() == Path("/dev/null")
    assert (process / "fd/2").readlink().parent == world.place.logs


def test_an_environment_without_secrets_keeps_what_the_loader_and_the_drivers_read() -> None:
    kept = engine_environment(
        {"LD_LIBRARY_PATH": "/x", "CUDA_VISIBLE_DEVICES": "1", "OMP_WAIT_POLICY": "active", "LC_TOKEN": "x"}
    )
    assert kept == {
        "LD_LIBRARY_PATH": "/x",
        "CUDA_VISIBLE_DEVICES": "1",
        "OMP_WAIT_POLICY": "active",
        "GGML_NO_BACKTRACE": "1",
    }


def test_an_idle_engine_of_another_version_is_replaced(world: World) -> None:
    old = world.residence(world.launch(version="1")).reach().pid
    new = world.residence(world.launch(version="2")).reach().pid
    assert new != old
    wait_for(lambda: not is_alive(old), "the end of the old one")
    assert [(report["pid"], report["version"]) for report in world.reports()] == [(new, "2")]


def test_a_busy_engine_of_another_version_ends_its_reply_out_of_sight(world: World) -> None:
    engine = world.open(world.launch(version="1"))
    old = world.pid
    events = engine.stream(ask("hello", max_tokens=1500))
    seen = [next(events) for _ in range(5)]
    new = world.residence(world.launch(version="2")).reach().pid
    assert new != old
    assert len(text_of(seen + list(events))) == 1500
    wait_for(lambda: not is_alive(old), "the end of the old one")


def test_a_socket_that_a_dead_engine_left_is_cleared_away(world: World) -> None:
    world.place.prepare()
    path = world.place.socket(world.launch().name)
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    assert world.reports() == []
    assert not path.exists()
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    assert world.residence().reach().pid == world.pid


def test_an_engine_starts_where_its_number_can_not_be_written(world: World) -> None:
    world.place.prepare()
    name = world.launch().name
    world.place.pid(name).mkdir()  # as good as a full disk
    found = world.residence().reach()
    assert [report["pid"] for report in world.reports()] == [found.pid]
    assert stop_engine(world.place, name)
    wait_for(lambda: not is_alive(found.pid), "its end")
    world.place.pid(name).rmdir()


def test_a_stopped_process_is_named_to_the_next_client(world: World) -> None:
    found = world.residence().reach()
    world.kill(signal.SIGSTOP)
    residence = Residence(world.launch(), world.place, dict(os.environ), nullcontext, patience_s=0.2)
    with pytest.raises(EngineError, match=f"process {found.pid}.* does not answer") as caught:
        residence.reach()
    assert "aigc engine stop" in caught.value.hint
    world.kill(signal.SIGCONT)
    assert world.residence().reach() == found  # with patience


@pytest.mark.parametrize("mode", [0o755, 0o770, 0o701])
def test_a_directory_that_others_can_enter_is_refused(world: World, mode: int) -> None:
    world.place.prepare()
    world.place.directory.chmod(mode)
    with pytest.raises(EngineError, match="open to others"):
        world.residence().reach()
    assert world.log == ""


def test_a_link_in_the_place_of_the_directory_is_refused(world: World, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    world.place.directory.parent.mkdir(parents=True)
    world.place.directory.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(EngineError, match="not a directory of yours"):
        world.residence().reach()


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a directory away")
def test_a_directory_of_somebody_else_is_refused(world: World) -> None:
    world.place.prepare()
    os.chown(world.place.directory, 12345, 12345)
    with pytest.raises(EngineError, match="not a directory of yours"):
        world.residence().reach()


def test_a_home_with_a_long_path_has_its_sockets_in_a_short_one(tmp_path: Path, byte_model: Path) -> None:
    world = World(tmp_path / ("long" * 20) / ("er" * 20), byte_model)
    short = find_place(world.directories.state, None, Path("/tmp"))
    assert len(bytes(short.socket(world.launch().name))) <= 103
    assert short.directory.parent == Path("/tmp")
    assert short != find_place(tmp_path / ("long" * 20) / ("er" * 21), None, Path("/tmp"))


def test_the_runtime_directory_is_taken_where_there_is_one(tmp_path: Path) -> None:
    runtime = tmp_path / "run"
    missing = find_place(tmp_path / "state", str(runtime), tmp_path)
    runtime.mkdir()
    found = find_place(tmp_path / "state", str(runtime), tmp_path)
    assert missing.directory == tmp_path / "state" / "engines"
    assert found.directory.parent == runtime
    assert found.logs == missing.logs


def test_a_home_serves_with_and_without_a_runtime_directory(world: World, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    find_place(world.directories.state, str(tmp_path / "run"), tmp_path).prepare()
    world.place.prepare()  # the same person over ssh, or from cron
    assert world.place.logs.stat().st_mode & 0o077 == 0


def test_a_file_that_is_no_model_is_told_as_if_it_had_been_loaded_here(world: World, tmp_path: Path) -> None:
    world.model = tmp_path / "fake.gguf"
    world.model.write_bytes(b"nothing of the kind" * 100)
    with pytest.raises(InvalidModelFile):
        world.residence().reach()
    wait_for(lambda: not world.reports(), "the end of the engine")


def test_a_context_that_the_model_can_not_have_is_told_too(world: World) -> None:
    with pytest.raises(ConfigError, match="a context of 100,000 tokens"):
        world.residence(world.launch(context=100_000)).reach()


def test_an_engine_that_dies_at_its_start_tells_why(world: World, tmp_path: Path) -> None:
    # an interpreter that finds another llama_cpp, one that ends the process as a failed assertion does
    (tmp_path / "llama_cpp").mkdir()
    (tmp_path / "llama_cpp" / "__init__.py").touch()
    (tmp_path / "llama_cpp" / "llama_cpp.py").write_text(
        "import os; os.write(2, b'ggml.c:1: GGML_ASSERT(x > 0) failed\\n'); os.abort()"
    )
    paths = f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    with pytest.raises(
        ModelLoadError, match=r"died while it started: .*GGML_ASSERT\(x > 0\) failed"
    ) as caught:
        world.residence(env={**os.environ, "PYTHONPATH": paths}).reach()
    assert caught.value.exit_code == 3
