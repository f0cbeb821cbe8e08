"""`aigc undo`: takes back what aigc wrote to files, from its private journal."""

from typing import TYPE_CHECKING, Annotated

import typer

from aigc_cli.cli import options
from aigc_cli.cli.context import AppContext
from aigc_cli.cli.options import app_context, setting_options
from aigc_cli.cli.report import note
from aigc_cli.config import Settings
from aigc_cli.errors import ExitCode, FileError, UsageError
from aigc_cli.render.console import sanitize, window_size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aigc_cli.tasks.journal import Change, Journal, Restoring


@setting_options("color")
def undo(
    ctx: typer.Context,
    *,
    number: Annotated[
        int | None, typer.Argument(metavar="[ID]", help="a change of --list; the newest here when left out")
    ] = None,
    list_: Annotated[bool, typer.Option("--list", help="list the changes that are kept")] = False,
    redo: Annotated[bool, typer.Option("--redo", help="make the change again that was undone last")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="also where a file was changed since; that is lost then")
    ] = False,
    flags: options.Flags,
) -> int:
    """Undo the last change that aigc made to files in this directory or below; again, the one before."""
    from aigc_cli.tasks.journal import Journal  # SQLite: --help must not pay for it

    app = app_context(ctx)
    journal = Journal(app.directories.state, app.now)
    if list_:
        return _list(app, journal)
    change = _chosen(app, journal, number, redo=redo)
    plan = journal.plan(change, redo=redo)
    changed = [each for each in plan if each.has_changed]
    if changed and not force:
        _show_since(app, app.resolve_settings(flags).settings, changed)
        names = ", ".join(_name(app, each) for each in changed)
        raise FileError(
            f"{names} was changed since; nothing is written", "--force gives that up, as shown above"
        )
    journal.restore(change, plan, redo=redo)
    for each in plan:
        what = "removed" if each.wanted is None else "as it was before" if not redo else "changed again"
        note(app, f"{_name(app, each)}: {what}")
    note(app, f"{'done again' if redo else 'undone'}: {change.command}")
    return ExitCode.DONE


def _chosen(app: AppContext, journal: "Journal", number: int | None, *, redo: bool) -> "Change":
    if number is None:
        return journal.to_redo(app.cwd) if redo else journal.to_undo(app.cwd)
    change = next((each for each in journal.changes() if each.id == number), None)
    if change is None:
        raise UsageError(f"no change has the ID {number}", "aigc undo --list")
    if change.is_undone is not redo:
        raise UsageError(
            f"change {number} is {'undone already' if change.is_undone else 'not undone'}", "aigc undo --list"
        )
    return change


def _name(app: AppContext, restoring: "Restoring") -> str:
    path = restoring.path
    place = app.cwd.resolve()
    return str(path.relative_to(place) if path.is_relative_to(place) else path)


def _list(app: AppContext, journal: "Journal") -> int:
    from datetime import UTC, datetime

    columns = window_size(app.stdout).columns - 1 if app.stdout.isatty() else None
    changes = journal.changes()
    if not changes:
        note(app, "there are no changes")
    for change in changes:
        when = datetime.fromtimestamp(change.time, UTC).astimezone().strftime("%Y-%m-%d %H:%M")
        state = "undone" if change.is_undone else "" if change.is_done else "interrupted"
        files = ", ".join(str(path) for path in change.paths)
        line = sanitize(f"{change.id:>4}  {when}  {state:<11}  {' '.join(change.command.split())}  {files}")
        app.stdout.write(_cut(line, columns) + "\n")
    return ExitCode.DONE


def _cut(line: str, columns: int | None) -> str:
    if columns is None:
        return line
    from aigc_cli.render.spans import Paint
    from aigc_cli.render.wrap import chop  # rich, where there is Chinese

    return "".join(paint.text for paint in chop([Paint(line, "")], columns)[0])


def _show_since(app: AppContext, settings: Settings, changed: "Sequence[Restoring]") -> None:
    """What --force would lose: the difference between what aigc left and what is there now."""
    from aigc_cli.cli.edit_review import Proposal, show_diff

    for each in changed:
        left, now = (_text(content) for content in (each.expected, each.current))
        show_diff(app, settings, app.stderr, Proposal(_name(app, each), left, now))


def _text(content: bytes | None) -> str:
    return (content or b"").decode("utf-8", "replace")
