"""The SQLite file that conversations are kept in: private, brought up to date, and never thrown away.

WAL lets many chats read while one writes; `synchronous = FULL` makes a commit survive a power cut.
"""

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from aigc_cli.errors import SessionError

BUSY_S = 5.0  # how long a chat waits for another one that writes
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_PRIMARY_CODE = 0xFF  # the rest of an error code says more of the same error

# A file of version n has seen the first n of them. A released script is never changed.
MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE sessions (
        id TEXT PRIMARY KEY,
        title TEXT,
        model TEXT NOT NULL,
        system TEXT,
        created REAL NOT NULL,
        updated REAL NOT NULL,
        revision INTEGER NOT NULL,
        n_hidden INTEGER NOT NULL,
        forked_from TEXT REFERENCES sessions (id) ON DELETE SET NULL
    );
    CREATE INDEX sessions_by_update ON sessions (updated);
    CREATE INDEX sessions_by_origin ON sessions (forked_from);
    CREATE INDEX sessions_by_title ON sessions (title) WHERE title IS NOT NULL;
    CREATE TABLE turns (
        id INTEGER PRIMARY KEY,
        session_id TEXT NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
        position INTEGER NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('asked', 'replying', 'done', 'interrupted')),
        finish_reason TEXT,
        asked REAL NOT NULL,
        answered REAL,
        sums_up INTEGER NOT NULL,
        question TEXT NOT NULL,
        files TEXT NOT NULL,
        reply TEXT NOT NULL,
        UNIQUE (session_id, position)
    );
    """,
)

# Not a migration, since SQLite before 3.34 lacks the tokenizer: without the index, a search reads all texts.
# A reply that still grows is indexed once it ends; it would be taken apart anew at each save.
_TEXT_INDEX = """
    CREATE VIEW searchable AS
        SELECT id, question, CASE state WHEN 'replying' THEN '' ELSE reply END AS reply FROM turns;
    CREATE VIRTUAL TABLE turns_text USING fts5 (
        question, reply, content = 'searchable', content_rowid = 'id', tokenize = 'trigram'
    );
    CREATE TRIGGER turn_inserted AFTER INSERT ON turns BEGIN
        INSERT INTO turns_text (rowid, question, reply) VALUES (
            new.id, new.question, CASE new.state WHEN 'replying' THEN '' ELSE new.reply END);
    END;
    CREATE TRIGGER turn_deleted AFTER DELETE ON turns BEGIN
        INSERT INTO turns_text (turns_text, rowid, question, reply) VALUES ('delete',
            old.id, old.question, CASE old.state WHEN 'replying' THEN '' ELSE old.reply END);
    END;
    CREATE TRIGGER turn_changed AFTER UPDATE OF question, reply, state ON turns
    WHEN new.state <> 'replying' OR old.state <> 'replying' BEGIN
        INSERT INTO turns_text (turns_text, rowid, question, reply) VALUES ('delete',
            old.id, old.question, CASE old.state WHEN 'replying' THEN '' ELSE old.reply END);
        INSERT INTO turns_text (rowid, question, reply) VALUES (
            new.id, new.question, CASE new.state WHEN 'replying' THEN '' ELSE new.reply END);
    END;
    INSERT INTO turns_text (turns_text) VALUES ('rebuild');
"""


class DamagedDatabase(SessionError):
    """The file is no database, or a page of it is broken.

    Attributes:
        path: the file.
        inode: which file was found damaged; another process may have put a new one in its place since.
    """

    def __init__(self, path: Path, inode: int | None, reason: str) -> None:
        super().__init__(f"{path} is damaged: {reason}")
        self.path = path
        self.inode = inode


def open_database(
    path: Path, *, read_only: bool = False, migrations: Sequence[str] = MIGRATIONS
) -> sqlite3.Connection:
    """Open the file, made or brought up to date first unless it is only to be read.

    Raises:
        DamagedDatabase: it is no database any more.
        SessionError: it can't be opened, or a newer aigc wrote it.
    """
    with failures_told(path):
        if not read_only:
            _make_private(path)
        connection = _connect(path, read_only=read_only)
        try:
            _bring_up_to_date(connection, path, migrations, read_only=read_only)
        except BaseException:
            connection.close()
            raise
        return connection


@contextmanager
def failures_told(path: Path) -> Iterator[None]:
    """Turn what SQLite and the file system raise into a SessionError, or a DamagedDatabase."""
    inode = inode_of(path)
    try:
        yield
    except sqlite3.DatabaseError as error:
        code = getattr(error, "sqlite_errorcode", 0) & _PRIMARY_CODE
        if code in _DAMAGED:
            raise DamagedDatabase(path, inode, str(error)) from error
        raise SessionError(f"{path}: {error}") from error
    except OSError as error:
        raise SessionError(f"{path}: {error.strerror}") from error


def inode_of(path: Path) -> int | None:
    """Which file stands there now; None if none does."""
    with suppress(OSError):
        return path.stat().st_ino
    return None


def move_aside(damaged: DamagedDatabase, now: float) -> Path:
    """Rename a damaged file and its log, so that a new one can begin; gives the new name.

    Raises:
        SessionError: it can't be renamed.
    """
    path = damaged.path
    target = path.with_name(f"{path.name}.damaged-{int(now)}")
    n_tries = 1
    while target.exists():
        n_tries += 1
        target = path.with_name(f"{path.name}.damaged-{int(now)}-{n_tries}")
    with failures_told(path):
        if inode_of(path) != damaged.inode:
            return target  # another process has done it
        for suffix in ("-wal", "-shm", ""):
            with suppress(FileNotFoundError):
                path.with_name(path.name + suffix).rename(target.with_name(target.name + suffix))
    return target


def _make_private(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    # SQLite gives its log files the mode of the database
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    if path.stat().st_mode & 0o077:  # a copy that lets others read
        path.chmod(0o600)


def _connect(path: Path, *, read_only: bool) -> sqlite3.Connection:
    mode = "ro" if read_only else "rw"
    if read_only and not os.access(path.parent, os.W_OK):
        # A WAL file is read through a shared-memory file beside it, which can't be made there; nobody writes.
        mode += "&immutable=1"
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}", uri=True, timeout=BUSY_S, isolation_level=None
    )
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA synchronous = FULL")
    return connection


def _bring_up_to_date(
    connection: sqlite3.Connection, path: Path, migrations: Sequence[str], *, read_only: bool
) -> None:
    version = _version(connection)
    if version > len(migrations):
        raise SessionError(
            f"{path} was written by a newer aigc (version {version}; this one knows {len(migrations)})",
            "update aigc, or keep no sessions: aigc config set history false",
        )
    if read_only:
        if version < len(migrations):
            raise SessionError(f"{path} was written by an older aigc", "chat once with history = true")
        return
    # Changing the mode needs the file alone, and does not wait for it: only the first process does it.
    if connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
        with suppress(sqlite3.OperationalError):
            connection.execute("PRAGMA journal_mode = WAL")
    if version < len(migrations) or not has_text_index(connection):
        with transaction(connection):
            for script in migrations[_version(connection) :]:
                _run(connection, script)
            connection.execute(f"PRAGMA user_version = {len(migrations)}")
            if can_index_text(connection) and not has_text_index(connection):
                _run(connection, _TEXT_INDEX)


def _version(connection: sqlite3.Connection) -> int:
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return version


def can_index_text(connection: sqlite3.Connection) -> bool:
    """Whether this SQLite knows the trigram tokenizer (FTS5, 3.34), which finds Chinese words too."""
    modules = {row[0] for row in connection.execute("SELECT name FROM pragma_module_list")}
    return "fts5" in modules and sqlite3.sqlite_version_info >= (3, 34)


def has_text_index(connection: sqlite3.Connection) -> bool:
    """Whether the file has an index of the texts."""
    found = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'turns_text'").fetchone()
    return found is not None


def _run(connection: sqlite3.Connection, script: str) -> None:
    """Run the statements of a script inside the open transaction, which executescript would end."""
    statement = ""
    for line in script.splitlines():
        statement += f"{line}\n"
        if sqlite3.complete_statement(statement):
            connection.execute(statement)
            statement = ""


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All of it or nothing; the lock is taken at the start, where waiting for it can't end in a deadlock."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        if connection.in_transaction:  # a full disk rolls back by itself
            connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")
