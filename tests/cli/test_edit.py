import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from aigc_cli.engine.base import Chat, EngineInfo, Request
from aigc_cli.events import FinishReason
from tests.cli.command_line import CommandLine, Outcome
from tests.scripted_engine import ScriptedEngine

OLD = "import sys\n\n\ndef f(a):\n    return a\n\n\ndef g():\n    return f(1)\n"
NEW = OLD.replace("f(", "h(")


@pytest.fixture
def file() -> Path:
    path = Path("a.py")
    path.write_text(OLD, encoding="utf-8")
    return path


def edit(aigc: CommandLine, *words: str, reply: str = NEW) -> Outcome:
    aigc.replies = [reply]
    return aigc.run("edit", *words, "-y")


def requests(aigc: CommandLine) -> list[Request]:
    return aigc.engines[-1].requests


def prompt_of(aigc: CommandLine, index: int = -1) -> Chat:
    prompt = requests(aigc)[index].prompt
    assert isinstance(prompt, Chat)
    return prompt


def test_the_new_text_is_written_and_stdout_says_nothing(aigc: CommandLine, file: Path) -> None:
    outcome = edit(aigc, "a.py", "rename f to h", reply=NEW + "```\nI renamed it.")
    assert (outcome.code, outcome.out) == (0, "")
    assert file.read_text(encoding="utf-8") == NEW
    assert outcome.err == "aigc: changed a.py (+2 -2)\naigc: aigc undo takes it back\n"


def test_what_the_model_is_asked(aigc: CommandLine, file: Path) -> None:
    edit(aigc, file.name, "rename f to h")
    prompt = prompt_of(aigc)
    request = requests(aigc)[-1]
    assert prompt.reply_prefix == "```python\n"
    assert request.sampling.stop == ("\n```\n",)
    assert (request.prediction, request.sampling.temperature) == (OLD, 0.0)
    assert f"a.py:\n```python\n{OLD}```\n\nrename f to h\n\n" in prompt.messages[-1].content
    words = " ".join(message.content for message in prompt.messages).replace(OLD, "").split()
    assert len(words) < 60  # 150 tokens


def test_the_penalties_for_talk_do_not_hinder_copying(aigc: CommandLine, file: Path) -> None:
    edit(aigc, file.name, "rename f to h")
    sampling = requests(aigc)[-1].sampling
    assert (sampling.repeat_penalty, sampling.dry_multiplier) == (1.0, 0.0)


def test_lines_can_be_named(aigc: CommandLine, file: Path) -> None:
    outcome = edit(aigc, "a.py:8-9", "g gives 2", reply="def g():\n    return 2\n")
    assert outcome.code == 0
    assert file.read_text(encoding="utf-8") == OLD.replace("f(1)", "2")
    assert requests(aigc)[-1].prediction == "def g():\n    return f(1)\n"


@pytest.mark.parametrize("lines", ["0-3", "5-4", "3-99", "12"])
def test_lines_that_do_not_exist_are_refused(aigc: CommandLine, file: Path, lines: str) -> None:
    outcome = edit(aigc, f"{file}:{lines}", "x")
    assert outcome.code == 2
    assert "the file has lines 1 to 9" in outcome.err
    assert aigc.engines == []


def test_a_definition_can_be_named_and_is_shown_without_its_indentation(aigc: CommandLine) -> None:
    text = "class A:\n    @property\n    def b(self):\n        return 1\n\n    def c(self):\n        pass\n"
    path = Path("a.py")
    path.write_text(text, encoding="utf-8")
    outcome = edit(aigc, "a.py", "give 2", "--symbol", "A.b", reply="@property\ndef b(self):\n    return 2\n")
    assert outcome.code == 0, outcome.err
    assert path.read_text(encoding="utf-8") == text.replace("return 1", "return 2")
    assert requests(aigc)[-1].prediction == "@property\ndef b(self):\n    return 1\n"


def test_an_unknown_definition_is_told_with_near_names(aigc: CommandLine, file: Path) -> None:
    outcome = edit(aigc, file.name, "x", "--symbol", "ff")
    assert outcome.code == 2
    assert "'a.py' defines no 'ff'" in outcome.err
    assert "did you mean f" in outcome.err


def test_an_ambiguous_definition_is_told_with_lines(aigc: CommandLine, file: Path) -> None:
    file.write_text("class A:\n    def f(self): pass\n\nclass B:\n    def f(self): pass\n", encoding="utf-8")
    outcome = edit(aigc, file.name, "x", "--symbol", "f")
    assert outcome.code == 2
    assert "A.f (lines 2-2), B.f (lines 5-5)" in outcome.err


def test_several_files_see_each_other(aigc: CommandLine, file: Path) -> None:
    Path("b.py").write_text("import a\n\na.f(2)\n", encoding="utf-8")
    aigc.replies = [NEW, "import a\n\na.h(2)\n"]
    outcome = aigc.run("edit", file.name, "b.py", "rename f to h", "-y")
    assert outcome.code == 0, outcome.err
    assert (file.read_text("utf-8"), Path("b.py").read_text("utf-8")) == (NEW, "import a\n\na.h(2)\n")
    assert "b.py:\n```python\nimport a" in prompt_of(aigc, 0).messages[-1].content


def test_what_does_not_fit_beside_is_said(aigc: CommandLine, file: Path) -> None:
    Path("b.py").write_text("x = 1  # many words\n" * 200, encoding="utf-8")
    aigc.n_ctx = 1000
    aigc.replies = [NEW]
    outcome = aigc.run("edit", file.name, "b.py", "rename f to h", "-y")
    assert "a.py: no room to show the model b.py" in outcome.err
    assert outcome.code == 4  # b.py itself


def test_a_file_too_large_is_refused_with_both_numbers(aigc: CommandLine, file: Path) -> None:
    file.write_text("x = 1\n" * 300, encoding="utf-8")
    aigc.n_ctx = 512
    outcome = edit(aigc, file.name, "x")
    assert outcome.code == 4
    assert "tokens and the context window holds 512" in outcome.err
    assert "a.py:10-40" in outcome.err
    assert requests(aigc) == []


def test_several_files_all_or_none(aigc: CommandLine, file: Path) -> None:
    Path("b.py").write_text("def q():\n    return 1\n", encoding="utf-8")
    aigc.replies = [NEW, "def q(:\n"]
    outcome = aigc.run("edit", file.name, "b.py", "rename f to h", "-y")
    assert outcome.code == 5
    assert file.read_text(encoding="utf-8") == OLD


# What is kept


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("tail", ["", "\n", "\n\n"])
def test_encoding_line_ends_and_the_end_are_kept(
    aigc: CommandLine, file: Path, encoding: str, end: str, tail: str
) -> None:
    old = (OLD.replace("sys", "sys  # 一\t ").rstrip("\n") + tail).replace("\n", end)
    file.write_bytes(old.encode(encoding))
    file.chmod(0o751)
    reply = NEW.replace("sys", "sys  # 一")
    outcome = edit(aigc, file.name, "rename f to h", reply=reply)
    assert outcome.code == 0, outcome.err
    assert file.read_bytes() == old.replace("f(", "h(").encode(encoding)
    assert stat.S_IMODE(file.stat().st_mode) == 0o751


def test_mixed_line_ends_stay_where_they_are(aigc: CommandLine, file: Path) -> None:
    file.write_bytes(b"a = 1\r\nb = 2\nc = 3\r\nd = 4\n")
    assert edit(aigc, "a.py", "c is 5", reply="a = 1\nb = 2\nc = 5\nd = 4\n").code == 0
    assert file.read_bytes() == b"a = 1\r\nb = 2\nc = 5\r\nd = 4\n"


def test_tabs_stay_tabs(aigc: CommandLine) -> None:
    path = Path("a.go")
    path.write_bytes(b"package a\n\nfunc f() int {\n\tif x {\n\t\treturn 1\n\t}\n\treturn 2\n}\n")
    reply = "package a\n\nfunc f() int {\n    if x {\n        return 3\n    }\n    return 2\n}\n"
    assert edit(aigc, "a.go", "3 instead of 1", reply=reply).code == 0
    assert path.read_bytes() == b"package a\n\nfunc f() int {\n\tif x {\n\t\treturn 3\n\t}\n\treturn 2\n}\n"


def test_markdown_keeps_its_fences(aigc: CommandLine) -> None:
    text = "# A\n\n```sh\nls\n```\n\nEnd.\n"
    path = Path("a.md")
    path.write_text(text, encoding="utf-8")
    aigc.replies = [text.replace("End", "The end") + "````\nDone."]
    assert aigc.run("edit", "a.md", "end it better", "-y").code == 0
    assert path.read_text(encoding="utf-8") == text.replace("End", "The end")
    assert prompt_of(aigc).reply_prefix == "````markdown\n"


# Refused


@pytest.mark.parametrize(
    ("instruction", "reply", "reason"),
    [
        ("add a parameter", "import sys\n\n# ... rest of the code ...\n", "line 3 stands for code"),
        (
            "add a parameter",
            OLD.replace("    return a", "    # existing code here\n    pass"),
            "stands for code",
        ),
        ("加一个参数", OLD.replace("    return a", "    pass\n    # 其余代码不变"), "stands for code"),
        ("add a parameter", OLD.replace("    return a", "    ..."), "stands for code"),
        ("add a comment", OLD.replace("def g():\n    return f(1)\n", ""), "g is gone"),
        ("add a comment", OLD.replace("return a", "return a)"), "no valid Python any more: line 5"),
        ("add a comment", "Here is the code:\n" + OLD, "line 1 is an explanation"),
        ("add a comment", OLD + "\n\n" + OLD.partition("\n\n\n")[2], "f stands there 2 times"),
        ("add a comment", OLD, "the model changed nothing"),
    ],
)
def test_a_guard_refuses_tells_the_model_and_tries_once_more(
    aigc: CommandLine, file: Path, instruction: str, reply: str, reason: str
) -> None:
    outcome = edit(aigc, file.name, instruction, reply=reply)
    assert outcome.code == 5
    assert reason in outcome.err
    assert "; once more" in outcome.err
    assert file.read_text(encoding="utf-8") == OLD
    assert reason in prompt_of(aigc).messages[-1].content
    assert len(requests(aigc)) == 2


def test_the_second_try_can_be_good(aigc: CommandLine, file: Path) -> None:
    aigc.replies = ["# ... rest of the code ...\n", NEW]
    assert aigc.run("edit", "a.py", "rename f to h", "-y").code == 0
    assert file.read_text(encoding="utf-8") == NEW


def test_guards_can_be_off(aigc: CommandLine, file: Path) -> None:
    outcome = edit(aigc, "a.py", "be short", "--no-guards", reply="pass\n")
    assert outcome.code == 0
    assert "f, g are gone" in outcome.err
    assert file.read_text(encoding="utf-8") == "pass\n"


@pytest.mark.parametrize("reply", ["", "\n\n", "```\n"])
def test_no_code_exits_with_6(aigc: CommandLine, file: Path, reply: str) -> None:
    assert edit(aigc, file.name, "x", reply=reply).code == 6
    assert file.read_text(encoding="utf-8") == OLD


@pytest.mark.parametrize(("reason", "code"), [(FinishReason.INTERRUPTED, 130), (FinishReason.LENGTH, 5)])
def test_a_cut_reply_is_not_written(aigc: CommandLine, file: Path, reason: FinishReason, code: int) -> None:
    aigc.engine = ScriptedEngine([NEW], EngineInfo("m", 4096), finish_reason=reason)
    outcome = aigc.run("edit", file.name, "rename f to h", "-y")
    assert outcome.code == code
    assert file.read_text(encoding="utf-8") == OLD


# Refused before the model runs


def test_bad_files_are_refused_in_one_line(
    aigc: CommandLine, tmp_path_factory: pytest.TempPathFactory
) -> None:
    Path("folder").mkdir()
    Path("binary").write_bytes(b"\0\1\2")
    Path("latin").write_bytes("Grüße".encode("latin-1"))
    Path("readonly").write_text("x", encoding="utf-8")
    Path("readonly").chmod(0o444)
    outside = tmp_path_factory.mktemp("elsewhere") / "x.py"
    outside.write_text("x = 1\n", encoding="utf-8")
    Path("link.py").symlink_to(outside)
    expected = {
        "missing.py": "no file 'missing.py'",
        "folder": "is a directory",
        "binary": "is binary, not text",
        "latin": "is not UTF-8 text",
        "readonly": "is read-only",
        "link.py": "is a link that leads out of its directory",
    }
    for name, reason in expected.items():
        outcome = edit(aigc, name, "change it")
        assert (outcome.code, outcome.err.count("aigc: error: ")) == (1, 1), outcome.err
        assert reason in outcome.err
    assert aigc.engines == []
    assert outside.read_text(encoding="utf-8") == "x = 1\n"


def test_a_link_in_the_directory_is_followed(aigc: CommandLine, file: Path) -> None:
    Path("link.py").symlink_to("a.py")
    assert edit(aigc, "link.py", "rename f to h").code == 0
    assert Path("link.py").is_symlink()
    assert file.read_text(encoding="utf-8") == NEW


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ([], "a file and an instruction"),
        (["a.py"], "a file and an instruction"),
        (["a.py", "a.py"], "'a.py' is a file"),
        (["a.py", " "], "instruction is empty"),
        (["a.py", "./a.py", "do it"], "named twice"),
    ],
)
def test_a_line_that_makes_no_sense(aigc: CommandLine, file: Path, words: list[str], reason: str) -> None:
    outcome = edit(aigc, *words)
    assert (outcome.code, file.name) == (2, "a.py")
    assert reason in outcome.err


def test_without_a_terminal_it_wants_a_yes_and_does_not_hang(aigc: CommandLine, file: Path) -> None:
    outcome = aigc.run("edit", file.name, "rename f to h", stdin=b"")
    assert outcome.code == 2
    assert "-y" in outcome.err
    assert aigc.engines == []


# --dry-run


@pytest.mark.skipif(not shutil.which("git"), reason="needs git")
@pytest.mark.parametrize(
    "name", ["a.py", "my file.py", "中文 名.py", 'q"uote.py', "sub/b.py", "tab\there.py"]
)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("tail", ["", "\n"])
def test_git_applies_the_dry_run(aigc: CommandLine, name: str, end: str, tail: str) -> None:
    path = Path(name)
    path.parent.mkdir(exist_ok=True)
    old = (OLD.rstrip("\n") + tail).replace("\n", end).encode()
    path.write_bytes(old)
    aigc.replies = [NEW]
    outcome = aigc.run("edit", name, "rename f to h", "--dry-run")
    assert (outcome.code, outcome.err) == (0, "")
    assert path.read_bytes() == old
    for command in (["git", "init", "-q"], ["git", "apply", "-"]):
        done = subprocess.run(command, input=outcome.out.encode(), capture_output=True, check=False)
        assert done.returncode == 0, (done.stderr, outcome.out)
    assert path.read_bytes() == old.replace(b"f(", b"h(")


def test_the_dry_run_on_a_terminal_is_drawn(aigc: CommandLine, file: Path) -> None:
    aigc.replies = [NEW]
    outcome = aigc.run("edit", file.name, "rename f to h", "--dry-run", terminal=True)
    assert "\x1b[31m" in outcome.out
    assert file.read_text(encoding="utf-8") == OLD


def test_a_models_escape_sequences_do_not_reach_the_terminal(aigc: CommandLine, file: Path) -> None:
    aigc.replies = [OLD.replace("return a", "return 'a\x1b]0;evil\x07'")]
    outcome = aigc.run("edit", file.name, "return more", "-y", terminal=True)
    assert outcome.code == 0
    assert "evil" not in outcome.err.replace("\x1b]", "")
    assert "\x1b]" not in outcome.err


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_closed_directory_is_told(aigc: CommandLine) -> None:
    Path("closed").mkdir()
    Path("closed/a.py").write_text(OLD, encoding="utf-8")
    Path("closed").chmod(0o500)
    outcome = edit(aigc, "closed/a.py", "rename f to h")
    assert outcome.code == 1
    assert "no permission" in outcome.err


def test_a_check_must_accept_the_new_text(aigc: CommandLine, file: Path) -> None:
    aigc.replies = [NEW, NEW.replace("h(1)", "h(7)")]
    outcome = aigc.run(
        "edit", file.name, "rename f to h", "--check", "grep 7 {file}", "-y", env=dict(os.environ)
    )
    assert outcome.code == 0, outcome.err
    assert "a.py is not changed: grep 7 {file}: exit 1; once more" in outcome.err
    assert "`grep 7 {file}` fails (exit 1)" in prompt_of(aigc).messages[-1].content
    assert "h(7)" in file.read_text(encoding="utf-8")


def test_what_no_check_accepts_is_not_written(aigc: CommandLine, file: Path) -> None:
    aigc.replies = [NEW]
    outcome = aigc.run(
        "edit", file.name, "rename f to h", "--check", "grep 7 {file}", "-y", env=dict(os.environ)
    )
    assert outcome.code == 5
    assert file.read_text(encoding="utf-8") == OLD
