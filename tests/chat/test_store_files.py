"""The file of conversations: private, brought up to date, and never lost when it is damaged."""

import stat
from pathlib import Path

import pytest

from aigc_cli.chat.database import MIGRATIONS, DamagedDatabase, move_aside
from aigc_cli.chat.store import FILE_NAME, SessionStore
from aigc_cli.errors import SessionError
from tests.chat.recordings import id_of, reread, talked


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
