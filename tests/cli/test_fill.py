import json
import re
from pathlib import Path

import pytest

from aigc_cli.engine.base import Chat, EngineInfo, Infill, Request
from aigc_cli.errors import UnsupportedFeature
from aigc_cli.events import FinishReason
from tests.cli.command_line import CommandLine, Outcome
from tests.scripted_engine import ScriptedEngine

OLD = "from b import LIMIT\n\n\ndef f(a):\n\n\ndef g():\n    return f(1)\n"
BODY = "\n    return a + LIMIT"
NEW = OLD.replace("f(a):", "f(a):" + BODY)
GOOD = "x = 1\ny = 2\n"


@pytest.fixture
def file() -> Path:
    path = Path("a.py")
    path.write_text(OLD, encoding="utf-8")
    return path


def fill(aigc: CommandLine, *words: str, replies: list[str], stdin: bytes | None = None) -> Outcome:
    info = EngineInfo("scripted", 4096, has_infill=True)
    aigc.engine = ScriptedEngine([*replies], info)
    return aigc.run("fill", *words, stdin=stdin)


def requests(aigc: CommandLine) -> list[Request]:
    return aigc.engines[-1].requests


def test_it_prints_what_is_missing_and_nothing_else(aigc: CommandLine, file: Path) -> None:
    outcome = fill(aigc, "a.py:4", replies=[BODY + "\n\n\ndef g():\n    return 2\n"])
    assert (outcome.code, outcome.out, outcome.err) == (0, BODY, "")
    assert file.read_text(encoding="utf-8") == OLD


def test_the_model_sees_both_sides_and_the_files_beside(aigc: CommandLine, file: Path) -> None:
    Path("b.py").write_text("LIMIT = 3\n", encoding="utf-8")
    Path("notes.md").write_text("more\n", encoding="utf-8")
    fill(aigc, f"{file.name}:4", "-f", "notes.md", replies=[BODY])
    prompt = requests(aigc)[0].prompt
    assert isinstance(prompt, Infill)
    assert prompt.prefix + "|" + prompt.suffix == OLD.replace("f(a):", "f(a):|")
    assert [(each.name, each.text) for each in prompt.extra] == [
        ("b.py", "LIMIT = 3\n"),
        ("notes.md", "more\n"),
    ]
    fill(aigc, "a.py:4", "--no-context", replies=[BODY])
    prompt = requests(aigc)[0].prompt
    assert isinstance(prompt, Infill)
    assert prompt.extra == ()


def test_it_is_put_in_and_taken_back(aigc: CommandLine, file: Path) -> None:
    outcome = fill(aigc, "a.py:4", "-i", replies=[BODY])
    assert (outcome.code, outcome.out) == (0, "")
    assert outcome.err == "aigc: put 1 line into a.py\naigc: aigc undo takes it back\n"
    assert file.read_text(encoding="utf-8") == NEW
    assert aigc.run("undo").code == 0
    assert file.read_text(encoding="utf-8") == OLD


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-8"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_encoding_line_ends_and_columns_in_characters(
    aigc: CommandLine, file: Path, encoding: str, end: str
) -> None:
    text = f"# 中文注释{end}print('你好', ){end}".encode(encoding)
    file.write_bytes(text)
    outcome = fill(aigc, "a.py:2:13", "-i", replies=["名字"])
    assert outcome.code == 0, outcome.err
    assert file.read_bytes() == f"# 中文注释{end}print('你好', 名字){end}".encode(encoding)


def test_several_are_numbered_and_differ(aigc: CommandLine, file: Path) -> None:
    outcome = fill(aigc, "a.py:4", "-n", "4", replies=["\n    return (", "\n    return 1", "\n    return 2"])
    assert outcome.out == "1:\n    return 1\n2:\n    return 2\n3:\n    return (\n"
    assert (outcome.code, requests(aigc)[0].candidates, file.name) == (0, 4, "a.py")
    assert requests(aigc)[0].sampling.temperature > 0


def test_candidates_as_json(aigc: CommandLine, file: Path) -> None:
    outcome = fill(aigc, f"{file}:1:1", "--json", replies=["import os"])
    assert json.loads(outcome.out)["candidates"] == [{"text": "import os\n", "problem": None}]


def test_the_person_chooses_which_is_put_in(aigc: CommandLine, file: Path) -> None:
    file.write_text(GOOD, encoding="utf-8")
    info = EngineInfo("scripted", 4096, has_infill=True)
    aigc.engine = ScriptedEngine([" + 1", " + 2"], info)
    outcome = aigc.run("fill", "a.py:1", "-n", "2", "-i", terminal=True)  # nobody answers
    assert (outcome.code, file.read_text(encoding="utf-8")) == (130, GOOD)
    assert "which one? [1-2, n]" in outcome.err
    aigc.engine = ScriptedEngine([" + 1", " + 2"], info)
    assert aigc.run("fill", "a.py:1", "-n", "2", "-i", typed=b"3\n2\n").code == 0
    assert file.read_text(encoding="utf-8") == "x = 1 + 2\ny = 2\n"
    file.write_text(GOOD, encoding="utf-8")
    fill(aigc, "a.py:1", "-n", "2", "-i", replies=[" + 1", " + 2"], stdin=b"")  # the best
    assert file.read_text(encoding="utf-8") == "x = 1 + 1\ny = 2\n"


# Checks


def test_one_that_breaks_the_file_is_drawn_again(aigc: CommandLine, file: Path) -> None:
    file.write_text(GOOD, encoding="utf-8")
    outcome = fill(aigc, "a.py:1", "-i", replies=[" + (", " + (", " + 3", " + 4"])
    assert outcome.code == 0
    assert "it does not parse (line 1" in outcome.err
    assert file.read_text(encoding="utf-8") == "x = 1 + 3\ny = 2\n"
    assert [each.candidates for each in requests(aigc)] == [1, 3]


def test_what_breaks_the_file_is_printed_with_a_warning_and_never_put_in(
    aigc: CommandLine, file: Path
) -> None:
    file.write_text(GOOD, encoding="utf-8")
    outcome = fill(aigc, "a.py:1", replies=[" + ("])
    assert (outcome.code, outcome.out) == (5, " + (")
    assert "with it a.py is no valid Python: line 1" in outcome.err
    outcome = fill(aigc, "a.py:1", "-i", replies=[" + ("])
    assert (outcome.code, file.read_text(encoding="utf-8")) == (5, GOOD)
    assert "nothing is written" in outcome.err


def test_nothing_said_exits_with_6(aigc: CommandLine, file: Path) -> None:
    assert fill(aigc, "a.py:4", "-i", replies=["", " \n"]).code == 6
    assert file.read_text(encoding="utf-8") == OLD


def test_ctrl_c_writes_nothing(aigc: CommandLine, file: Path) -> None:
    info = EngineInfo("scripted", 4096, has_infill=True)
    aigc.engine = ScriptedEngine([BODY], info, finish_reason=FinishReason.INTERRUPTED)
    assert aigc.run("fill", "a.py:4", "-i").code == 130
    assert file.read_text(encoding="utf-8") == OLD


# Engines that can less


def test_a_model_without_tokens_for_it_is_asked_in_a_chat_and_that_is_said(
    aigc: CommandLine, file: Path
) -> None:
    aigc.replies = [f"{BODY}\n```\nDone."]
    outcome = aigc.run("fill", f"{file.name}:4")
    assert (outcome.code, outcome.out) == (0, BODY)
    assert outcome.err.startswith("aigc: scripted has no tokens for filling in")
    prompt = requests(aigc)[0].prompt
    assert isinstance(prompt, Chat)
    assert prompt.reply_prefix == "```python\ndef f(a):"


class Limited(ScriptedEngine):
    """A server that fills in, but not with other files, or that only says so."""

    def stream(self, request):  # type: ignore[no-untyped-def]  # as the engine's
        if isinstance(request.prompt, Infill) and (request.prompt.extra or self.prefill_steps > 1):
            raise UnsupportedFeature("no", "")
        return super().stream(request)


@pytest.mark.parametrize(("prefill_steps", "said"), [(1, "without other files"), (2, "in a chat")])
def test_a_server_that_can_less_is_asked_for_less(
    aigc: CommandLine, file: Path, prefill_steps: int, said: str
) -> None:
    Path("b.py").write_text("LIMIT = 3\n", encoding="utf-8")
    info = EngineInfo("scripted", 4096, has_infill=True)
    aigc.engine = Limited([BODY + "\n```\n"], info, prefill_steps=prefill_steps)
    outcome = aigc.run("fill", f"{file.name}:4")
    assert (outcome.code, outcome.out) == (0, BODY)
    assert said in outcome.err


# Standard input


def test_an_unsaved_text_comes_on_stdin(aigc: CommandLine) -> None:
    outcome = fill(aigc, "x.py:1:5", "--stdin", replies=["1"], stdin="中 = \r\nb = 2\r\n".encode())
    assert (outcome.code, outcome.out) == (0, "1")


@pytest.mark.parametrize(
    "words",
    [
        ("a.py",),
        ("a.py:99",),
        ("a.py:4:99",),
        ("a.py:1", "--stdin", "-i"),
        ("a.py:4", "--temperature", "99"),
        ("a.py:4", "-n", "0"),
    ],
)
def test_a_line_that_makes_no_sense_is_refused_before_a_model_is_loaded(
    aigc: CommandLine, file: Path, words: tuple[str, ...]
) -> None:
    outcome = fill(aigc, *words, replies=["x"], stdin=b"")
    assert (outcome.code, aigc.engines, len(outcome.error_lines)) == (2, [], 2), outcome.err
    assert file.exists()


def test_bad_files_are_refused_in_one_line(aigc: CommandLine) -> None:
    Path("binary.py").write_bytes(b"\0\1")
    for place, reason in {"no.py:1": "no file", "binary.py:1": "is binary", ".:1": "is a directory"}.items():
        outcome = fill(aigc, place, replies=["x"])
        assert outcome.code == 1
        assert re.search(reason, outcome.err)
    assert aigc.engines == []
