"""Names that a Python file uses and nobody defines, and what it imports from files that do not have it.

From the compiler's own symbol tables: nothing is run. Small models forget imports more often than syntax.
"""

import ast
import builtins
import symtable
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from aigc_cli.tasks.checks import Verdict

_MOST_TOLD = 8
_MODULE_NAMES = frozenset(
    {
        "__file__",
        "__name__",
        "__doc__",
        "__package__",
        "__spec__",
        "__loader__",
        "__path__",
        "__annotations__",
    }
    | {"__builtins__", "__class__", "__module__", "__qualname__", "__dict__", "__debug__"}
)
_MAKES_NAMES = frozenset({"globals", "vars", "exec", "NameError"})


@dataclass(frozen=True, slots=True)
class NamesCheck:
    """Each name that it uses is defined in it, imported, or Python's own.

    Attributes:
        modules: source of the project's other modules that are written, by their dotted name.
    """

    modules: Mapping[str, str] = field(default_factory=dict)

    def judge(self, code: str) -> Verdict:
        """Tell the first to a person, and all to the model with what would define them."""
        try:
            tree = ast.parse(code)
            faults = [*self._undefined(tree, code), *self._missing_imports(tree)]
        except (SyntaxError, ValueError, RecursionError):
            return Verdict("names")  # the syntax check tells
        if not faults:
            return Verdict("names")
        told = "\n".join(faults[:_MOST_TOLD])
        return Verdict("names", 0, 1, faults[0], f"It fails when it runs:\n{told}")

    def _undefined(self, tree: ast.Module, code: str) -> Iterator[str]:
        if any(map(_is_open, ast.walk(tree))):
            return  # names may come from there, or are tried
        table = symtable.symtable(code, "<generated>", "exec")
        known = _bound(table) | set(dir(builtins)) | _MODULE_NAMES
        unknown = {name for each in _tables(table) for name in _from_outside(each)} - known
        lines: dict[str, int] = {}
        for node in ast.walk(tree):
            if isinstance(node, ast.Name) and node.id in unknown:
                lines[node.id] = min(node.lineno, lines.get(node.id, node.lineno))
        for name, line in sorted(lines.items(), key=lambda each: (each[1], each[0])):
            yield f"line {line}: {name!r} is not defined{self._remedy(name)}"

    def _remedy(self, name: str) -> str:
        homes = [module for module, source in self.modules.items() if name in _defined(source)]
        if homes:
            return f"; from {homes[0]} import {name}"
        is_module = name in sys.stdlib_module_names or name in self.modules
        return f"; import {name}" if is_module else ""

    def _missing_imports(self, tree: ast.Module) -> Iterator[str]:
        for node in ast.walk(tree):
            if not isinstance(node, ast.ImportFrom) or node.module is None or node.module not in self.modules:
                continue
            defined = _defined(self.modules[node.module])
            for alias in node.names:
                is_there = alias.name in defined or f"{node.module}.{alias.name}" in self.modules
                if not is_there and alias.name != "*" and "*" not in defined:
                    yield f"line {node.lineno}: {node.module} defines no {alias.name!r}"


def _tables(table: symtable.SymbolTable) -> Iterator[symtable.SymbolTable]:
    yield table
    for child in table.get_children():
        yield from _tables(child)


def _bound(module: symtable.SymbolTable) -> set[str]:
    """What is bound at the top level, by a function with `global` too."""
    names = {
        symbol.get_name()
        for symbol in module.get_symbols()
        if symbol.is_assigned() or symbol.is_imported() or symbol.is_namespace()
    }
    for table in _tables(module):
        names |= {
            each.get_name()
            for each in table.get_symbols()
            if each.is_declared_global() and each.is_assigned()
        }
    return names


def _from_outside(table: symtable.SymbolTable) -> Iterator[str]:
    """Names that a scope uses and takes from the module or from Python."""
    is_module = table.get_type() == "module"
    for symbol in table.get_symbols():
        # Python 3.11 takes a function called `top` for the module, and its own names for global ones
        is_own = symbol.is_local() or symbol.is_parameter()
        if symbol.is_referenced() and (is_module or (symbol.is_global() and not is_own)):
            yield symbol.get_name()


def _defined(source: str) -> set[str]:
    """What a module's top level binds; `*` where that can't be known."""
    try:
        table = symtable.symtable(source, "<module>", "exec")
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):
        return {"*"}
    has_hook = any(isinstance(node, ast.FunctionDef) and node.name == "__getattr__" for node in tree.body)
    is_open = has_hook or any(map(_is_open, ast.walk(tree)))
    return _bound(table) | ({"*"} if is_open else set())


def _is_open(node: ast.AST) -> bool:
    """Whether names can come about that no table tells of: a star import, `globals()`, `except NameError`."""
    if isinstance(node, ast.ImportFrom):
        return node.names[0].name == "*"
    return isinstance(node, ast.Name) and node.id in _MAKES_NAMES
