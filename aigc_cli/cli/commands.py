"""The table of commands, and the group that builds a command when a line calls it.

A command's module is imported for its own command, for `aigc --help` and for completion. Building all of them
takes longer than the shortest commands take to work.
"""

from collections import UserDict
from collections.abc import Mapping
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup

from aigc_cli.cli.plain_values import convert_plainly

# In the order of --help: the module, and in it the function of a command or the Typer of a group.
COMMANDS: Mapping[str, str] = {
    "ask": "aigc_cli.cli.ask:ask",
    "chat": "aigc_cli.cli.chat:chat",
    "gen": "aigc_cli.cli.gen:gen",
    "edit": "aigc_cli.cli.edit:edit",
    "undo": "aigc_cli.cli.undo:undo",
    "serve": "aigc_cli.cli.serve:serve",
    "doctor": "aigc_cli.cli.doctor:doctor",
    "models": "aigc_cli.cli.models:models_app",
    "sessions": "aigc_cli.cli.sessions:sessions_app",
    "engine": "aigc_cli.cli.engine:engine_app",
    "config": "aigc_cli.cli.config:config_app",
}


class Commands(UserDict[str, Any]):
    """Commands by name; the first look at one puts it in the place of its place."""

    def __getitem__(self, name: str) -> Any:
        command = self.data[name]
        if isinstance(command, str):
            command = self.data[name] = _build(name, command)
        return command


def _build(name: str, place: str) -> Any:
    module, _, attribute = place.partition(":")
    target = getattr(import_module(module), attribute)
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
        self.commands = Commands(COMMANDS)
