"""Puts examples to a Python file: argv is the file, the examples, the results, the project's directory.

Run by path inside a sandbox, so it knows nothing of the package. A line of the results is written when an
example begins and when it ends: what a hanging or killed program was at is known by them.
"""

import ast
import builtins
import contextlib
import doctest
import importlib
import io
import json
import math
import signal
import sys
import traceback
import types
from pathlib import Path
from typing import Any

_EXAMPLE_S = 3.0
_MOST_SHOWN = 300  # characters of a value
_LITERAL_FLAGS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS


class _Failed(Exception):
    """The code does something else."""


def main(argv: list[str]) -> None:
    """Load the file, then try each example."""
    file, examples, results, project = argv
    sys.path.append(project)
    with Path(results).open("w", encoding="utf-8", buffering=1) as out:

        def tell(index: int, said: str | None) -> None:
            out.write(json.dumps({"example": index, "said": said}) + "\n")

        tell(-1, None)
        module = types.ModuleType("draft")
        module.__file__ = file
        sys.modules["draft"] = module
        code = Path(file).read_text(encoding="utf-8")
        # what was defined before it failed is tried all the same: that says more than a failing last line
        tell(-1, _said_by(lambda: exec(compile(code, file, "exec"), vars(module)), file))  # noqa: S102
        for index, example in enumerate(json.loads(Path(examples).read_text(encoding="utf-8"))):
            tell(index, None)
            tell(index, _said_by(lambda example=example: _try(example, module), file))


def _said_by(action: Any, file: str) -> str:
    """What went wrong in an action, in one line; empty if nothing did."""
    signal.signal(signal.SIGALRM, _on_alarm)
    signal.setitimer(signal.ITIMER_REAL, _EXAMPLE_S)
    try:
        action()
    except _Failed as failed:
        return str(failed)
    except SystemExit:
        return "the program ends itself (sys.exit) instead of returning"
    except BaseException as error:  # noqa: BLE001 - whatever the code under test raises is the finding
        return _told(error, file)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    return ""


def _on_alarm(_signal: int, _frame: Any) -> None:
    raise _Failed(f"no result after {_EXAMPLE_S:g} s")


def _told(error: BaseException, file: str) -> str:
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    place = f" at line {frames[-1].lineno}: {frames[-1].line}" if frames else ""
    said = f": {str(error)[:_MOST_SHOWN]}" if str(error) else ""
    return f"{type(error).__name__}{said}{place}"


def _try(example: dict[str, str], module: types.ModuleType) -> None:
    kind, source, expected = example["kind"], example["source"], example["expected"]
    if kind == "program":
        _try_function(source, expected, module)
        return
    scope = _scope(source + "\n" + expected if kind == "value" else source, module)
    if kind == "statement":
        _try_statement(source, scope)
    elif kind == "value":
        _compare(eval(source, scope), eval(expected, scope))  # noqa: S307
    elif kind == "printed":
        _try_doctest(source, expected, scope)
    else:
        _try_raises(source, expected, scope)


def _scope(source: str, module: types.ModuleType) -> dict[str, Any]:
    """The names of the code, and modules of the standard library that only the example mentions."""
    scope = dict(vars(module))
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Name) and node.id not in scope and not hasattr(builtins, node.id):
            if node.id in sys.stdlib_module_names:
                scope[node.id] = importlib.import_module(node.id)
            elif isinstance(node.ctx, ast.Load):
                _refuse_unknown(node.id, ast.parse(source), module)
    return scope


def _refuse_unknown(name: str, tree: ast.Module, module: types.ModuleType) -> None:
    called = {
        node.func.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    if name in called:
        own = [each for each, value in vars(module).items() if getattr(value, "__module__", "") == "draft"]
        raise _Failed(f"the code defines no {name}; it defines {', '.join(own) or 'nothing'}")


def _try_statement(source: str, scope: dict[str, Any]) -> None:
    statement = ast.parse(source).body[0]
    test = statement.test if isinstance(statement, ast.Assert) else None
    if isinstance(test, ast.Compare) and len(test.ops) == 1 and isinstance(test.ops[0], ast.Eq):
        got = eval(ast.unparse(test.left), scope)  # noqa: S307
        if got != eval(ast.unparse(test.comparators[0]), scope):  # noqa: S307
            raise _Failed(f"{ast.unparse(test.left)} gives {_shown(got)}")
        return
    try:
        exec(source, scope)  # noqa: S102
    except AssertionError as error:
        raise _Failed(f"it does not hold {error}".rstrip()) from None


def _compare(got: Any, wanted: Any) -> None:
    is_close = (
        isinstance(got, float) and isinstance(wanted, float) and math.isclose(got, wanted, rel_tol=1e-9)
    )
    if got != wanted and not is_close:
        raise _Failed(f"got {_shown(got)}")


def _try_doctest(source: str, expected: str, scope: dict[str, Any]) -> None:
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(source + "\n", "<example>", "single"), scope)  # noqa: S102
    got = printed.getvalue()
    if doctest.OutputChecker().check_output(expected + "\n", got, _LITERAL_FLAGS):
        return
    with contextlib.suppress(ValueError, SyntaxError):  # 'a' and "a" are one value
        if ast.literal_eval(got) == ast.literal_eval(expected):
            return
    raise _Failed(f"got {got.strip()[:_MOST_SHOWN] or 'nothing'}")


def _try_raises(source: str, expected: str, scope: dict[str, Any]) -> None:
    try:
        got = eval(source, scope)  # noqa: S307
    except Exception as error:
        if expected in {kind.__name__ for kind in type(error).__mro__}:
            return
        raise
    raise _Failed(f"it raises nothing and gives {_shown(got)}")


def _try_function(source: str, expected: str, module: types.ModuleType) -> None:
    """An input that is arguments, for code that reads no input: its function is called with them."""
    functions = [
        each for each in vars(module).values()
        if isinstance(each, types.FunctionType) and each.__module__ == "draft"
    ]  # fmt: skip
    keywords = ast.parse(f"f({source.strip()})", mode="eval").body
    if not isinstance(keywords, ast.Call) or len(functions) != 1:
        raise _Failed("it is not clear which function this is for")
    scope = {"f": functions[0]}
    got = eval(f"f({source.strip()})", scope)  # noqa: S307
    try:
        wanted = ast.literal_eval(expected)
    except (ValueError, SyntaxError):
        wanted = expected
    _compare(got, wanted)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _MOST_SHOWN else text[:_MOST_SHOWN] + "…"


if __name__ == "__main__":
    main(sys.argv[1:])
