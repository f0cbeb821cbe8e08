"""The chat in a window with a real model: what a scripted one can't show."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cli_chat.terminal import CTRL_C, CTRL_D, Terminal

pytestmark = pytest.mark.download

RealModel = Callable[[str], Path]


@contextmanager
def real_chat(folder: Path, model: Path, *arguments: str) -> Iterator[Terminal]:
    command = [sys.executable, "-m", "aigc_cli", "chat", "-m", str(model), "--seed", "1", *arguments]
    terminal = Terminal(command, dict(os.environ), folder, columns=80, lines=24)
    try:
        yield terminal
    finally:
        terminal.close()


def test_a_reply_is_interrupted_the_talk_goes_on_and_is_continued_later(
    tmp_path: Path, real_model: RealModel
) -> None:
    model = real_model("smollm2-135m")
    with real_chat(tmp_path, model) as terminal:
        terminal.expect("/help lists the commands")
        terminal.expect_prompt()
        terminal.enter("Tell me a very long story about a fox.")
        terminal.wait(lambda: "fox" in terminal.text.partition("a fox.")[2].lower(), "the story")
        terminal.send(CTRL_C)
        terminal.expect("(interrupted)")
        terminal.expect_prompt()
        terminal.enter("What animal was it? 用一个词回答。")
        terminal.expect("tok/s; prompt")
        terminal.expect("cached")
        terminal.expect_prompt()
        terminal.send(CTRL_D)
        terminal.expect_end(0)
    with real_chat(tmp_path, model, "-c") as terminal:
        terminal.expect("What animal was it?")
        terminal.expect_prompt()
        terminal.enter("/context")
        terminal.expect("turn 2")


def test_ctrl_c_while_a_long_file_is_read_comes_back_at_once(tmp_path: Path, real_model: RealModel) -> None:
    (tmp_path / "long.txt").write_text("the quick brown fox jumps over the lazy dog\n" * 600)
    with real_chat(tmp_path, real_model("smollm2-135m")) as terminal:
        terminal.expect_prompt()
        terminal.enter("Sum up @long.txt")
        terminal.expect("reading")
        terminal.send(CTRL_C)
        terminal.expect("(interrupted before the first word")
        terminal.expect_prompt()
        terminal.enter("/exit")
        terminal.expect_end(0)
