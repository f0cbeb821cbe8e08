"""`aigc ask -c`: one more turn of a session, from a script too."""

from collections.abc import Sequence

from aigc_cli.chat.session import Conversation
from aigc_cli.chat.store import Kept
from aigc_cli.cli.context import AppContext
from aigc_cli.cli.inputs import Inputs
from aigc_cli.cli.keeping import Keeping
from aigc_cli.cli.reply import Reply
from aigc_cli.cli.resuming import newest_session, session_called
from aigc_cli.cli.talk import Talk
from aigc_cli.config import Settings
from aigc_cli.engine.base import Constraint, Engine
from aigc_cli.errors import UsageError
from aigc_cli.render.view import View


def session_to_continue(
    app: AppContext, settings: Settings, session_id: str | None, *, newest: bool
) -> Kept | None:
    """The session that a question goes on with; None begins a new one.

    Raises:
        UsageError: two are named.
        SessionError: there is none of this id, or the sessions can't be read.
    """
    if session_id is None:
        return newest_session(app, settings)
    if newest:
        raise UsageError(
            "-c and --resume exclude one another", "-c is the newest session, --resume any other"
        )
    return session_called(app, settings, session_id)


def ask_on(talk: Talk, inputs: Inputs, views: Sequence[View], constraint: Constraint | None = None) -> Reply:
    """Answer a question in the conversation, and keep both.

    Raises:
        ContextOverflow: the question does not fit the window even alone.
    """
    question = talk.conversation.ask(inputs.prompt, inputs.attachments)
    try:
        return talk.exchange(question, views, constraint=constraint)
    finally:
        if talk.keeping:
            talk.keeping.close()


def talk_for(app: AppContext, settings: Settings, engine: Engine, stop: Sequence[str]) -> Talk:
    """A conversation of one question, which nobody sits at and which is kept."""
    return Talk(
        app,
        settings,
        engine,
        interactive=False,
        stop=tuple(stop),
        conversation=Conversation(settings.system),
        keeping=Keeping(app, settings),
    )
