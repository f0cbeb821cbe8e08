"""`aigc config`: the settings in force, where each came from, and the user's own file."""

import json
from dataclasses import fields
from typing import TYPE_CHECKING, Annotated

import typer

from aigc_cli.cli.options import app_context
from aigc_cli.cli.report import note
from aigc_cli.config import Settings
from aigc_cli.errors import ExitCode
from aigc_cli.render.console import sanitize
from aigc_cli.tasks.settings_file import set_in_file, unset_in_file

if TYPE_CHECKING:
    from aigc_cli.config import Value

config_app = typer.Typer(help="Show and change settings.", rich_markup_mode=None)

Key = Annotated[str, typer.Argument(metavar="KEY", help="a name from `aigc config show`")]


@config_app.callback(invoke_without_command=True)
def config(ctx: typer.Context) -> int:
    """Show and change settings; alone: show."""
    return show(ctx) if ctx.invoked_subcommand is None else ExitCode.DONE


@config_app.command()
def show(
    ctx: typer.Context,
    *,
    as_json: Annotated[
        bool, typer.Option("--json", help="one JSON object: value and origin of each")
    ] = False,
) -> int:
    """Every setting, its value, and where the value came from."""
    app = app_context(ctx)
    resolved = app.resolve_settings({})
    names = [f.name for f in fields(Settings)]
    values: dict[str, Value] = {name: getattr(resolved.settings, name) for name in names}
    if as_json:
        table = {name: {"value": values[name], "origin": resolved.origins[name]} for name in names}
        app.stdout.write(json.dumps(table, ensure_ascii=False, indent=2) + "\n")
        return ExitCode.DONE
    texts = {
        name: "unset" if value is None else json.dumps(value, ensure_ascii=False)
        for name, value in values.items()
    }
    width = max(len(text) for text in texts.values())
    name_width = max(map(len, names))
    for name, text in texts.items():
        app.stdout.write(
            sanitize(f"{name:<{name_width}} {text:<{min(width, 40)}} {resolved.origins[name]}") + "\n"
        )
    return ExitCode.DONE


@config_app.command()
def path(ctx: typer.Context) -> int:
    """Where the user's settings file is, whether or not it exists yet."""
    app = app_context(ctx)
    app.stdout.write(f"{app.directories.config_file}\n")
    return ExitCode.DONE


@config_app.command("set")
def set_(ctx: typer.Context, key: Key, value: Annotated[str, typer.Argument(metavar="VALUE")]) -> int:
    """Set one setting in the user's file; comments in it stay."""
    app = app_context(ctx)
    set_in_file(app.directories.config_file, key, value)
    note(app, f"{key} is set in {app.directories.config_file}")
    return ExitCode.DONE


@config_app.command()
def unset(ctx: typer.Context, key: Key) -> int:
    """Take one setting out of the user's file."""
    app = app_context(ctx)
    if unset_in_file(app.directories.config_file, key):
        note(app, f"{key} is no longer set in {app.directories.config_file}")
    else:
        note(app, f"{key} was not set in {app.directories.config_file}")
    return ExitCode.DONE
