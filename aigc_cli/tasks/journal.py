"""What aigc did to files of the person, so that it can be undone: a private, bounded SQLite file.

A change is written down before its first file is, and marked as done after the last: whenever the process
ends, each of its files holds the old content or the new one, and the journal holds both.
"""

import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from aigc_cli.atomic import mode_of
from aigc_cli.chat.database import transaction
from aigc_cli.chat.prompt import well_formed
from aigc_cli.errors import FileError, UsageError
from aigc_cli.tasks.workspace import Writing, read_bytes, write_all

FILE_NAME = "changes.db"
MOST_CHANGES = 200
MOST_BYTES = 64 * 2**20  # of all the contents together
_BUSY_S = 5.0
_VERSION = 1
_SCHEMA = (
    """CREATE TABLE changes (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        time REAL NOT NULL,
        command TEXT NOT NULL,
        is_done INTEGER NOT NULL,
        undone INTEGER
    )""",
    """CREATE TABLE files (
        change_id INTEGER NOT NULL REFERENCES changes (id) ON DELETE CASCADE,
        path BLOB NOT NULL,
        mode INTEGER,
        before BLOB,
        after BLOB NOT NULL
    )""",
    "CREATE INDEX files_by_change ON files (change_id)",
)
_COLUMNS = "id, time, command, is_done, undone IS NOT NULL"


@dataclass(frozen=True, slots=True)
class Replacement:
    """A file's content, and what comes in its place.

    Attributes:
        name: what the person calls the file.
        before: None for a file that is made anew.
    """

    path: Path
    name: str
    before: bytes | None
    after: bytes


@dataclass(frozen=True, slots=True)
class Change:
    """What one command did.

    Attributes:
        time: seconds since 1970.
        paths: the files, absolute.
        is_done: False when the process ended before its last file was written.
    """

    id: int
    time: float
    command: str
    is_done: bool
    is_undone: bool
    paths: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class Restoring:
    """One file of a change that is undone or done again.

    Attributes:
        current: its content now; None if it is not there.
        expected: its content as the change left it.
        wanted: its content as it shall be; None if it shall go.
    """

    path: Path
    mode: int | None
    current: bytes | None
    expected: bytes | None
    wanted: bytes | None

    @property
    def has_changed(self) -> bool:
        """Whether somebody else changed it since."""
        return self.current not in (self.expected, self.wanted)


class Journal:
    """The changes of one person; several processes may use it at once.

    Args:
        folder: the state directory.
        now: seconds since 1970.
    """

    def __init__(self, folder: Path, now: Callable[[], float]) -> None:
        self.path = folder / FILE_NAME
        self._now = now

    def apply(self, replacements: Sequence[Replacement], command: str) -> str:
        """Write all of the files or none, so that it can be undone; gives the reason if it can't be.

        Raises:
            FileError: a file is not any more what it was, or can't be written.
        """
        for each in replacements:
            if _content(each.path, each.name) != each.before:
                raise FileError(f"{each.name!r} was changed meanwhile; nothing is written", "run it again")
        warning = ""
        id_ = 0
        try:
            id_ = self._record(replacements, command)
        except (FileError, OverflowError) as error:
            warning = str(error)
        try:
            write_all([Writing(each.path, each.after, each.name) for each in replacements])
        except FileError:
            self._forget_unless_begun(id_)
            raise
        with suppress(
            FileError
        ):  # the files are written: one that is not marked as done can be undone as well
            self._mark_done(id_)
        return warning

    def changes(self) -> list[Change]:
        """All that are kept, the newest first.

        Raises:
            FileError: the journal can't be read.
        """
        if not self.path.exists():
            return []
        with self._open() as connection:
            rows = connection.execute(f"SELECT {_COLUMNS} FROM changes ORDER BY id DESC").fetchall()  # noqa: S608  # a constant
            paths: dict[int, list[Path]] = {}
            for id_, path in connection.execute("SELECT change_id, path FROM files ORDER BY rowid"):
                paths.setdefault(id_, []).append(Path(os.fsdecode(path)))
        return [
            Change(id_, time, command, bool(is_done), bool(is_undone), tuple(paths.get(id_, ())))
            for id_, time, command, is_done, is_undone in rows
        ]

    def to_undo(self, folder: Path) -> Change:
        """The newest change to a file in this directory or below it that is not undone.

        Raises:
            UsageError: there is none.
        """
        for change in self.changes():
            if change.is_undone or not _is_below(change, folder):
                continue
            if change.is_done or any(each.current == each.expected for each in self.plan(change)):
                return change
            self.forget(change)  # the process ended before it had written anything
        raise UsageError(
            "no change here is left to undo",
            "aigc undo --list shows those elsewhere; aigc undo ID undoes one",
        )

    def to_redo(self, folder: Path) -> Change:
        """The change to a file in this directory or below it that was undone last.

        Raises:
            UsageError: there is none.
        """
        known = {change.id: change for change in self.changes() if _is_below(change, folder)}
        if known:
            with self._open() as connection:
                undone = connection.execute("SELECT id FROM changes WHERE undone > 0 ORDER BY undone DESC")
                for (id_,) in undone.fetchall():
                    if id_ in known:
                        return known[id_]
        raise UsageError("no change here is undone", "aigc undo --list shows the changes")

    def plan(self, change: Change, *, redo: bool = False) -> list[Restoring]:
        """What undoing a change, or doing it again, would do to each of its files.

        Raises:
            FileError: a file, or the journal, can't be read.
        """
        with self._open() as connection:
            rows = connection.execute(
                "SELECT path, mode, before, after FROM files WHERE change_id = ? ORDER BY rowid", (change.id,)
            ).fetchall()
        restorings = []
        for encoded, mode, before, after in rows:
            path = Path(os.fsdecode(encoded))
            expected, wanted = (before, after) if redo else (after, before)
            restorings.append(Restoring(path, mode, _content(path, str(path)), expected, wanted))
        return restorings

    def restore(self, change: Change, plan: Sequence[Restoring], *, redo: bool = False) -> None:
        """Give the files of a plan the content that is wanted.

        Raises:
            FileError: one can't be written.
        """
        write_all(
            [
                Writing(each.path, each.wanted, str(each.path), each.mode)
                for each in plan
                if each.wanted is not None and each.wanted != each.current
            ]
        )
        for each in plan:
            if each.wanted is None:
                each.path.unlink(missing_ok=True)
        order = "NULL" if redo else "(SELECT coalesce(max(undone), 0) + 1 FROM changes)"
        with self._open() as connection, transaction(connection):
            connection.execute(f"UPDATE changes SET is_done = 1, undone = {order} WHERE id = ?", (change.id,))  # noqa: S608  # one of two constants

    def _mark_done(self, id_: int) -> None:
        if id_:
            with self._open() as connection, transaction(connection):
                connection.execute("UPDATE changes SET is_done = 1 WHERE id = ?", (id_,))

    def forget(self, change: Change) -> None:
        """Take a change out; its files stay as they are."""
        with self._open() as connection, transaction(connection):
            connection.execute("DELETE FROM changes WHERE id = ?", (change.id,))

    def _record(self, replacements: Sequence[Replacement], command: str) -> int:
        size = sum(len(each.before or b"") + len(each.after) for each in replacements)
        if size > MOST_BYTES:
            raise OverflowError(f"it is larger than the journal: {size / 2**20:,.0f} MiB")
        with self._open() as connection, transaction(connection):
            added = connection.execute(
                "INSERT INTO changes (time, command, is_done) VALUES (?, ?, 0)",
                (self._now(), well_formed(command)),
            )
            id_ = added.lastrowid or 0
            connection.executemany(
                "INSERT INTO files VALUES (?, ?, ?, ?, ?)",
                [
                    (id_, os.fsencode(each.path), mode_of(each.path), each.before, each.after)
                    for each in replacements
                ],
            )
            _drop_old(connection)
        return id_

    def _forget_unless_begun(self, id_: int) -> None:
        for change in self.changes() if id_ else ():
            if change.id == id_ and not any(each.current == each.expected for each in self.plan(change)):
                self.forget(change)

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600))
            with closing(sqlite3.connect(self.path, timeout=_BUSY_S, isolation_level=None)) as connection:
                connection.execute("PRAGMA foreign_keys = ON")
                connection.execute("PRAGMA synchronous = FULL")
                self._bring_up_to_date(connection)
                yield connection
        except (sqlite3.Error, OSError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise FileError(f"{self.path}: {reason}", "move the file away if it is damaged") from error

    def _bring_up_to_date(self, connection: sqlite3.Connection) -> None:
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version > _VERSION:
            raise FileError(f"{self.path} was written by a newer aigc", "update aigc")
        if version < _VERSION:
            with transaction(connection):
                if connection.execute("PRAGMA user_version").fetchone()[0] < _VERSION:
                    for statement in _SCHEMA:
                        connection.execute(statement)
                    connection.execute(f"PRAGMA user_version = {_VERSION}")


def _drop_old(connection: sqlite3.Connection) -> None:
    """Keep the newest changes, as many as the limits allow."""
    sizes = connection.execute(
        "SELECT change_id, sum(coalesce(length(before), 0) + length(after)) FROM files"
        " GROUP BY change_id ORDER BY change_id DESC"
    )
    total = 0
    for n, (id_, size) in enumerate(sizes.fetchall(), 1):
        total += size
        if n > MOST_CHANGES or total > MOST_BYTES:
            connection.execute("DELETE FROM changes WHERE id <= ?", (id_,))
            return


def _content(path: Path, name: str) -> bytes | None:
    return read_bytes(path, name) if path.exists() else None


def _is_below(change: Change, folder: Path) -> bool:
    place = os.path.realpath(folder)
    return any(path.is_relative_to(place) for path in change.paths)
