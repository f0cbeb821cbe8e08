"""Questions about files: the files are read once, whoever asks about them and however often."""

from collections.abc import Callable
from pathlib import Path

import pytest

from aigc_cli.chat.prompt import Attachment, build_user_message, system_message
from aigc_cli.chat.session import Conversation
from aigc_cli.engine.base import Chat, Engine, Message, Request, Text
from aigc_cli.tasks.edit import EditTask, edit_request
from aigc_cli.tasks.generate import FileTask, file_request, repair_request
from aigc_cli.tasks.languages import language_called
from aigc_cli.tasks.text_file import TextFile
from tests.engine.conftest import OpenEngine
from tests.engine.replies import GREEDY, done_of

FILES = (
    Attachment("app.py", "def hello():\n    return 'world'\n" * 20, "python"),
    Attachment("stdin", "你好\n" * 20),
)
FIRST, SECOND = "what does it print?", "为什么?"
PYTHON = language_called("python")
AROUND = 40  # tokens of the template after a question, and the line break before it


def one_shot(question: str) -> Request:
    words = build_user_message(question, FILES)
    return Request(Chat((*system_message(None), Message("user", words))), GREEDY)


def in_a_new_chat(question: str) -> Request:
    conversation = Conversation()
    for file in FILES:
        conversation.attach(file)
    asked = conversation.ask(question)
    return Request(Chat((*conversation.messages(), asked.message)), GREEDY)


def a_file(question: str) -> Request:
    return file_request(FileTask(question, FILES, "a.py", PYTHON), None, GREEDY)


def a_repair(question: str) -> Request:
    task = FileTask(question, FILES, "a.py", PYTHON)
    return repair_request(task, "x = 1\n", "it prints nothing", None, GREEDY)


def an_edit(question: str) -> Request:
    file = TextFile(Path("b.py"), "b.py", b"x = 1\n", "x = 1\n")
    return edit_request(EditTask(file, question, PYTHON, context=FILES), None, GREEDY)


def n_read(engine: Engine, request: Request) -> int:
    """How many tokens of the prompt were evaluated."""
    stats = done_of(list(engine.stream(request))).stats
    return stats.prompt_tokens - stats.cached_tokens


def n_of_files(engine: Engine) -> int:
    return engine.count(Request(Text(build_user_message("", FILES)), GREEDY))


@pytest.mark.parametrize("ask", [one_shot, in_a_new_chat, a_file, a_repair, an_edit])
def test_another_question_about_the_same_files_reads_only_its_own_tokens(
    open_engine: OpenEngine, ask: Callable[[str], Request]
) -> None:
    engine = open_engine()
    assert n_read(engine, ask(FIRST)) > n_of_files(engine) > 500
    assert n_read(engine, ask(SECOND)) <= engine.count(ask(SECOND)) - n_of_files(engine)


def test_a_question_about_files_reads_little_more_than_one_without(open_engine: OpenEngine) -> None:
    engine = open_engine()
    n_read(engine, one_shot(FIRST))
    assert n_read(engine, one_shot(SECOND)) <= engine.count(Request(Text(SECOND), GREEDY)) + AROUND


def test_files_read_by_an_engine_that_stopped_are_not_read_again(
    open_engine: OpenEngine, tmp_path: Path
) -> None:
    first = open_engine(kv_directory=tmp_path / "kv")
    n_read(first, one_shot(FIRST))
    first.close()
    second = open_engine(kv_directory=tmp_path / "kv")
    assert n_read(second, in_a_new_chat(SECOND)) <= second.count(one_shot(SECOND)) - n_of_files(second)
