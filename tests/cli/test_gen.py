import json
import os
import stat
from pathlib import Path

import pytest

from aigc_cli.engine.base import Chat, EngineInfo
from aigc_cli.events import FinishReason
from tests.cli.command_line import CommandLine
from tests.scripted_engine import ScriptedEngine

CODE = "import sys\n\nprint(len(sys.argv))\n"


def request_prompt(aigc: CommandLine) -> Chat:
    prompt = aigc.engines[-1].requests[-1].prompt
    assert isinstance(prompt, Chat)
    return prompt


def ended(aigc: CommandLine, reason: FinishReason, reply: str = CODE) -> None:
    aigc.engine = ScriptedEngine([reply], EngineInfo("m", 4096), finish_reason=reason)


def test_the_file_holds_code_only_and_stdout_nothing(aigc: CommandLine) -> None:
    aigc.replies = [CODE + "```\nThis counts arguments."]
    outcome = aigc.run("gen", "count", "arguments", "-o", "wc.py")
    assert (outcome.code, outcome.out) == (0, "")
    assert Path("wc.py").read_bytes() == CODE.encode()
    assert outcome.err == "aigc: wrote wc.py (3 lines, Python)\n"


def test_the_reply_starts_inside_a_block_of_the_files_language(aigc: CommandLine) -> None:
    aigc.replies = ["fn main() {}\n"]
    aigc.run("gen", "nothing", "-o", "main.rs")
    prompt = request_prompt(aigc)
    assert prompt.reply_prefix == "```rust\n"
    assert "main.rs (Rust)" in prompt.messages[-1].content
    assert aigc.engines[-1].requests[-1].sampling.stop == ("\n```\n",)


def test_markdown_gets_a_longer_fence(aigc: CommandLine) -> None:
    aigc.replies = ["# Use\n\n```sh\nls\n```\n\nDone.\n"]
    assert aigc.run("gen", "a readme", "-o", "README.md").code == 0
    assert request_prompt(aigc).reply_prefix == "````markdown\n"
    assert Path("README.md").read_text(encoding="utf-8") == "# Use\n\n```sh\nls\n```\n\nDone.\n"


def test_a_language_can_be_named(aigc: CommandLine) -> None:
    aigc.replies = ["print 1\n"]
    assert aigc.run("gen", "x", "-o", "tool", "--lang", "Ruby").code == 0
    assert request_prompt(aigc).reply_prefix == "```ruby\n"


def test_an_unknown_language_is_told_and_written_anyway(aigc: CommandLine) -> None:
    aigc.replies = ["some text"]
    outcome = aigc.run("gen", "x", "-o", "file.qqq")
    assert outcome.code == 0
    assert "no language is known for 'file.qqq'" in outcome.err
    assert Path("file.qqq").read_text(encoding="utf-8") == "some text\n"


def test_a_dash_prints_the_code(aigc: CommandLine) -> None:
    aigc.replies = [CODE + "```"]
    outcome = aigc.run("gen", "x", "-o", "-", "--lang", "python")
    assert (outcome.code, outcome.out, outcome.err) == (0, CODE, "")


def test_attachments_go_along(aigc: CommandLine) -> None:
    Path("data.csv").write_text("a,b\n", encoding="utf-8")
    aigc.replies = [CODE]
    aigc.run("gen", "read this", "-f", "data.csv", "-o", "x.py", stdin=b"and this\n")
    content = request_prompt(aigc).messages[-1].content
    assert "data.csv:\n```\na,b\n```" in content
    assert "stdin:\n```\nand this\n```" in content


# Refused before the model runs


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("here.py", "exists"),
        ("missing/x.py", "no directory"),
        ("folder", "is a directory"),
        ("folder/", "is a directory"),
        ("x" * 300 + ".py", "name too long"),
        ("/dev/null", "is a device"),
        ("outside.py", "is a link that leads out of its directory"),
        ("loop.py", "exists"),
    ],
)
def test_a_bad_target_is_refused_before_a_model_is_loaded(
    aigc: CommandLine, tmp_path_factory: pytest.TempPathFactory, target: str, reason: str
) -> None:
    Path("here.py").write_text("precious", encoding="utf-8")
    Path("folder").mkdir()
    Path("outside.py").symlink_to(tmp_path_factory.mktemp("elsewhere") / "x.py")
    Path("loop.py").symlink_to("here.py")
    outcome = aigc.run("gen", "x", "-o", target)
    assert outcome.code == 1
    assert reason in outcome.err.lower()
    assert aigc.engines == []
    assert Path("here.py").read_text(encoding="utf-8") == "precious"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_closed_directory_is_refused_before_a_model_is_loaded(aigc: CommandLine) -> None:
    Path("closed").mkdir(mode=0o500)
    outcome = aigc.run("gen", "x", "-o", "closed/x.py")
    assert outcome.code == 1
    assert "no permission" in outcome.err
    assert aigc.engines == []


def test_without_a_file_name_it_says_how(aigc: CommandLine) -> None:
    outcome = aigc.run("gen", "x")
    assert outcome.code == 2
    assert "-o -" in outcome.err


def test_force_overwrites_and_keeps_the_mode(aigc: CommandLine) -> None:
    path = Path("tool.py")
    path.write_text("old", encoding="utf-8")
    path.chmod(0o751)
    aigc.replies = [CODE]
    assert aigc.run("gen", "x", "-o", "tool.py", "--force").code == 0
    assert path.read_text(encoding="utf-8") == CODE
    assert stat.S_IMODE(path.stat().st_mode) == 0o751


# Not whole, not code: nothing is written


@pytest.mark.parametrize(
    ("reason", "code"),
    [(FinishReason.INTERRUPTED, 130), (FinishReason.LENGTH, 1), (FinishReason.LOOP, 1)],
)
def test_a_cut_reply_leaves_the_target_alone_and_keeps_the_draft(
    aigc: CommandLine, reason: FinishReason, code: int
) -> None:
    Path("x.py").write_text("old", encoding="utf-8")
    ended(aigc, reason)
    outcome = aigc.run("gen", "x", "-o", "x.py", "--force", "--max-tokens", "9")
    assert outcome.code == code
    assert Path("x.py").read_text(encoding="utf-8") == "old"
    assert Path("x.py.draft").read_text(encoding="utf-8") == CODE
    assert "x.py is not written" in outcome.err
    assert "the draft is in x.py.draft" in outcome.err


@pytest.mark.parametrize(
    ("name", "reply", "where"),
    [
        ("x.py", "def f(:\n    pass\n", "line 1"),
        ("x.py", "Sorry, I can't do that.\n", "line 1"),
        ("x.json", '{"a": 1,}\n', "line 1"),
        ("x.toml", "a = = 1\n", "line 1"),
    ],
)
def test_code_that_does_not_parse_exits_with_5(aigc: CommandLine, name: str, reply: str, where: str) -> None:
    aigc.replies = [reply]
    outcome = aigc.run("gen", "x", "-o", name)
    assert outcome.code == 5
    assert where in outcome.err
    assert not Path(name).exists()
    assert Path(f"{name}.draft").read_text(encoding="utf-8") == reply


@pytest.mark.parametrize("reply", ["", "  \n\n", "```\n"])
def test_no_code_exits_with_6(aigc: CommandLine, reply: str) -> None:
    aigc.replies = [reply]
    outcome = aigc.run("gen", "x", "-o", "x.py")
    assert outcome.code == 6
    assert list(Path.cwd().iterdir()) == []


def test_code_printed_to_stdout_that_does_not_parse_is_there_and_is_a_failure(aigc: CommandLine) -> None:
    aigc.replies = ["{]"]
    outcome = aigc.run("gen", "x", "-o", "-", "--lang", "json")
    assert (outcome.code, outcome.out) == (5, "{]\n")


def test_valid_json_is_written(aigc: CommandLine) -> None:
    aigc.replies = ['{"a": [1, 2]}']
    aigc.run("gen", "x", "-o", "x.json")
    assert json.loads(Path("x.json").read_text(encoding="utf-8")) == {"a": [1, 2]}


def test_no_temporary_file_is_left(aigc: CommandLine) -> None:
    aigc.replies = [CODE]
    aigc.run("gen", "x", "-o", "x.py")
    assert [path.name for path in Path.cwd().iterdir()] == ["x.py"]


def test_on_a_terminal_the_code_is_watched_on_stderr_as_one_block(aigc: CommandLine) -> None:
    aigc.replies = [CODE + "```"]
    outcome = aigc.run("gen", "x", "-o", "x.py", terminal=True, env={"NO_COLOR": "1"})
    assert outcome.out == ""
    assert "print(len(sys.argv))" in outcome.err
    assert outcome.err.count("```") == 2
    assert outcome.err.endswith("aigc: wrote x.py (3 lines, Python)\n")


def test_on_a_terminal_printed_code_is_there_once(aigc: CommandLine) -> None:
    aigc.replies = [CODE + "```"]
    outcome = aigc.run("gen", "x", "-o", "-", "--lang", "python", terminal=True, env={"NO_COLOR": "1"})
    assert outcome.out.count("print(len(sys.argv))") == 1
    assert "print" not in outcome.err
