"""Recipes inside a chat."""

import io
import json
import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from aigc_cli.cli.repl import dispatch
from aigc_cli.cli.slash import candidates
from aigc_cli.engine.base import Choices
from aigc_cli.errors import Interrupted, UsageError
from tests.cli_chat.world import World, talk_in


def test_a_text_recipe_asks_in_the_conversation(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("x = 1\n", encoding="utf-8")
    world = talk_in(tmp_path, "It binds x.", "Yes.")
    dispatch(world.talk, "/explain the line @a.py")
    role, question = world.sent()[-1]
    assert role == "user"
    assert question.startswith("a.py:\n```python\nx = 1\n```\n\nExplain the line to a programmer")
    dispatch(world.talk, "really?")
    assert [role for role, _ in world.sent()] == ["user", "assistant", "user"]


def test_another_recipe_works_beside_the_conversation_with_the_same_engine(tmp_path: Path) -> None:
    world = talk_in(tmp_path, "bug")
    dispatch(world.talk, '/classify --labels "bug,new feature" it crashes')
    assert world.replies.startswith("bug")
    assert world.engine.requests[-1].constraint == Choices(("bug", "new feature"))
    assert world.talk.conversation.messages() == ()
    assert not world.engine.closed


def test_a_review_in_a_chat(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("x = 1\n", encoding="utf-8")
    found = {"file": "a.py", "line": 1, "kind": "bug", "severity": "low", "message": "m", "fix": "f"}
    world = talk_in(tmp_path, json.dumps({"findings": [found]}))
    dispatch(world.talk, "/review --json a.py")
    assert json.loads(world.replies)["findings"] == [found]


def test_a_command_is_only_shown_where_nobody_can_say_yes(tmp_path: Path) -> None:
    world = talk_in(tmp_path, json.dumps({"explanation": "e", "command": "touch ran"}))
    dispatch(world.talk, "/shell make a file")
    assert isinstance(world.talk.app.stdout, io.StringIO)
    assert world.replies == "touch ran\n"
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ("/classify it crashes", "needs --labels"),
        ("/classify it crashes --labels", "needs a value"),
        ("/classify --colour red", "no --colour"),
        ("/explain", "nothing to work on"),
    ],
)
def test_what_is_missing_or_unknown_is_told(tmp_path: Path, entry: str, reason: str) -> None:
    world = talk_in(tmp_path)
    with pytest.raises(UsageError, match=reason):
        dispatch(world.talk, entry)
    assert world.engine.requests == []


def test_recipes_are_listed_explained_and_completed(tmp_path: Path) -> None:
    (tmp_path / "app.py").touch()
    world = talk_in(tmp_path)
    dispatch(world.talk, "/help")
    assert "/summarize" in world.notes
    dispatch(world.talk, "/help classify")
    assert "/classify --labels … [TEXT] [@FILE]" in world.notes

    def completed(before: str) -> list[str]:
        return [candidate.text for candidate in candidates(world.talk, before)]

    assert completed("/summ") == ["/summarize"]
    assert completed("/summarize --") == ["--points"]
    assert completed("/review @a") == ["@app.py"]


def test_a_broken_recipe_is_left_out_and_told_once(tmp_path: Path) -> None:
    folder = tmp_path / "aigc" / "config" / "recipes"
    folder.mkdir(parents=True)
    (folder / "broken.md").write_text("?", encoding="utf-8")
    world = talk_in(tmp_path)
    dispatch(world.talk, "/help")
    dispatch(world.talk, "/help")
    assert world.notes.count("a recipe is left out") == 1


SOURCE = "def f(a):\n    return a\n"


def chat_with(folder: Path, *replies: str, answers: list[str]) -> World:
    (folder / "a.py").write_text(SOURCE, encoding="utf-8")
    world = talk_in(folder, *replies)
    world.talk.interactive = True
    world.talk.answer = lambda _question: answers.pop(0)
    return world


@pytest.mark.parametrize(("answer", "is_written"), [("y", True), ("是", True), ("n", False)])
def test_a_file_is_changed_after_a_yes_in_the_chat(tmp_path: Path, answer: str, *, is_written: bool) -> None:
    new = SOURCE.replace("    return", '    """Gives a."""\n    return')
    world = chat_with(tmp_path, new, answers=[answer])
    dispatch(world.talk, "/comment @a.py")
    assert (tmp_path / "a.py").read_text(encoding="utf-8") == (new if is_written else SOURCE)
    assert ("changed a.py (+1 -0)" in world.notes) is is_written
    assert world.talk.conversation.messages() == ()
    assert not world.engine.closed


def test_no_answer_leaves_the_file_and_the_chat(tmp_path: Path) -> None:
    world = chat_with(tmp_path, SOURCE.replace("return a", "return a + 0"), answers=[""])
    with pytest.raises(Interrupted, match="nothing is written"):
        dispatch(world.talk, "/refactor a.py")
    assert (tmp_path / "a.py").read_text(encoding="utf-8") == SOURCE


def test_where_nobody_is_there_a_change_needs_yes_beforehand(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(SOURCE, encoding="utf-8")
    world = talk_in(tmp_path, SOURCE.replace("return a", "return a + 0"))
    world.talk.interactive = False
    with pytest.raises(UsageError, match="needs a yes"):
        dispatch(world.talk, "/refactor a.py")
    dispatch(world.talk, "/refactor -y a.py:1-2")
    assert "a + 0" in (tmp_path / "a.py").read_text(encoding="utf-8")


def test_files_are_written_from_the_chat(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(SOURCE, encoding="utf-8")
    world = talk_in(tmp_path, "package a\n\nfunc F(a int) int { return a }\n")
    dispatch(world.talk, "/translate --to go -o a.go --tries 2 a.py")
    assert (tmp_path / "a.go").read_text(encoding="utf-8").startswith("package a\n")
    with pytest.raises(UsageError, match="--tries is 'many'"):
        dispatch(world.talk, "/translate --to go --tries many a.py")


def test_a_command_is_fixed_from_the_chat(tmp_path: Path) -> None:
    world = chat_with(tmp_path, "def f(a):\n    return a + 1\n", answers=["y", "y"])
    world.talk.app = replace(world.talk.app, env={"PATH": os.environ["PATH"]})
    command = f"{sys.executable} -B -c \"from a import f; assert f(1) == 2, 'a.py'\" && echo it passes"
    dispatch(world.talk, f"/fix {command}")
    assert "return a + 1" in (tmp_path / "a.py").read_text(encoding="utf-8")
    assert world.notes.rstrip().endswith("passes now")
    dispatch(world.talk, "/fix -- true")
    assert "nothing to fix: true passes" in world.notes
