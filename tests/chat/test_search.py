"""Words of old conversations: found in any script, newest first, by an index."""

import sqlite3
from pathlib import Path

import pytest

from aigc_cli.chat import store as module
from aigc_cli.chat.entries import Entry, State
from aigc_cli.chat.recording import Recording
from aigc_cli.chat.session import Conversation, Question
from aigc_cli.chat.store import FILE_NAME, SessionStore
from aigc_cli.events import FinishReason
from tests.chat.recordings import id_of, talked

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
