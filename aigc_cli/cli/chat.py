"""`aigc chat`: a conversation in the terminal, or line by line from a pipe."""

import shlex
from typing import Annotated

import typer

from aigc_cli.chat.session import Conversation
from aigc_cli.cli.options import ENGINE, SAMPLING, VIEW, Flags, Stop, app_context, setting_options
from aigc_cli.cli.prompt import PromptSource, Reader, open_reader
from aigc_cli.cli.repl import run_repl
from aigc_cli.cli.slash import candidates
from aigc_cli.cli.slash_actions import attach
from aigc_cli.cli.talk import Talk
from aigc_cli.cli.terminal_mode import keys_kept_quiet

Attached = Annotated[
    list[str] | None,
    typer.Option(
        "-f", "--file", metavar="PATH", help="a file, or 'glob/**/*.py', for the first question; repeatable"
    ),
]


@setting_options(*ENGINE, "system", *SAMPLING, *VIEW, "history")
def chat(ctx: typer.Context, *, flags: Flags, files: Attached = None, stop: Stop = None) -> int:
    """Talk with the model: it remembers the conversation; /help lists the commands.

    From a pipe each line is a question or a command.
    """
    app = app_context(ctx)
    settings = app.resolve_settings(flags).settings
    with keys_kept_quiet(app):
        talk = Talk(
            app,
            settings,
            app.open_engine(settings),
            stop=tuple(stop or ()),
            conversation=Conversation(settings.system),
        )
        try:
            for name in files or ():
                attach(talk, shlex.quote(name))
            return run_repl(talk, _reader(talk))
        finally:
            talk.engine.close()


def _reader(talk: Talk) -> Reader:
    """Where this chat's lines come from; a person is told what they talk with."""
    source = PromptSource(lambda text: candidates(talk, text), talk.status)
    reader = open_reader(talk.app, talk.settings, source)
    talk.interactive = reader.interactive
    if reader.interactive:
        info = talk.engine.info
        talk.remark(
            f"{info.model}, a window of {info.n_ctx:,} tokens. /help lists the commands, Ctrl-D leaves."
        )
    return reader
