"""Going on with an earlier conversation: which one, and where it stood."""

from collections.abc import Callable
from contextlib import closing

from aigc_cli.chat.store import ID_LENGTH, Kept, SessionStore
from aigc_cli.cli.context import AppContext
from aigc_cli.cli.keeping import open_to_read
from aigc_cli.cli.report import note
from aigc_cli.cli.session_list import age_text, session_lines, shorten
from aigc_cli.cli.talk import Talk
from aigc_cli.config import Settings
from aigc_cli.errors import SessionError, UsageError
from aigc_cli.events import Delta, Done, FinishReason, Stats
from aigc_cli.render.console import window_size
from aigc_cli.render.view import open_view

N_CHOICES = 10
_QUESTION_LINES = 5  # of the last question, to recall it by


def newest_session(app: AppContext, settings: Settings) -> Kept | None:
    """The session that was written to last; None, which is told, if there is none.

    Raises:
        SessionError: the sessions can't be read.
    """
    kept = _read(app, settings, _newest)
    if kept is None:
        note(app, "there is no session yet: a new one begins")
    return kept


def _newest(store: SessionStore) -> Kept | None:
    newest = store.newest()
    return store.load(newest.id) if newest else None


def session_called(app: AppContext, settings: Settings, session_id: str) -> Kept:
    """The session of this id, or of the only id that begins so.

    Raises:
        SessionError: there is none, or there are several, or the sessions can't be read.
    """
    kept = _read(app, settings, lambda store: store.load(store.find(session_id).id))
    if kept is None:
        raise SessionError(f"no session {session_id!r}", "there is no session yet")
    return kept


def chosen_session(app: AppContext, settings: Settings) -> Kept | None:
    """The session that the person chooses from the newest ones; None if there is none, which is told.

    Raises:
        UsageError: nobody is there to choose.
    """
    if not (app.stdin.isatty() and app.stderr.isatty()):
        raise UsageError("--resume without an ID asks which session, and there is no terminal to ask on",
                         "name one of aigc sessions list, or -c for the newest")  # fmt: skip
    kept = _read(app, settings, lambda store: _choose(app, store))
    if kept is None:
        note(app, "there is no session yet: a new one begins")
    return kept


def _choose(app: AppContext, store: SessionStore) -> Kept | None:
    summaries = store.summaries(N_CHOICES)
    if not summaries:
        return None
    number_columns = len(f"{N_CHOICES}. ")
    columns = window_size(app.stderr).columns - number_columns
    for number, line in enumerate(session_lines(summaries, app.now(), columns, header=False), 1):
        app.stderr.write(f"{number:>{number_columns - 2}}. {line}\n")
    app.stderr.write(f"which one? 1 to {len(summaries)}, or an ID; Enter is 1: ")
    app.stderr.flush()
    answer = app.stdin.readline()
    if not answer:
        raise UsageError("no session was chosen", "aigc -c continues the newest")
    word = answer.strip() or "1"
    is_number = word.isascii() and word.isdigit() and len(word) < ID_LENGTH
    if is_number and 1 <= int(word) <= len(summaries):
        return store.load(summaries[int(word) - 1].id)
    return store.load(store.find(word).id)


def _read(app: AppContext, settings: Settings, read: Callable[[SessionStore], Kept | None]) -> Kept | None:
    store = open_to_read(app, settings, lambda text: note(app, text))
    if store is None:
        return None
    with closing(store):
        return read(store)


def go_on(talk: Talk, kept: Kept, system: str | None = None) -> None:
    """Continue a session in this chat, and remind the person of where it stood.

    `system` takes the place of the session's own system prompt.
    """
    talk.conversation = kept.conversation
    if kept.summary.model != talk.engine.info.model:
        talk.conversation.n_hidden = 0  # another window: choose anew what fits
    if talk.keeping:
        talk.keeping.adopt(kept)
        talk.tell_notes()
    if system is not None:
        talk.conversation.system = system
    talk.recount()
    summary, model = kept.summary, talk.engine.info.model
    n_turns = f"{summary.n_turns} turn{'' if summary.n_turns == 1 else 's'}"
    age = age_text(talk.app.now() - summary.updated)
    ago = "just now" if age == "now" else f"{age} ago"
    about = f" ({n_turns}, {ago})"
    room = window_size(talk.app.stderr).columns - len(f"{summary.id}: {about}")
    talk.remark(f"{summary.id}: {shorten(summary.title, max(room, 10))}{about}")
    if talk.interactive:
        _show_last_turn(talk)
    if summary.model != model:
        talk.remark(f"{summary.model} answered so far, from here on {model} does; /model changes it")
    if talk.conversation.question and talk.interactive:
        talk.remark("(the last question got no reply; /retry asks it again)")


def _show_last_turn(talk: Talk) -> None:
    conversation = talk.conversation
    last = conversation.turns[-1] if conversation.turns else None
    question = conversation.question or (last.question if last else None)
    if question is None:
        return
    lines = question.text.splitlines()
    for line in lines[:_QUESTION_LINES]:
        talk.remark(f"> {line}")
    if len(lines) > _QUESTION_LINES:
        talk.remark(f"> … {len(lines) - _QUESTION_LINES:,} more lines")
    if last is None or conversation.question:
        return
    view = open_view(talk.app.stdout, talk.app.env, talk.settings)
    view.show(Delta(last.reply))
    view.show(Done(FinishReason.STOP, Stats()))
    view.close()
    if last.interrupted:
        talk.remark("(interrupted)")
    talk.show("")
