"""What the parsers of the standard library say of a text: Python, JSON, TOML. Nothing is run."""

import json
import re
import tomllib
import warnings
from collections.abc import Callable
from dataclasses import dataclass

_MOST_QUOTED = 40  # characters of the offending text
_TOML_PLACE = re.compile(r" \(at line (\d+), column (\d+)\)$")


@dataclass(frozen=True, slots=True)
class Problem:
    """One place where a text is not in its language.

    Attributes:
        line: counted from 1.
        column: counted from 1, in characters; 0 when only the line is known.
    """

    line: int
    column: int
    message: str

    def __str__(self) -> str:
        place = f"line {self.line}, column {self.column}" if self.column else f"line {self.line}"
        return f"{place}: {self.message}"


def _python(text: str) -> tuple[Problem, ...]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an invalid escape is a warning, and no reason to refuse a file
            compile(text, "<generated>", "exec", dont_inherit=True)
    except SyntaxError as error:
        return (_unplaced(text, error) if "\0" in text else _python_problem(text, error),)
    except (ValueError, RecursionError, MemoryError, OverflowError) as error:
        return (_unplaced(text, error),)
    return ()


def _python_problem(text: str, error: SyntaxError) -> Problem:
    lines = text.split("\n")
    line = min(error.lineno or 1, len(lines))
    column = max(error.offset or 0, 0)
    found = lines[line - 1].strip()[:_MOST_QUOTED]
    return Problem(line, column, f"{error.msg}: '{found}'" if found else error.msg)


def _json(text: str) -> tuple[Problem, ...]:
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        found = text[error.pos : error.pos + _MOST_QUOTED].partition("\n")[0].rstrip()
        message = f"{error.msg}: '{found}'" if found else f"{error.msg}, but the text ends"
        return (Problem(error.lineno, error.colno, message),)
    except (ValueError, RecursionError) as error:
        return (_unplaced(text, error),)
    return ()


def _toml(text: str) -> tuple[Problem, ...]:
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        return (_toml_problem(text, str(error)),)
    except (ValueError, RecursionError) as error:
        return (_unplaced(text, error),)
    return ()


def _toml_problem(text: str, message: str) -> Problem:
    place = _TOML_PLACE.search(message)
    lines = text.split("\n")
    line, column = (int(place[1]), int(place[2])) if place else (len(lines), 0)  # "(at end of document)"
    found = lines[line - 1].strip()[:_MOST_QUOTED]
    said = message[: place.start()] if place else message
    return Problem(line, column, f"{said}: '{found}'" if found else said)


def _unplaced(text: str, error: BaseException) -> Problem:
    if "\0" in text:
        before = text.partition("\0")[0]
        return Problem(before.count("\n") + 1, len(before) - before.rfind("\n"), "a NUL character")
    said = str(error) or type(error).__name__
    return Problem(1, 0, "nested too deep" if isinstance(error, RecursionError | MemoryError) else said)


JUDGES: dict[str, Callable[[str], tuple[Problem, ...]]] = {"python": _python, "json": _json, "toml": _toml}
