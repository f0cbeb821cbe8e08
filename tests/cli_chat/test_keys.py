"""Writing a question in a window: paste, blocks, editor, history, completion, CJK."""

import stat
from pathlib import Path

from tests.cli_chat.terminal import (
    ALT_ENTER,
    CTRL_C,
    CTRL_D,
    CTRL_R,
    EDITOR,
    ENTER,
    NEWLINE,
    TAB,
    UP,
    asked,
    chat_terminal,
    paste,
)


def test_unsent_line_survives_ctrl_c(tmp_path: Path) -> None:
    with chat_terminal(tmp_path) as terminal:
        terminal.expect_prompt()
        terminal.send("a long thought")
        terminal.expect("> a long thought")
        terminal.send(CTRL_C)
        terminal.expect_prompt()
        terminal.send(UP)
        terminal.expect("> a long thought")
    assert asked(tmp_path) == []


def test_paste_of_many_lines_does_not_send_itself(tmp_path: Path) -> None:
    lines = "\n".join(f"pasted line {i}" for i in range(200))
    with chat_terminal(tmp_path) as terminal:
        terminal.expect_prompt()
        terminal.send(paste(lines))
        terminal.expect("pasted line 199")
        terminal.settle()
        assert asked(tmp_path) == []
        terminal.send(ENTER)
        terminal.expect("Understood.")
    assert asked(tmp_path) == [lines]


def test_block_and_newline_keys(tmp_path: Path) -> None:
    with chat_terminal(tmp_path) as terminal:
        terminal.expect_prompt()
        terminal.send(f'"""{ENTER}first{ENTER}second')
        terminal.expect("a block")
        terminal.send(f'{ENTER}"""{ENTER}')
        terminal.expect("Understood.")
        terminal.expect_prompt()
        terminal.send(f"one{NEWLINE}two{ALT_ENTER}three")
        terminal.expect(". three")
        terminal.send(ENTER)
        terminal.wait(lambda: len(asked(tmp_path)) == 2, "a second question")
    assert asked(tmp_path) == ["first\nsecond", "one\ntwo\nthree"]


def test_question_written_in_an_editor_comes_back_to_the_prompt(tmp_path: Path) -> None:
    editor = tmp_path / "my editor"
    editor.write_text('#!/bin/sh\nprintf "\\nfrom the editor 中文\\n" >> "$1"\n', encoding="utf-8")
    editor.chmod(0o755)
    with chat_terminal(tmp_path, env={"VISUAL": f"'{editor}'"}) as terminal:
        terminal.expect_prompt()
        terminal.send("draft")
        terminal.expect("> draft")
        terminal.send(EDITOR)
        terminal.expect("from the editor")
        assert asked(tmp_path) == []
        terminal.send(ENTER)
        terminal.expect("Understood.")
    assert asked(tmp_path) == ["draft\nfrom the editor 中文"]


def test_editor_that_fails_changes_nothing(tmp_path: Path) -> None:
    with chat_terminal(tmp_path, env={"VISUAL": "false"}) as terminal:
        terminal.expect_prompt()
        terminal.send("draft")
        terminal.send(EDITOR)
        terminal.expect("nothing changed")
        terminal.expect("> draft")


def test_chinese_and_emoji_keep_their_places(tmp_path: Path) -> None:
    with chat_terminal(tmp_path, replies=["你好,世界 🎉"], columns=40) as terminal:
        terminal.expect_prompt()
        terminal.send("用 Python 写函数")
        terminal.wait(lambda: "数" in terminal.text, "the question")
        assert terminal.screen.cursor.x == len("> ") + 2 + len(" Python ") + 6
        terminal.send("\x7f\x7f序")
        terminal.wait(lambda: "序" in terminal.text, "the changed question")
        terminal.send(ENTER)
        terminal.wait(lambda: "🎉" in terminal.text, "the reply")
    assert asked(tmp_path) == ["用 Python 写序"]


def test_completion_of_commands_and_paths(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text("x = 1\n", encoding="utf-8")
    with chat_terminal(tmp_path) as terminal:
        terminal.expect_prompt()
        terminal.send("/und")
        terminal.expect("take back")
        terminal.send(TAB)
        terminal.expect("> /undo")
        terminal.send(CTRL_C)
        terminal.expect_prompt()
        terminal.send("explain @prog")
        terminal.expect("  @program.py")
        terminal.send(TAB)
        terminal.expect("> explain @program.py")
        terminal.send(ENTER)
        terminal.expect("Understood.")
    assert "x = 1" in asked(tmp_path)[0]


def test_history_of_an_earlier_chat_is_found_again_in_a_private_file(tmp_path: Path) -> None:
    for _ in range(2):
        with chat_terminal(tmp_path) as terminal:
            terminal.expect_prompt()
            if (tmp_path / "aigc" / "state" / "history").exists():
                terminal.send(f"{CTRL_R}unlikely")
                terminal.expect("an unlikely question")
                continue
            terminal.enter("an unlikely question")
            terminal.expect("Understood.")
            terminal.expect_prompt()
            terminal.send(CTRL_D)
            terminal.expect_end(0)
    mode = (tmp_path / "aigc" / "state" / "history").stat().st_mode
    assert stat.S_IMODE(mode) == 0o600


def test_no_history_file_when_it_is_off(tmp_path: Path) -> None:
    with chat_terminal(tmp_path, "--no-history") as terminal:
        terminal.expect_prompt()
        terminal.enter("a secret")
        terminal.expect("Understood.")
        terminal.expect_prompt()
        terminal.send(UP)
        terminal.expect_prompt("> a secret")
        terminal.send(f"{CTRL_C}{CTRL_D}")
        terminal.expect_end(0)
    assert not (tmp_path / "aigc" / "state" / "history").exists()
