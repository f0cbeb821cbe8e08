"""Keeps a chat's conversation among the sessions, and never stands in the chat's way.

A failure (a full disk, a file of a newer version) is told once, and this conversation is kept no further.
"""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from aigc_cli.chat.database import DamagedDatabase, move_aside
from aigc_cli.chat.recording import Recording
from aigc_cli.chat.session import Conversation
from aigc_cli.chat.store import FILE_NAME, Kept, SessionStore
from aigc_cli.cli.context import AppContext
from aigc_cli.config import Settings
from aigc_cli.errors import SessionError
from aigc_cli.events import Delta, Event

SAVE_EVERY_S = 0.5  # kill -9 and a power cut lose less than a second of a reply

Tell = Callable[[str], None]


def sessions_file(app: AppContext) -> Path:
    """Where the sessions are."""
    return app.directories.data / FILE_NAME


def open_store(app: AppContext, tell: Tell) -> SessionStore:
    """The sessions, to read and write; a damaged file is moved aside, and a new one begins.

    Raises:
        SessionError: they can't be opened.
    """
    path = sessions_file(app)
    try:
        return SessionStore(path, app.now)
    except DamagedDatabase as damaged:
        _move_aside(damaged, app, tell)
        return SessionStore(path, app.now)


def open_to_read(app: AppContext, settings: Settings, tell: Tell) -> SessionStore | None:
    """The sessions, to be read; None if there are none yet. Without history the file stays as it is.

    Raises:
        SessionError: they can't be opened.
    """
    path = sessions_file(app)
    if not path.exists():
        return None
    return open_as_possible(app, tell) if settings.history else SessionStore(path, app.now, read_only=True)


def open_as_possible(app: AppContext, tell: Tell) -> SessionStore:
    """The sessions, to read and write; on a disk that can't be written to, to read.

    Raises:
        SessionError: they can't even be read.
    """
    try:
        return open_store(app, tell)
    except SessionError as failure:
        with suppress(SessionError):
            return SessionStore(sessions_file(app), app.now, read_only=True)
        raise failure from None


def _move_aside(damaged: DamagedDatabase, app: AppContext, tell: Tell) -> None:
    target = move_aside(damaged, app.now())
    tell(f"the file of the sessions is damaged; it was moved to {target}, and a new one begins")


class Keeping:
    """Writes the conversation at work to its session.

    Attributes:
        is_on: whether conversations are kept; a failure ends it.
    """

    def __init__(self, app: AppContext, settings: Settings) -> None:
        self._app = app
        self._notes: list[str] = []
        self._store: SessionStore | None = None
        self._recording: Recording | None = None
        self.is_on = settings.history

    @property
    def session_id(self) -> str | None:
        """The session at work, if anything of it is kept."""
        return self._recording.session_id if self._recording else None

    def take_notes(self) -> list[str]:
        """What the person should know and was not told yet: in the middle of a reply is no place for it."""
        notes, self._notes = self._notes, []
        return notes

    def close(self) -> None:
        """Let go of the file."""
        if self._store:
            self._store.close()
        self._store = self._recording = None

    def adopt(self, kept: Kept) -> None:
        """Go on in the session that this conversation was read from."""
        if store := self._opened():
            self._recording = Recording(store, kept.conversation, kept)

    def save(self, conversation: Conversation, model: str, growing: str = "") -> None:
        """Write what changed since the last time."""
        try:
            forked = self._save(conversation, model, growing)
        except DamagedDatabase as damaged:
            self._begin_anew(damaged, conversation, model, growing)
        except SessionError as error:
            self._give_up(error)
        else:
            if forked:
                self._notes.append(f"this session went on elsewhere: here it goes on as a fork, {forked}")

    def fork(self, conversation: Conversation, model: str) -> str | None:
        """Go on in a copy; gives its id, or None if nothing is kept."""
        self.save(conversation, model)
        if self._recording is None or self._recording.session_id is None:
            return None
        try:
            return self._recording.fork(model)
        except SessionError as error:
            self._give_up(error)
            return None

    def _save(self, conversation: Conversation, model: str, growing: str) -> str | None:
        if self._recording is None or self._recording.conversation is not conversation:
            store = self._opened()
            self._recording = Recording(store, conversation) if store else None
        return self._recording.save(model, growing) if self._recording else None

    def _begin_anew(
        self, damaged: DamagedDatabase, conversation: Conversation, model: str, growing: str
    ) -> None:
        self.close()
        try:
            _move_aside(damaged, self._app, self._notes.append)
            self._save(conversation, model, growing)
        except SessionError as error:
            self._give_up(error)

    def _opened(self) -> SessionStore | None:
        if self._store is None and self.is_on:
            try:
                self._store = open_store(self._app, self._notes.append)
            except SessionError as error:
                self._give_up(error)
        return self._store

    def _give_up(self, error: SessionError) -> None:
        self.is_on = False
        self.close()
        self._notes.append(f"this conversation is not being kept: {error.message}")


class Growth:
    """A view that saves what was said so far each half second, and has it when a reply breaks off."""

    def __init__(self, save: Callable[[str], None], clock: Callable[[], float]) -> None:
        self.text = ""
        self._save = save
        self._clock = clock
        self._saved_at: float | None = None

    def show(self, event: Event) -> None:
        """Take in one event."""
        if not isinstance(event, Delta):
            return
        self.text += event.text
        now = self._clock()
        if self._saved_at is None or now - self._saved_at >= SAVE_EVERY_S:
            self._save(self.text)
            self._saved_at = now

    def close(self) -> None:
        """Nothing is left to do at the end: the whole reply is saved as a turn."""
