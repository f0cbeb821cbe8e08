"""The store of KV prefixes: finds the best, trusts nothing that it did not write, keeps within its bound."""

import multiprocessing
import os
import resource
import signal
import stat
import time
from pathlib import Path

import pytest

from aigc_cli.engine.kv_store import (
    LEAST_GAIN,
    MOST_FILES,
    KvStore,
    StoredReply,
    StoreSize,
    clear_store,
    store_size,
)

TOKENS = list(range(100))
STATE = bytes(range(256)) * 4
ROOMY = 10**9


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "kv"


def open_store(directory: Path, identity: str = "model", limit_bytes: int = ROOMY) -> KvStore:
    return KvStore(directory, identity, limit_bytes)


def restored(store: KvStore, tokens: list[int] = TOKENS, n_held: int = 0) -> bytes | None:
    prefix = store.find(tokens, n_held, longest=10**6)
    state = store.read(prefix) if prefix else None
    return None if state is None else bytes(state)


def only_file(directory: Path) -> Path:
    (path,) = directory.glob("*.kv")
    return path


def test_what_was_saved_is_found_by_another_process(directory: Path) -> None:
    open_store(directory).save(TOKENS, [], STATE)
    assert restored(open_store(directory)) == STATE


def test_files_and_directory_are_for_the_user_alone(directory: Path) -> None:
    directory.mkdir(parents=True, mode=0o755)
    open_store(directory).save(TOKENS, [], STATE)
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in directory.iterdir()} == {0o600}


def test_a_full_disk_keeps_nothing_of_what_was_begun(directory: Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))  # each write fails, as on a full disk
    try:
        open_store(directory).save(TOKENS, [], STATE)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(directory.iterdir()) == []
    open_store(directory).save(TOKENS, [], STATE)
    assert restored(open_store(directory)) == STATE


def test_a_prefix_is_found_by_its_shared_start(directory: Path) -> None:
    store = open_store(directory)
    store.save(TOKENS, [], STATE)
    assert restored(store, [*TOKENS[:LEAST_GAIN], 7, 7]) == STATE
    assert restored(store, [*TOKENS[: LEAST_GAIN - 1], 7, 7]) is None, "too little to gain"
    assert restored(store, TOKENS, n_held=len(TOKENS) - LEAST_GAIN + 1) is None, "held already"
    assert store.find(TOKENS[:50], 0, longest=1000, whole=True) is None
    assert store.find(TOKENS, 0, longest=len(TOKENS) - 1) is None, "larger than the window"


def test_a_long_state_is_not_read_for_a_short_start(directory: Path) -> None:
    store = open_store(directory)
    store.save(range(10_000), [], STATE)
    assert restored(store, [*range(1000), 0]) is None
    assert restored(store, [*range(2000), 0]) == STATE


def test_of_two_that_share_as_much_the_shorter_is_read(directory: Path) -> None:
    store = open_store(directory)
    store.save(TOKENS, [], b"long", is_beginning=False)
    store.save(TOKENS[:50], [], b"short", is_beginning=True)
    assert restored(store, [*TOKENS[:50], 200]) == b"short"
    assert restored(store, TOKENS) == b"long"


def test_a_longer_conversation_replaces_the_shorter_but_not_a_common_beginning(directory: Path) -> None:
    store = open_store(directory)
    store.save(TOKENS[:40], [], STATE, is_beginning=True)
    store.save(TOKENS[:60], [], STATE)
    store.save([*TOKENS[:50], 7], [], STATE)
    store.save(TOKENS, [], STATE)
    assert [store.holds(tokens) for tokens in (TOKENS[:40], TOKENS[:60], [*TOKENS[:50], 7], TOKENS)] == [
        True,
        False,
        True,
        True,
    ]


@pytest.mark.parametrize("identity", ["other model", "model "])
def test_another_model_sees_nothing_of_it(directory: Path, identity: str) -> None:
    open_store(directory).save(TOKENS, [], STATE)
    assert restored(open_store(directory, identity)) is None
    assert restored(open_store(directory)) == STATE


def test_a_file_that_poses_as_another_models_is_dropped(directory: Path) -> None:
    store = open_store(directory, "other")
    store.save(TOKENS, [], b"other state")
    posing = only_file(directory)
    open_store(directory).save(TOKENS, [], STATE)
    (own,) = set(directory.glob("*.kv")) - {posing}
    posing.replace(own)
    assert restored(open_store(directory)) is None
    assert not own.exists()


def test_a_file_under_the_name_of_other_tokens_is_dropped(directory: Path) -> None:
    store = open_store(directory)
    store.save(TOKENS, [], STATE)
    renamed = only_file(directory).with_name(only_file(directory).name[:17] + "0" * 32 + ".kv")
    only_file(directory).replace(renamed)
    assert restored(open_store(directory)) is None
    assert not renamed.exists()


def test_a_file_cut_off_at_any_byte_is_dropped(directory: Path) -> None:
    open_store(directory).save(TOKENS, [], STATE)
    path = only_file(directory)
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        assert restored(open_store(directory)) is None
        assert not path.exists()
    path.write_bytes(whole + b"\0")
    assert restored(open_store(directory)) is None
    assert not path.exists()


def test_a_file_with_any_byte_changed_is_dropped(directory: Path) -> None:
    open_store(directory).save(TOKENS, [StoredReply(1, "digest", (1, 2))], STATE)
    path = only_file(directory)
    whole = path.read_bytes()
    for index in range(len(whole)):
        path.write_bytes(whole[:index] + bytes([whole[index] ^ 0x20]) + whole[index + 1 :])
        assert restored(open_store(directory)) is None
        assert not path.exists()
    path.write_bytes(whole)
    assert restored(open_store(directory)) == STATE


def test_a_file_changed_after_it_was_found_is_dropped(directory: Path) -> None:
    store = open_store(directory)
    store.save(TOKENS, [], STATE)
    prefix = store.find(TOKENS, 0, longest=1000)
    path = only_file(directory)
    path.write_bytes(path.read_bytes()[:-1] + b"\x00")
    assert prefix
    assert store.read(prefix) is None
    assert store.find(TOKENS, 0, longest=1000) is None
    assert not path.exists()


def test_a_file_that_vanished_is_a_miss(directory: Path) -> None:
    store = open_store(directory)
    store.save(TOKENS, [], STATE)
    prefix = store.find(TOKENS, 0, longest=1000)
    only_file(directory).unlink()
    assert prefix
    assert store.read(prefix) is None


def test_files_of_another_key_are_dropped(directory: Path) -> None:
    open_store(directory).save(TOKENS, [], STATE)
    (directory / "key").unlink()
    assert restored(open_store(directory)) is None
    assert store_size(directory).n_files == 0


@pytest.mark.parametrize("content", [b"", b"short", b"x" * 33])
def test_a_damaged_key_is_replaced(directory: Path, content: bytes) -> None:
    open_store(directory).save(TOKENS, [], STATE)
    (directory / "key").write_bytes(content)
    store = open_store(directory)
    assert restored(store) is None
    store.save(TOKENS, [], STATE)
    assert restored(open_store(directory)) == STATE


def test_the_least_recently_used_files_go_beyond_the_limit(directory: Path) -> None:
    store = open_store(directory, limit_bytes=5000)
    conversations = [[n] * 50 for n in range(4)]
    for age, tokens in zip((30, 20, 10), conversations, strict=False):
        store.save(tokens, [], STATE)
        newest = max(directory.glob("*.kv"), key=lambda path: path.stat().st_mtime_ns)
        os.utime(newest, (time.time() - age, time.time() - age))
    assert restored(store, [*conversations[0], 1]) == STATE
    store.save(conversations[3], [], STATE)
    assert [store.holds(tokens) for tokens in conversations] == [True, False, True, True]
    assert store_size(directory).n_bytes <= 5000


def test_there_is_a_bound_on_the_number_of_files(directory: Path) -> None:
    store = open_store(directory)
    for n in range(MOST_FILES + 5):
        store.save([n] * 40, [], b"x")
    assert store_size(directory).n_files == MOST_FILES


def test_a_state_larger_than_the_limit_is_not_written(directory: Path) -> None:
    store = open_store(directory, limit_bytes=100)
    store.save(TOKENS, [], STATE)
    assert store_size(directory) == StoreSize(0, 0)


def test_clearing_deletes_the_files_of_all_models(directory: Path) -> None:
    for identity in ("one", "other"):
        open_store(directory, identity).save(TOKENS, [], STATE)
    assert clear_store(directory).n_files == 2
    assert store_size(directory) == StoreSize(0, 0)
    assert clear_store(directory / "nowhere") == StoreSize(0, 0)


def test_a_place_that_can_t_be_written_stores_nothing_and_fails_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    store = open_store(tmp_path / "file" / "kv")
    store.save(TOKENS, [], STATE)
    assert restored(store) is None
    assert store.reply_tokens("text") is None
    assert store.n_saved(TOKENS) == 0


def test_the_tokens_of_replies_come_back_and_their_text_is_not_in_the_file(directory: Path) -> None:
    store = open_store(directory)
    reply = StoredReply(3, store.text_digest("a secret word"), (5, 6, 7))
    store.save(TOKENS, [reply], STATE)
    again = open_store(directory)
    assert again.reply_tokens("a secret word") == (5, 6, 7)
    assert again.reply_tokens("another word") is None
    assert b"secret" not in only_file(directory).read_bytes()


def _write_many(directory: Path, first: int) -> None:
    store = open_store(directory, limit_bytes=20_000)
    for n in range(first, first + 60):
        store.save([n] * 50, [], STATE)
        found = restored(store, [n] * 50)
        assert found in (None, STATE)


def test_two_processes_write_at_once(directory: Path) -> None:
    processes = [multiprocessing.Process(target=_write_many, args=(directory, n)) for n in (0, 30)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0]
    assert store_size(directory).n_bytes <= 20_000
    assert not list(directory.glob(".unfinished*"))
    store = open_store(directory)
    assert sum(restored(store, [n] * 50) == STATE for n in range(90)) == store_size(directory).n_files > 0


def _write_for_ever(directory: Path) -> None:
    store = open_store(directory)
    while True:
        store.save(TOKENS, [], STATE * 2000)


def test_a_process_killed_while_it_writes_leaves_nothing_that_is_trusted(directory: Path) -> None:
    for n in range(10):
        process = multiprocessing.Process(target=_write_for_ever, args=(directory,))
        process.start()
        time.sleep(0.1 + n * 0.003)
        assert process.pid
        os.kill(process.pid, signal.SIGKILL)
        process.join(60)
        assert restored(open_store(directory)) in (None, STATE * 2000)
    leftovers = list(directory.glob(".unfinished*"))
    for path in leftovers:
        os.utime(path, (1, 1))
    open_store(directory).save([1] * 50, [], STATE)
    assert not list(directory.glob(".unfinished*"))
