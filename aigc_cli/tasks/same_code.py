"""Whether two texts are the same code and differ in comments and docstrings alone: proven, or not believed.

Python is compared by its abstract syntax tree without docstrings, other languages by the concrete syntax tree
of their grammar without comments, with every token's text and the line breaks between tokens. What can't be
compared counts as changed.
"""

import re
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

from aigc_cli.tasks.languages import Language
from aigc_cli.tasks.syntax import Parsed, parse

if TYPE_CHECKING:
    import ast

    from tree_sitter import Node

_PYTHON = "python"
_UNCOMMENTED = ("json", "markdown")
# A string is compared as a whole: what is between the tokens of other nodes may be a space or a comment.
_VERBATIM = re.compile(r"string|heredoc|regex|char|quoted|cdata", re.IGNORECASE)
# Comments that tools read: linters, type checkers, compilers, interpreters.
_DIRECTIVE = re.compile(
    r"^#!|coding[:=]|\bnoqa\b|type:\s*ignore|(?:pyright|pylint|mypy|ruff|fmt|isort|yapf|rubocop|swiftlint):"
    r"|pragma\b|eslint|@ts-|prettier-|jshint|jslint|istanbul|\bc8 |@flow\b|@jsx|^//go:|^// \+build|^//export "
    r"|nolint|clang-format|frozen_string_literal|shellcheck|SPDX-|sourceMappingURL|webpack\w+:|__PURE__",
    re.IGNORECASE,
)
_CGO = re.compile(rb'^\s*import\s+"C"', re.MULTILINE)
_MOST_QUOTED = 60

Token = tuple[int, str, bytes, bool]  # depth, type, text, whether it begins a line


def unprovable(language: Language | None, text: str) -> str:
    """Why nothing could be proven about changes of this text; empty if it could."""
    if language is None:
        return "its language is not known"
    if language.tag in _UNCOMMENTED:
        return f"{language.name} has no comments"
    parsed = parse(language, text)
    if parsed.tree is None and language.tag != _PYTHON:
        return f"there is no grammar for {language.name}" if not language.grammar else "it is too large"
    if parsed.problems:
        return f"it is no valid {language.name}: {parsed.problems[0]}"
    if language.tag == "go" and _CGO.search(parsed.source):
        return 'the comments above import "C" are code'
    return ""


def code_change(language: Language, old: str, new: str) -> str:
    """What else than comments and docstrings differs, for person and model; empty if nothing does."""
    before, after = parse(language, old), parse(language, new)
    if after.problems:
        return f"it is no valid {language.name} any more: {after.problems[0]}"
    if changed := _changed_directive(before, after):
        return f"the comment {changed[:_MOST_QUOTED]!r} is for a tool, and it is not the same any more"
    found = _python_change(old, new) if language.tag == _PYTHON else _tree_change(before, after)
    return f"the code itself is changed, not only comments{found}" if found is not None else ""


def _changed_directive(before: Parsed, after: Parsed) -> str:
    old, new = _directives(before), _directives(after)
    return next(iter([*(old - new), *(new - old)]), "")


def _directives(parsed: Parsed) -> Counter[str]:
    texts = ((node.text or b"").decode("utf-8", "replace") for node in parsed.comments())
    return Counter(line.strip() for text in texts for line in text.split("\n") if _DIRECTIVE.search(line))


def _python_change(old: str, new: str) -> str | None:
    """Where the code differs; None if it does not."""
    import ast  # for Python files alone

    try:
        trees = [ast.parse(text) for text in (old, new)]
        before, after = ([ast.dump(each) for each in _stripped(tree).body] for tree in trees)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ", as far as can be told"
    if before == after:
        return None
    n_same = next((i for i, pair in enumerate(zip(before, after, strict=False)) if pair[0] != pair[1]), -1)
    place = trees[1].body[n_same:][:1]  # the first statement that differs, else the last one
    return f" (at line {place[0].lineno})" if place else ""


def _stripped(tree: "ast.Module") -> "ast.Module":
    """The tree without strings that stand as statements; what only held one does nothing: `pass`."""
    import ast  # as above

    for node in ast.walk(tree):
        for name in ("body", "orelse", "finalbody"):
            body = getattr(node, name, None)
            if isinstance(body, list) and body:
                kept = [each for each in body if not _is_text(each)]
                setattr(node, name, kept or ([] if isinstance(node, ast.Module) else [ast.Pass()]))
    return tree


def _is_text(statement: "ast.stmt") -> bool:
    import ast  # as above

    if not isinstance(statement, ast.Expr) or not isinstance(statement.value, ast.Constant):
        return False
    return isinstance(statement.value.value, str)


def _tree_change(before: Parsed, after: Parsed) -> str | None:
    if before.tree is None or after.tree is None:
        return ", as far as can be told"
    old, new = list(_tokens(before)), list(_tokens(after))
    if [token for token, _ in old] == [token for token, _ in new]:
        return None
    pairs = zip(old, new, strict=False)
    line = next((there for (one, _), (other, there) in pairs if one != other), None)
    return f" (at line {line})" if line else ""


def _tokens(parsed: Parsed) -> Iterator[tuple[Token, int]]:
    """Every node that is no comment, with its line, in the order of the text."""
    if parsed.tree is None:
        return
    source, end = parsed.source, 0
    waiting: list[tuple[Node, int]] = [(parsed.tree.root_node, 0)]
    while waiting:
        node, depth = waiting.pop()
        if _is_comment(node):
            continue
        is_leaf = not node.children or bool(_VERBATIM.search(node.type))
        text = source[node.start_byte : node.end_byte] if is_leaf else _between(node, source)
        begins_line = False
        if is_leaf and not text.strip():
            text = b"\n" if b"\n" in text else b""  # how many line breaks end a statement is of no matter
        elif is_leaf:
            begins_line = end == 0 or b"\n" in source[end : node.start_byte]
            end = node.end_byte
        yield (depth, node.type, text, begins_line), node.start_point.row + 1
        if not is_leaf:
            waiting += [(child, depth + 1) for child in reversed(node.children)]


def _between(node: "Node", source: bytes) -> bytes:
    """What a node holds besides its children and white space."""
    parts, position = [], node.start_byte
    for child in node.children:
        parts.append(source[position : child.start_byte])
        position = max(position, child.end_byte)
    parts.append(source[position : node.end_byte])
    return b"".join(b"".join(parts).split())


def _is_comment(node: "Node") -> bool:
    return node.is_extra and ("comment" in node.type or node.type == "marginalia")
