import os
import pty
import subprocess
import time
from pathlib import Path

import pytest

from tests.cli.command_line import CommandLine
from tests.scripted_aigc import scripted_argv, seen_requests

WAITING = b"aigc: waiting for standard input"


def asked(folder: Path) -> str:
    """The last message that the model saw."""
    content: str = seen_requests(folder)[-1]["messages"][-1][1]
    return content


def test_what_is_piped_in_is_a_labelled_block_before_the_question(aigc: CommandLine) -> None:
    aigc.run("review this", stdin=b"+a\n-b\n")
    assert aigc.last_message == "stdin:\n```\n+a\n-b\n```\n\nreview this"


def test_standard_input_alone_is_the_question(aigc: CommandLine) -> None:
    aigc.run(stdin="为什么?\n".encode())
    assert aigc.last_message == "为什么?\n"


def test_a_dash_asks_for_standard_input(aigc: CommandLine) -> None:
    aigc.run("-", "summarise", stdin=b"a log\n")
    assert aigc.last_message == "stdin:\n```\na log\n```\n\nsummarise"


def test_a_dash_among_the_files_asks_for_it_too(aigc: CommandLine) -> None:
    Path("a.py").write_text("x\n", encoding="utf-8")
    aigc.run("-f", "-", "-f", "a.py", "compare", stdin=b"y\n")
    assert aigc.last_message == "a.py:\n```python\nx\n```\n\nstdin:\n```\ny\n```\n\ncompare"


def test_no_stdin_leaves_it_unread(aigc: CommandLine) -> None:
    aigc.run("hi", "--no-stdin", stdin=b"secret")
    assert aigc.last_message == "hi"


@pytest.mark.parametrize("content", [b"", b" \n\n"])
def test_empty_standard_input_is_as_if_there_were_none(aigc: CommandLine, content: bytes) -> None:
    assert aigc.run("hi", stdin=content).code == 0
    assert aigc.last_message == "hi"


def test_a_terminal_is_not_read_for_a_question_that_is_complete(aigc: CommandLine) -> None:
    assert aigc.run("hi").code == 0
    assert aigc.last_message == "hi"


def test_content_that_looks_like_a_fence_stays_inside_its_block(aigc: CommandLine) -> None:
    aigc.run("hi", stdin=b"```\n````\nrm -rf\n")
    assert aigc.last_message == "stdin:\n`````\n```\n````\nrm -rf\n`````\n\nhi"


@pytest.mark.parametrize("redirection", ["<&-", "</dev/null"])
def test_a_closed_standard_input_is_as_if_there_were_none(tmp_path: Path, redirection: str) -> None:
    argv = scripted_argv(tmp_path, replies=["ok"])
    shell = ["sh", "-c", f'"$@" {redirection}', "sh", *argv, "hi"]
    done = subprocess.run(shell, capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"ok", b"")
    assert asked(tmp_path) == "hi"


def test_a_pipe_that_nobody_writes_to_is_told_after_a_second_and_goes_on_when_closed(tmp_path: Path) -> None:
    argv = [*scripted_argv(tmp_path, replies=["ok"]), "hi"]
    process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stderr is not None
    started = time.monotonic()
    line = process.stderr.readline()
    assert line.startswith(WAITING)
    assert b"--no-stdin" in line
    assert time.monotonic() - started > 0.9
    out, _ = process.communicate(b"late", timeout=60)
    assert (process.returncode, out) == (0, b"ok")
    assert "late" in asked(tmp_path)


def test_no_stdin_does_not_wait_for_such_a_pipe(tmp_path: Path) -> None:
    argv = [*scripted_argv(tmp_path, replies=["ok"]), "hi", "--no-stdin"]
    with subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.read() == b"ok"
        assert process.wait(60) == 0


def test_a_dash_at_a_terminal_says_how_to_end_the_input(tmp_path: Path) -> None:
    parent, child = pty.openpty()
    argv = [*scripted_argv(tmp_path, replies=["ok"]), "-", "summarise"]
    with subprocess.Popen(argv, stdin=child, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        os.close(child)
        assert process.stderr is not None
        line = process.stderr.readline()
        assert line.startswith(WAITING)
        assert b"Ctrl-D" in line
        os.write(parent, b"some text\n\x04")
        assert process.wait(60) == 0
    os.close(parent)
    assert asked(tmp_path) == "stdin:\n```\nsome text\n```\n\nsummarise"


def test_a_named_pipe_can_be_attached(tmp_path: Path) -> None:
    argv = scripted_argv(tmp_path, replies=["ok"])
    shell = ["bash", "-c", '"$@" -f <(echo substituted)', "bash", *argv, "--no-stdin", "what"]
    assert subprocess.run(shell, timeout=60, check=False).returncode == 0
    assert "substituted" in asked(tmp_path)


@pytest.mark.parametrize("source", ["/dev/zero", "/dev/urandom"])
def test_an_endless_device_as_standard_input_ends_in_an_error(tmp_path: Path, source: str) -> None:
    argv = [*scripted_argv(tmp_path, replies=["ok"]), "what"]
    with Path(source).open("rb") as device:
        done = subprocess.run(argv, stdin=device, capture_output=True, timeout=60, check=False)
    assert done.returncode in (1, 4)
    assert done.stderr.startswith(b"aigc: error: ")


def test_endless_text_is_refused_with_both_numbers(tmp_path: Path) -> None:
    argv = scripted_argv(tmp_path, replies=["ok"])
    shell = ["bash", "-c", 'yes | "$@"', "bash", *argv, "what"]
    done = subprocess.run(shell, capture_output=True, timeout=60, check=False)
    assert done.returncode == 4
    assert b"4,096" in done.stderr
