import os
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from aigc_cli.errors import UsageError
from aigc_cli.tasks.sandbox import (
    Ending,
    Isolation,
    Limits,
    Ran,
    find_isolation,
    minimal_environment,
    run_limited,
    without_secrets,
)

PATH = os.environ.get("PATH")
ISOLATIONS = [Isolation.NONE, *({find_isolation(PATH)} - {Isolation.NONE})]
LIMITS = Limits(
    wall_s=60, cpu_s=10, memory_bytes=2**30, file_bytes=2**20, n_processes=16, output_bytes=10_000
)
isolated = pytest.mark.parametrize("isolation", ISOLATIONS)
really_isolated = pytest.mark.skipif(len(ISOLATIONS) == 1, reason="neither bubblewrap nor unshare works here")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where programs run and these tests do not."""
    place = tmp_path / "folder"
    place.mkdir()
    return place


def run(
    folder: Path,
    code: str,
    isolation: Isolation = Isolation.NONE,
    stdin: bytes = b"",
    wall_s: float = LIMITS.wall_s,
) -> Ran:
    (folder / "a.py").write_text(code, encoding="utf-8")
    return run_limited(
        [sys.executable, "-I", "-S", "a.py"],
        folder=folder,
        env=minimal_environment({"PATH": PATH or ""}, folder),
        limits=replace(LIMITS, wall_s=wall_s),
        stdin=stdin,
        isolation=isolation,
    )


def processes_in(folder: Path) -> list[psutil.Process]:
    return [each for each in psutil.process_iter(["cwd"]) if each.info["cwd"] == str(folder)]


def left_in(folder: Path) -> list[psutil.Process]:
    """The processes there that do not go: one that was killed needs the processor once more."""
    deadline = time.monotonic() + 30
    while (left := processes_in(folder)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return left


@isolated
def test_a_program_gets_its_input_and_its_output_and_exit_code_come_back(
    folder: Path, isolation: Isolation
) -> None:
    code = "import sys\nprint(sys.stdin.read()[::-1])\nopen('here', 'w').close()\nsys.exit(3)\n"
    assert run(folder, code, isolation, b"abc") == Ran(3, Ending.EXIT, "cba\n", is_cut=False)
    assert (folder / "here").exists()


@isolated
@pytest.mark.parametrize("code", ["while True: pass", "import time; time.sleep(60)"])
def test_a_program_without_an_end_is_killed(folder: Path, isolation: Isolation, code: str) -> None:
    started = time.monotonic()
    assert run(folder, code, isolation, wall_s=2).ending is Ending.TIME_OUT
    assert time.monotonic() - started < 50


@isolated
def test_memory_is_bounded(folder: Path, isolation: Isolation) -> None:
    assert "MemoryError" in run(folder, "a = bytearray(3 * 2**30)", isolation).output


@isolated
def test_the_size_of_a_file_is_bounded(folder: Path, isolation: Isolation) -> None:
    assert run(folder, "open('x', 'wb').write(bytes(10**7))", isolation).exit_code != 0
    assert (folder / "x").stat().st_size <= 2**20


@isolated
def test_a_flood_of_output_is_bounded_and_the_program_not_held_up(folder: Path, isolation: Isolation) -> None:
    ran = run(folder, "for _ in range(3000): print('x' * 1000)\nopen('done', 'w').close()", isolation)
    assert (ran.ending, len(ran.output), ran.is_cut) == (Ending.EXIT, 10_000, True)
    assert (folder / "done").exists()


@isolated
def test_a_fork_bomb_is_bounded_and_none_of_it_is_left(folder: Path, isolation: Isolation) -> None:
    code = (
        "import os, time\nfor _ in range(200):\n    if not os.fork(): time.sleep(77.25)\ntime.sleep(77.25)\n"
    )
    ran = run(folder, code, isolation, wall_s=4)
    assert ran.exit_code != 0
    assert left_in(folder) == []


@really_isolated
def test_isolated_code_reaches_no_network(folder: Path) -> None:
    look = "import socket; print([name for _, name in socket.if_nameindex()])"
    assert run(folder, look, ISOLATIONS[-1]).output == "['lo']\n"


@pytest.mark.skipif(Isolation.BUBBLEWRAP not in ISOLATIONS, reason="bubblewrap does not work here")
def test_code_in_bubblewrap_writes_only_where_it_runs(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "x"
    ran = run(folder, f"open({str(elsewhere)!r}, 'w')", Isolation.BUBBLEWRAP)
    assert "Read-only file system" in ran.output
    assert not elsewhere.exists()


@really_isolated
def test_a_process_that_leaves_its_group_ends_with_the_isolation(folder: Path) -> None:
    code = (
        "import os, time\n"
        "if not os.fork():\n    os.setsid()\n    open('started', 'w').close()\n    time.sleep(77)\n"
        "while not os.path.exists('started'): time.sleep(0.01)\n"
    )
    assert run(folder, code, ISOLATIONS[-1]).exit_code == 0
    assert left_in(folder) == []


def test_ctrl_c_while_it_runs_ends_it(folder: Path) -> None:
    code = f"import os, signal, time\nos.kill({os.getpid()}, signal.SIGINT)\ntime.sleep(77)\n"
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            run(folder, code)
    finally:
        signal.signal(signal.SIGINT, before)
    assert left_in(folder) == []


def test_ctrl_c_while_it_is_being_started_ends_it_too(folder: Path) -> None:
    press = ["sh", "-c", f"kill -INT {os.getpid()}; exec sleep 77"]  # at once: the start is hardly done
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        for _ in range(15):
            with pytest.raises(KeyboardInterrupt):
                run_limited(press, folder=folder, env={"PATH": PATH or ""}, limits=Limits(wall_s=60))
    finally:
        signal.signal(signal.SIGINT, before)
    assert left_in(folder) == []


def test_a_program_that_is_not_there_is_told(folder: Path) -> None:
    with pytest.raises(UsageError, match="no program 'nosuch'"):
        run_limited(["nosuch"], folder=folder, env={"PATH": PATH or ""}, limits=LIMITS)


def test_no_secret_is_handed_on(folder: Path) -> None:
    env = {"PATH": "/bin", "OPENAI_API_KEY": "x", "HF_TOKEN": "y", "DB_PASSWORD": "z", "EDITOR": "vi"}
    assert set(minimal_environment(env, folder)) == {"PATH", "HOME", "TMPDIR", "PYTHONDONTWRITEBYTECODE"}
    assert set(without_secrets(env)) == {"PATH", "EDITOR"}


def test_without_the_programs_there_is_no_isolation() -> None:
    assert find_isolation("/nowhere") is Isolation.NONE
    assert all(each.meaning for each in Isolation)
