"""`aigc recipes`: which there are, what they say, and a new one to fill in."""

from typing import Annotated

import typer

from aigc_cli.cli.options import app_context
from aigc_cli.cli.report import note
from aigc_cli.errors import AigcError, ConfigError, ExitCode, UsageError
from aigc_cli.render.console import sanitize
from aigc_cli.tasks.cookbook import open_cookbook, project_folder, user_folder
from aigc_cli.tasks.recipe import NAME, Origin
from aigc_cli.tasks.workspace import refuse_bad_target, write_atomic

recipes_app = typer.Typer(help="Questions kept as files; each is a command.", no_args_is_help=True)
_Name = Annotated[str, typer.Argument(metavar="NAME", help="the recipe's name")]

TEMPLATE = """---
help: what the recipe is for, in one line
arguments:
  - {{name: what, help: what it works on, option: false}}
  - {{name: tone, help: how it shall sound, default: plain, choices: [plain, formal]}}
output: text
sampling: {{temperature: 0.3}}
---
This is the question of the recipe {name}; the files that are named on the line go with it.
Write about {{{{ what or "the attached text" }}}} in a {{{{ tone }}}} tone.
"""


@recipes_app.command("list")
def list_recipes(ctx: typer.Context) -> int:
    """List the recipes, where each comes from, and what it is for."""
    app = app_context(ctx)
    cookbook = open_cookbook(app.directories, app.cwd)
    for name, shelf in sorted(cookbook.names().items()):
        try:
            meaning = cookbook.recipe(name).help
        except ConfigError as error:
            meaning = f"can't be used: {error.message}"
        app.stdout.write(sanitize(f"{name:<12} {shelf.origin:<14} {meaning}") + "\n")
    return ExitCode.DONE


@recipes_app.command("show")
def show_recipe(ctx: typer.Context, name: _Name) -> int:
    """Print a recipe's file."""
    app = app_context(ctx)
    source = open_cookbook(app.directories, app.cwd).recipe(name).source
    app.stdout.write(sanitize(source) if app.stdout.isatty() else source)
    return ExitCode.DONE


@recipes_app.command("new")
def new_recipe(
    ctx: typer.Context,
    name: _Name,
    *,
    project: Annotated[
        bool, typer.Option("--project", help="for everybody who works on this project")
    ] = False,
) -> int:
    """Write a recipe to fill in, and say where it is."""
    app = app_context(ctx)
    from aigc_cli.cli.commands import COMMANDS  # this module is one of its table

    if not NAME.fullmatch(name):
        raise UsageError(f"{name!r} can't be a recipe's name", "use a-z, 0-9 and dashes")
    if name in COMMANDS:
        raise UsageError(f"{name} is a command already", "choose another name")
    folder = (
        (project_folder(app.cwd) or app.cwd / ".aigc/recipes") if project else user_folder(app.directories)
    )
    path = folder / f"{name}.md"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise AigcError(f"{str(folder)!r} can't be made: {error.strerror}") from error
    refuse_bad_target(path, str(path), overwrite=False)
    write_atomic(path, TEMPLATE.format(name=name))
    app.stdout.write(f"{path}\n")
    note(app, f"fill it in, then: aigc {name} --help")
    return ExitCode.DONE


@recipes_app.command("path")
def recipe_path(
    ctx: typer.Context, name: Annotated[str | None, typer.Argument(metavar="NAME")] = None
) -> int:
    """Print where a recipe is, or where your own ones are."""
    app = app_context(ctx)
    path = open_cookbook(app.directories, app.cwd).recipe(name).path if name else user_folder(app.directories)
    app.stdout.write(f"{path}\n")
    return ExitCode.DONE


@recipes_app.command("trust")
def trust_recipe(ctx: typer.Context, name: _Name) -> int:
    """Let a project's recipe run its commands, as long as its text stays as it is."""
    app = app_context(ctx)
    cookbook = open_cookbook(app.directories, app.cwd)
    recipe = cookbook.recipe(name)
    if recipe.origin is not Origin.PROJECT or not recipe.inputs:
        note(
            app,
            f"{name} needs no trust: it is {recipe.origin}"
            + ("" if recipe.inputs else ", and runs no command"),
        )
        return ExitCode.DONE
    for command in recipe.inputs.values():
        note(app, f"will run: {command}")
    cookbook.trust(recipe)
    note(app, f"{name} is trusted")
    return ExitCode.DONE
