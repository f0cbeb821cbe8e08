"""Conversations on disk: each is a session with an id, found again by its newest word or any word in it.

A session is written by one chat at a time. Each write says which revision it goes on from: a chat whose
session was continued elsewhere in the meantime learns of it and starts a session of its own.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from aigc_cli.chat.database import (
    MIGRATIONS,
    failures_told,
    has_text_index,
    open_database,
    transaction,
)
from aigc_cli.chat.entries import Entry, State, conversation_of, pack_files, unpack_question
from aigc_cli.chat.prompt import well_formed
from aigc_cli.chat.session import Conversation
from aigc_cli.errors import SessionError
from aigc_cli.events import FinishReason

FILE_NAME = "sessions.db"
ID_LENGTH = 8
_ID_CHARACTERS = "0123456789abcdefghjkmnpqrstvwxyz"  # 32, none that is taken for another: no i, l, o, u
_TRIGRAM = 3  # characters; the text index knows no shorter words
_TITLE_CHARACTERS = 200
_EXCERPT_BEFORE, _EXCERPT_CHARACTERS = 30, 160

# A session's title is its first question, unless the person gave it one.
_SUMMARY = f"""
    SELECT s.id, coalesce(s.title, (
            SELECT substr(question, 1, {4 * _TITLE_CHARACTERS}) FROM turns
            WHERE session_id = s.id AND position = 0)) AS title,
        s.model, (SELECT count(*) FROM turns WHERE session_id = s.id AND NOT sums_up) AS n_turns,
        s.created, s.updated, s.forked_from
    FROM sessions AS s
"""  # noqa: S608  # all of it is this module's own
LIST = f"{_SUMMARY} ORDER BY s.updated DESC, s.rowid DESC LIMIT ?"
BY_ID = f"{_SUMMARY} WHERE s.id >= ?1 AND s.id < ?1 || '~' ORDER BY s.updated DESC"
LOAD = """
    SELECT state, finish_reason, sums_up, question, files, reply FROM turns
    WHERE session_id = ? ORDER BY position
"""
_SEARCH_INDEXED = f"""
    {_SUMMARY} WHERE s.id IN (
        SELECT session_id FROM turns AS t WHERE t.id IN (
            SELECT rowid FROM turns_text WHERE turns_text MATCH ?) {{short}}
        UNION SELECT id FROM sessions WHERE title IS NOT NULL {{title}})
    ORDER BY s.updated DESC, s.rowid DESC LIMIT ?
"""  # noqa: S608  # all of it is this module's own
# Newest first, so that the limit ends it early: short words are in no index, common ones nearly everywhere.
_SEARCH_NEWEST = f"""
    {_SUMMARY} WHERE EXISTS (SELECT 1 FROM turns AS t WHERE t.session_id = s.id {{indexed}} {{short}})
        OR (s.title IS NOT NULL {{title}})
    ORDER BY s.updated DESC, s.rowid DESC LIMIT ?
"""  # noqa: S608  # all of it is this module's own
_INDEXED = " AND t.id IN (SELECT rowid FROM turns_text WHERE turns_text MATCH ?)"
_COUNT_MATCHES = "SELECT count(*) FROM (SELECT 1 FROM turns_text WHERE turns_text MATCH ? LIMIT ?)"
# Turns that hold a common word. Looking up the session of each and sorting them took 70 ms for 40,000.
N_COMMON = 1000
_HOLDS = r" AND (t.question LIKE ? ESCAPE '\' OR t.reply LIKE ? ESCAPE '\')"
_TITLE_HOLDS = r" AND title LIKE ? ESCAPE '\'"


class SessionMoved(SessionError):
    """Another chat has written to the session, or it was removed, since this one read it."""


@dataclass(frozen=True, slots=True)
class Summary:
    """One session in a list.

    Attributes:
        title: one line.
        model: the one that answered last.
        created: seconds since 1970; `updated` too.
        forked_from: id of the session that this one is a copy of, as long as there is one.
    """

    id: str
    title: str
    model: str
    n_turns: int
    created: float
    updated: float
    forked_from: str | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """A session that a search found, and the text around the words."""

    summary: Summary
    excerpt: str


@dataclass(frozen=True, slots=True)
class Kept:
    """A session as it was read.

    Attributes:
        revision: what a write must go on from.
    """

    summary: Summary
    conversation: Conversation
    entries: tuple[Entry, ...]
    revision: int


class SessionStore:
    """The sessions in one file. Every method raises SessionError, or DamagedDatabase, when SQLite fails."""

    def __init__(
        self,
        path: Path,
        now: Callable[[], float],
        *,
        read_only: bool = False,
        migrations: Sequence[str] = MIGRATIONS,
    ) -> None:
        self.path = path
        self._now = now
        self._connection = open_database(path, read_only=read_only, migrations=migrations)
        self._has_index = has_text_index(self._connection)

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    def summaries(self, limit: int | None = None) -> list[Summary]:
        """The newest sessions, or all."""
        return self._select(LIST, (-1 if limit is None else limit,))

    def search(self, query: str, limit: int | None = None) -> list[Found]:
        """Sessions with a turn, or a title, that holds all the words; the newest first."""
        words = well_formed(query).split()
        if not words:
            return []
        sql, values = self.search_statement(words)
        found = self._select(sql, (*values, -1 if limit is None else limit))
        return [Found(summary, self._excerpt(summary, words)) for summary in found]

    def search_statement(self, words: Sequence[str]) -> tuple[str, list[str]]:
        """The SQL of a search, and its values but the limit."""
        indexed = [word for word in words if self._has_index and len(word) >= _TRIGRAM]
        short = [word for word in words if word not in indexed]
        holds = [pattern for word in short for pattern in (_like(word), _like(word))]
        titles = [_like(word) for word in words]
        phrases = [" ".join('"' + word.replace('"', '""') + '"' for word in indexed)] if indexed else []
        is_rare = indexed and self._n_matches(phrases[0]) < N_COMMON
        sql = (_SEARCH_INDEXED if is_rare else _SEARCH_NEWEST).format(
            indexed=_INDEXED if indexed else "",
            short=_HOLDS * len(short),
            title=_TITLE_HOLDS * len(words),
        )
        return sql, [*phrases, *holds, *titles]

    def _n_matches(self, phrase: str) -> int:
        """How many turns hold it; counted up to `N_COMMON`."""
        with self._told():
            count: int = self._connection.execute(_COUNT_MATCHES, (phrase, N_COMMON)).fetchone()[0]
        return count

    def find(self, prefix: str) -> Summary:
        """The session whose id begins so.

        Raises:
            SessionError: none does, or several do.
        """
        folded = prefix.strip().lower()
        matches = self._select(BY_ID, (folded,)) if folded.isascii() and folded.isalnum() else []
        if not matches:
            raise SessionError(f"no session {prefix!r}", "aigc sessions list")
        if len(matches) > 1:
            names = ", ".join(summary.id for summary in matches[:5])
            raise SessionError(f"{len(matches)} sessions begin with {prefix!r}", f"one of them: {names}")
        return matches[0]

    def newest(self) -> Summary | None:
        """The session that was written to last."""
        return next(iter(self.summaries(1)), None)

    def load(self, session_id: str) -> Kept:
        """A session with its whole conversation, exactly as it was."""
        summary = self.find(session_id)
        with self._told():
            # one transaction, so that the revision belongs to the turns
            self._connection.execute("BEGIN")
            try:
                revision, system, n_hidden = self._connection.execute(
                    "SELECT revision, system, n_hidden FROM sessions WHERE id = ?", (summary.id,)
                ).fetchone() or (None, None, 0)
                entries = tuple(map(_entry, self._connection.execute(LOAD, (summary.id,))))
            finally:
                self._connection.execute("COMMIT")
        if revision is None:
            raise SessionError(f"no session {session_id!r}", "aigc sessions list")
        return Kept(summary, conversation_of(entries, system, n_hidden), entries, revision)

    def create(
        self,
        conversation: Conversation,
        entries: Iterable[Entry],
        model: str,
        forked_from: str | None = None,
    ) -> str:
        """Keep a conversation as a new session; gives its id."""
        session_id = "".join(_ID_CHARACTERS[byte % len(_ID_CHARACTERS)] for byte in os.urandom(ID_LENGTH))
        now = self._now()
        with self._told(), transaction(self._connection):
            self._connection.execute(
                "INSERT INTO sessions (id, model, system, created, updated, revision, n_hidden, forked_from)"
                " VALUES (?, ?, ?, ?, ?, 0, ?, (SELECT id FROM sessions WHERE id = ?))",
                (
                    session_id,
                    model,
                    _system(conversation),
                    now,
                    now,
                    conversation.n_hidden,
                    forked_from,
                ),
            )
            self._change(session_id, (), tuple(entries))
        return session_id

    def write(
        self,
        session_id: str,
        revision: int,
        conversation: Conversation,
        model: str,
        change: tuple[Sequence[Entry], Sequence[Entry]],
    ) -> int:
        """Bring a session from the entries it has to those it shall have; gives the new revision.

        Raises:
            SessionMoved: it is not at this revision; nothing was written.
        """
        with self._told(), transaction(self._connection):
            updated = self._connection.execute(
                "UPDATE sessions SET model = ?, system = ?, n_hidden = ?, updated = ?, revision = ?"
                " WHERE id = ? AND revision = ?",
                (
                    model,
                    _system(conversation),
                    conversation.n_hidden,
                    self._now(),
                    revision + 1,
                    session_id,
                    revision,
                ),
            )
            if updated.rowcount == 0:
                raise SessionMoved("the session was continued or removed elsewhere")
            self._change(session_id, *change)
        return revision + 1

    def rename(self, session_id: str, title: str) -> None:
        """Give a session a title; an empty one is its first question again."""
        line = well_formed(one_line(title)) or None
        with self._told(), transaction(self._connection):
            self._connection.execute("UPDATE sessions SET title = ? WHERE id = ?", (line, session_id))

    def remove(self, session_id: str) -> None:
        """Delete a session with all that was said in it."""
        with self._told(), transaction(self._connection):
            self._connection.execute("DELETE FROM sessions WHERE id = ?", (session_id,))

    def explain(self, sql: str, values: Sequence[object]) -> list[str]:
        """How SQLite goes about a statement: which table it scans, which index it uses."""
        with self._told():
            rows = self._connection.execute(f"EXPLAIN QUERY PLAN {sql}", values).fetchall()
        return [row[3] for row in rows]

    def _change(self, session_id: str, before: Sequence[Entry], after: Sequence[Entry]) -> None:
        now = self._now()
        for position, (old, new) in enumerate(zip_longest(before, after)):
            place = (session_id, position)
            if new is None:
                self._connection.execute("DELETE FROM turns WHERE session_id = ? AND position = ?", place)
            elif old is None:
                self._connection.execute(
                    "INSERT INTO turns (state, finish_reason, answered, sums_up, question, files, reply,"
                    " asked, session_id, position) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (*_columns(new, now), now, *place),
                )
            elif old != new:
                self._connection.execute(
                    "UPDATE turns SET state = ?, finish_reason = ?, answered = ?, sums_up = ?, question = ?,"
                    " files = ?, reply = ? WHERE session_id = ? AND position = ?",
                    (*_columns(new, now), *place),
                )

    def _select(self, sql: str, values: Sequence[object]) -> list[Summary]:
        with self._told():
            rows = self._connection.execute(sql, values).fetchall()
        return [Summary(row[0], one_line(row[1] or ""), *row[2:]) for row in rows]

    def _excerpt(self, summary: Summary, words: Sequence[str]) -> str:
        """The text around the first word, from the first turn that holds them all."""
        with self._told():
            rows = self._connection.execute(LOAD, (summary.id,)).fetchall()
        folded = [word.casefold() for word in words]
        for *_, question, _files, reply in rows:
            text = " ".join(f"{question} {reply}".split())
            # folding can change the length of a text: found places are approximate there, and good enough
            if all(word in text.casefold() for word in folded):
                start = max(0, text.casefold().index(folded[0]) - _EXCERPT_BEFORE)
                return ("…" if start else "") + text[start : start + _EXCERPT_CHARACTERS]
        return ""

    @contextmanager
    def _told(self) -> Iterator[None]:
        with failures_told(self.path):
            yield


def one_line(text: str) -> str:
    """The first line that says something, short enough for a list."""
    line = next((line for line in text.splitlines() if line.strip()), "")
    return " ".join(line.split())[:_TITLE_CHARACTERS]


def _entry(row: tuple[str, str | None, int, str, str, str]) -> Entry:
    state, reason, sums_up, question, files, reply = row
    finish_reason = FinishReason(reason) if reason else None
    return Entry(unpack_question(question, files), reply, State(state), finish_reason, bool(sums_up))


def _columns(entry: Entry, now: float) -> tuple[object, ...]:
    return (
        entry.state,
        entry.finish_reason,
        None if entry.state in (State.ASKED, State.REPLYING) else now,
        entry.sums_up,
        well_formed(entry.question.text),
        pack_files(entry.question),
        well_formed(entry.reply),
    )


def _system(conversation: Conversation) -> str | None:
    return None if conversation.system is None else well_formed(conversation.system)


def _like(word: str) -> str:
    escaped = word.replace("\\", "\\\\").replace("%", r"\%").replace("_", r"\_")
    return f"%{escaped}%"
