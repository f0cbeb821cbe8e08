"""`!cmd` and `/run`: what runs, what is kept of it, and what the model gets to see."""

import signal
import sys
import threading
import time
from pathlib import Path

import pytest

from aigc_cli.cli.child import Ending, run_child
from aigc_cli.cli.repl import dispatch
from aigc_cli.cli.slash import candidates, parse
from aigc_cli.config import Settings
from aigc_cli.errors import UsageError
from tests.cli_chat.world import World, app_in, talk_in

PYTHON = Path(sys.executable).parent


class Person:
    """Answers questions in order, and remembers them."""

    def __init__(self, *answers: str) -> None:
        self.answers = list(answers)
        self.questions: list[str] = []

    def __call__(self, question: str) -> str:
        self.questions.append(question)
        return self.answers.pop(0)


def talk_with(folder: Path, person: Person, *replies: str, **knobs: int) -> World:
    world = talk_in(folder, *replies, settings=Settings(run_seconds=knobs.pop("run_seconds", 30)), **knobs)
    world.talk.app = app_in(folder, PATH=f"{PYTHON}:/usr/bin:/bin", MY_API_KEY="s3cret", MINE="here")
    world.talk.answer = person
    return world


def notes(world: World) -> str:
    return world.notes


def test_output_is_shown_and_goes_with_the_next_question_after_a_yes(tmp_path: Path) -> None:
    person = Person("y")
    world = talk_with(tmp_path, person)
    dispatch(world.talk, "!echo out; echo err >&2; exit 3")
    assert "out\nerr\n" in notes(world)
    assert "(exit code 3)" in notes(world)
    assert "tokens" in person.questions[0]
    dispatch(world.talk, "why?")
    question = world.sent()[-1][1]
    assert "$ echo out; echo err >&2; exit 3\nout\nerr\n[exit code 3]" in question


@pytest.mark.parametrize("answer", ["", "n", "N", "no", "否"])
def test_output_stays_out_without_a_yes(tmp_path: Path, answer: str) -> None:
    world = talk_with(tmp_path, Person(answer))
    assert dispatch(world.talk, "!echo out") == ""
    assert world.talk.conversation.waiting_files == []


def test_answer_that_is_neither_yes_nor_no_begins_the_next_question(tmp_path: Path) -> None:
    world = talk_with(tmp_path, Person("why is it so?"))
    assert dispatch(world.talk, "!echo out") == "why is it so?"
    assert world.talk.conversation.waiting_files == []


def test_attached_outputs_have_names_of_their_own_and_can_be_dropped(tmp_path: Path) -> None:
    world = talk_with(tmp_path, Person("y", "y"))
    dispatch(world.talk, "!echo one")
    dispatch(world.talk, "!echo two")
    assert world.talk.conversation.attached_names() == ("output-1", "output-2")
    dispatch(world.talk, "/drop output-1")
    dispatch(world.talk, "q")
    assert "one" not in world.sent()[-1][1]
    assert "two" in world.sent()[-1][1]


def test_nothing_is_offered_of_a_command_that_says_nothing(tmp_path: Path) -> None:
    world = talk_with(tmp_path, Person())
    dispatch(world.talk, "!true")
    assert "(exit code 0)" in notes(world)


def test_only_the_end_of_a_long_output_is_kept_and_the_model_is_told(tmp_path: Path) -> None:
    person = Person("y")
    world = talk_with(tmp_path, person, n_ctx=1024)
    dispatch(world.talk, "!i=0; while [ $i -lt 2000 ]; do echo line $i; i=$((i+1)); done")
    assert "the last 2,048 characters" in person.questions[0]
    text = world.talk.conversation.waiting_files[0].text
    assert "characters left out]" in text
    assert "line 1999\n" in text
    assert "line 1000\n" not in text


def test_escape_sequences_of_a_program_do_not_reach_the_screen_or_the_model(tmp_path: Path) -> None:
    world = talk_with(tmp_path, Person("y"))
    dispatch(world.talk, r"!printf '\033]52;c;eA==\007a\033[31mb'")
    assert "ab\n" in notes(world)
    assert "\x1b" not in notes(world) + world.talk.conversation.waiting_files[0].text


def test_a_command_runs_in_the_current_directory(tmp_path: Path) -> None:
    (tmp_path / "中文.txt").touch()
    world = talk_with(tmp_path, Person(""))
    dispatch(world.talk, "! ls")
    assert "中文.txt\n" in notes(world)


def test_word_that_is_no_command_gets_a_hint_about_questions(tmp_path: Path) -> None:
    world = talk_with(tmp_path, Person())
    dispatch(world.talk, "!importantthing means what in CSS?")
    assert "can begin with a space" in notes(world)


def test_line_of_a_pipe_never_runs(tmp_path: Path) -> None:
    world = talk_with(tmp_path, Person())
    world.talk.interactive = False
    with pytest.raises(UsageError, match="terminal only"):
        dispatch(world.talk, "!touch ran")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("question", ["!= or !==?", " !ls", "!", "what does !ls do?"])
def test_question_with_an_exclamation_mark_is_a_question(tmp_path: Path, question: str) -> None:
    assert parse(talk_with(tmp_path, Person()).talk, question) is None


def program(code: str, tag: str = "python") -> str:
    return f"So:\n\n```{tag}\n{code}\n```\n"


def test_last_block_runs_after_a_yes_elsewhere_and_without_secrets(tmp_path: Path) -> None:
    code = "import os\nprint(os.getcwd(), os.environ.get('MY_API_KEY'), os.environ['MINE'])"
    person = Person("y", "y")
    world = talk_with(tmp_path, person, program(code))
    dispatch(world.talk, "q")
    dispatch(world.talk, "/run")
    assert "import os" in notes(world)
    assert "for at most 30 s" in person.questions[0]
    output = world.talk.conversation.waiting_files[0].text
    assert "None here" in output
    assert str(tmp_path) not in output
    assert "[exit code 0]" in output


def test_without_a_yes_nothing_runs(tmp_path: Path) -> None:
    for answer, draft in (("", ""), ("no", ""), ("what does it do?", "what does it do?")):
        world = talk_with(tmp_path, Person(answer), program(f"open({str(tmp_path / 'ran')!r}, 'w')"))
        dispatch(world.talk, "q")
        assert dispatch(world.talk, "/run") == draft
        assert "not run" in notes(world)
    assert not (tmp_path / "ran").exists()


def test_program_that_goes_on_too_long_is_killed_with_its_children(tmp_path: Path) -> None:
    alive = tmp_path / "alive"
    code = f"(while :; do echo x >> {alive}; sleep 0.05; done) &\nwhile :; do sleep 1; done"
    world = talk_with(tmp_path, Person("y", "n"), program(code, "bash"), run_seconds=1)
    dispatch(world.talk, "q")
    dispatch(world.talk, "/run")
    assert "(stopped after 1 s; /set run_seconds changes it)" in notes(world)
    size = alive.stat().st_size
    time.sleep(0.3)
    assert alive.stat().st_size == size


@pytest.mark.parametrize(
    ("tag", "said"),
    [
        ("brainfuck", "'brainfuck'"),
        ("", "names no language"),
        ("rust", "Rust"),
        ("lua", "nothing here runs Lua"),
    ],
)
def test_code_that_nothing_here_runs_is_named(tmp_path: Path, tag: str, said: str) -> None:
    world = talk_with(tmp_path, Person(), program("x", tag))
    world.talk.app = app_in(tmp_path, PATH=str(tmp_path))
    dispatch(world.talk, "q")
    with pytest.raises(UsageError, match=said):
        dispatch(world.talk, "/run")


def test_language_chooses_the_block(tmp_path: Path) -> None:
    reply = program("print('py')") + program("echo sh", "bash") + program("result: 3", "text")
    world = talk_with(tmp_path, Person("y", "n", "y", "n"), reply)
    dispatch(world.talk, "q")
    dispatch(world.talk, "/run python")
    dispatch(world.talk, "/run sh")
    assert "py\n(exit" in notes(world)
    assert "sh\n(exit" in notes(world)


MANY = (
    "First:\n\n```python\nprint('one')\n```\nthen\n\n```sh\necho two\n```\nor\n\n```\nprint('three')\n```\n"
)


def test_number_chooses_the_block_of_the_last_reply_with_code(tmp_path: Path) -> None:
    world = talk_with(tmp_path, Person(*["y", "n"] * 3), program("print('zero')"), MANY, "no code here")
    for question in ("a", "b", "c"):
        dispatch(world.talk, question)
    for argument in ("1", "2", "3 python"):
        dispatch(world.talk, f"/run {argument}")
    shown = [line for line in notes(world).splitlines() if line in ("zero", "one", "two", "three")]
    assert shown == ["one", "two", "three"]
    assert [each.text for each in candidates(world.talk, "/run ")][:4] == ["1", "2", "3", "python"]
    assert [each.text for each in candidates(world.talk, "/run 3 py")] == ["python"]


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("4", "3 blocks of code"), ("0", "3 blocks of code"), ("2 python", "is shell, not Python"),
        ("1 2", "no language '2'"), ("9" * 5000, "3 blocks of code"), ("٣", "no language"),
    ],
)  # fmt: skip
def test_number_of_no_block_is_told(tmp_path: Path, argument: str, said: str) -> None:
    world = talk_with(tmp_path, Person(), MANY)
    with pytest.raises(UsageError, match="no reply holds a block of code"):
        dispatch(world.talk, "/run 1")
    dispatch(world.talk, "a")
    with pytest.raises(UsageError, match=said):
        dispatch(world.talk, f"/run {argument}")


def test_interrupt_without_a_terminal_ends_the_program_with_its_children(tmp_path: Path) -> None:
    app = app_in(tmp_path, PATH="/usr/bin:/bin")
    begun = tmp_path / "begun"

    def interrupt_when_it_runs() -> None:
        while not begun.exists():
            time.sleep(0.01)
        signal.raise_signal(signal.SIGINT)

    threading.Thread(target=interrupt_when_it_runs, daemon=True).start()
    started = time.monotonic()
    command = "touch begun; sleep 30; echo x"
    ran = run_child(app, ["/bin/sh", "-c", command], cwd=tmp_path, env=app.env, n_kept=100)
    assert ran.ending is Ending.INTERRUPTED
    assert time.monotonic() - started < 20


def test_child_left_in_the_background_does_not_hold_the_chat(tmp_path: Path) -> None:
    app = app_in(tmp_path, PATH="/usr/bin:/bin")
    started = time.monotonic()
    ran = run_child(app, ["/bin/sh", "-c", "sleep 30 & echo done"], cwd=tmp_path, env=app.env, n_kept=100)
    assert (ran.output, ran.exit_code, ran.ending) == ("done\n", 0, Ending.EXIT)
    assert time.monotonic() - started < 20


def test_program_that_is_not_there_is_named(tmp_path: Path) -> None:
    app = app_in(tmp_path)
    with pytest.raises(UsageError, match="no-such"):
        run_child(app, ["/no-such"], cwd=tmp_path, env=app.env, n_kept=100)


def test_character_cut_between_two_reads_stays_whole(tmp_path: Path) -> None:
    app = app_in(tmp_path, PATH="/usr/bin:/bin")
    command = r"printf '\344\270'; sleep 0.2; printf '\255\n\377'"
    ran = run_child(app, ["/bin/sh", "-c", command], cwd=tmp_path, env=app.env, n_kept=100)
    assert ran.output == "中\n\ufffd"
