"""The questions of `aigc edit` as a person sees them: the real program in a pseudo-terminal."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.cli_chat.terminal import CTRL_C, CTRL_D, ENTER, Terminal
from tests.scripted_aigc import scripted_argv

OLD = "".join(f"line {i}\n" for i in range(1, 31))
NEW = OLD.replace("line 2\n", "第二行，很长的一行文字\n").replace("line 28\n", "line twenty-eight\n")


@contextmanager
def editing(
    folder: Path, *words: str, columns: int = 80, env: dict[str, str] | None = None, **script: Any
) -> Iterator[Terminal]:
    script.setdefault("replies", [NEW])
    world = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "AIGC_HOME": str(folder / "aigc"),
        "TERM": "xterm-256color",
        "LANG": "C.UTF-8",
        **(env or {}),
    }
    argv = [*scripted_argv(folder, **script), "edit", *(words or ("a.txt", "change two lines"))]
    terminal = Terminal(argv, world, folder, columns, 40)
    try:
        yield terminal
    finally:
        terminal.close()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "a.txt"
    path.write_text(OLD, encoding="utf-8")
    return path


QUESTION = "write this change to a.txt? [y,n,e,s,q,?]"


def test_yes_writes(tmp_path: Path, file: Path) -> None:
    with editing(tmp_path) as terminal:
        terminal.expect(QUESTION)
        assert " 2 - line 2" in terminal.text
        assert " 2 + 第二行，很长的一行文字" in terminal.text
        assert file.read_text("utf-8") == OLD
        terminal.send("y" + ENTER)
        terminal.expect("aigc: changed a.txt (+2 -2)")
        terminal.expect_end(0)
    assert file.read_text("utf-8") == NEW


@pytest.mark.parametrize(("keys", "code"), [("n", 0), ("q", 130), (CTRL_D, 130), (CTRL_C, 130)])
def test_anything_else_leaves_the_file(tmp_path: Path, file: Path, keys: str, code: int) -> None:
    with editing(tmp_path) as terminal:
        terminal.expect(QUESTION)
        terminal.send(keys if keys in (CTRL_C, CTRL_D) else keys + ENTER)
        terminal.expect_end(code)
        assert "Traceback" not in terminal.text
        if code:
            assert "nothing is written" in terminal.text
    assert file.read_text("utf-8") == OLD


def test_each_place_has_its_question(tmp_path: Path, file: Path) -> None:
    with editing(tmp_path) as terminal:
        terminal.expect(QUESTION)
        terminal.send("s" + ENTER)
        terminal.expect("place 1 of 2: take it? [y,n,a,d,q,?]")
        terminal.send("n" + ENTER)
        terminal.expect("place 2 of 2")
        terminal.send("y" + ENTER)
        terminal.expect("changed a.txt (+1 -1)")
        terminal.expect_end(0)
    assert file.read_text("utf-8") == OLD.replace("line 28", "line twenty-eight")


def test_what_it_does_not_know_explains_the_answers(tmp_path: Path, file: Path) -> None:
    with editing(tmp_path) as terminal:
        terminal.expect(QUESTION)
        terminal.send("what" + ENTER)
        terminal.expect("s  split: say yes or no to each place")
        terminal.send("是" + ENTER)
        terminal.expect_end(0)
    assert file.read_text("utf-8") == NEW


def test_the_text_can_be_changed_by_hand_first(tmp_path: Path, file: Path) -> None:
    editor = tmp_path / "editor.sh"
    editor.write_text('#!/bin/sh\nsed -i s/twenty-eight/28a/ "$1"\n', encoding="utf-8")
    editor.chmod(0o755)
    with editing(tmp_path, env={"EDITOR": str(editor)}) as terminal:
        terminal.expect(QUESTION)
        terminal.send("e" + ENTER)
        terminal.expect("+ line 28a")
        terminal.send("y" + ENTER)
        terminal.expect_end(0)
    assert file.read_text("utf-8") == NEW.replace("twenty-eight", "28a")


def test_an_editor_that_fails_loses_nothing(tmp_path: Path, file: Path) -> None:
    with editing(tmp_path, env={"EDITOR": "false"}) as terminal:
        terminal.expect(QUESTION)
        terminal.send("e" + ENTER)
        terminal.expect("false failed with exit code 1")
        terminal.send("y" + ENTER)
        terminal.expect_end(0)
    assert file.read_text("utf-8") == NEW


@pytest.mark.parametrize("columns", [16, 30])
def test_a_narrow_window(tmp_path: Path, file: Path, columns: int) -> None:
    with editing(tmp_path, columns=columns) as terminal:
        terminal.wait(lambda: "[y,n,e,s,q,?]" in terminal.text.replace("\n", ""), "the question")
        shown = terminal.scrollback.replace("\n", "")
        assert "第二行" in shown
        terminal.send("y" + ENTER)
        terminal.expect_end(0)
    assert file.read_text("utf-8") == NEW


def test_ctrl_c_while_the_model_writes(tmp_path: Path, file: Path) -> None:
    with editing(tmp_path, delay_s=0.2) as terminal:
        terminal.expect("writing a.txt: ")
        terminal.send(CTRL_C)
        terminal.expect_end(130)
        assert "nothing is written" in terminal.text
        assert "writing a.txt" not in terminal.text
    assert file.read_text("utf-8") == OLD
