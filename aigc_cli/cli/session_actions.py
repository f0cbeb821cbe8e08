"""What /sessions, /resume and /fork do; slash.py names them."""

from contextlib import closing
from typing import TYPE_CHECKING

from aigc_cli.chat.store import SessionStore
from aigc_cli.cli.keeping import open_to_read
from aigc_cli.cli.resuming import N_CHOICES, go_on, session_called
from aigc_cli.cli.session_list import session_lines
from aigc_cli.cli.talk import Talk
from aigc_cli.errors import SessionError, UsageError
from aigc_cli.render.console import window_size

if TYPE_CHECKING:
    from aigc_cli.chat.store import Found, Summary

_N_COMPLETED = 50


def list_sessions(talk: Talk, argument: str) -> None:
    """Show the newest sessions, or those that hold these words."""
    store = _opened(talk)
    found: list[Summary | Found] = []
    if store:
        with closing(store):
            found += store.search(argument, N_CHOICES) if argument else store.summaries(N_CHOICES)
    if not found:
        talk.show(f"no session holds {argument!r}" if argument else "no session yet")
        return
    columns = window_size(talk.app.stderr).columns
    talk.show("\n".join(session_lines(found, talk.app.now(), columns)))
    talk.remark("/resume ID goes on with one of them")


def resume(talk: Talk, argument: str) -> str | None:
    """Go on with another session; without an id, show which there are."""
    if not argument:
        list_sessions(talk, "")
        return "/resume "
    kept = session_called(talk.app, talk.settings, argument)
    if talk.keeping and kept.summary.id == talk.keeping.session_id:
        raise UsageError("this is the session at work", "/sessions lists the others")
    go_on(talk, kept)
    return None


def fork(talk: Talk, _argument: str) -> None:
    """Go on in a copy of this session; the old one stays as it is."""
    if not talk.conversation.turns:
        raise UsageError("there is nothing to fork yet", "ask a question first")
    old = talk.keeping.session_id if talk.keeping else None
    new = talk.keeping.fork(talk.conversation, talk.engine.info.model) if talk.keeping else None
    if new is None:
        raise SessionError("this conversation is not kept, so there is nothing to fork", "/save chat.json")
    talk.remark(f"from here on this is {new}; /resume {old} goes back")


def session_ids(talk: Talk, _argument: str) -> list[str]:
    """The newest sessions, for completion; none while they can't be read."""
    try:
        store = _opened(talk)
        if store is None:
            return []
        with closing(store):
            return [summary.id for summary in store.summaries(_N_COMPLETED)]
    except SessionError:
        return []


def _opened(talk: Talk) -> SessionStore | None:
    return open_to_read(talk.app, talk.settings, talk.remark)
