"""The table of commands, the recipes beside them, and the group that builds one when a line calls it.

A command's module is imported for its own command, for `aigc --help` and for completion. Building all of them
takes longer than the shortest commands take to work.
"""

from collections import UserDict
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperGroup

from aigc_cli.cli.plain_values import convert_plainly

if TYPE_CHECKING:
    from aigc_cli.tasks.cookbook import Cookbook

OpenCookbook = Callable[[], "Cookbook"]

# In the order of --help: the module, and in it the function of a command or the Typer of a group.
COMMANDS: Mapping[str, str] = {
    "ask": "aigc_cli.cli.ask:ask",
    "chat": "aigc_cli.cli.chat:chat",
    "gen": "aigc_cli.cli.gen:gen",
    "edit": "aigc_cli.cli.edit:edit",
    "fill": "aigc_cli.cli.fill:fill",
    "new": "aigc_cli.cli.new:new",
    "complete": "aigc_cli.cli.complete:complete",
    "undo": "aigc_cli.cli.undo:undo",
    "serve": "aigc_cli.cli.serve:serve",
    "doctor": "aigc_cli.cli.doctor:doctor",
    "models": "aigc_cli.cli.models:models_app",
    "sessions": "aigc_cli.cli.sessions:sessions_app",
    "inspect": "aigc_cli.cli.inspect:inspect_app",
    "recipes": "aigc_cli.cli.recipes:recipes_app",
    "engine": "aigc_cli.cli.engine:engine_app",
    "config": "aigc_cli.cli.config:config_app",
}


class Commands(UserDict[str, Any]):
    """Commands by name; the first look at one puts it in the place of its place.

    The recipes are looked for when a name is none of the table's, or when all are wanted.
    """

    def __init__(self, open_cookbook: OpenCookbook) -> None:
        super().__init__(COMMANDS)
        self._open_cookbook: OpenCookbook | None = open_cookbook

    def __getitem__(self, name: str) -> Any:
        self._add_recipes(name)
        command = self.data[name]
        if isinstance(command, str):
            module, _, attribute = command.partition(":")
            command = self.data[name] = _build(name, getattr(import_module(module), attribute))
        elif isinstance(command, _RecipePlace):
            command = self.data[name] = _build(name, command.open())
        return command

    def __contains__(self, name: object) -> bool:
        self._add_recipes(name)
        return name in self.data

    def __iter__(self) -> Iterator[str]:
        self._add_recipes()
        return iter(self.data)

    def __len__(self) -> int:
        self._add_recipes()
        return len(self.data)

    def _add_recipes(self, name: object = None) -> None:
        if name in self.data or self._open_cookbook is None:
            return
        cookbook, self._open_cookbook = self._open_cookbook(), None
        for recipe in cookbook.names():
            self.data.setdefault(recipe, _RecipePlace(cookbook, recipe))


class _RecipePlace:
    """A recipe that nobody called yet."""

    def __init__(self, cookbook: "Cookbook", name: str) -> None:
        self._cookbook = cookbook
        self._name = name

    def open(self) -> Callable[..., int]:
        """The function of its command."""
        from aigc_cli.cli.recipe_command import command_called  # what recipes need, other commands don't

        return command_called(self._cookbook, self._name)


def _build(name: str, target: Any) -> Any:
    holder = typer.Typer(add_completion=False, rich_markup_mode=None)
    if isinstance(target, typer.Typer):
        holder.add_typer(target, name=name)
    else:
        holder.command(name)(target)
    built = typer.main.get_command(holder)  # of one command: the command itself
    command = getattr(built, "commands", {name: built})[name]
    for each in (command, *getattr(command, "commands", {}).values()):
        convert_plainly(each)
    return command


class LazyGroup(TyperGroup):
    """The group of all commands, which it takes from the table."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.find_recipes(_built_in)

    def find_recipes(self, open_cookbook: OpenCookbook) -> None:
        """Take the recipes from this cookbook, which is opened when one of them is wanted."""
        self.commands = Commands(open_cookbook)


def _built_in() -> "Cookbook":
    from aigc_cli.tasks.cookbook import built_in_cookbook  # as above

    return built_in_cookbook()
