"""The chat without a person: lines from a pipe, replies on stdout."""

import subprocess
from pathlib import Path
from typing import Any

from tests.scripted_aigc import scripted_argv, seen_requests


def run(folder: Path, stdin: bytes, *args: str, **script: Any) -> subprocess.CompletedProcess[bytes]:
    script.setdefault("replies", ["ok\n"])
    env = {"AIGC_HOME": str(folder / "aigc"), "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}
    argv = [*scripted_argv(folder, **script), "chat", *args]
    return subprocess.run(
        argv, input=stdin, capture_output=True, cwd=folder, env=env, timeout=100, check=False
    )


def test_lines_are_questions_until_exit(tmp_path: Path) -> None:
    done = run(tmp_path, "你好\n\nand\n/exit\nnever\n".encode())
    assert (done.returncode, done.stdout, done.stderr) == (0, b"ok\nok\n", b"")
    assert [request["messages"][-1][1] for request in seen_requests(tmp_path)] == ["你好", "and"]


def test_replies_on_stdout_end_with_a_line_break_each(tmp_path: Path) -> None:
    assert run(tmp_path, b"a\nb\n", replies=["one", "two\n"]).stdout == b"one\ntwo\n"


def test_end_of_input_ends_the_chat(tmp_path: Path) -> None:
    assert run(tmp_path, b"hi").returncode == 0
    assert run(tmp_path, b"").returncode == 0


def test_failure_of_a_script_is_its_exit_code(tmp_path: Path) -> None:
    done = run(tmp_path, b"/nonsense\nhi\n")
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"/nonsense" in done.stderr
    too_long = run(tmp_path, b"w " * 5000)
    assert too_long.returncode == 4


def test_attached_file_goes_with_the_first_question(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("x = 1\n", encoding="utf-8")
    assert run(tmp_path, b"what is it?\n", "-f", "a.py").returncode == 0
    assert "x = 1" in seen_requests(tmp_path)[0]["messages"][-1][1]
