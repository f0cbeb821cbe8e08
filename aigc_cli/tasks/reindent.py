"""White space that a model changes without being asked: put back as it was. Pure.

Lines end with line feeds here.
"""

import re
from difflib import SequenceMatcher
from itertools import pairwise
from math import gcd

# Instructions about white space itself.
_ABOUT_SPACE = re.compile(
    r"indent|\btabs?\b|\bspaces?\b|whitespace|white space|blank line|empty line|trailing|format|align"
    r"|缩进|空格|制表|空白|空行|格式|对齐",
    re.IGNORECASE,
)
_TAB_COLUMNS = 4  # what a tab stands for, where no line tells


def dedented(text: str) -> tuple[str, str]:
    """The lines without the indentation that all of them share, and that indentation."""
    lines = text.split("\n")
    starts = [line[: len(line) - len(line.lstrip(" \t"))] for line in lines if line.strip()]
    shared = min(starts, key=len, default="")
    while not all(start.startswith(shared) for start in starts):
        shared = shared[:-1]
    return "\n".join(line.removeprefix(shared) if line.strip() else line for line in lines), shared


def indented(text: str, indent: str) -> str:
    """The lines with an indentation before each that is not empty."""
    return "\n".join(indent + line if line.strip() else line for line in text.split("\n"))


def as_before(old: str, new: str, instruction: str) -> str:
    """`new` with the old kind of indentation, and the old trailing white space where nothing else differs."""
    if _ABOUT_SPACE.search(instruction):
        return new
    new_lines = _with_indentation_of(old.split("\n"), new.split("\n"))
    old_lines = old.split("\n")
    matcher = SequenceMatcher(
        None, [line.rstrip() for line in old_lines], [line.rstrip() for line in new_lines], autojunk=False
    )
    has_blanks = any(line and not line.strip() for line in old_lines)
    for kind, i, j, k, m in matcher.get_opcodes():
        if kind == "equal":
            new_lines[k:m] = old_lines[i:j]
        elif not has_blanks:  # a model indents the empty lines that it adds
            new_lines[k:m] = [line if line.strip() else "" for line in new_lines[k:m]]
    return "\n".join(new_lines)


def _with_indentation_of(old: list[str], new: list[str]) -> list[str]:
    kept = set(old)
    foreign = [line for line in new if line not in kept]
    uses_tabs = any(line.startswith("\t") for line in old)
    uses_spaces = any(line.startswith("  ") for line in old)
    if uses_tabs and not uses_spaces:
        unit = _unit(foreign) or _TAB_COLUMNS
        return [line if line in kept else _spaces_to_tabs(line, unit) for line in new]
    if uses_spaces and not uses_tabs:
        unit = _unit(old) or _TAB_COLUMNS
        return [line if line in kept else _tabs_to_spaces(line, unit) for line in new]
    return new


def _unit(lines: list[str]) -> int:
    """How many spaces one level of indentation has; 0 when no line is indented by spaces."""
    depths = [len(line) - len(line.lstrip(" ")) for line in lines if line.strip()]
    steps = [abs(a - b) for a, b in pairwise([0, *depths]) if abs(a - b) > 1]
    return gcd(*steps) if steps and gcd(*steps) > 1 else min(steps, default=0)


def _spaces_to_tabs(line: str, unit: int) -> str:
    n = len(line) - len(line.lstrip(" "))
    return "\t" * (n // unit) + " " * (n % unit) + line[n:]


def _tabs_to_spaces(line: str, unit: int) -> str:
    n = len(line) - len(line.lstrip("\t"))
    return " " * (n * unit) + line[n:]
