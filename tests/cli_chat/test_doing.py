"""What a chat does in its window besides talking: commands, code, summaries, completion, vi keys."""

from pathlib import Path

from tests.cli_chat.terminal import (
    CTRL_C,
    CTRL_D,
    ENTER,
    ESCAPE,
    TAB,
    UP,
    Terminal,
    asked,
    chat_terminal,
)
from tests.scripted_aigc import seen_requests


def program(code: str, tag: str = "python") -> str:
    return f"Here:\n\n```{tag}\n{code}\n```\n"


def answer(terminal: Terminal, text: str) -> None:
    terminal.expect("y/N")
    terminal.send(f"{text}{ENTER}")
    terminal.expect_prompt()


def test_command_runs_and_its_output_goes_with_the_next_question(tmp_path: Path) -> None:
    with chat_terminal(tmp_path) as terminal:
        terminal.expect_prompt()
        terminal.enter("!echo what a failure; exit 3")
        terminal.expect("(exit code 3)")
        answer(terminal, "y")
        terminal.expect("/drop output-1")
        terminal.enter("why?")
        terminal.expect("Understood.")
    assert "what a failure\n[exit code 3]" in asked(tmp_path)[0]


def test_ctrl_c_ends_the_command_and_not_the_chat(tmp_path: Path) -> None:
    with chat_terminal(tmp_path) as terminal:
        terminal.expect_prompt()
        # exec: a shell that is between its fork and its wait may lose the signal, and sleep on
        terminal.enter("!echo begun; exec sleep 60")
        terminal.wait(lambda: terminal.text.count("begun") > 1, "the command at work")
        terminal.send(CTRL_C)
        terminal.expect("(interrupted)")  # soon: the command takes a minute
        answer(terminal, "")
        terminal.enter("still here?")
        terminal.expect("Understood.")
    assert asked(tmp_path) == ["still here?"]


def test_command_has_the_terminal_while_it_runs(tmp_path: Path) -> None:
    with chat_terminal(tmp_path) as terminal:
        terminal.expect_prompt()
        terminal.enter(
            '!printf "name? "; read name; echo hello $name; test -t 0 && stty -a | grep -o " echo "'
        )
        terminal.wait(lambda: terminal.text.endswith("\nname?"), "the command's question")
        terminal.send("ab\x7f\x7f世界\n")
        terminal.expect("hello 世界")
        terminal.expect("(exit code 0)")
        answer(terminal, CTRL_C)
        terminal.send("typed\x1b[D\x1b[D!")
        terminal.expect("> typ!ed")


def test_ctrl_c_and_ctrl_d_at_the_offer_mean_no(tmp_path: Path) -> None:
    with chat_terminal(tmp_path) as terminal:
        for key in (CTRL_C, CTRL_D):
            terminal.expect_prompt()
            terminal.enter(f"!echo {ord(key)}")
            terminal.expect("y/N")
            terminal.send(key)
        terminal.expect_prompt()
        terminal.enter("q")
        terminal.expect("Understood.")
    assert asked(tmp_path) == ["q"]


def test_code_is_shown_and_runs_after_a_yes(tmp_path: Path) -> None:
    with chat_terminal(tmp_path, replies=[program("print(6 * 7)\nprint(input('who? '))")]) as terminal:
        terminal.expect_prompt()
        terminal.enter("write it")
        terminal.expect("print(6")
        terminal.expect_prompt()
        terminal.enter("/run")
        terminal.expect("run this Python with python")
        terminal.send(f"y{ENTER}")
        terminal.expect("42\nwho?")
        terminal.send("me\n")
        terminal.expect("(exit code 0)")
        answer(terminal, "y")
        terminal.enter("and?")
        terminal.wait(lambda: len(asked(tmp_path)) == 2, "the second question")
    assert "42\n" in asked(tmp_path)[1]


def test_code_does_not_run_without_a_yes(tmp_path: Path) -> None:
    with chat_terminal(tmp_path, replies=[program(f"open({str(tmp_path / 'ran')!r}, 'w')")]) as terminal:
        terminal.expect_prompt()
        terminal.enter("write it")
        for keys in (ENTER, f"n{ENTER}", CTRL_C, CTRL_D):
            terminal.expect_prompt()
            terminal.enter("/run")
            terminal.expect("y/N")
            terminal.send(keys)
            terminal.expect("not run")
            terminal.expect_prompt()
            terminal.enter("/clear")
            terminal.expect_prompt()
            terminal.enter("write it")
        terminal.expect_prompt()
    assert not (tmp_path / "ran").exists()


def test_code_that_hangs_is_stopped_by_time_or_by_ctrl_c(tmp_path: Path) -> None:
    with chat_terminal(tmp_path, replies=[program("import time\nprint('on')\ntime.sleep(60)")]) as terminal:
        terminal.expect_prompt()
        terminal.enter("write it")
        terminal.expect_prompt()
        terminal.enter("/set run_seconds 1")
        terminal.expect("run_seconds = 1")
        terminal.enter("/run")
        terminal.expect("y/N")
        terminal.send(f"y{ENTER}")
        terminal.expect("(stopped after 1 s")
        answer(terminal, "")
        terminal.enter("/set run_seconds 60")
        terminal.expect("run_seconds = 60")
        terminal.enter("/run")
        terminal.expect("at most 60 s")
        terminal.send(f"y{ENTER}")
        terminal.wait(lambda: terminal.text.endswith("on"), "the program at work")
        terminal.send(CTRL_C)
        terminal.expect("(interrupted)")
        answer(terminal, "")
        terminal.enter("/exit")
        terminal.expect_end(0)


def test_summary_is_shown_and_stands_for_the_old_turns(tmp_path: Path) -> None:
    replies = ["word " * 50, "word " * 50, "We spoke of **words**.", "new"]
    with chat_terminal(tmp_path, replies=replies) as terminal:
        for question in ("one", "two"):
            terminal.expect_prompt()
            terminal.enter(question)
        terminal.expect_prompt()
        terminal.enter("/compact")
        terminal.expect("We spoke of words.")
        terminal.expect("stand as this summary")
        terminal.expect_prompt()
        terminal.enter("three")
        terminal.expect("new")
    contents = [content for _, content in seen_requests(tmp_path)[-1]["messages"]]
    assert "We spoke of **words**." in contents
    assert "one" not in contents


def test_ctrl_c_in_a_summary_changes_nothing(tmp_path: Path) -> None:
    with chat_terminal(tmp_path, replies=["one", "two", "slow " * 400, "new"], delay_s=0.05) as terminal:
        for question in ("q1", "q2"):
            terminal.expect_prompt()
            terminal.enter(question)
        terminal.expect_prompt()
        terminal.enter("/compact")
        terminal.expect("slow slow")
        terminal.send(CTRL_C)
        terminal.expect("nothing was compacted")
        terminal.expect_prompt()
        terminal.enter("q3")
        terminal.expect("new")
    contents = [content for _, content in seen_requests(tmp_path)[-1]["messages"]]
    assert contents[1:] == ["q1", "one", "q2", "two", "q3"]


def test_completion_leaves_out_what_git_ignores(tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_text("*.log\n", encoding="utf-8")
    for name in ("main.py", "main.log"):
        (tmp_path / name).touch()
    with chat_terminal(tmp_path) as terminal:
        terminal.expect_prompt()
        terminal.send("explain @ma")
        terminal.expect("@main.py")
        assert "@main.log" not in terminal.text
        terminal.send(TAB)
        terminal.expect("> explain @main.py")
        terminal.send(CTRL_C)
        terminal.expect_prompt()
        terminal.send("/set edit_mode v")
        terminal.expect(" vi")
        terminal.send(TAB)
        terminal.expect("> /set edit_mode vi")


def test_vi_keys(tmp_path: Path) -> None:
    with chat_terminal(tmp_path, env={"AIGC_EDIT_MODE": "vi"}) as terminal:
        terminal.expect_prompt()
        terminal.send("one two")
        terminal.expect("> one two")
        terminal.send(ESCAPE)
        terminal.expect("vi: normal mode")
        terminal.send("0dwA!")
        terminal.expect("> two!")
        terminal.send(f"{ESCAPE}")
        terminal.expect("vi: normal mode")
        terminal.send(ENTER)
        terminal.expect("Understood.")
        terminal.expect_prompt()
        terminal.enter("/set edit_mode emacs")
        terminal.expect("edit_mode = emacs")
        terminal.expect_prompt()
        terminal.send(f"x{ESCAPE}bA")
        terminal.expect("> Ax")
    assert asked(tmp_path) == ["two!"]


def test_code_in_a_fence_is_coloured_while_it_is_typed(tmp_path: Path) -> None:
    with chat_terminal(tmp_path) as terminal:
        terminal.expect_prompt()
        terminal.send("fix\n```python\ndef f(): ...\n```")
        terminal.expect(". def f(): ...")
        row = next(y for y, line in enumerate(terminal.screen.display) if "def f" in line)
        assert terminal.screen.buffer[row][2].fg != "default"
        assert terminal.screen.buffer[row - 2][2].fg == "default"
        terminal.send(ENTER)
        terminal.expect("Understood.")
        terminal.expect_prompt()
        terminal.send(UP)
        terminal.expect(". def f(): ...")


def test_commands_and_questions_in_a_narrow_window(tmp_path: Path) -> None:
    with chat_terminal(
        tmp_path, columns=24, replies=[program("print('a line that is too long')")]
    ) as terminal:
        terminal.expect("leaves")
        terminal.send(f"!echo 你好,世界 $((6*7)){ENTER}")
        terminal.expect("你好,世界 42")
        terminal.wait(lambda: "y/N" in terminal.text.replace("\n", ""), "the offer")
        terminal.send(ENTER)
        terminal.enter("q")
        terminal.wait(lambda: "too long" in terminal.text.replace("\n", ""), "the reply")
        terminal.expect_prompt()
        terminal.enter("/run")
        terminal.wait(lambda: "30 s? y/N" in terminal.text.replace("\n", ""), "the question")
        terminal.send(f"y{ENTER}")
        terminal.expect("(exit code 0)")
