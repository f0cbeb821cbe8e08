"""Keeps one conversation in its session, as it grows."""

from aigc_cli.chat.entries import Entry, entries_of
from aigc_cli.chat.session import Conversation
from aigc_cli.chat.store import Kept, SessionMoved, SessionStore


class Recording:
    """A conversation and the session that it is written to; there is none before the first question.

    Attributes:
        session_id: None as long as there is nothing to keep.
    """

    def __init__(self, store: SessionStore, conversation: Conversation, kept: Kept | None = None) -> None:
        self._store = store
        self.conversation = conversation
        self.session_id = kept.summary.id if kept else None
        self._revision = kept.revision if kept else 0
        self._entries: tuple[Entry, ...] = kept.entries if kept else ()
        self._facts = (conversation.system, conversation.n_hidden)

    def save(self, model: str, growing: str = "") -> str | None:
        """Write what changed; `growing` is the beginning of the reply to the question at work.

        Gives the id of the new session when the old one was continued or removed elsewhere.

        Raises:
            SessionError: it could not be written.
        """
        entries = entries_of(self.conversation, growing)
        facts = (self.conversation.system, self.conversation.n_hidden)
        if entries == self._entries and (facts == self._facts or self.session_id is None):
            return None
        forked = None
        try:
            self._write(entries, model)
        except SessionMoved:
            forked = self.fork(model, growing)
        self._entries, self._facts = entries, facts
        return forked

    def fork(self, model: str, growing: str = "") -> str:
        """Go on in a new session that begins as a copy; gives its id."""
        entries = entries_of(self.conversation, growing)
        forked = self._store.create(self.conversation, entries, model, forked_from=self.session_id)
        self.session_id, self._revision, self._entries = forked, 0, entries
        return forked

    def _write(self, entries: tuple[Entry, ...], model: str) -> None:
        if self.session_id is None:
            self.session_id = self._store.create(self.conversation, entries, model)
            self._revision = 0
        elif not entries:
            self._store.remove(self.session_id)  # every question was taken back
            self.session_id = None
        else:
            change = (self._entries, entries)
            self._revision = self._store.write(
                self.session_id, self._revision, self.conversation, model, change
            )
