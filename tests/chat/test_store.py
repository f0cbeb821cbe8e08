"""Conversations on disk: exact, private, found again, and never lost to a bad file."""

import sqlite3
import stat
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aigc_cli.chat import store as module
from aigc_cli.chat.database import MIGRATIONS, DamagedDatabase, move_aside
from aigc_cli.chat.entries import Entry, State, entries_of
from aigc_cli.chat.prompt import Attachment
from aigc_cli.chat.recording import Recording
from aigc_cli.chat.session import Conversation, Question, Turn
from aigc_cli.chat.store import FILE_NAME, SessionMoved, SessionStore
from aigc_cli.errors import SessionError
from aigc_cli.events import FinishReason

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)
FILES = st.lists(st.builds(Attachment, TEXTS.filter(bool), TEXTS, TEXTS), max_size=3)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SessionStore]:
    ticks = count(1000)
    opened = SessionStore(tmp_path / "data" / FILE_NAME, lambda: float(next(ticks)))
    yield opened
    opened.close()


def talked(store: SessionStore, *exchanges: tuple[str, str]) -> Recording:
    """A session in which this was said."""
    conversation = Conversation("")
    recording = Recording(store, conversation)
    for question, reply in exchanges:
        conversation.ask(question)
        recording.save("scripted")
        conversation.record_reply(reply)
        recording.save("scripted")
    return recording


def id_of(recording: Recording) -> str:
    assert recording.session_id is not None
    return recording.session_id


def reread(store: SessionStore, recording: Recording) -> Conversation:
    return store.load(id_of(recording)).conversation


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


SAID = (
    ("how do I sort?", "use sorted()"),
    ("快速排序怎么写？", "分区。然后递归"),
    ("100% of_it", "a\\b"),
    ("STRASSE", "Ünï"),
)


@pytest.mark.parametrize("has_index", [True, False])
@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("sorted", 0), ("SORT sorted()", 0), ("排序", 1), ("排", 1), ("递归", 1), ("快速排序 递归", 1),
        ("怎么写", 1), ("0%", 2), ("f_i", 2), ("\\", 2), ("strasse", 3), ('"', None), ("sorted NOT", None),
        ("fxi", None),
        (" ", None),
    ],
)  # fmt: skip
def test_search_finds_words_in_any_script(
    tmp_path: Path, query: str, expected: int | None, *, has_index: bool
) -> None:
    store = SessionStore(tmp_path / FILE_NAME, lambda: 0.0)
    recordings = [talked(store, exchange) for exchange in SAID]
    store.close()
    if not has_index:
        without_index(tmp_path / FILE_NAME)
    store = SessionStore(tmp_path / FILE_NAME, lambda: 0.0, read_only=not has_index)
    wanted = [] if expected is None else [recordings[expected].session_id]
    assert [found.summary.id for found in store.search(query)] == wanted
    store.close()


def without_index(path: Path) -> None:
    """The file as an SQLite without the trigram tokenizer makes it."""
    connection = sqlite3.connect(path)
    for name in ("turn_inserted", "turn_deleted", "turn_changed"):
        connection.execute(f"DROP TRIGGER {name}")
    connection.execute("DROP TABLE turns_text")
    connection.execute("DROP VIEW searchable")
    connection.close()


def test_index_is_made_for_a_file_that_has_none(tmp_path: Path) -> None:
    store = SessionStore(tmp_path / FILE_NAME, lambda: 0.0)
    talked(store, ("a question", "about something"))
    store.close()
    without_index(tmp_path / FILE_NAME)
    store = SessionStore(tmp_path / FILE_NAME, lambda: 0.0)
    assert any("VIRTUAL TABLE" in step for step in plan(store, "something"))
    assert len(store.search("something")) == 1
    store.close()


def test_search_keeps_up_with_replies_that_grow_change_and_go(store: SessionStore) -> None:
    conversation = Conversation("")
    recording = Recording(store, conversation)
    conversation.ask("question")
    recording.save("m", "growing words")
    conversation.record_reply("growing words ended")
    recording.save("m")
    assert len(store.search("ended")) == 1
    conversation.ask_again()
    recording.save("m", "other")
    conversation.record_reply("other ending")
    recording.save("m")
    assert (len(store.search("ended")), len(store.search("ending"))) == (0, 1)
    store.remove(id_of(recording))
    assert store.search("ending") == store.search("question") == []
    connection = sqlite3.connect(store.path)
    connection.execute("INSERT INTO turns_text (turns_text, rank) VALUES ('integrity-check', 1)")
    connection.close()


def test_given_title_is_found_too(store: SessionStore) -> None:
    recording = talked(store, ("q", "r"))
    store.rename(id_of(recording), "weekend plans")
    assert [found.summary.title for found in store.search("weekend")] == ["weekend plans"]


def plan(store: SessionStore, query: str) -> list[str]:
    sql, values = store.search_statement(query.split())
    return store.explain(sql, (*values, 30))


def test_lists_and_searches_use_indexes(store: SessionStore) -> None:
    talked(store, ("q", "r"))
    plans = {
        "list": store.explain(module.LIST, (30,)),
        "by id": store.explain(module.BY_ID, ("a",)),
        "load": store.explain(module.LOAD, ("a",)),
        "search": plan(store, "function"),
        "search of short words": plan(store, "文件 ab"),
    }
    scans = [(name, step) for name, steps in plans.items() for step in steps if step.startswith("SCAN")]
    assert all("USING INDEX sessions_by_update" in step or "VIRTUAL TABLE" in step for _, step in scans)
    for name in ("list", "search of short words"):
        assert not any("TEMP B-TREE" in step for step in plans[name]), "the limit must end it early"


def test_a_common_word_is_searched_newest_first_and_finds_the_same(store: SessionStore) -> None:
    rare = talked(store, ("which function?", "rare beginning"))
    entries = [Entry(Question("common function"), "some words", State.DONE, FinishReason.STOP)]
    store.create(Conversation(), entries * (module.N_COMMON - 1), "m")
    newest = talked(store, ("function", "rare ending"))
    titled = talked(store, ("q", "r"))
    store.rename(id_of(titled), "a function's story")
    found = {query: [each.summary.id for each in store.search(query)] for query in ("function", "rare")}
    assert found["rare"] == [id_of(newest), id_of(rare)]
    assert found["function"] == [store.summaries()[n].id for n in range(4)]
    assert [each.summary.id for each in store.search("function ng", 1)] == [id_of(newest)]
    assert any("LIST SUBQUERY" in step for step in plan(store, "rare"))
    for query in ("function", "function ng"):
        assert not any("TEMP B-TREE" in step for step in plan(store, query)), "the limit must end it early"


def test_files_are_private_even_if_they_were_not(tmp_path: Path) -> None:
    path = tmp_path / "data" / FILE_NAME
    store = SessionStore(path, lambda: 0.0)
    talked(store, ("q", "r"))
    modes = {each.name: stat.S_IMODE(each.stat().st_mode) for each in path.parent.iterdir()}
    store.close()
    assert len(modes) == 3
    assert set(modes.values()) == {0o600}
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    path.chmod(0o644)
    SessionStore(path, lambda: 0.0).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


NEXT = (*MIGRATIONS, "ALTER TABLE sessions ADD COLUMN pinned INTEGER NOT NULL DEFAULT 0;")


def test_older_file_is_brought_up_to_date_with_what_it_holds(tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    store = SessionStore(path, lambda: 0.0, migrations=MIGRATIONS[:1])
    recording = talked(store, ("q", "r"))
    store.close()
    store = SessionStore(path, lambda: 0.0, migrations=NEXT)
    assert reread(store, recording) == recording.conversation
    store.close()
    with pytest.raises(SessionError, match="newer"):
        SessionStore(path, lambda: 0.0)


def test_migration_that_fails_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    store = SessionStore(path, lambda: 0.0)
    recording = talked(store, ("q", "r"))
    store.close()
    with pytest.raises(SessionError):
        SessionStore(path, lambda: 0.0, migrations=(*NEXT, "ALTER TABLE nothing ADD COLUMN x;"))
    store = SessionStore(path, lambda: 0.0)
    assert reread(store, recording) == recording.conversation
    store.close()


def test_file_of_a_newer_version_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    SessionStore(path, lambda: 0.0, migrations=NEXT).close()
    before = path.read_bytes()
    with pytest.raises(SessionError, match=r"newer aigc \(version 2; this one knows 1\)") as caught:
        SessionStore(path, lambda: 0.0)
    assert not isinstance(caught.value, DamagedDatabase)
    assert path.read_bytes() == before


def test_damaged_file_is_moved_aside_once_and_never_deleted(tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    path.write_bytes(b"this is no database " * 500)
    with pytest.raises(DamagedDatabase) as caught:
        SessionStore(path, lambda: 0.0)
    moved = move_aside(caught.value, 7.0)
    assert moved.name == f"{FILE_NAME}.damaged-7"
    assert moved.read_bytes().startswith(b"this is no database")
    SessionStore(path, lambda: 0.0).close()
    move_aside(caught.value, 8.0)  # another process found the old one damaged, and comes late
    SessionStore(path, lambda: 0.0, read_only=True).close()


def test_page_that_is_broken_is_found_out_at_work(tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    store = SessionStore(path, lambda: 0.0)
    recording = talked(store, *((f"question {n}", "words " * 2000) for n in range(10)))
    store.close()
    data = bytearray(path.read_bytes())
    for page in range(4096 * 2, len(data), 4096):
        data[page : page + 64] = b"\xff" * 64
    path.write_bytes(data)
    with pytest.raises(DamagedDatabase):
        SessionStore(path, lambda: 0.0).load(id_of(recording))


def test_read_only_store_reads_and_refuses_to_write(tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    store = SessionStore(path, lambda: 0.0)
    recording = talked(store, ("q", "r"))
    store.close()
    store = SessionStore(path, lambda: 0.0, read_only=True)
    assert reread(store, recording) == recording.conversation
    with pytest.raises(SessionError, match="readonly"):
        store.remove(id_of(recording))
    store.close()


def test_place_that_can_not_be_written_is_a_known_failure(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SessionError, match=r"Not a directory|File exists"):
        SessionStore(tmp_path / "file" / FILE_NAME, lambda: 0.0)


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
