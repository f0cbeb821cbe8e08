"""Recipes that write files: translate, test, and a person's own of kind code."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from aigc_cli.engine.base import Chat
from aigc_cli.tasks.repair import RETRY_CANDIDATES
from tests.cli.command_line import CommandLine
from tests.cli.test_recipes import own_folder, write_recipe

SOURCE = "def add(a, b):\n    return a + b\n"
GO = "package main\n\nfunc add(a, b int) int {\n\treturn a + b\n}\n"
TESTS = "from calc import add\n\n\ndef test_add():\n    assert add(1, 2) == 3\n"


@pytest.fixture(autouse=True)
def _code(aigc: CommandLine) -> None:
    (aigc.cwd / "calc.py").write_text(SOURCE, encoding="utf-8")


def read(aigc: CommandLine, name: str) -> str:
    return (aigc.cwd / name).read_text(encoding="utf-8")


# translate


def test_code_is_translated_checked_and_written(aigc: CommandLine) -> None:
    aigc.replies = ["package main\n\nfunc add( {\n```\n", GO + "```\n"]
    outcome = aigc.run("translate", "calc.py", "--to", "go", "-o", "calc.go", "--temperature", "0")
    assert outcome.code == 0
    assert read(aigc, "calc.go") == GO
    assert "try 1 of 3: no valid Go" in outcome.err
    assert outcome.out == ""
    assert "Translate this python code to Go" in aigc.last_message
    assert SOURCE in aigc.last_message
    assert "aigc: wrote calc.go" in outcome.err


def test_without_a_file_the_code_is_printed(aigc: CommandLine) -> None:
    aigc.replies = [GO]
    outcome = aigc.run("translate", "--to", "Go", "add two numbers")
    assert (outcome.code, outcome.out) == (0, GO)
    assert aigc.last_message.startswith("Translate this")
    assert "add two numbers" in aigc.last_message


def test_code_that_never_parses_is_not_written(aigc: CommandLine) -> None:
    aigc.replies = ["func ( {"]
    outcome = aigc.run("translate", "calc.py", "--to", "go", "-o", "calc.go", "--tries", "1")
    assert outcome.code == 5
    assert not (aigc.cwd / "calc.go").exists()
    assert read(aigc, "calc.go.draft") == "func ( {\n"


def test_a_text_is_translated_into_a_human_language(aigc: CommandLine) -> None:
    aigc.replies = ["Guten Tag!"]
    outcome = aigc.run("translate", "--to", "German", "Good day!")
    assert (outcome.code, outcome.out) == (0, "Guten Tag!")
    assert "into German" in aigc.last_message
    assert aigc.last_message.endswith("Good day!")
    prompt = aigc.engines[0].requests[0].prompt
    assert isinstance(prompt, Chat)
    assert prompt.reply_prefix == ""


def test_a_translated_text_is_written_without_the_fence_around_it(aigc: CommandLine) -> None:
    aigc.replies = ["```\n你好！\n```\n"]
    outcome = aigc.run("translate", "--to", "中文", "-o", "hi.txt", stdin=b"Hello!\n")
    assert (outcome.code, outcome.out) == (0, "")
    assert read(aigc, "hi.txt") == "你好！\n"
    assert aigc.run("translate", "--to", "中文", "-o", "hi.txt", "Bye").code == 1  # it exists
    aigc.replies = ["再见！"]
    assert aigc.run("translate", "--to", "中文", "-o", "hi.txt", "Bye", "--force").code == 0
    assert read(aigc, "hi.txt") == "再见！\n"
    aigc.run("undo")
    assert read(aigc, "hi.txt") == "你好！\n"


def test_what_makes_no_sense_is_told_before_a_model_is_loaded(aigc: CommandLine) -> None:
    assert "missing option '--to'" in aigc.run("translate", "hello").error_lines[0]
    assert aigc.run("translate", "--to", "go").code == 2
    outcome = aigc.run("translate", "hi", "--to", "French", "--check", "true")
    assert (outcome.code, "no programming language" in outcome.error_lines[0]) == (2, True)
    assert aigc.engines == []


# test


def test_tests_are_written_beside_the_file(aigc: CommandLine) -> None:
    aigc.replies = [TESTS]
    outcome = aigc.run("test", "calc.py", "large", "numbers")
    assert outcome.code == 0
    assert read(aigc, "test_calc.py") == TESTS
    assert "with pytest" in aigc.last_message
    assert "from calc import" in aigc.last_message
    assert "above all: large numbers" in aigc.last_message
    assert aigc.run("test", "calc.py").code == 1  # the file is there now
    assert aigc.run("test", "calc.py", "--force").code == 0


@pytest.mark.parametrize(
    ("name", "expected", "reply"),
    [
        ("x.js", "x.test.js", "import test from 'node:test';\nimport './x.js';\ntest('a', () => {});\n"),
        ("src/x.go", "src/x_test.go", "package x\n\nfunc TestX(t *testing.T) {}\n"),
        ("Main.java", "MainTest.java", "class MainTest {\n  @Test\n  void x() {}\n}\n"),
    ],
)
def test_the_name_is_that_of_the_language_s_custom(
    aigc: CommandLine, name: str, expected: str, reply: str
) -> None:
    path = aigc.cwd / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("// nothing\n", encoding="utf-8")
    aigc.replies = [reply]
    assert aigc.run("test", name).code == 0
    assert read(aigc, expected) == reply


def test_a_draft_that_tests_a_copy_or_nothing_goes_back(aigc: CommandLine) -> None:
    lost = TESTS.partition("\n")[2]
    copied = "# of calc\n" + SOURCE + "\n\ndef test_add():\n    assert add(1, 2) == 3\n"
    aigc.replies = ["x = 1\n", *[copied] * RETRY_CANDIDATES, *[lost] * RETRY_CANDIDATES, TESTS]
    outcome = aigc.run("test", "calc.py", "--tries", "4")
    assert outcome.code == 0
    assert "try 1 of 4: it holds no test" in outcome.err
    assert "try 2 of 4: it tests a copy of its own of add" in outcome.err
    assert "try 3 of 4: it does not import calc" in outcome.err
    assert read(aigc, "test_calc.py") == TESTS


def test_tests_run_and_their_failure_is_told(aigc: CommandLine, path_env: dict[str, str]) -> None:
    aigc.replies = [TESTS]
    outcome = aigc.run("test", "calc.py", "--run", env=path_env)
    assert outcome.code == 0, outcome.err
    assert "test_calc.py: the tests pass" in outcome.err
    aigc.replies = [TESTS.replace("== 3", "== 4")]
    outcome = aigc.run("test", "calc.py", "--run", "--force", env=path_env)
    assert outcome.code == 5
    assert "assert 3 == 4" in outcome.err
    assert "its tests fail (exit 1)" in outcome.error_lines[0]
    assert read(aigc, "test_calc.py") == TESTS.replace("== 3", "== 4")
    assert not (aigc.cwd / ".pytest_cache").exists()
    assert not (aigc.cwd / "__pycache__").exists()


@pytest.fixture
def path_env() -> dict[str, str]:
    return {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}


def test_tests_that_nothing_here_could_run_are_refused_before_they_are_written(aigc: CommandLine) -> None:
    (aigc.cwd / "x.go").write_text("package x\n", encoding="utf-8")
    outcome = aigc.run("test", "x.go", "--run", env={"PATH": str(aigc.cwd)})
    assert outcome.code == 2
    assert "it would take go" in outcome.error_lines[0]
    assert aigc.run("test", "calc.py", "--run", "-o", "-").code == 2
    assert aigc.engines == []


def test_a_question_that_begins_with_test_is_shown_the_way(aigc: CommandLine) -> None:
    outcome = aigc.run("test", "whether", "this", "works")
    assert outcome.code == 2
    assert "test needs a file" in outcome.error_lines[0]
    assert "aigc ask test whether this works" in outcome.error_lines[1]


# A person's own


WHAT = "arguments: [{name: what, help: y, option: false}]"
OWN = f"---\nhelp: x\n{WHAT}\noutput: code\nlanguages: [python]\n---\n"


def test_a_recipe_of_one_s_own_writes_a_file(aigc: CommandLine) -> None:
    write_recipe(own_folder(aigc), "cli", OWN + "Write a command line for {{ what }}.")
    aigc.replies = ["def (\n", "print(1)\n"]
    outcome = aigc.run("cli", "calc.py", "sums", "-o", "main.py")
    assert outcome.code == 0
    assert read(aigc, "main.py") == "print(1)\n"
    assert "Write a command line for sums." in aigc.last_message
    assert SOURCE in aigc.last_message
    aigc.replies = ["def (\n"]
    assert aigc.run("cli", "sums", "--tries", "1").code == 5  # checked as Python though no name tells
    aigc.replies = ["def f(n):\n    return n\n"]
    assert aigc.run("cli", "f(2) == 4", "--run-examples", "--tries", "1").code == 5


def test_the_recipe_s_sampling_holds_for_its_code(aigc: CommandLine) -> None:
    front = OWN.replace("output:", "sampling: {temperature: 0.7, top_k: 5}\noutput:")
    write_recipe(own_folder(aigc), "cli", front + "Write {{ what }}.")
    aigc.replies = ["x = 1\n"]
    aigc.run("cli", "x")
    sampling = aigc.engines[0].requests[0].sampling
    assert (sampling.temperature, sampling.top_k) == (0.7, 5)
    aigc.run("cli", "x", "--temperature", "0.1")
    assert aigc.engines[1].requests[0].sampling.temperature == 0.1


@pytest.mark.download
def test_a_real_model_translates_code_that_parses(
    real_model: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("calc.py").write_text(SOURCE, encoding="utf-8")
    model = real_model("qwen2.5-coder-0.5b")
    line = ["translate", "calc.py", "--to", "go", "-o", "calc.go", "-m", str(model), "--no-stdin"]
    done = subprocess.run(
        [sys.executable, "-m", "aigc_cli", *line], capture_output=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "a + b" in Path("calc.go").read_text(encoding="utf-8")
