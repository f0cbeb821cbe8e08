"""`aigc chat`: a conversation in the terminal, or line by line from a pipe."""

from typing import Annotated

import typer

from aigc_cli.cli.options import ENGINE, SAMPLING, VIEW, Flags, Stop, app_context, setting_options

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
    from aigc_cli.cli.repl import start_chat  # the chat and its commands: 20 ms that --help must not pay

    app = app_context(ctx)
    return start_chat(app, app.resolve_settings(flags).settings, tuple(files or ()), tuple(stop or ()))
