"""Conversations on disk: what was said comes back exactly, however it came about."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aigc_cli.chat.entries import State, entries_of
from aigc_cli.chat.prompt import Attachment
from aigc_cli.chat.recording import Recording
from aigc_cli.chat.session import Conversation, Turn
from aigc_cli.chat.store import FILE_NAME, SessionMoved, SessionStore
from aigc_cli.errors import SessionError
from aigc_cli.events import FinishReason
from tests.chat.recordings import id_of, reread, talked

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)
FILES = st.lists(st.builds(Attachment, TEXTS.filter(bool), TEXTS, TEXTS), max_size=3)


@settings(deadline=None)  # each example makes a file, on a disk that others use too
@given(
    turns=st.lists(
        st.tuples(TEXTS, FILES, FILES, TEXTS, st.sampled_from(FinishReason)), min_size=1, max_size=3
    ),
    system=st.none() | TEXTS,
)
def test_what_the_model_saw_comes_back_exactly(
    tmp_path_factory: pytest.TempPathFactory,
    turns: list[tuple[str, list[Attachment], list[Attachment], str, FinishReason]],
    system: str | None,
) -> None:
    store = SessionStore(tmp_path_factory.mktemp("store") / FILE_NAME, lambda: 0.0)
    conversation = Conversation(system)
    for text, attached, mentioned, reply, reason in turns:
        conversation.waiting_files = list(attached)
        conversation.ask(text, mentioned)
        conversation.record_reply(reply, reason)
    recording = Recording(store, conversation)
    recording.save("m")
    kept = store.load(id_of(recording))
    assert kept.conversation.messages() == conversation.messages()
    assert kept.conversation.turns == conversation.turns
    assert kept.conversation.system == system
    store.close()


def test_question_is_kept_before_its_reply_and_the_reply_as_it_grows(store: SessionStore) -> None:
    conversation = Conversation("")
    recording = Recording(store, conversation)
    question = conversation.ask("q", [Attachment("a.py", "x = 1\n", "python")])
    recording.save("m")
    assert reread(store, recording).question == question
    recording.save("m", "half a")
    recording.save("m", "half a reply")
    seen = reread(store, recording)
    assert (seen.question, seen.turns) == (None, [Turn(question, "half a reply", FinishReason.INTERRUPTED)])
    conversation.record_reply("half a reply, and the rest")
    recording.save("m")
    assert reread(store, recording).turns == conversation.turns


def test_old_reply_stays_until_there_is_a_word_of_the_new_one(store: SessionStore) -> None:
    recording = talked(store, ("q", "old"))
    recording.conversation.ask_again()
    recording.save("m")
    assert [turn.reply for turn in reread(store, recording).turns] == ["old"]
    recording.save("m", "new")
    assert [turn.reply for turn in reread(store, recording).turns] == ["new"]


def test_retry_that_got_no_reply_leaves_the_session_as_it_was(store: SessionStore) -> None:
    recording = talked(store, ("q", "old"))
    recording.conversation.ask_again()
    recording.save("m")
    recording.conversation.withdraw()
    recording.save("m")
    assert reread(store, recording) == recording.conversation


def test_undo_and_drop_reach_the_session_and_an_empty_one_goes(store: SessionStore) -> None:
    recording = talked(store, ("q1", "r1"), ("q2", "r2"))
    recording.conversation.undo()
    recording.save("m")
    assert [turn.reply for turn in reread(store, recording).turns] == ["r1"]
    recording.conversation.undo()
    recording.save("m")
    assert store.summaries() == []


def test_summary_of_old_turns_stands_for_them_after_a_resume(store: SessionStore) -> None:
    recording = talked(store, ("q1", "r1"), ("q2", "r2"), ("q3", "r3"))
    recording.conversation.replace_by_summary(2, "sum up", "in short")
    recording.save("m")
    assert reread(store, recording).messages() == recording.conversation.messages()
    assert store.summaries()[0].n_turns == 3


def test_nothing_is_written_when_nothing_changed(store: SessionStore) -> None:
    recording = talked(store, ("q", "r"))
    before = store.load(id_of(recording))
    recording.save("scripted")
    assert store.load(id_of(recording)).revision == before.revision


def test_the_second_chat_that_speaks_in_a_session_goes_on_in_one_of_its_own(store: SessionStore) -> None:
    first = talked(store, ("q", "r"))
    kept = store.load(id_of(first))
    second = Recording(store, kept.conversation, kept)
    first.conversation.ask("from the first")
    assert first.save("m") is None
    second.conversation.ask("from the second")
    forked = second.save("m")
    assert forked is not None
    assert store.find(forked).forked_from == first.session_id
    questions = [entry.question.text for entry in store.load(forked).entries]
    assert questions == ["q", "from the second"]
    assert [entry.question.text for entry in store.load(id_of(first)).entries] == ["q", "from the first"]


def test_write_to_a_session_that_moved_changes_nothing(store: SessionStore) -> None:
    recording = talked(store, ("q", "r"))
    kept = store.load(id_of(recording))
    with pytest.raises(SessionMoved):
        store.write(id_of(recording), kept.revision + 1, kept.conversation, "m", (kept.entries, ()))
    assert store.load(id_of(recording)) == kept


def test_session_removed_elsewhere_is_kept_anew(store: SessionStore) -> None:
    recording = talked(store, ("q", "r"))
    store.remove(id_of(recording))
    recording.conversation.ask("and now?")
    forked = recording.save("m")
    assert [summary.id for summary in store.summaries()] == [forked]


def test_title_is_the_first_question_until_the_person_gives_one(store: SessionStore) -> None:
    recording = talked(store, ("\n\n  Wie   geht's?\nsecond line", "gut"))
    assert store.summaries()[0].title == "Wie geht's?"
    store.rename(id_of(recording), "  Begrüßung ")
    assert store.summaries()[0].title == "Begrüßung"
    store.rename(id_of(recording), "")
    assert store.summaries()[0].title == "Wie geht's?"


def test_id_can_be_abbreviated_while_it_is_the_only_one(store: SessionStore) -> None:
    ids = [id_of(talked(store, (f"q{n}", "r"))) for n in range(40)]
    assert store.find(ids[0].upper()).id == ids[0]
    assert store.find(ids[0][:7]).id == ids[0]
    first = next(i for i in ids if sum(other[0] == i[0] for other in ids) > 1)
    for bad in (first[0], "", "zzzzzzzzz", "%", "_", "é", "a' OR 1"):
        with pytest.raises(SessionError):
            store.find(bad)


def test_state_of_each_entry() -> None:
    conversation = Conversation("")
    conversation.ask("q1")
    conversation.record_reply("r1")
    conversation.ask("q2")
    conversation.record_reply("half", FinishReason.INTERRUPTED)
    conversation.ask("q3")
    states = [entry.state for entry in entries_of(conversation)]
    assert states == [State.DONE, State.INTERRUPTED, State.ASKED]
    assert entries_of(conversation, "r")[-1].state is State.REPLYING
