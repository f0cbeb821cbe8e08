"""Options that several commands share; those that are settings come from the table of settings.

`@setting_options(*ENGINE, *SAMPLING)` gives a command one option for each named setting, with the setting's
own help, type and choices, and hands the values over as one argument, `flags`, ready for
`AppContext.resolve_settings`. So a setting has one name and one description everywhere.
"""

import functools
import inspect
from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Annotated, Any, Literal, get_type_hints

import typer

from aigc_cli.cli.context import AppContext
from aigc_cli.config import Settings, Value

Flags = dict[str, Value]
Command = Callable[..., int]

ENGINE = ("model", "lora", "context", "threads", "gpu_layers", "base_url")
SAMPLING = (
    "temperature",
    "top_k",
    "top_p",
    "min_p",
    "repeat_penalty",
    "dry_multiplier",
    "seed",
    "max_tokens",
)
RESIDENT = ("resident",)
LOADING = ("model", "context", "threads", "gpu_layers", "loop_guard")
VIEW = ("color", "stats")

_SHORT_NAMES = {"model": "-m", "system": "-s"}
_METAVARS = {"model": "NAME", "system": "TEXT", "base_url": "URL", "lora": "FILE[:SCALE]"}
_METAVAR_OF_TYPE = {int: "N", float: "X", str: "TEXT"}

Files = Annotated[
    list[str] | None,
    typer.Option(
        "-f", "--file", metavar="PATH", help="attach a file, a 'glob/**/*.py', or - for stdin; repeatable"
    ),
]
Stop = Annotated[
    list[str] | None,
    typer.Option("--stop", metavar="TEXT", help="end the reply before this text; repeatable"),
]
Continue = Annotated[bool, typer.Option("-c", "--continue", help="go on with the newest session")]
Raw = Annotated[bool, typer.Option("--raw", help="print the model's text as it is, on a terminal too")]
NoStdin = Annotated[bool, typer.Option("--no-stdin", help="leave standard input unread")]


def app_context(ctx: typer.Context) -> AppContext:
    """The world that `cli.app.run` was given."""
    app = ctx.find_object(AppContext)
    if app is None:
        raise RuntimeError("a command runs through aigc_cli.cli.app.run, which gives it its AppContext")
    return app


def setting_options(*names: str) -> Callable[[Command], Command]:
    """Add an option for each of these settings to a command that takes them together as `flags`."""
    return option_group("flags", [_option(name) for name in names], _flags)


def option_group(
    group: str, options: Sequence[inspect.Parameter], gather: Callable[[dict[str, Any]], object]
) -> Callable[[Command], Command]:
    """Add these options to a command that takes them together, as `gather` makes it, as `group`."""

    def with_options(command: Command) -> Command:
        """The command with one parameter more for each option, and without the group's."""
        signature = inspect.signature(command, eval_str=True)
        own = [parameter for parameter in signature.parameters.values() if parameter.name != group]
        parameters = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own] + [*options]

        @functools.wraps(command)
        def grouped(**given: Any) -> int:
            taken = {option.name: given.pop(option.name) for option in options}
            return command(**given, **{group: gather(taken)})

        grouped.__annotations__ = {p.name: p.annotation for p in parameters} | {"return": int}
        # PEP 362: the signature that introspection sees, which is how typer learns of a command's options
        vars(grouped)["__signature__"] = signature.replace(parameters=parameters)
        return grouped

    return with_options


def _flags(given: dict[str, Any]) -> Flags:
    """The values that were given; a repeatable option without any is an empty list."""
    return {
        name: (tuple(value) or None) if isinstance(value, list | tuple) else value
        for name, value in given.items()
    }


def _option(name: str) -> inspect.Parameter:
    setting = next(f for f in fields(Settings) if f.name == name)
    kind = get_type_hints(Settings)[name]
    choices: tuple[str, ...] = setting.metadata["choices"]
    if kind == tuple[str, ...]:
        kind = list[str]
    dashed = name.replace("_", "-")
    is_flag = kind in (bool, bool | None)
    if choices:
        kind = Literal[choices]
    declaration = f"--{dashed}/--no-{dashed}" if is_flag else f"--{dashed}"
    declarations = [_SHORT_NAMES[name], declaration] if name in _SHORT_NAMES else [declaration]
    option = typer.Option(
        *declarations,
        help=setting.metadata["help"] + ("; repeatable" if kind == list[str] else ""),
        metavar=None if choices or is_flag else _metavar(name, kind),
    )
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[kind | None, option]
    )


def _metavar(name: str, kind: Any) -> str:
    if name in _METAVARS:
        return _METAVARS[name]
    return next(metavar for type_, metavar in _METAVAR_OF_TYPE.items() if kind in (type_, type_ | None))
