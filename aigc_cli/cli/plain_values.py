"""Values of options and arguments, converted without pydantic wherever they are plain.

Typer converts each value through pydantic, whose import takes a third of the time that a command needs before
its own work (`python -m benchmarks.startup`). Nearly every value is a text, a number, a flag or one of a few
words, and is what it should be: those are converted here. Anything else, and every mistake, is left to typer,
so that a conversion, a limit and a message are the same on both ways.
"""

import re
from collections.abc import Callable
from typing import Any, Final, Literal, get_args, get_origin

import typer
from typer.core import TyperArgument, TyperOption

HELP_NAMES: Final = ["-h", "--help"]
_WHOLE: Final = re.compile(r"-?(?:0|[1-9][0-9]{0,14})", re.ASCII)
_DECIMAL: Final = re.compile(r"-?(?:0|[1-9][0-9]{0,14})(?:\.[0-9]{1,14})?", re.ASCII)
_NOT_PLAIN: Final = object()  # None is a value


class PlainOption(TyperOption):
    """An option whose plain values need no pydantic."""

    def get_runtime_param(self) -> Any:
        """What converts its values."""
        return _Conversion(super().get_runtime_param)


class PlainArgument(TyperArgument):
    """An argument whose plain values need no pydantic."""

    def get_runtime_param(self) -> Any:
        """What converts its values."""
        return _Conversion(super().get_runtime_param)


def convert_plainly(command: Any) -> None:
    """Let the parameters of a command convert plain values by themselves."""
    ctx = typer.Context(command, help_option_names=HELP_NAMES)
    command.params = [_plain(parameter) for parameter in command.get_params(ctx)]
    command.add_help_option = False  # it is among the parameters now


def _plain(parameter: Any) -> Any:
    """The same parameter, as one of the two classes above: typer offers no place to name a class for them."""
    kind = PlainOption if isinstance(parameter, TyperOption) else PlainArgument
    plain = kind.__new__(kind)
    vars(plain).update(vars(parameter))
    return plain


class _Conversion:
    """Converts a plain value, and hands any other to typer's own conversion."""

    def __init__(self, open_typers: Callable[[], Any]) -> None:
        self._open_typers = open_typers

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        """The value that the command is called with; typer calls this."""
        converted = _plain_value(value, param)
        if converted is not _NOT_PLAIN:
            return converted
        return self._open_typers().coerce(value, param=param, ctx=ctx)


def _plain_value(value: Any, parameter: Any) -> Any:
    """The value as typer would convert it; `_NOT_PLAIN` when typer has to."""
    is_list = parameter.multiple or parameter.nargs == -1
    if value is None:
        return () if is_list else None
    kind, info = parameter.type_descriptor.annotation, parameter.type_descriptor.parameter_info
    if info.parser is not None:
        return _NOT_PLAIN
    if kind in (int, float):
        number = _number(value, kind)
        return number if number is not None and _inside(number, info.min, info.max) else _NOT_PLAIN
    if kind == list[str]:
        return list(value) if all(isinstance(each, str) for each in value) else _NOT_PLAIN
    if get_origin(kind) is Literal:
        return value if value in get_args(kind) else _NOT_PLAIN
    return value if kind in (str, bool) and type(value) is kind else _NOT_PLAIN


def _number(value: Any, kind: Any) -> float | None:
    if kind is int and type(value) is int:
        return value
    if kind is float and type(value) is float:
        return value
    if not isinstance(value, str):
        return None
    if kind is int and _WHOLE.fullmatch(value):
        return int(value)
    return float(value) if kind is float and _DECIMAL.fullmatch(value) else None


def _inside(number: float, least: float | None, most: float | None) -> bool:
    return (least is None or number >= least) and (most is None or number <= most)
