"""`aigc edit`: a file changed as an instruction says, checked, shown, and written after a yes."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from aigc_cli.chat.prompt import sampling_from
from aigc_cli.cli import options
from aigc_cli.cli.change_options import CheckEach, DryRunDiff, NoGuards, Symbol, Yes
from aigc_cli.cli.context import AppContext
from aigc_cli.cli.edit_files import EditWish, edit_files, refuse_unanswered
from aigc_cli.cli.inputs import read_inputs
from aigc_cli.cli.options import app_context, setting_options
from aigc_cli.engine.base import Sampling
from aigc_cli.errors import ExitCode, UsageError
from aigc_cli.tasks.workspace import named_path

if TYPE_CHECKING:
    from aigc_cli.chat.prompt import Attachment
    from aigc_cli.tasks.edit import EditTask


@setting_options("system", *options.ENGINE, *options.SAMPLING, *options.VIEW)
def edit(
    ctx: typer.Context,
    *,
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="FILE... INSTRUCTION", help="what to change, or lines of it (FILE:10-40), and how"
        ),
    ] = None,
    symbol: Symbol = None,
    file: options.Files = None,
    check: CheckEach = None,
    yes: Yes = False,
    dry_run: DryRunDiff = False,
    no_guards: NoGuards = False,
    no_stdin: options.NoStdin = False,
    flags: options.Flags,
) -> int:
    """Change files as an instruction says: shows a diff, asks, writes. aigc undo takes it back."""
    from aigc_cli.tasks.checks import refuse_missing_program
    from aigc_cli.tasks.edit_targets import edit_tasks  # difflib and the parsers: not for --help

    app = app_context(ctx)
    names, instruction = _split(app, words or [])
    can_ask = app.stdin.isatty() and app.stderr.isatty()
    refuse_unanswered("edit", can_ask=can_ask, yes=yes, dry_run=dry_run)
    settings = app.resolve_settings(flags).settings
    sampling_from(settings, Sampling())  # a bad value is told before a model is loaded
    tasks = edit_tasks(names, instruction, symbol, app.cwd)
    inputs = read_inputs(app, [instruction], file or [], no_stdin=no_stdin)
    tasks = [_with_inputs(task, inputs.prompt, inputs.attachments) for task in tasks]
    if check is not None:
        refuse_missing_program(check, app.env)
    wish = EditWish(settings, "edit", inputs.prompt, check, not no_guards, yes, dry_run)
    edit_files(app, tasks, wish)
    return ExitCode.DONE


def _split(app: AppContext, words: Sequence[str]) -> tuple[list[str], str]:
    """The files, and the instruction that comes last."""
    if len(words) < 2:  # noqa: PLR2004  # a file and an instruction
        raise UsageError("edit needs a file and an instruction", "aigc edit app.py 'rename f to parse'")
    *names, instruction = words
    if not instruction.strip():
        raise UsageError("the instruction is empty", "aigc edit app.py 'rename f to parse'")
    if instruction != "-" and " " not in instruction and named_path(instruction, app.cwd).is_file():
        raise UsageError(
            f"what shall be changed? {instruction!r} is a file",
            "the instruction comes last: 'rename f to parse'",
        )
    return names, instruction


def _with_inputs(task: "EditTask", instruction: str, attachments: "tuple[Attachment, ...]") -> "EditTask":
    return replace(task, instruction=instruction, context=(*attachments, *task.context))
