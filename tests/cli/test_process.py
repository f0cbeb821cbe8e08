"""The command as a process: signals, closed pipes, full disks, colours, what nobody must see."""

import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from aigc_cli import __version__
from tests.scripted_aigc import scripted_argv

LONG = "word " * 20_000
MARKDOWN = "# Title\n\nSome **bold** text.\n\n```python\ndef f():\n    return 1\n```\n"
ESCAPE = b"\x1b"


def run_piped(argv: list[str], env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        argv,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        env={**os.environ, **(env or {})},
        timeout=60,
        check=False,
    )


def test_a_reader_that_goes_away_stops_the_reply_quietly(tmp_path: Path) -> None:
    argv = scripted_argv(tmp_path, replies=["line\n" * 4000], delay_s=0.05)
    shell = 'set -o pipefail; "$@" | head -1'
    done = subprocess.run(
        ["bash", "-c", shell, "bash", *argv, "hi"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=100,  # an engine that goes on for nobody takes twice as long
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (141, b"line\n", b"")


@pytest.mark.parametrize("line", [["--version"], ["--help"], ["hi"], ["hi", "--json"], ["config", "show"]])
def test_output_into_a_closed_pipe_is_no_noise(tmp_path: Path, line: list[str]) -> None:
    argv = scripted_argv(tmp_path, replies=[LONG])
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [*argv, *line],
        stdin=subprocess.DEVNULL,
        stdout=writer,
        stderr=subprocess.PIPE,
        timeout=60,
        check=False,
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.parametrize("line", ["--version", "hi"])
@pytest.mark.parametrize("redirection", [">/dev/full", ">&-"])
def test_an_answer_that_can_not_be_written_is_a_failure(tmp_path: Path, line: str, redirection: str) -> None:
    argv = scripted_argv(tmp_path, replies=["ok"])
    shell = ["sh", "-c", f'"$@" {redirection}', "sh", *argv, line]
    done = subprocess.run(shell, stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False)
    assert done.returncode == 1
    assert b"Traceback" not in done.stderr
    assert b"Exception ignored" not in done.stderr


def test_a_full_disk_is_told(tmp_path: Path) -> None:
    shell = ["sh", "-c", '"$@" >/dev/full', "sh", *scripted_argv(tmp_path), "config", "show"]
    done = subprocess.run(shell, stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (1, b"aigc: error: No space left on device\n")


@pytest.mark.parametrize("knobs", [{"delay_s": 0.05}, {"prefill_steps": 1000, "prefill_delay_s": 0.05}])
def test_ctrl_c_ends_a_reply_at_once(tmp_path: Path, knobs: dict[str, float]) -> None:
    argv = scripted_argv(tmp_path, replies=[LONG], **knobs)
    process = subprocess.Popen(
        [*argv, "hi", "--json"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    deadline = time.monotonic() + 60
    while not (tmp_path / "script.json.requests").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)  # the whole reply takes a quarter of an hour
    assert process.returncode == 130
    assert json.loads(out)["finish_reason"] == "interrupted"
    assert b"Traceback" not in err


def test_what_was_said_before_ctrl_c_stays(tmp_path: Path) -> None:
    argv = scripted_argv(tmp_path, replies=[LONG], delay_s=0.02)
    process = subprocess.Popen(
        [*argv, "hi"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    first = process.stdout.read(10)
    process.send_signal(signal.SIGINT)
    rest, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert (first + rest).startswith(b"word word")
    assert b"Traceback" not in err


def test_ctrl_c_while_it_waits_for_input_exits_with_130(tmp_path: Path) -> None:
    argv = scripted_argv(tmp_path, replies=["ok"])
    process = subprocess.Popen(
        [*argv, "hi"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stderr is not None
    process.stderr.readline()
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130
    assert process.stderr.read() == b""
    process.communicate()


# Colour


def at_a_terminal(argv: list[str], env: Mapping[str, str] | None = None) -> bytes:
    """What a terminal shows of stdout."""
    parent, child = pty.openpty()
    process = subprocess.Popen(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=child,
        stderr=subprocess.DEVNULL,
        env={**os.environ, **(env or {})},
    )
    os.close(child)
    shown = b""
    while True:
        try:
            piece = os.read(parent, 4096)
        except OSError:  # Linux says so when the other end is closed
            break
        if not piece:
            break
        shown += piece
    os.close(parent)
    assert process.wait(60) == 0
    return shown


@pytest.mark.parametrize("line", [["hi"], ["hi", "--code"], ["hi", "--json"], ["--help"], ["ask", "--help"]])
def test_a_pipe_gets_no_escape_codes(tmp_path: Path, line: list[str]) -> None:
    done = run_piped([*scripted_argv(tmp_path, replies=[MARKDOWN]), *line])
    assert done.returncode == 0
    assert ESCAPE not in done.stdout + done.stderr


def test_a_pipe_gets_the_text_byte_for_byte(tmp_path: Path) -> None:
    text = MARKDOWN + "\x1b[31mred\x1b[0m \x07 终端\r\nno line break at the end"
    assert run_piped([*scripted_argv(tmp_path, replies=[text]), "hi"]).stdout == text.encode()


def test_errors_in_a_pipe_have_no_escape_codes_even_where_a_name_holds_some(tmp_path: Path) -> None:
    done = run_piped([*scripted_argv(tmp_path), "hi", "-f", "\x1b[31mred.py"])
    assert done.returncode == 1
    assert ESCAPE not in done.stderr


def test_force_color_colours_a_pipe(tmp_path: Path) -> None:
    argv = [*scripted_argv(tmp_path, replies=[MARKDOWN]), "hi"]
    assert ESCAPE in run_piped(argv, {"FORCE_COLOR": "1"}).stdout
    assert ESCAPE in run_piped([*argv, "--color", "always"]).stdout


def test_a_terminal_gets_colours(tmp_path: Path) -> None:
    argv = [*scripted_argv(tmp_path, replies=[MARKDOWN]), "hi"]
    assert b"\x1b[" in at_a_terminal(argv)
    assert b"```" not in at_a_terminal(argv)


@pytest.mark.parametrize(("env", "option"), [({"NO_COLOR": "1"}, []), ({}, ["--color", "never"])])
def test_colour_can_be_turned_off(tmp_path: Path, env: dict[str, str], option: list[str]) -> None:
    shown = at_a_terminal([*scripted_argv(tmp_path, replies=[MARKDOWN]), "hi", *option], env)
    assert not any(code in shown for code in (b"\x1b[3", b"\x1b[9", b";38;", b"[38;")), shown


def test_raw_shows_the_markdown_itself_on_a_terminal(tmp_path: Path) -> None:
    shown = at_a_terminal([*scripted_argv(tmp_path, replies=[MARKDOWN]), "hi", "--raw"])
    assert shown.replace(b"\r\n", b"\n") == MARKDOWN.encode()


def test_escape_sequences_of_a_model_do_not_reach_a_terminal(tmp_path: Path) -> None:
    argv = [*scripted_argv(tmp_path, replies=["a\x1b]52;c;ZXZpbA==\x07b\x9b2Jc"]), "hi", "--raw"]
    assert at_a_terminal(argv).strip() == b"abc"


# The rest


def test_a_bug_is_one_line_and_its_traceback_is_there_when_asked_for(tmp_path: Path) -> None:
    argv = [*scripted_argv(tmp_path, replies=[1]), "hi"]  # a number is no reply
    plain, debug = run_piped(argv), run_piped(argv, {"AIGC_DEBUG": "1"})
    assert (plain.returncode, debug.returncode) == (1, 1)
    assert plain.stderr.count(b"\n") == 2
    assert b"a bug in aigc" in plain.stderr
    assert b"Traceback" not in plain.stderr
    assert b"Traceback (most recent call last)" in debug.stderr


def test_a_directory_that_was_removed_under_the_shell_is_no_traceback(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    shell = ["sh", "-c", f'cd {gone} && rmdir {gone} && "$@"', "sh", *scripted_argv(tmp_path, replies=["ok"])]
    done = run_piped([*shell, "hi"])
    assert (done.returncode, done.stdout) == (0, b"ok")


def test_output_is_utf_8_in_any_locale(tmp_path: Path) -> None:
    argv = [*scripted_argv(tmp_path, replies=["终端 🎉"]), "hi"]
    assert (
        run_piped(argv, {"LC_ALL": "C", "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}).stdout
        == "终端 🎉".encode()
    )


@pytest.mark.parametrize("option", ["--version", "-V"])
def test_version(tmp_path: Path, option: str) -> None:
    assert run_piped([*scripted_argv(tmp_path), option]).stdout == f"aigc {__version__}\n".encode()


def test_shells_can_ask_for_completions(tmp_path: Path) -> None:
    env = {"_AIGC_COMPLETE": "complete_bash", "COMP_WORDS": "aigc co", "COMP_CWORD": "1"}
    done = run_piped(scripted_argv(tmp_path), env)
    assert b"config" in done.stdout.split()


@pytest.mark.parametrize(
    ("given", "expected"),
    [({}, "1000"), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "active"}, "None")],
)
def test_threads_wait_briefly_unless_the_person_said_otherwise(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str], expected: str
) -> None:
    for name in [name for name in os.environ if name.startswith(("GOMP_", "OMP_"))]:
        monkeypatch.delenv(name)
    script = (
        "import os, sys; from aigc_cli.__main__ import run_process\n"
        "def no_engine(app, settings):\n"
        "    print(app.env.get('GOMP_SPINCOUNT'), os.environ.get('GOMP_SPINCOUNT')); raise SystemExit\n"
        "run_process(['hi'], no_engine)"
    )
    done = run_piped([sys.executable, "-c", script], given)
    assert done.stdout.decode().split() == [given.get("GOMP_SPINCOUNT", "None"), expected]


def test_ctrl_c_while_modules_are_imported_is_no_traceback() -> None:
    script = (
        "import sys\n"
        "class Finder:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'aigc_cli.cli.app': raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Finder())\n"
        "from aigc_cli.__main__ import main\n"
        "sys.argv = ['aigc', 'hi']\n"
        "main()"
    )
    done = run_piped([sys.executable, "-c", script])
    assert (done.returncode, done.stdout, done.stderr) == (130, b"", b"")
