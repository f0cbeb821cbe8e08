"""Recipes that change files: refactor, comment, polish, fix, and a person's own of kind edit."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from aigc_cli.cli.recipe_command import SERVINGS
from aigc_cli.tasks.languages import language_called
from aigc_cli.tasks.recipe import OWN_OUTPUTS, RESERVED
from aigc_cli.tasks.same_code import code_change
from tests.cli.command_line import CommandLine
from tests.cli.test_recipes import own_folder, write_recipe

SOURCE = "def add(a, b):\n    return a - b\n\n\ndef div(a, b):\n    return a / b\n"
GOOD = SOURCE.replace("a - b", "a + b")
TEST = "from calc import add\n\nassert add(2, 2) == 4\n"
COMMENTED = SOURCE.replace("    return a - b", '    """Add."""\n    return a - b')
JS = "export function f(a) {\n  return a;\n}\n"
GO = "package p\n\nfunc F() int {\n\treturn 1\n}\n"


@pytest.fixture(autouse=True)
def _code(aigc: CommandLine) -> None:
    write_old(aigc, SOURCE)
    (aigc.cwd / "check.py").write_text(TEST, encoding="utf-8")


def write_old(aigc: CommandLine, text: str) -> None:
    """Python tells its compiled copy of a file from a newer one by the time, in seconds."""
    (aigc.cwd / "calc.py").write_text(text, encoding="utf-8")
    os.utime(aigc.cwd / "calc.py", (0, 0))


def read(aigc: CommandLine, name: str = "calc.py") -> str:
    return Path(aigc.cwd, name).read_text(encoding="utf-8")


# refactor


def test_a_file_is_changed_and_undone(aigc: CommandLine) -> None:
    aigc.replies = [GOOD]
    outcome = aigc.run("refactor", "calc.py", "use plus", "-y")
    assert (outcome.code, outcome.out) == (0, "")
    assert read(aigc) == GOOD
    assert "Do this to calc.py: use plus" in aigc.last_message
    assert "aigc refactor calc.py 'use plus'" in aigc.run("undo", "--list").out
    assert aigc.run("undo").code == 0
    assert read(aigc) == SOURCE


def test_lines_and_symbols_are_parts(aigc: CommandLine) -> None:
    aigc.replies = ["def div(a, b):\n    return b / a\n"]
    assert aigc.run("refactor", "calc.py:5-6", "-y").code == 0
    assert read(aigc).startswith(SOURCE[:30])
    assert read(aigc).endswith("return b / a\n")
    assert aigc.run("refactor", "calc.py", "--symbol", "nothing", "-y").code == 2


def test_the_guards_hold(aigc: CommandLine) -> None:
    aigc.replies = ["def add(a, b):\n    return a + b\n"]
    outcome = aigc.run("refactor", "calc.py", "-y")
    assert outcome.code == 5
    assert "div is gone" in outcome.error_lines[0]
    assert read(aigc) == SOURCE


def test_a_diff_is_printed_and_nothing_written(aigc: CommandLine) -> None:
    aigc.replies = [GOOD]
    outcome = aigc.run("refactor", "calc.py", "--dry-run", stdin=b"")
    assert outcome.out.startswith("--- a/calc.py\n+++ b/calc.py\n")
    assert read(aigc) == SOURCE


@pytest.mark.parametrize("name", ["refactor", "comment"])
def test_without_a_file_the_way_to_ask_is_shown(aigc: CommandLine, name: str) -> None:
    outcome = aigc.run(name, "on", "this", "-y")
    assert outcome.code == 2
    assert f"{name} needs a file" in outcome.error_lines[0]
    assert f"aigc ask {name} on this" in outcome.error_lines[1]
    assert aigc.run(name, "calc.py", stdin=b"").code == 2  # nobody to say yes
    assert aigc.engines == []


# comment


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("calc.py", SOURCE, COMMENTED),
        ("f.js", JS, "/** Gives a back. */\n" + JS),
        ("f.go", GO, GO.replace("func", "// F gives 1.\nfunc")),
    ],
)
def test_comments_are_written(aigc: CommandLine, name: str, old: str, new: str) -> None:
    (aigc.cwd / name).write_text(old, encoding="utf-8")
    aigc.replies = [new]
    assert aigc.run("comment", name, "-y").code == 0
    assert read(aigc, name) == new


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("calc.py", SOURCE, COMMENTED.replace("a - b", "a + b")),
        ("f.js", JS, JS.replace("return a", "return a + 1")),
        ("f.go", GO, GO.replace("1\n", "2 // one\n")),
    ],
)
def test_comments_that_change_the_code_are_refused_and_tried_once_more(
    aigc: CommandLine, name: str, old: str, new: str
) -> None:
    (aigc.cwd / name).write_text(old, encoding="utf-8")
    aigc.replies = [new]
    outcome = aigc.run("comment", name, "-y", "--no-guards")
    assert outcome.code == 5
    assert "the code itself is changed" in outcome.error_lines[0]
    assert read(aigc, name) == old
    assert len(aigc.engines[0].requests) == 2
    assert "the code itself is changed" in aigc.last_message


def test_of_a_second_try_the_places_without_code_are_kept(aigc: CommandLine) -> None:
    comment = "# The arithmetic of the shop.\n"
    aigc.replies = [comment + SOURCE.replace("a / b", "a / (b or 1)")]
    outcome = aigc.run("comment", "calc.py", "-y")
    assert outcome.code == 0
    assert read(aigc) == comment + SOURCE
    assert len(aigc.engines[0].requests) == 2
    assert (
        "the code itself is changed, not only comments (at line 6); only the other places are taken"
        in outcome.err
    )


def test_a_second_try_may_be_right(aigc: CommandLine) -> None:
    aigc.replies = [COMMENTED.replace("a - b", "a + b"), COMMENTED]
    assert aigc.run("comment", "calc.py", "-y").code == 0
    assert read(aigc) == COMMENTED


@pytest.mark.parametrize(("name", "text"), [("x.pl", "print 1;\n"), ("x.json", "{}\n"), ("x.py", "def (\n")])
def test_where_nothing_can_be_proven_nothing_is_asked(aigc: CommandLine, name: str, text: str) -> None:
    (aigc.cwd / name).write_text(text, encoding="utf-8")
    outcome = aigc.run("comment", name, "-y")
    assert outcome.code == 2
    assert "could not be proven" in outcome.error_lines[0]
    assert aigc.engines == []


# polish


def test_a_text_in_a_pipe_comes_back_polished(aigc: CommandLine) -> None:
    aigc.replies = ["He goes home.\n"]
    outcome = aigc.run("polish", stdin=b"He go home.\n")
    assert (outcome.code, outcome.out) == (0, "He goes home.\n")
    assert aigc.run("polish", "He go home.", stdin=b"").out == "He goes home.\n"
    assert "Correct spelling" in aigc.last_message
    assert aigc.run("polish", "He go home.", "-y").code == 2  # there is no file to write


def test_a_file_is_printed_into_a_pipe_or_changed(aigc: CommandLine) -> None:
    path = aigc.cwd / "a.md"
    path.write_bytes(b"# He go\r\n\r\nhome.\r\n")
    aigc.replies = ["# He goes\n\nhome.\n"]
    assert aigc.run("polish", "a.md", stdin=b"").out == "# He goes\r\n\r\nhome.\r\n"
    assert path.read_bytes() == b"# He go\r\n\r\nhome.\r\n"
    assert aigc.run("polish", "a.md", "-y").code == 0
    assert path.read_bytes() == b"# He goes\r\n\r\nhome.\r\n"
    outcome = aigc.run("polish", "a.md", "more formal", "-y")
    assert (outcome.code, "nothing to change" in outcome.err) == (0, True)
    assert "more formal" in aigc.last_message


def test_a_diff_of_a_text(aigc: CommandLine) -> None:
    aigc.replies = ["He goes.\n"]
    out = aigc.run("polish", "He go.", "--dry-run", stdin=b"").out
    assert out.endswith("-He go.\n+He goes.\n")


# fix


def python(line: str) -> str:
    return f"{sys.executable} {line}"


def test_a_command_that_passes_needs_no_fix(aigc: CommandLine) -> None:
    outcome = aigc.run("fix", "true", "-y")
    assert (outcome.code, outcome.out) == (0, "")
    assert "nothing to fix: true passes" in outcome.err
    assert aigc.engines == []


def test_the_file_that_the_failing_one_imports_is_fixed(aigc: CommandLine) -> None:
    (aigc.cwd / "test_calc.py").write_text(TEST, encoding="utf-8")
    aigc.replies = [GOOD]
    outcome = aigc.run("fix", "-y", "--", sys.executable, "test_calc.py")
    assert outcome.code == 0, outcome.err
    assert read(aigc) == GOOD
    assert read(aigc, "test_calc.py") == TEST
    assert "AssertionError" in aigc.last_message
    assert "mistake in calc.py" in aigc.last_message
    assert "passes now" in outcome.err


def test_the_file_that_the_error_names_last_is_fixed(aigc: CommandLine) -> None:
    write_old(aigc, "def add(a, b):\n    return a + c\n")
    aigc.replies = ["def add(a, b):\n    return a + b\n"]
    outcome = aigc.run("fix", python("check.py"), "-y")
    assert outcome.code == 0, outcome.err
    assert read(aigc) == "def add(a, b):\n    return a + b\n"
    assert TEST in aigc.last_message  # the other file of the traceback, to look at


def test_a_fix_that_does_not_help_is_told(aigc: CommandLine) -> None:
    aigc.replies = [SOURCE.replace("a - b", "a * b + 1")]
    outcome = aigc.run("fix", python("check.py"), "-y", "--at", "calc.py")
    assert outcome.code == 5
    assert "still fails (exit 1)" in outcome.error_lines[0]
    assert "undo" in outcome.error_lines[1]


def test_a_diff_of_the_fix(aigc: CommandLine) -> None:
    aigc.replies = [GOOD]
    outcome = aigc.run("fix", python("check.py"), "--dry-run", "--at", "calc.py")
    assert outcome.code == 0
    assert "+    return a + b\n" in outcome.out
    assert read(aigc) == SOURCE


def test_an_error_that_names_no_file_needs_one(aigc: CommandLine) -> None:
    outcome = aigc.run("fix", "false", "-y")
    assert outcome.code == 2
    assert "--at FILE" in outcome.error_lines[1]


def test_words_that_are_no_command_are_perhaps_a_question(aigc: CommandLine) -> None:
    outcome = aigc.run("fix", "the", "bug", "in", "calc.py", "-y")
    assert outcome.code == 2
    assert "no program is called 'the'" in outcome.error_lines[0]
    assert "aigc ask fix the bug in calc.py" in outcome.error_lines[1]
    assert aigc.run("fix").code == 2
    assert aigc.run("fix", "true", stdin=b"").code == 2  # nobody to say yes


def test_of_a_file_too_large_the_definition_is_fixed(aigc: CommandLine) -> None:
    filler = "".join(f"A{n} = 1\n" for n in range(400))
    write_old(aigc, f"{filler}\n\ndef add(a, b):\n    return a + c\n")
    aigc.n_ctx = 800
    aigc.replies = ["def add(a, b):\n    return a + b\n"]
    outcome = aigc.run("fix", python("check.py"), "-y")
    assert outcome.code == 0, outcome.err
    assert read(aigc) == f"{filler}\n\ndef add(a, b):\n    return a + b\n"


# A person's own


def test_a_recipe_of_one_s_own_changes_files(aigc: CommandLine) -> None:
    write_recipe(own_folder(aigc), "plus", "---\nhelp: x\noutput: edit\n---\nUse plus in {{ files[0] }}.")
    aigc.replies = [GOOD]
    assert aigc.run("plus", "calc.py", "-y").code == 0
    assert read(aigc) == GOOD
    assert "Use plus in calc.py." in aigc.last_message
    outcome = aigc.run("plus", "calc.py", "hello", "-y")
    assert (outcome.code, "'hello' is none" in outcome.error_lines[0]) == (2, True)


def test_a_project_s_recipe_that_runs_a_command_needs_trust_to_change_files(aigc: CommandLine) -> None:
    folder = aigc.cwd / ".aigc" / "recipes"
    write_recipe(folder, "plus", "---\nhelp: x\noutput: edit\ninputs: {a: touch ran}\n---\nUse plus.")
    outcome = aigc.run("plus", "calc.py", "-y", stdin=b"")
    assert (outcome.code, "runs commands" in outcome.error_lines[0]) == (2, True)
    assert not (aigc.cwd / "ran").exists()
    assert read(aigc) == SOURCE


def test_no_argument_can_be_called_like_an_option() -> None:
    assert {name for output in OWN_OUTPUTS for name in SERVINGS[output].options} <= RESERVED


@pytest.mark.download
def test_what_a_real_model_comments_is_the_same_code(
    real_model: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("calc.py").write_text(SOURCE, encoding="utf-8")
    line = ["comment", "calc.py", "-y", "-m", str(real_model("qwen2.5-coder-0.5b")), "--no-stdin"]
    done = subprocess.run(
        [sys.executable, "-m", "aigc_cli", *line], capture_output=True, timeout=600, check=False
    )
    assert done.returncode in (0, 5), done.stderr  # refused is an answer too
    python_language = language_called("python")
    assert python_language
    text = Path("calc.py").read_text(encoding="utf-8")
    assert code_change(python_language, SOURCE, text) == ""
    assert (text != SOURCE) is (done.returncode == 0)
