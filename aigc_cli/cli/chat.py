"""`aigc chat`: a conversation in the terminal, or line by line from a pipe."""

import typer

from aigc_cli.chat.session import Conversation
from aigc_cli.cli import slash
from aigc_cli.cli.options import ENGINE, SAMPLING, VIEW, Files, Flags, Stop, app_context, setting_options
from aigc_cli.cli.prompt import PromptSource, open_reader
from aigc_cli.cli.repl import run_repl
from aigc_cli.cli.slash_actions import attach
from aigc_cli.cli.talk import Talk, open_engine


@setting_options(*ENGINE, "system", *SAMPLING, *VIEW, "history")
def chat(ctx: typer.Context, *, flags: Flags, files: Files = None, stop: Stop = None) -> int:
    """Talk with the model: it remembers the conversation; /help lists the commands.

    From a pipe each line is a question or a command.
    """
    app = app_context(ctx)
    settings = app.resolve_settings(flags).settings
    engine = open_engine(app, settings)
    talk = Talk(app, settings, engine, stop=tuple(stop or ()), conversation=Conversation(settings.system))
    try:
        for name in files or ():
            attach(talk, name)
        reader = open_reader(
            app, settings, PromptSource(lambda text: slash.candidates(talk, text), talk.status)
        )
        talk.interactive = reader.interactive
        if reader.interactive:
            info = talk.engine.info
            talk.remark(
                f"{info.model}, a window of {info.n_ctx:,} tokens. /help lists the commands, Ctrl-D leaves."
            )
        return run_repl(talk, reader)
    finally:
        talk.engine.close()
