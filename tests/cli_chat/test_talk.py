"""Asking, and the commands that change a conversation; the engine is scripted, the rest is real."""

import json
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from aigc_cli.cli.context import AppContext
from aigc_cli.cli.prompt import LineReader
from aigc_cli.cli.repl import dispatch, run_repl
from aigc_cli.config import Settings
from aigc_cli.engine.base import Chat, Engine, Request
from aigc_cli.errors import (
    AigcError,
    ContextOverflow,
    EngineError,
    ExitCode,
    FileError,
    Interrupted,
    InvalidModelFile,
    ModelNotFound,
    UsageError,
)
from aigc_cli.events import Delta, Event, FinishReason
from tests.cli_chat.world import World, app_in, talk_in
from tests.scripted_engine import ScriptedEngine

CODE = "Here:\n\n```python\nprint('hi')\n```\nDone."


def talked(folder: Path, *entries: str, **knobs: Any) -> World:
    world = talk_in(folder, "r1", "r2", "r3", **knobs)
    for entry in entries:
        dispatch(world.talk, entry)
    return world


def test_history_goes_back_to_the_model_as_it_was(tmp_path: Path) -> None:
    world = talked(tmp_path, "q1", "q2")
    assert world.sent() == [("user", "q1"), ("assistant", "r1"), ("user", "q2")]
    assert world.replies == "r1\nr2\n"


def test_reply_is_kept_exactly(tmp_path: Path) -> None:
    odd = "  \n```py\n\tx = 1  \n\n```\n\n "
    world = talk_in(tmp_path, odd)
    dispatch(world.talk, "q1")
    dispatch(world.talk, "q2")
    assert world.sent()[1] == ("assistant", odd)


def test_undo_retry_and_edit(tmp_path: Path) -> None:
    world = talked(tmp_path, "q1", "q2")
    dispatch(world.talk, "/retry")
    assert world.sent() == [("user", "q1"), ("assistant", "r1"), ("user", "q2")]
    assert [turn.reply for turn in world.talk.conversation.turns] == ["r1", "r3"]
    dispatch(world.talk, "/undo")
    assert "took back: q2" in world.notes
    assert dispatch(world.talk, "/edit") == "q1"
    assert world.talk.conversation.turns == []


def test_new_and_clear_forget_the_conversation_and_keep_the_system_prompt(tmp_path: Path) -> None:
    for command in ("/new", "/clear"):
        world = talked(tmp_path, "/system be brief", "q1", command, "q2")
        assert world.sent() == [("system", "be brief"), ("user", "q2")]


def test_system_prompt_is_shown_changed_and_taken_away(tmp_path: Path) -> None:
    world = talked(tmp_path, "/system 只用中文", "q1", "/system none", "q2", "/system default", "/system")
    assert world.sent(0)[0] == ("system", "只用中文")
    assert world.sent(1)[0] == ("user", "q1")
    assert "coding assistant" in world.notes


def test_mentioned_file_goes_with_its_question(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("print(1)\n", encoding="utf-8")
    world = talked(tmp_path, "explain @app.py and @nothing")
    assert "print(1)" in world.sent()[0][1]
    assert "@nothing" in world.notes


def test_attached_files_wait_for_a_question_and_can_be_dropped(tmp_path: Path) -> None:
    for name in ("a.py", "b.py"):
        (tmp_path / name).write_text(f"# {name}\n", encoding="utf-8")
    world = talked(tmp_path, "/file *.py", "what are these?")
    assert "# a.py" in world.sent()[0][1]
    dispatch(world.talk, "/drop a.py")
    dispatch(world.talk, "and now?")
    assert "# a.py" not in world.sent()[0][1]
    assert "# b.py" in world.sent()[0][1]


def test_file_that_can_not_be_read_is_told_and_nothing_is_sent(tmp_path: Path) -> None:
    (tmp_path / "x.bin").write_bytes(b"\0\1\2\xff")
    world = talk_in(tmp_path)
    for entry in ("/file nothing.py", "/file x.bin", "explain @x.bin"):
        with pytest.raises(FileError):
            dispatch(world.talk, entry)
    assert world.engine.requests == []


def test_lone_path_asks_what_about_it_and_is_not_sent(tmp_path: Path) -> None:
    (tmp_path / "my app.py").touch()
    (tmp_path / "hello").touch()
    world = talk_in(tmp_path)
    assert dispatch(world.talk, "my app.py") == '@"my app.py" '
    assert world.engine.requests == []
    dispatch(world.talk, "hello")
    assert world.sent() == [("user", "hello")]


def test_question_too_long_is_refused_with_both_numbers(tmp_path: Path) -> None:
    world = talked(tmp_path, "q1")
    with pytest.raises(ContextOverflow, match=r"9,002.*4,096"):
        dispatch(world.talk, "w " * 9000)
    with pytest.raises(ContextOverflow):
        dispatch(world.talk, "w" * 10_000_000)
    dispatch(world.talk, "q2")
    assert world.sent() == [("user", "q1"), ("assistant", "r1"), ("user", "q2")]


def test_full_window_drops_old_turns_and_says_which(tmp_path: Path) -> None:
    (tmp_path / "big.txt").write_text("w " * 400, encoding="utf-8")
    world = talk_in(tmp_path, "w " * 200, n_ctx=1024)
    for entry in ("q1 @big.txt", "q2", "q3"):
        dispatch(world.talk, entry)
    assert "no longer sees turn 1, with big.txt" in world.notes
    assert [content for _, content in world.sent()] == ["q2", "w " * 200, "q3"]
    dispatch(world.talk, "/context")
    assert "hidden" in world.notes


def test_context_counts_what_the_model_sees(tmp_path: Path) -> None:
    world = talked(tmp_path, "/system be brief", "one two three", "/context")
    rows = [line.split(maxsplit=1) for line in world.notes.splitlines()[-3:]]
    assert rows[0] == ["4", "system prompt"]
    assert rows[1] == ["8", "turn 1: one two three"]
    assert rows[2] == ["12", "of 4,096 tokens used (0%)"]


def test_sampling_is_set_for_the_next_reply(tmp_path: Path) -> None:
    world = talked(
        tmp_path, "/set temperature 0.1", "/set max-tokens 50", "q1", "/set temperature default", "q2"
    )
    first, second = (request.sampling for request in world.engine.requests)
    assert (first.temperature, first.max_tokens) == (0.1, 50)
    assert second.temperature == world.engine.info.sampling.temperature
    dispatch(world.talk, "/set")
    assert "max_tokens = 50" in world.notes


@pytest.mark.parametrize(
    "command", ["/set temperature 99", "/set top_k x", "/set nonsense 1", "/set theme pink"]
)
def test_unusable_setting_is_refused_and_changes_nothing(tmp_path: Path, command: str) -> None:
    world = talk_in(tmp_path)
    with pytest.raises(UsageError):
        dispatch(world.talk, command)
    assert world.talk.settings == Settings()


def test_another_model_takes_the_conversation_over(tmp_path: Path) -> None:
    world = talked(tmp_path, "q1", "/model smollm2-135m")
    assert world.engine.closed
    assert world.talk.engine.info.model == "smollm2-135m"
    assert world.talk.conversation.messages()[0].content == "q1"
    dispatch(world.talk, "/set context 512")
    assert world.talk.engine.info.n_ctx == 512
    assert world.talk.engine.info.model == "smollm2-135m"


def test_model_that_can_not_be_loaded_leaves_the_old_one_at_work(tmp_path: Path) -> None:
    world = talk_in(tmp_path)
    good = world.talk.app.engine_factory

    def only_the_default(app: AppContext, settings: Settings) -> Engine:
        if settings.model:
            raise AigcError("no such model")
        return good(app, settings)

    world.talk.app = replace(world.talk.app, engine_factory=only_the_default)
    with pytest.raises(AigcError, match="no such model"):
        dispatch(world.talk, "/model smollm2-135m")
    assert isinstance(world.talk.engine, ScriptedEngine)
    assert not world.talk.engine.closed
    dispatch(world.talk, "still there?")
    assert world.replies == "ok\n"


def test_typo_in_a_model_name_and_a_broken_file_leave_the_loaded_one_untouched(tmp_path: Path) -> None:
    (tmp_path / "broken.gguf").write_bytes(b"GGUF, or is it")
    world = talk_in(tmp_path)
    with pytest.raises(ModelNotFound) as caught:
        dispatch(world.talk, "/model qwen2.5-codr-1.5b")
    assert "qwen2.5-coder-1.5b" in caught.value.hint
    with pytest.raises(InvalidModelFile):
        dispatch(world.talk, f"/model {tmp_path}/broken.gguf")
    assert not world.engine.closed


def test_last_code_block_and_the_conversation_are_saved(tmp_path: Path) -> None:
    world = talk_in(tmp_path, CODE)
    for entry in ("写个程序", "/save hi.py", "/save chat.md", "/save chat.json"):
        dispatch(world.talk, entry)
    assert (tmp_path / "hi.py").read_text(encoding="utf-8") == "print('hi')\n"
    assert "> 写个程序\n\nHere:" in (tmp_path / "chat.md").read_text(encoding="utf-8")
    saved = json.loads((tmp_path / "chat.json").read_text(encoding="utf-8"))
    assert saved["turns"][0]["reply"] == CODE


def test_existing_file_is_overwritten_only_by_force(tmp_path: Path) -> None:
    (tmp_path / "hi.py").write_text("mine", encoding="utf-8")
    world = talk_in(tmp_path, CODE)
    dispatch(world.talk, "q")
    with pytest.raises(FileError, match="exists"):
        dispatch(world.talk, "/save hi.py")
    assert (tmp_path / "hi.py").read_text(encoding="utf-8") == "mine"
    dispatch(world.talk, "/save --force hi.py")
    assert (tmp_path / "hi.py").read_text(encoding="utf-8") == "print('hi')\n"


def test_copy_goes_through_the_desktop_program(tmp_path: Path) -> None:
    program = tmp_path / "bin" / "xclip"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\n/bin/cat > {tmp_path}/copied\n", encoding="utf-8")
    program.chmod(0o755)
    world = talk_in(tmp_path, CODE)
    world.talk.app = app_in(tmp_path, PATH=str(program.parent), DISPLAY=":0")
    dispatch(world.talk, "q")
    dispatch(world.talk, "/copy")
    assert (tmp_path / "copied").read_text(encoding="utf-8") == "print('hi')\n"
    dispatch(world.talk, "/copy all")
    assert (tmp_path / "copied").read_text(encoding="utf-8") == CODE


def test_copy_without_any_means_says_so(tmp_path: Path) -> None:
    world = talk_in(tmp_path, CODE)
    dispatch(world.talk, "q")
    with pytest.raises(AigcError, match="copy"):
        dispatch(world.talk, "/copy")


@pytest.mark.parametrize(
    ("reason", "settings", "said"),
    [
        (FinishReason.LOOP, Settings(), "repeated itself"),
        (FinishReason.LENGTH, Settings(), "window is full"),
        (FinishReason.LENGTH, Settings(max_tokens=5), "max_tokens, 5"),
        (FinishReason.INTERRUPTED, Settings(), "(interrupted)"),
    ],
)
def test_reply_that_is_not_whole_is_kept_and_the_reason_told(
    tmp_path: Path, reason: FinishReason, settings: Settings, said: str
) -> None:
    world = talk_in(tmp_path, "r1", settings=settings, finish_reason=reason)
    dispatch(world.talk, "q1")
    assert said in world.notes
    assert world.talk.conversation.turns[0].reply == "r1"
    assert world.talk.conversation.turns[0].interrupted is (reason is FinishReason.INTERRUPTED)


def test_statistics_line_after_each_reply_when_asked_for(tmp_path: Path) -> None:
    world = talked(tmp_path, "/set stats on", "q1")
    assert "tok/s" in world.notes
    dispatch(world.talk, "/stats")
    assert "1 replies" in world.notes


def failing(_request: Request) -> str:
    raise EngineError("the engine broke", "try again")


def test_engine_error_is_told_and_the_chat_goes_on(tmp_path: Path) -> None:
    world = talk_in(tmp_path)
    world.engine.replies[:] = ["r1", failing, "r3"]
    reader = LineReader(app_in(tmp_path, "q1\nq2\n/retry\n").stdin, world.talk.app.stderr)
    assert run_repl(world.talk, reader) == ExitCode.DONE
    assert "the engine broke" in world.notes
    assert world.sent() == [("user", "q1"), ("assistant", "r1"), ("user", "q2")]
    assert world.replies == "r1\nr3\n"


class BreaksOff(ScriptedEngine):
    """Fails, or is interrupted for the second time, after a few words."""

    error: BaseException = EngineError("the engine broke")

    def stream(self, request: Request) -> Iterator[Event]:
        self.requests.append(request)
        yield Delta("half ")
        yield Delta("of it")
        raise self.error


@pytest.mark.parametrize("error", [EngineError("the engine broke"), KeyboardInterrupt()])
def test_what_was_said_stays_when_a_reply_breaks_off(tmp_path: Path, error: BaseException) -> None:
    world = talk_in(tmp_path)
    world.talk.engine = BreaksOff([])
    BreaksOff.error = error
    with pytest.raises(type(error)):
        dispatch(world.talk, "q1")
    turn = world.talk.conversation.turns[0]
    assert (turn.reply, turn.interrupted) == ("half of it", True)


def test_first_failure_of_a_script_ends_it(tmp_path: Path) -> None:
    world = talk_in(tmp_path)
    world.talk.interactive = False
    reader = LineReader(app_in(tmp_path, "q1\n/nonsense\nq2\n").stdin)
    with pytest.raises(UsageError, match="nonsense"):
        run_repl(world.talk, reader)
    assert len(world.engine.requests) == 1


def test_interrupted_script_ends(tmp_path: Path) -> None:
    world = talk_in(tmp_path, "r1", finish_reason=FinishReason.INTERRUPTED)
    world.talk.interactive = False
    with pytest.raises(Interrupted):
        dispatch(world.talk, "q1")


def test_ctrl_c_twice_at_a_plain_prompt_leaves(tmp_path: Path) -> None:
    world = talk_in(tmp_path)

    class Impatient:
        interactive = True

        def read(self, draft: str = "") -> str:
            del draft
            signal.raise_signal(signal.SIGINT)
            return ""

        def answer(self, question: str) -> str:
            raise NotImplementedError(question)

    assert run_repl(world.talk, Impatient()) == ExitCode.DONE
    assert "Ctrl-C again" in world.notes


def test_only_the_reply_is_on_stdout(tmp_path: Path) -> None:
    world = talked(tmp_path, "q1", "/help", "/context", "/set", "/stats", "/model")
    assert world.replies == "r1\n"


def test_request_holds_the_stop_strings(tmp_path: Path) -> None:
    world = talk_in(tmp_path)
    world.talk.stop = ("END",)
    dispatch(world.talk, "q1")
    assert world.engine.requests[0].sampling.stop == ("END",)
    assert isinstance(world.engine.requests[0].prompt, Chat)


@pytest.mark.parametrize(
    ("typed", "answer"),
    [
        ("help", "/retry"),
        ("?", "/retry"),
        ("/xyzzy", "/help lists the commands"),
        ("/retyr", "did you mean /retry?"),
        ("app.py", "ask something about @app.py"),
        ("word " * 5000, "the context window holds 4,096"),
        ("quit", ""),
        ("exit", ""),
        (":q", ""),
    ],
)
def test_first_mistake_gets_an_answer_that_helps_and_no_reply_of_the_model(
    tmp_path: Path, typed: str, answer: str
) -> None:
    (tmp_path / "app.py").touch()
    world = talk_in(tmp_path)
    reader = LineReader(app_in(tmp_path, f"\n{typed}\n").stdin, world.talk.app.stderr)
    assert run_repl(world.talk, reader) == ExitCode.DONE
    assert answer in world.notes
    assert "Traceback" not in world.notes
    assert world.engine.requests == []


@pytest.mark.parametrize(
    ("stats", "interactive", "shown"),
    [(None, True, True), (None, False, False), (False, True, False), (True, False, True)],
)
def test_a_chat_at_a_terminal_shows_statistics_unless_told_otherwise(
    tmp_path: Path, *, stats: bool | None, interactive: bool, shown: bool
) -> None:
    world = talk_in(tmp_path, settings=Settings(stats=stats))
    world.talk.interactive = interactive
    world.talk.ask("q")
    assert ("tok/s" in world.notes) is shown
