"""`aigc chat`: a conversation in the terminal, or line by line from a pipe."""

from typing import TYPE_CHECKING, Annotated

import typer

from aigc_cli.cli.context import AppContext
from aigc_cli.cli.options import (
    ENGINE,
    RESIDENT,
    SAMPLING,
    VIEW,
    Continue,
    Flags,
    Stop,
    app_context,
    setting_options,
)
from aigc_cli.config import Settings
from aigc_cli.errors import UsageError

if TYPE_CHECKING:
    from aigc_cli.chat.store import Kept

Attached = Annotated[
    list[str] | None,
    typer.Option(
        "-f", "--file", metavar="PATH", help="a file, or 'glob/**/*.py', for the first question; repeatable"
    ),
]


Session = Annotated[
    str | None,
    typer.Argument(metavar="[ID]", help="with --resume: the session; the beginning of its id will do"),
]
Resume = Annotated[
    bool, typer.Option("--resume", help="go on with the session ID; without one, choose from the newest")
]


@setting_options(*ENGINE, *RESIDENT, "system", *SAMPLING, *VIEW, "history")
def chat(
    ctx: typer.Context,
    *,
    session: Session = None,
    continue_: Continue = False,
    resume: Resume = False,
    flags: Flags,
    files: Attached = None,
    stop: Stop = None,
) -> int:
    """Talk with the model: it remembers the conversation; /help lists the commands.

    From a pipe each line is a question or a command.
    """
    from aigc_cli.cli.repl import (
        Start,
        start_chat,
    )  # the chat and its commands: 20 ms that --help must not pay

    app = app_context(ctx)
    settings = app.resolve_settings(flags).settings
    kept = _kept(app, settings, session, continue_=continue_, resume=resume)
    system = settings.system if flags["system"] is not None else None
    return start_chat(app, settings, Start(tuple(files or ()), tuple(stop or ()), kept, system))


def _kept(
    app: AppContext, settings: Settings, session: str | None, *, continue_: bool, resume: bool
) -> "Kept | None":
    """The session to go on with."""
    from aigc_cli.cli import resuming  # sqlite3, as above

    if continue_ and resume:
        raise UsageError(
            "-c and --resume exclude one another", "-c is the newest session, --resume any other"
        )
    if session is not None and not resume:
        raise UsageError(
            f"a chat takes no question on its line: {session!r}",
            f"aigc ask {session!r}, or --resume with an ID",
        )
    if session is not None:
        return resuming.session_called(app, settings, session)
    if resume:
        return resuming.chosen_session(app, settings)
    return resuming.newest_session(app, settings) if continue_ else None
