"""Whether generated code is code: a parse in memory, nothing is run."""

import json
import tomllib
import warnings
from collections.abc import Callable


def syntax_error(code: str, tag: str) -> str:
    """What the parser of the language with this fence tag says against the code; empty if it says nothing."""
    check = _CHECKS.get(tag)
    return check(code) if check else ""


def _python(code: str) -> str:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an invalid escape is a warning, and no reason to refuse a file
            compile(code, "<generated>", "exec", dont_inherit=True)
    except SyntaxError as error:
        return f"line {error.lineno}: {error.msg}"
    except (ValueError, RecursionError, MemoryError, OverflowError) as error:
        return str(error) or type(error).__name__
    return ""


def _json(code: str) -> str:
    try:
        json.loads(code)
    except (ValueError, RecursionError) as error:
        return str(error)
    return ""


def _toml(code: str) -> str:
    try:
        tomllib.loads(code)
    except (ValueError, RecursionError) as error:
        return str(error)
    return ""


_CHECKS: dict[str, Callable[[str], str]] = {"python": _python, "json": _json, "toml": _toml}
