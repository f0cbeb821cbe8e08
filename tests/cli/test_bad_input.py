"""Whatever a person types: one line that says what is wrong, one that says what to do, no traceback."""

import socket
from pathlib import Path

import pytest

from aigc_cli.errors import ModelNotFound
from tests.cli.command_line import CommandLine

NESTED = "[" * 100_000
BAD_LINES: list[tuple[list[str], int]] = [
    (["ask"], 2),
    (["ask", ""], 2),
    (["ask", " \n"], 2),
    (["ask", "-f", "a.txt"], 2),
    (["-", "--no-stdin", "hi"], 2),
    (["hi", "--no-such-option"], 2),
    (["hi", "-Z"], 2),
    (["hi", "-m"], 2),
    (["hi", "--temperature"], 2),
    (["hi", "--temperature", "warm"], 2),
    (["hi", "--temperature", "-1"], 2),
    (["hi", "--temperature", "nan"], 2),
    (["hi", "--temperature", "1e999"], 2),
    (["hi", "--top-k", "1.5"], 2),
    (["hi", "--top-k", "99999999999999999999"], 2),
    (["hi", "--top-p", "2"], 2),
    (["hi", "--min-p", "-0.1"], 2),
    (["hi", "--seed", "-1"], 2),
    (["hi", "--max-tokens", "0"], 2),
    (["hi", "--context", "1"], 2),
    (["hi", "--threads", "0"], 2),
    (["hi", "--gpu-layers", "-2"], 2),
    (["hi", "--color", "purple"], 2),
    (["hi", "--schema", "{"], 2),
    (["hi", "--schema", "missing.json"], 2),
    (["hi", "--schema", "list.json"], 2),
    (["hi", "--schema", "deep.json"], 2),
    (["hi", "--schema", "."], 2),
    (["hi", "--schema", ""], 2),
    (["hi", "--grammar", "missing.gbnf"], 2),
    (["hi", "--choices", ""], 2),
    (["hi", "--choices", " , "], 2),
    (["hi", "--choices", "a,b", "--schema", "{}"], 2),
    (["hi", "--code", "--json"], 2),
    (["hi", "-f", "missing.py"], 1),
    (["hi", "-f", ""], 1),
    (["hi", "-f", "."], 1),
    (["hi", "-f", "/dev/zero"], 1),
    (["hi", "-f", "binary.bin"], 1),
    (["hi", "-f", "latin.txt"], 1),
    (["hi", "-f", "nul.txt"], 1),
    (["hi", "-f", "half.txt"], 1),
    (["hi", "-f", "*.nothing"], 1),
    (["hi", "-f", "[z-a]*"], 1),
    (["hi", "-f", "x" * 5000], 1),
    (["hi", "-f", "a\0b"], 1),
    (["hi", "-f", "socket"], 1),
    (["hi", "-f", "caf\udce9"], 1),
    (["hi", "-f", "~nobody-of-this-name/x"], 1),
    (["gen"], 2),
    (["gen", "-o", "x.py"], 2),
    (["gen", "hi", "-o", ""], 2),
    (["gen", "hi", "-o", "a\0b"], 1),
    (["gen", "hi", "-o", "x.py", "--lang", "klingon"], 2),
    (["config", "nonsense"], 2),
    (["config", "set"], 2),
    (["config", "set", "no_such", "1"], 2),
    (["config", "set", "temperature", "hot"], 2),
    (["config", "set", "color", ""], 2),
    (["config", "unset", "no_such"], 2),
    (["modles"], 2),
]


@pytest.fixture
def bad_files() -> None:
    Path("a.txt").write_text("a", encoding="utf-8")
    Path("list.json").write_text("[1]", encoding="utf-8")
    Path("deep.json").write_text(NESTED, encoding="utf-8")
    Path("binary.bin").write_bytes(bytes(range(256)))
    Path("latin.txt").write_bytes("café".encode("latin-1"))
    Path("nul.txt").write_bytes(b"a\0b")
    Path("half.txt").write_bytes(b"\xff\xfea")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")


@pytest.mark.usefixtures("bad_files")
@pytest.mark.parametrize(("line", "code"), BAD_LINES, ids=lambda value: str(value)[:60])
def test_a_bad_line_is_explained_in_two_lines(aigc: CommandLine, line: list[str], code: int) -> None:
    outcome = aigc.run(*line)
    assert outcome.code == code, outcome.err
    assert outcome.out == ""
    lines = outcome.err.splitlines()
    assert lines[0].startswith("aigc: error: ")
    assert len(lines) <= 2
    assert all(line.startswith("hint: ") for line in lines[1:])
    assert "a bug in aigc" not in outcome.err
    assert aigc.engines == [], "a model was loaded for a line that can't work"


def test_a_mistyped_option_is_suggested(aigc: CommandLine) -> None:
    outcome = aigc.run("hi", "--modle", "x")
    assert "--model" in outcome.err
    assert outcome.err.splitlines()[1].startswith("hint: aigc ask --help")


def test_words_after_a_command_that_are_none_of_its_own_name_its_help(aigc: CommandLine) -> None:
    outcome = aigc.run("config", "are", "what?")
    assert outcome.code == 2
    assert "hint: aigc config --help" in outcome.err


def test_a_bare_directory_names_the_pattern_that_reads_it(aigc: CommandLine) -> None:
    Path("src").mkdir()
    assert "-f 'src/**/*.py'" in aigc.run("hi", "-f", "src/").err


def test_a_missing_model_exits_with_3(aigc: CommandLine) -> None:
    aigc.failure = ModelNotFound("nonesuch")
    outcome = aigc.run("hi", "-m", "nonesuch")
    assert outcome.code == 3
    assert outcome.error_lines == ["aigc: error: no model named 'nonesuch'", "hint: aigc models list"]


@pytest.mark.parametrize(
    ("failure", "text"),
    [
        (MemoryError(), "out of memory"),
        (OSError(28, "No space left on device", "/some/file"), "/some/file: No space left on device"),
        (RecursionError("deep"), "a bug in aigc: RecursionError: deep"),
        (ValueError("line one\nline two\x1b[31m"), "a bug in aigc: ValueError: line one line two"),
    ],
)
def test_what_nobody_foresaw_is_one_line_too(aigc: CommandLine, failure: Exception, text: str) -> None:
    aigc.failure = failure
    outcome = aigc.run("hi")
    assert outcome.code == 1
    assert outcome.err.splitlines()[0] == f"aigc: error: {text}"
    assert "Traceback" not in outcome.err


def test_ctrl_c_while_a_model_loads_exits_with_130(aigc: CommandLine) -> None:
    aigc.failure = KeyboardInterrupt()
    outcome = aigc.run("hi")
    assert (outcome.code, outcome.err) == (130, "")


def test_errors_are_red_on_a_terminal_with_colours_only(aigc: CommandLine) -> None:
    assert aigc.run("ask", terminal=True).err.startswith("\x1b[31maigc: error:\x1b[0m ")
    assert "\x1b" not in aigc.run("ask", terminal=True, env={"NO_COLOR": "1"}).err
    assert "\x1b" not in aigc.run("ask", terminal=True, env={"TERM": "dumb"}).err
    assert "\x1b[31m" in aigc.run("ask", env={"FORCE_COLOR": "1"}).err
