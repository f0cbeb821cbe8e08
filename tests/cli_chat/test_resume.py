"""Going on with a conversation: after kill -9, in two chats at once, without a disk to keep it on."""

import os
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from aigc_cli.chat.database import MIGRATIONS
from aigc_cli.chat.store import FILE_NAME, SessionStore, Summary
from aigc_cli.cli.keeping import Keeping
from aigc_cli.cli.repl import dispatch
from aigc_cli.config import Settings
from aigc_cli.errors import ContextOverflow, SessionError, UsageError
from tests.cli.command_line import CommandLine
from tests.cli_chat.terminal import CTRL_D, ENTER, asked, chat_terminal
from tests.cli_chat.world import World, talk_in
from tests.scripted_aigc import scripted_argv, seen_requests

LONG_REPLY = "\n".join(f"line {i}" for i in range(400))


@pytest.fixture
def aigc(tmp_path: Path) -> CommandLine:
    return CommandLine(tmp_path, tmp_path, replies=["r1", "r2", "r3", "r4"])


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SessionStore]:
    opened = SessionStore(tmp_path / "aigc" / "data" / FILE_NAME, time.time)
    yield opened
    opened.close()


def kept_talk(folder: Path, *replies: str, settings: Settings | None = None) -> World:
    world = talk_in(folder, *replies, settings=settings)
    world.talk.keeping = Keeping(world.talk.app, settings or Settings())
    return world


def told(folder: Path) -> list[str]:
    """The messages of the last request, the system prompt left out."""
    return [text for role, text in seen_requests(folder)[-1]["messages"] if role != "system"]


def only(store: SessionStore) -> Summary:
    (summary,) = store.summaries()
    return summary


def test_killed_in_the_middle_of_a_reply_it_goes_on_with_what_was_said(tmp_path: Path) -> None:
    with chat_terminal(tmp_path, replies=["first reply", LONG_REPLY], delay_s=0.02) as terminal:
        terminal.expect_prompt()
        terminal.enter("first question")
        terminal.expect("first reply")
        terminal.expect_prompt()
        terminal.enter("count, please")
        terminal.expect("line 60")
        terminal.process.kill(9)
        terminal.wait(lambda: not terminal.process.isalive(), "death")
    with chat_terminal(tmp_path, "-c", replies=["gladly"]) as terminal:
        terminal.expect("(interrupted)")
        terminal.expect_prompt()
        assert "first question (2 turns, just now)" in terminal.scrollback
        assert "> count, please" in terminal.scrollback
        assert "line 30" in terminal.scrollback
        terminal.enter("go on")
        terminal.expect("gladly")
        terminal.expect_prompt()
        terminal.send(CTRL_D)
        terminal.expect_end(0)
    first, reply, second, half, last = told(tmp_path)
    assert (first, reply, second, last) == ("first question", "first reply", "count, please", "go on")
    assert half.startswith("line 0\nline 1\n")
    assert LONG_REPLY.startswith(half)


def test_killed_before_the_first_word_the_question_can_be_asked_again(tmp_path: Path) -> None:
    with chat_terminal(tmp_path, replies=["late"], prefill_steps=1000, prefill_delay_s=0.05) as terminal:
        terminal.expect_prompt()
        terminal.enter("an important question")
        terminal.wait_for_request(tmp_path)
        terminal.process.kill(9)
    with chat_terminal(tmp_path, "-c", replies=["an answer"]) as terminal:
        terminal.expect("got no reply; /retry")
        terminal.expect_prompt()
        terminal.enter("/retry")
        terminal.expect("an answer")
    assert asked(tmp_path)[-1] == "an important question"


def test_session_is_chosen_from_a_list_in_a_narrow_window(tmp_path: Path, aigc: CommandLine) -> None:
    aigc.run("chat", stdin="第一个问题是什么，能再说一遍吗\n".encode())
    aigc.run("chat", stdin=b"a newer one\n")
    with chat_terminal(tmp_path, "--resume", replies=["and on"], columns=32) as terminal:
        terminal.expect("which one?")
        # cut, not wrapped: the second line holds the number 2
        assert terminal.text.splitlines()[0].startswith(" 1. ")
        assert terminal.text.splitlines()[1].startswith(" 2. ")
        assert "第一个问" in terminal.text.splitlines()[1].replace(" ", "")
        terminal.send(f"2{ENTER}")
        terminal.wait(lambda: ">第一个问题" in terminal.text.replace(" ", ""), "the last question")
        terminal.expect_prompt()
        terminal.enter("again")
        terminal.expect("and on")
    assert told(tmp_path)[:2] == ["第一个问题是什么，能再说一遍吗", "r1"]


def test_two_chats_in_one_session_do_not_mix(tmp_path: Path, store: SessionStore) -> None:
    first, second = (kept_talk(tmp_path, "r1", "r2", "r3") for _ in range(2))
    dispatch(first.talk, "shared question")
    dispatch(second.talk, f"/resume {only(store).id}")
    dispatch(first.talk, "first goes on")
    dispatch(second.talk, "second goes on")
    dispatch(first.talk, "first again")
    assert "went on elsewhere: here it goes on as a fork" in second.notes
    assert "fork" not in first.notes
    questions = {
        tuple(entry.question.text for entry in store.load(summary.id).entries)
        for summary in store.summaries()
    }
    assert questions == {
        ("shared question", "first goes on", "first again"),
        ("shared question", "second goes on"),
    }


def test_processes_that_start_at_once_on_a_fresh_machine_are_all_kept(tmp_path: Path) -> None:
    argv = [*scripted_argv(tmp_path, replies=["r1", "r2"]), "chat"]
    env = {**os.environ, "AIGC_HOME": str(tmp_path / "aigc")}
    chats = [
        subprocess.Popen(argv, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(4)
    ]
    for number, chat in enumerate(chats):
        assert chat.stdin
        chat.stdin.write(f"first {number}\nsecond {number}\n".encode())
        chat.stdin.close()
        chat.stdin = None
    ends = [(*chat.communicate(timeout=60), chat.returncode) for chat in chats]
    assert ends == [(b"r1\nr2\n", b"", 0)] * 4
    store = SessionStore(tmp_path / "aigc" / "data" / FILE_NAME, time.time)
    kept = [[entry.question.text for entry in store.load(s.id).entries] for s in store.summaries()]
    store.close()
    assert sorted(kept) == [[f"first {n}", f"second {n}"] for n in range(4)]


def test_fork_leaves_the_session_as_it_was(tmp_path: Path, store: SessionStore) -> None:
    world = kept_talk(tmp_path, "r1", "r2", "r3")
    dispatch(world.talk, "q1")
    old = only(store).id
    dispatch(world.talk, "/fork")
    dispatch(world.talk, "q2")
    assert f"/resume {old} goes back" in world.notes
    assert [entry.reply for entry in store.load(old).entries] == ["r1"]
    dispatch(world.talk, f"/resume {old}")
    dispatch(world.talk, "q3")
    assert world.sent() == [("user", "q1"), ("assistant", "r1"), ("user", "q3")]
    with pytest.raises(UsageError, match="session at work"):
        dispatch(world.talk, f"/resume {old}")


def test_commands_change_the_session_too_and_new_begins_another(tmp_path: Path, store: SessionStore) -> None:
    world = kept_talk(tmp_path, "r1", "r2", "r3")
    for entry in ("q1", "q2", "/undo", "/system be brief"):
        dispatch(world.talk, entry)
    kept = store.load(only(store).id)
    assert [turn.reply for turn in kept.conversation.turns] == ["r1"]
    assert kept.conversation.system == "be brief"
    for entry in ("/new", "q3"):
        dispatch(world.talk, entry)
    assert [summary.title for summary in store.summaries()] == ["q3", "q1"]


def test_sessions_are_listed_and_searched_in_the_chat(tmp_path: Path) -> None:
    world = kept_talk(tmp_path, "apples", "pears")
    assert dispatch(world.talk, "/resume") == "/resume "
    assert "no session yet" in world.notes
    for entry in ("one", "/new", "two", "/sessions", "/sessions pears", "/sessions plums"):
        dispatch(world.talk, entry)
    assert world.notes.count("  one\n") == 1
    assert world.notes.count("  two\n") == 2
    assert "no session holds 'plums'" in world.notes
    with pytest.raises(SessionError, match="no session 'nope'"):
        dispatch(world.talk, "/resume nope")


def test_without_history_nothing_is_written_and_c_still_reads(tmp_path: Path, aigc: CommandLine) -> None:
    path = tmp_path / "aigc" / "data" / FILE_NAME
    aigc.run("chat", "--no-history", stdin=b"secret\n")
    assert not path.exists()
    aigc.run("chat", stdin=b"known\n")
    before = path.read_bytes()
    outcome = aigc.run("chat", "-c", "--no-history", stdin=b"secret\n")
    prompt = aigc.engines[-1].requests[-1].prompt
    assert [m.content for m in prompt.messages][-3:] == ["known", "r1", "secret"]  # type: ignore[union-attr]
    assert (outcome.code, path.read_bytes()) == (0, before)
    world = kept_talk(tmp_path, settings=Settings(history=False))
    dispatch(world.talk, "secret")
    with pytest.raises(SessionError, match="not kept"):
        dispatch(world.talk, "/fork")


def test_damaged_file_is_moved_aside_and_the_chat_is_kept(tmp_path: Path, aigc: CommandLine) -> None:
    data = tmp_path / "aigc" / "data"
    data.mkdir(parents=True)
    (data / FILE_NAME).write_bytes(b"garbage" * 1000)
    outcome = aigc.run("chat", stdin=b"hello\n")
    (moved,) = data.glob(f"{FILE_NAME}.damaged-*")
    assert (outcome.code, outcome.out) == (0, "r1\n")
    assert str(moved) in outcome.err
    assert moved.read_bytes() == b"garbage" * 1000
    assert "hello" in aigc.run("sessions").out


def test_file_damaged_during_a_chat_costs_nothing_that_was_said(tmp_path: Path, store: SessionStore) -> None:
    world = kept_talk(tmp_path, "r1", "r2")
    dispatch(world.talk, "q1")
    assert world.talk.keeping
    world.talk.keeping.close()
    for name in (FILE_NAME, f"{FILE_NAME}-wal", f"{FILE_NAME}-shm"):
        (store.path.parent / name).unlink(missing_ok=True)
    store.path.write_bytes(b"garbage" * 1000)
    dispatch(world.talk, "q2")
    assert "moved to" in world.notes
    anew = SessionStore(store.path, time.time)
    assert [entry.reply for entry in anew.load(only(anew).id).entries] == ["r1", "r2"]
    anew.close()


def test_place_that_can_not_be_written_costs_one_line_and_not_the_chat(tmp_path: Path) -> None:
    (tmp_path / "aigc").mkdir()
    (tmp_path / "aigc" / "data").touch()
    world = kept_talk(tmp_path, "r1", "r2")
    dispatch(world.talk, "q1")
    dispatch(world.talk, "q2")
    assert world.replies == "r1\nr2\n"
    assert world.notes.count("this conversation is not being kept") == 1


def test_full_disk_costs_one_line_and_not_the_chat(tmp_path: Path, store: SessionStore) -> None:
    full = sqlite3.connect(store.path)
    full.execute(
        "CREATE TRIGGER full BEFORE INSERT ON turns BEGIN SELECT raise(ABORT, 'the disk is full'); END"
    )
    full.close()
    world = kept_talk(tmp_path, "r1", "r2")
    dispatch(world.talk, "q1")
    dispatch(world.talk, "q2")
    assert world.replies == "r1\nr2\n"
    assert world.notes.count("not being kept") == 1
    assert store.summaries() == []


def test_file_of_a_newer_version_is_left_alone_and_c_says_so(tmp_path: Path, aigc: CommandLine) -> None:
    path = tmp_path / "aigc" / "data" / FILE_NAME
    SessionStore(path, time.time, migrations=(*MIGRATIONS, "CREATE TABLE later (x);")).close()
    outcome = aigc.run("chat", stdin=b"hello\n")
    assert (outcome.code, outcome.out) == (0, "r1\n")
    assert "written by a newer aigc" in outcome.err
    outcome = aigc.run("chat", "-c", stdin=b"hello\n")
    assert (outcome.code, outcome.error_lines[1][:18]) == (1, "hint: update aigc,")


def test_c_without_a_session_begins_one_and_says_so(aigc: CommandLine) -> None:
    outcome = aigc.run("chat", "-c", stdin=b"hello\n")
    assert "there is no session yet: a new one begins" in outcome.err
    assert (outcome.code, outcome.out) == (0, "r1\n")
    outcome = aigc.run("-c", "and then?")
    assert outcome.out == "r1"
    prompt = aigc.engines[-1].requests[-1].prompt
    assert [m.content for m in prompt.messages][1:] == ["hello", "r1", "and then?"]  # type: ignore[union-attr]
    assert aigc.run("sessions").out.split()[8:] == ["scripted", "hello"]


def test_a_question_on_its_own_is_not_kept(aigc: CommandLine) -> None:
    aigc.run("ask", "one-shot")
    assert "no session yet" in aigc.run("sessions").err


def test_question_that_goes_on_takes_files_constraints_and_a_system_prompt(
    tmp_path: Path, aigc: CommandLine, store: SessionStore
) -> None:
    (tmp_path / "a.txt").write_text("content\n", encoding="utf-8")
    aigc.run("chat", stdin=b"hello\n")
    name = only(store).id
    outcome = aigc.run("ask", "--resume", name[:7], "-s", "be brief", "-f", "a.txt", "--json", "what is it?")
    assert '"text": "r1"' in outcome.out
    request = aigc.engines[-1].requests[-1]
    assert request.prompt.messages[0].content == "be brief"  # type: ignore[union-attr]
    assert "content" in aigc.last_message
    kept = store.load(name)
    assert [a.name for a in kept.conversation.turns[-1].question.attachments] == ["a.txt"]
    assert kept.conversation.system == "be brief"


def test_another_model_answers_and_says_so(aigc: CommandLine) -> None:
    aigc.run("chat", "-m", "old", stdin=b"hello\n")
    outcome = aigc.run("ask", "-c", "-m", "new", "on")
    assert "old answered so far, from here on new does" in outcome.err


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("chat", "-c", "--resume"), 2), (("chat", "hello"), 2), (("chat", "--resume"), 2),
        (("chat", "--resume", "nope"), 1),
        (("ask", "-c", "--resume", "x", "q"), 2), (("ask", "--resume", "x", "q"), 1),
        (("ask", "--resume"), 2),
    ],
)  # fmt: skip
def test_what_makes_no_sense_loads_no_model(aigc: CommandLine, words: tuple[str, ...], code: int) -> None:
    outcome = aigc.run(*words, stdin=b"")
    assert (outcome.code, aigc.engines) == (code, [])
    assert len(outcome.error_lines) == 2


def test_question_that_is_too_long_leaves_nothing_in_the_session(tmp_path: Path, store: SessionStore) -> None:
    world = kept_talk(tmp_path, "r1", "r2")
    with pytest.raises(ContextOverflow):
        dispatch(world.talk, "w " * 9000)
    assert store.summaries() == []
    dispatch(world.talk, "q1")
    with pytest.raises(ContextOverflow):
        dispatch(world.talk, "w " * 9000)
    assert [entry.question.text for entry in store.load(only(store).id).entries] == ["q1"]
    dispatch(world.talk, "/retry")
    assert world.sent() == [("user", "q1")]


def test_question_without_a_reply_stays_when_the_next_one_is_too_long(
    tmp_path: Path, store: SessionStore
) -> None:
    world = kept_talk(tmp_path, "", "r1")
    dispatch(world.talk, "q1")
    with pytest.raises(ContextOverflow):
        dispatch(world.talk, "w " * 9000)
    assert [entry.question.text for entry in store.load(only(store).id).entries] == ["q1"]
    dispatch(world.talk, "/retry")
    assert world.sent() == [("user", "q1")]


@pytest.fixture
def closed_folder(tmp_path: Path) -> Iterator[Path]:
    """Where the sessions are, on a disk that can't be written to."""
    folder = tmp_path / "aigc" / "data"
    folder.chmod(0o500)
    (folder / FILE_NAME).chmod(0o400)
    if os.access(folder, os.W_OK):
        pytest.skip("root may write anywhere")
    yield folder
    folder.chmod(0o700)


def test_on_a_read_only_disk_it_goes_on_and_says_that_nothing_is_kept(
    aigc: CommandLine, request: pytest.FixtureRequest
) -> None:
    assert aigc.run("chat", stdin=b"first question\n").code == 0
    request.getfixturevalue("closed_folder")
    outcome = aigc.run("chat", "-c", stdin=b"and now?\nand then?\n")
    assert (outcome.code, outcome.out) == (0, "r1\nr2\n")
    assert outcome.err.count("not being kept") == 1
    assert "first question" in str(aigc.engines[-1].requests[0])
    assert aigc.run("sessions", "list").out.count("first question") == 1
    assert aigc.run("sessions", "search", "question").out.count("first question") == 2
    assert aigc.run("sessions", "rm", "-y", aigc.run("sessions", "list").out.split()[5]).code == 1
