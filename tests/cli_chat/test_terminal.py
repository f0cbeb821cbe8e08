"""The chat in a window: keys, Ctrl-C, blocks, widths; the real program with a scripted model."""

import signal
from pathlib import Path

import pytest

from tests.cli_chat.terminal import (
    CTRL_C,
    CTRL_D,
    ENTER,
    asked,
    chat_terminal,
    is_cooked,
    paste,
)
from tests.scripted_aigc import seen_requests

LONG_REPLY = "\n".join(f"line {i}" for i in range(400))


def test_question_reply_and_the_way_out(tmp_path: Path) -> None:
    with chat_terminal(tmp_path, replies=["Hello **there**."]) as terminal:
        terminal.expect("/help lists the commands")
        terminal.enter("hi")
        terminal.expect("Hello there.")
        terminal.expect_prompt()
        terminal.expect("scripted ·")
        terminal.enter("/exit")
        terminal.expect_end(0)
    assert asked(tmp_path) == ["hi"]


def test_first_token_is_shown_while_the_rest_is_still_to_come(tmp_path: Path) -> None:
    with chat_terminal(tmp_path, replies=["first " + "word " * 500], delay_s=0.1) as terminal:
        terminal.expect_prompt()
        terminal.enter("hi")
        terminal.expect("first")
        assert terminal.text.count("word") < 200  # the whole takes fifty seconds


def test_ctrl_c_in_a_reply_keeps_what_was_said_and_the_chat(tmp_path: Path) -> None:
    with chat_terminal(tmp_path, replies=[LONG_REPLY, "second"], delay_s=0.05) as terminal:
        terminal.expect_prompt()
        terminal.enter("tell me")
        terminal.expect("line 3")
        terminal.send(CTRL_C)
        terminal.expect("(interrupted)")
        terminal.expect_prompt()
        terminal.enter("go on")
        terminal.expect("second")
        terminal.expect_prompt()
        terminal.send(CTRL_D)
        terminal.expect_end(0)
    roles = [role for role, _ in seen_requests(tmp_path)[1]["messages"]]
    assert roles[-3:] == ["user", "assistant", "user"]
    assert seen_requests(tmp_path)[1]["messages"][-2][1].startswith("line 0")


def test_ctrl_c_while_the_prompt_is_read(tmp_path: Path) -> None:
    with chat_terminal(tmp_path, replies=["late"], prefill_steps=1000, prefill_delay_s=0.05) as terminal:
        terminal.expect_prompt()
        terminal.enter("word " * 14)
        terminal.wait_for_request(tmp_path)
        terminal.send(CTRL_C)
        terminal.expect("(interrupted before the first word")
        terminal.expect_prompt()
        assert "late" not in terminal.text


def test_ctrl_c_at_an_empty_prompt_hints_and_the_second_leaves(tmp_path: Path) -> None:
    with chat_terminal(tmp_path) as terminal:
        terminal.expect_prompt()
        terminal.send(CTRL_C)
        terminal.expect("Ctrl-C again")
        terminal.send("x\x7f")
        terminal.expect("scripted ·")
        terminal.send(CTRL_C)
        terminal.expect("Ctrl-C again")
        terminal.send(CTRL_C)
        terminal.expect_end(0)


def test_interrupt_signal_at_the_prompt_is_like_ctrl_c(tmp_path: Path) -> None:
    with chat_terminal(tmp_path) as terminal:
        terminal.expect_prompt()
        terminal.process.kill(signal.SIGINT)
        terminal.expect("Ctrl-C again")
        terminal.enter("still here")
        terminal.expect("Understood.")


def test_question_typed_during_a_reply_is_not_echoed_into_it_and_is_asked_next(tmp_path: Path) -> None:
    with chat_terminal(tmp_path, replies=["word " * 60, "second"], delay_s=0.02) as terminal:
        terminal.expect_prompt()
        terminal.enter("hi")
        terminal.expect("word word")
        terminal.send(f"typed ahead{ENTER}and more")
        terminal.expect("second")
        terminal.expect_prompt("> and more")
        assert terminal.text.count("typed") == 1
    assert asked(tmp_path) == ["hi", "typed ahead"]


def test_text_typed_during_a_reply_survives_its_interruption(tmp_path: Path) -> None:
    with chat_terminal(tmp_path, replies=[LONG_REPLY], delay_s=0.05) as terminal:
        terminal.expect_prompt()
        terminal.enter("hi")
        terminal.expect("line 3")
        terminal.send("next thought")
        terminal.settle(0.1)
        terminal.send(CTRL_C)
        terminal.expect_prompt("> next thought")


def test_terminal_that_does_not_tell_its_cursor_is_no_matter(tmp_path: Path) -> None:
    with chat_terminal(tmp_path) as terminal:
        terminal.answers_cursor_questions = False
        terminal.wait(lambda: terminal.text.endswith(">"), "a prompt")
        terminal.settle(2.5)  # prompt_toolkit waits two seconds for an answer
        terminal.send(CTRL_C)
        terminal.expect("Ctrl-C again")
        terminal.enter("hi")
        terminal.expect("Understood.")
        assert "WARNING" not in terminal.text


def test_paste_during_a_reply_does_not_send_itself(tmp_path: Path) -> None:
    with chat_terminal(tmp_path, replies=["word " * 60], delay_s=0.02) as terminal:
        terminal.expect_prompt()
        terminal.enter("hi")
        terminal.expect("word word")
        assert terminal.raw.rindex("\x1b[?2004h") > terminal.raw.rindex("\x1b[?2004l")
        terminal.send(paste("first line\rsecond line"))
        terminal.expect_prompt(". second line")
        assert asked(tmp_path) == ["hi"]


def test_undo_and_retry_in_the_window(tmp_path: Path) -> None:
    with chat_terminal(tmp_path, replies=["first reply", "second reply"]) as terminal:
        terminal.expect_prompt()
        terminal.enter("question")
        terminal.expect("first reply")
        terminal.expect_prompt()
        terminal.enter("/retry")
        terminal.expect("second reply")
        terminal.expect_prompt()
        terminal.enter("/undo")
        terminal.expect("took back: question")
        terminal.enter("/edit")
        terminal.expect("there is nothing to undo")
    assert asked(tmp_path) == ["question", "question"]


def test_edit_gives_the_last_question_back(tmp_path: Path) -> None:
    with chat_terminal(tmp_path) as terminal:
        terminal.expect_prompt()
        terminal.enter("a question")
        terminal.expect("Understood.")
        terminal.expect_prompt()
        terminal.enter("/edit")
        terminal.expect_prompt("> a question")
        terminal.send(f", changed{ENTER}")
        terminal.wait(lambda: len(asked(tmp_path)) == 2, "the changed question")
    assert asked(tmp_path)[1] == "a question, changed"
    assert len(seen_requests(tmp_path)[1]["messages"]) == len(seen_requests(tmp_path)[0]["messages"])


def test_question_too_long_for_the_window_stays_to_be_edited(tmp_path: Path) -> None:
    with chat_terminal(tmp_path, "--context", "256") as terminal:
        terminal.expect_prompt()
        terminal.send(paste("much " * 300 + "END"))
        terminal.expect("END")
        terminal.send(ENTER)
        terminal.expect("the context window holds 256")
        terminal.wait(lambda: terminal.text.count("END") >= 2, "the question again")
    assert asked(tmp_path) == []


def test_narrow_window(tmp_path: Path) -> None:
    reply = "A reply of some length.\n\n```python\nprint('a line that is far too long')\n```\n"
    with chat_terminal(tmp_path, replies=[reply], columns=20, lines=30) as terminal:
        terminal.expect("D leaves")
        terminal.enter("hi")
        terminal.expect("too long")
        terminal.wait(lambda: terminal.text.endswith("scripted"), "a toolbar that fits")
        terminal.enter("/help")
        terminal.expect("Ctrl-X Ctrl-E")
        terminal.send(CTRL_D)
        terminal.expect_end(0)


def test_window_resized_while_a_reply_streams(tmp_path: Path) -> None:
    reply = "word " * 120 + "END"
    with chat_terminal(tmp_path, replies=[reply], delay_s=0.01) as terminal:
        terminal.expect_prompt()
        terminal.enter("hi")
        terminal.expect("word word word")
        terminal.resize(40, 20)
        terminal.settle(0.2)
        terminal.resize(100, 30)
        terminal.expect("END")
        terminal.expect_prompt()
        assert terminal.scrollback.count("END") == 1


def test_first_mistakes_get_a_helpful_answer(tmp_path: Path) -> None:
    (tmp_path / "app.py").touch()
    with chat_terminal(tmp_path) as terminal:
        terminal.expect_prompt()
        terminal.send(ENTER)
        terminal.expect("type a question")
        terminal.enter("/retyr")
        terminal.expect("did you mean /retry?")
        terminal.expect_prompt()
        terminal.enter("app.py")
        terminal.expect("app.py is a file")
        terminal.expect_prompt("> @app.py")
        terminal.send(CTRL_C)
        terminal.expect_prompt()
        terminal.enter(":q")
        terminal.expect_end(0)
    assert asked(tmp_path) == []


def test_terminal_that_can_not_move_its_cursor_gets_plain_lines(tmp_path: Path) -> None:
    with chat_terminal(tmp_path, replies=["plain reply"], env={"TERM": "dumb"}) as terminal:
        terminal.wait(lambda: terminal.text.endswith(">"), "a prompt")
        terminal.send("hi\n")
        terminal.expect("plain reply")
        terminal.wait(lambda: terminal.text.endswith(">"), "a prompt")
        terminal.send(CTRL_C)
        terminal.expect("Ctrl-C again")
        terminal.send("/exit\n")
        terminal.expect_end(0)
        assert "\x1b" not in terminal.raw


@pytest.mark.parametrize("way_out", ["Ctrl-D", "SIGTERM at the prompt", "SIGTERM in a reply"])
def test_terminal_is_as_before_when_the_chat_ends(tmp_path: Path, way_out: str) -> None:
    # a shell that stays, so that the window outlives the chat
    with chat_terminal(tmp_path, replies=[LONG_REPLY], delay_s=0.05, shell=True) as terminal:
        terminal.expect_prompt()
        assert not is_cooked(terminal)
        terminal.enter("hi")
        terminal.expect("line 2")
        if way_out != "SIGTERM in a reply":
            terminal.send(CTRL_C)
            terminal.expect_prompt()
        if way_out == "Ctrl-D":
            terminal.send(CTRL_D)
        else:
            terminal.terminate_child()
        terminal.expect("exit code 0" if way_out == "Ctrl-D" else "exit code 143")
        assert is_cooked(terminal)
        assert terminal.raw.rindex("\x1b[?2004l") > terminal.raw.rindex("\x1b[?2004h")
        assert terminal.raw.rfind("\x1b[?25h") >= terminal.raw.rfind("\x1b[?25l")
