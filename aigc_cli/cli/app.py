"""The commands of aigc, and the one error boundary around them."""

import contextlib
import traceback
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from aigc_cli import __version__
from aigc_cli.cli.commands import LazyGroup
from aigc_cli.cli.context import AppContext
from aigc_cli.cli.options import app_context
from aigc_cli.cli.plain_values import HELP_NAMES, convert_plainly
from aigc_cli.cli.report import note, report_error
from aigc_cli.cli.route import route
from aigc_cli.errors import AigcError, ExitCode

if TYPE_CHECKING:
    from aigc_cli.tasks.cookbook import Cookbook

_EPILOG = "A line that starts with no command is a question: aigc 'why is my loop slow?' -f app.py"

# Plain help: Rich's would cost 60 ms at each --help and paints boxes into pipes.
cli = typer.Typer(
    name="aigc",
    cls=LazyGroup,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    epilog=_EPILOG,
    context_settings={"help_option_names": HELP_NAMES},
)


def _show_version(ctx: typer.Context, value: bool) -> None:  # noqa: FBT001  # typer calls it so
    if value:
        app_context(ctx).stdout.write(f"aigc {__version__}\n")
        raise typer.Exit


@cli.callback()
def aigc(
    *,
    version: Annotated[
        bool, typer.Option("-V", "--version", help="print the version", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    """A private coding assistant: a quantized model on your own machine, through llama.cpp."""


def command_group(app: AppContext | None = None) -> LazyGroup:
    """All commands, as typer runs them, with the recipes of this person here; or with the built-in ones."""
    group = typer.main.get_command(cli)
    if not isinstance(group, LazyGroup):
        raise TypeError(f"typer made {group!r} of the commands")
    convert_plainly(group)
    if app:
        group.find_recipes(lambda: _open_cookbook(app))
    return group


def _open_cookbook(app: AppContext) -> "Cookbook":
    from aigc_cli.tasks.cookbook import open_cookbook  # only what is no command of its own needs it

    return open_cookbook(app.directories, app.cwd)


def run(argv: Sequence[str], app: AppContext) -> int:
    """Run one command line and give its exit code; every failure becomes a line on stderr."""
    try:
        return _run_reported(argv, app)
    except BrokenPipeError:
        return ExitCode.BROKEN_PIPE
    except OSError:  # stderr itself can't be written to: nobody is left to tell
        return ExitCode.FAILURE


def _run_reported(argv: Sequence[str], app: AppContext) -> int:
    try:
        code = _dispatch(argv, app)
        app.stdout.flush()  # here, where a full disk or a closed pipe can still be told
    except BrokenPipeError:
        return ExitCode.BROKEN_PIPE
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    except Exception as error:  # noqa: BLE001  # the one boundary: whatever it is, a person reads one line
        if app.env.get("AIGC_DEBUG", "0") not in ("", "0"):
            app.stderr.write("".join(traceback.format_exception(error)))
        message, hint, code = _explain(error)
        report_error(app, message, hint)
    return code


def _dispatch(argv: Sequence[str], app: AppContext) -> int:
    group = command_group(app)
    # typer writes --help and completion scripts to sys.stdout: that is app.stdout in a process, not in a test
    with contextlib.redirect_stdout(app.stdout), contextlib.redirect_stderr(app.stderr):
        if "_AIGC_COMPLETE" in app.env:  # a shell asks for completions; main() answers and exits
            group.main(args=list(argv), prog_name="aigc", standalone_mode=False)
        chosen = route(argv, group, group.commands, stdin_is_terminal=app.stdin.isatty())
        if chosen.note:
            note(app, chosen.note)
        try:
            # not group.main(): that swaps sys.stdout and exits with 1 on a broken pipe
            with group.make_context("aigc", chosen.argv, obj=app) as ctx:
                result = group.invoke(ctx)
        except typer.Exit as leaving:
            return leaving.exit_code
        except SystemExit as leaving:  # typer's way out of --install-completion
            return leaving.code if isinstance(leaving.code, int) else ExitCode.DONE
    return result if isinstance(result, int) else ExitCode.DONE


def _explain(error: Exception) -> tuple[str, str, int]:
    """One line that says what is wrong, one that says what to do next, and the exit code."""
    match error:
        case AigcError():
            return error.message, error.hint, error.exit_code
        case typer.TyperException():
            return _explain_usage(error)
        case typer.Abort():
            return "stopped", "", ExitCode.FAILURE
        case OSError():
            about = f"{error.filename}: " if error.filename else ""
            return f"{about}{error.strerror or error}", "", ExitCode.FAILURE
        case MemoryError():
            return "out of memory", "use a smaller model or context: aigc models list", ExitCode.FAILURE
        case _:
            return (
                f"a bug in aigc: {type(error).__name__}: {error}",
                "AIGC_DEBUG=1 shows the traceback; please report it",
                ExitCode.FAILURE,
            )


def _explain_usage(error: typer.TyperException) -> tuple[str, str, int]:
    text = error.format_message().rstrip(".")
    ctx: typer.Context | None = getattr(error, "ctx", None)
    hint = f"{ctx.command_path} --help" if ctx else "aigc --help"
    if text.startswith("No such option"):
        hint += "; put -- before words that start with a dash"
    return text[:1].lower() + text[1:], hint, ExitCode.USAGE
