"""The journal, and what is left of a change when the process ends in the middle of it."""

import os
import signal
import sqlite3
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from aigc_cli.errors import FileError, UsageError
from aigc_cli.tasks import journal as journal_module
from aigc_cli.tasks.journal import MOST_CHANGES, Journal, Replacement

OLD, NEW = b"old\r\n" * 100, b"new\n" * 120


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "state", lambda: 1.0)


def replacement(path: Path, before: bytes | None = OLD, after: bytes = NEW) -> Replacement:
    if before is not None:
        path.write_bytes(before)
    return Replacement(path, path.name, before, after)


def test_a_new_file_is_removed_and_comes_back(journal: Journal, tmp_path: Path) -> None:
    path = tmp_path / "new.py"
    assert journal.apply([replacement(path, None)], "gen") == ""
    change = journal.to_undo(tmp_path)
    journal.restore(change, journal.plan(change))
    assert not path.exists()
    change = journal.to_redo(tmp_path)
    journal.restore(change, journal.plan(change, redo=True), redo=True)
    assert path.read_bytes() == NEW


def test_a_file_changed_meanwhile_is_not_written(journal: Journal, tmp_path: Path) -> None:
    planned = replacement(tmp_path / "a")
    planned.path.write_bytes(b"somebody else")
    with pytest.raises(FileError, match="changed meanwhile"):
        journal.apply([planned], "edit")
    assert planned.path.read_bytes() == b"somebody else"
    assert journal.changes() == []


def test_when_one_file_cannot_be_written_none_is(journal: Journal, tmp_path: Path) -> None:
    good = replacement(tmp_path / "a")
    bad = Replacement(tmp_path / "missing" / "b", "b", None, NEW)
    with pytest.raises(FileError, match="'b' can't be written"):
        journal.apply([good, bad], "edit")
    assert good.path.read_bytes() == OLD
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "state"]
    assert journal.changes() == []


def test_old_changes_make_room(journal: Journal, tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"0")
    for i in range(MOST_CHANGES + 5):
        journal.apply([Replacement(path, "a", b"%d" % i, b"%d" % (i + 1))], "edit")
    assert [change.id for change in journal.changes()][-1] == 6


def test_the_bytes_are_bounded(journal: Journal, tmp_path: Path) -> None:
    third = journal_module.MOST_BYTES // 3
    path = tmp_path / "a"
    path.write_bytes(b"")
    for i in range(3):
        journal.apply(
            [Replacement(path, "a", b"%d" % (i - 1) * third if i else b"", b"%d" % i * third)], "edit"
        )
    assert [change.id for change in journal.changes()] == [3]
    too_large = Replacement(path, "a", b"2" * third, b"x" * journal_module.MOST_BYTES)
    assert "larger than the journal" in journal.apply([too_large], "edit")


def test_a_newer_journal_is_left_alone(journal: Journal, tmp_path: Path) -> None:
    journal.apply([replacement(tmp_path / "a")], "edit")
    with sqlite3.connect(journal.path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(FileError, match="newer aigc"):
        journal.changes()


# kill -9 at every line of the code that writes

WATCHED = tuple(
    str(Path(journal_module.__file__).parents[1] / name)
    for name in ("atomic.py", "tasks/workspace.py", "tasks/journal.py")
)


def dies_at(n: int, work: Callable[[], Any]) -> bool:
    """Run it in a process that is killed at its n-th line of the watched code; False if it ends before."""
    pid = os.fork()
    if pid == 0:
        left = n

        def trace(frame: FrameType, event: str, _arg: Any) -> Any:
            nonlocal left
            if frame.f_code.co_filename not in WATCHED:
                return None
            if event in ("line", "return"):
                left -= 1
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
            return trace

        sys.settrace(trace)
        work()
        os._exit(0)
    _, status = os.waitpid(pid, 0)
    return os.WIFSIGNALED(status)


def undo_all(journal: Journal, folder: Path) -> None:
    while True:
        try:
            change = journal.to_undo(folder)
        except UsageError:
            return
        plan = journal.plan(change)
        assert not any(each.has_changed for each in plan)
        journal.restore(change, plan)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills a forked process")
def test_a_crash_at_any_point_leaves_old_or_new_and_can_be_undone(tmp_path: Path) -> None:
    n_crashes = 0
    seen = set()
    for n in range(1, 2000):
        folder = tmp_path / str(n)
        folder.mkdir()
        journal = Journal(folder / "state", lambda: 1.0)
        changes = [replacement(folder / "a"), replacement(folder / "b"), replacement(folder / "c", None)]
        died = dies_at(n, partial(journal.apply, changes, "edit"))
        contents = tuple(each.path.read_bytes() if each.path.exists() else None for each in changes)
        assert set(contents) <= {OLD, NEW, None}
        seen.add(contents)
        undo_all(journal, folder)
        assert [each.path.read_bytes() for each in changes[:2]] == [OLD, OLD]
        assert not changes[2].path.exists()
        if not died:
            break
        n_crashes += 1
    assert n_crashes > 100
    assert (OLD, OLD, None) in seen  # before anything
    assert (NEW, OLD, None) in seen  # in the middle
    assert (NEW, NEW, NEW) in seen


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills a forked process")
def test_a_crash_while_undoing_leaves_old_or_new_and_undoing_goes_on(tmp_path: Path) -> None:
    for n in range(1, 2000, 5):
        folder = tmp_path / str(n)
        folder.mkdir()
        journal = Journal(folder / "state", lambda: 1.0)
        changes = [replacement(folder / "a"), replacement(folder / "b")]
        journal.apply(changes, "edit")
        died = dies_at(n, partial(undo_all, journal, folder))
        assert {each.path.read_bytes() for each in changes} <= {OLD, NEW}
        undo_all(journal, folder)
        assert [each.path.read_bytes() for each in changes] == [OLD, OLD]
        if not died:
            break
    assert n > 50
