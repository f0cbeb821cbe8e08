"""A conversation keeps what was said, and only that."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aigc_cli.chat.prompt import SYSTEM_PROMPT, Attachment
from aigc_cli.chat.session import Conversation
from aigc_cli.engine.base import Message
from aigc_cli.errors import UsageError
from aigc_cli.events import FinishReason

APP = Attachment("app.py", "print(1)\n", "python")


def talked(*turns: tuple[str, str], system: str | None = "") -> Conversation:
    conversation = Conversation(system)
    for question, reply in turns:
        conversation.ask(question)
        conversation.record_reply(reply)
    return conversation


def test_messages_alternate_after_the_system_prompt() -> None:
    conversation = talked(("q1", "r1"), ("q2", "r2"), system="be brief")
    assert conversation.messages() == (
        Message("system", "be brief"),
        Message("user", "q1"),
        Message("assistant", "r1"),
        Message("user", "q2"),
        Message("assistant", "r2"),
    )


def test_system_prompt_is_the_built_in_one_unless_it_is_set_or_emptied() -> None:
    assert Conversation().messages() == (Message("system", SYSTEM_PROMPT),)
    assert Conversation("").messages() == ()


@given(st.text())
def test_a_reply_goes_back_to_the_engine_exactly_as_it_came(reply: str) -> None:
    assert talked(("q", reply)).messages()[-1].content == reply


def test_interrupted_reply_stays_and_is_marked() -> None:
    conversation = Conversation("")
    conversation.ask("q")
    turn = conversation.record_reply("half of", FinishReason.INTERRUPTED)
    assert turn.interrupted
    assert conversation.messages()[-1] == Message("assistant", "half of")


def test_question_without_a_reply_is_no_part_of_the_conversation_but_can_be_asked_again() -> None:
    conversation = talked(("q1", "r1"))
    before = conversation.messages()
    conversation.ask("q2")
    conversation.withdraw()
    assert conversation.messages() == before
    assert conversation.ask_again().text == "q2"
    conversation.record_reply("r2")
    assert [turn.question.text for turn in conversation.turns] == ["q1", "q2"]


def test_retry_replaces_the_old_reply_once_the_new_one_is_there() -> None:
    conversation = talked(("q1", "r1"), ("q2", "old"))
    assert conversation.ask_again().text == "q2"
    assert "old" not in [message.content for message in conversation.messages()]
    conversation.record_reply("new")
    assert [turn.reply for turn in conversation.turns] == ["r1", "new"]


def test_retry_that_gets_no_reply_keeps_the_old_one() -> None:
    conversation = talked(("q1", "old"))
    before = conversation.messages()
    conversation.ask_again()
    conversation.withdraw()
    assert conversation.messages() == before
    assert conversation.ask_again().text == "q1"


def test_retry_takes_a_file_that_was_attached_meanwhile() -> None:
    conversation = talked(("what does app.py do?", "I can't see it"))
    conversation.attach(APP)
    assert conversation.ask_again().attachments == (APP,)


def test_undo_takes_back_one_turn_at_a_time() -> None:
    conversation = talked(("q1", "r1"), ("q2", "r2"))
    assert conversation.undo().question.text == "q2"
    assert conversation.undo().question.text == "q1"
    with pytest.raises(UsageError, match="nothing to undo"):
        conversation.undo()


def test_undo_gives_back_the_files_that_waited_for_the_question() -> None:
    conversation = Conversation("")
    conversation.attach(APP)
    conversation.ask("@b.py and this", [Attachment("b.py", "2")])
    conversation.record_reply("r")
    conversation.undo()
    assert conversation.waiting_files == [APP]


def test_undo_forgets_a_question_that_got_no_reply() -> None:
    conversation = talked(("q1", "r1"), ("q2", "r2"))
    conversation.ask("q3")
    conversation.withdraw()
    conversation.undo()
    assert conversation.ask_again().text == "q1"


def test_nothing_to_ask_again_in_an_empty_conversation() -> None:
    with pytest.raises(UsageError, match="no question"):
        Conversation().ask_again()


def test_attached_file_waits_until_a_question_got_its_reply() -> None:
    conversation = Conversation("")
    conversation.attach(APP)
    conversation.ask("first try")
    conversation.withdraw()
    question = conversation.ask("what is this?")
    assert "print(1)" in question.message.content
    conversation.record_reply("a program")
    assert conversation.ask("and now?").attachments == ()


def test_file_named_twice_is_sent_once_as_it_is_now() -> None:
    conversation = Conversation("")
    conversation.attach(APP)
    edited = Attachment("app.py", "print(2)\n", "python")
    assert conversation.ask("q", [edited]).attachments == (edited,)


def test_dropped_file_leaves_every_turn() -> None:
    conversation = Conversation("")
    conversation.ask("what is this?", [APP])
    conversation.record_reply("a program")
    conversation.attach(Attachment("b.py", "2"))
    conversation.drop("app.py")
    assert conversation.messages() == (Message("user", "what is this?"), Message("assistant", "a program"))
    assert conversation.attached_names() == ("b.py",)
    with pytest.raises(UsageError, match=r"app\.py"):
        conversation.drop("app.py")


def test_hidden_turns_are_not_seen_and_come_back_when_undo_leaves_nothing_else() -> None:
    conversation = talked(("q1", "r1"), ("q2", "r2"), ("q3", "r3"))
    conversation.n_hidden = 2
    assert [message.content for message in conversation.messages()] == ["q3", "r3"]
    conversation.undo()
    assert [message.content for message in conversation.messages()] == ["q1", "r1", "q2", "r2"]
