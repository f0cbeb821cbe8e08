"""What a file defines, and in which lines: functions, classes, variables, keys, from its syntax tree."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING

from aigc_cli.errors import UsageError
from aigc_cli.tasks.definition_rules import RULES
from aigc_cli.tasks.syntax import Parsed

if TYPE_CHECKING:
    from tree_sitter import Node

    from aigc_cli.tasks.definition_rules import Rules

N_SUGGESTED = 5
_CONTAINERS = ("class", "module")
_SEPARATORS = re.compile(r"::|[:#]|\.prototype\.")


@dataclass(frozen=True, slots=True)
class Definition:
    """One thing that a file defines.

    Attributes:
        name: with its class in front: `Queue.push`.
        kind: function, class, module, variable, type, key, section; `declaration` for one without its body.
        first: its first line, counted from 1, with the decorators and the comment right above.
        last: its last line.
    """

    name: str
    kind: str
    first: int
    last: int

    @property
    def own_name(self) -> str:
        """The name without its class."""
        return self.name.rpartition(".")[2]


def definitions(parsed: Parsed) -> tuple[Definition, ...]:
    """All of a file at its top level and inside of classes and modules, in order; none without a grammar."""
    if parsed.tree is None or parsed.language is None:
        return ()
    rules = RULES.get(parsed.language.tag, {})
    return tuple(_walk(parsed.tree.root_node, "", rules, parsed.source)) if rules else ()


def find_definition(found: Sequence[Definition], name: str, file_name: str) -> Definition:
    """The one that a person calls so: `push`, `Queue.push`, `Queue::push`.

    Raises:
        UsageError: there is none, with the nearest names; or there are several, with their lines.
    """
    wanted = _SEPARATORS.sub(".", name.strip())
    hits = [each for each in found if each.name == wanted] or [
        each for each in found if each.name.endswith(f".{wanted}")
    ]
    hits = [each for each in hits if each.kind != "declaration"] or hits
    if not hits:
        raise UsageError(f"{file_name!r} defines no {name!r}", _suggestion(found, wanted))
    if len(hits) > 1:
        where = ", ".join(f"{each.name} (lines {each.first}-{each.last})" for each in hits)
        raise UsageError(
            f"{file_name!r} defines {name!r} {len(hits)} times: {where}",
            f"name the lines: {file_name}:{hits[0].first}-{hits[0].last}",
        )
    return hits[0]


def _suggestion(found: Sequence[Definition], wanted: str) -> str:
    if not found:
        return "nothing that can be named was found there; name the lines: FILE:10-40"
    by_own_name = {each.own_name.lower(): each.name for each in found}
    near = get_close_matches(wanted.rpartition(".")[2].lower(), by_own_name, N_SUGGESTED, cutoff=0.5)
    names = [by_own_name[each] for each in near]
    if names:
        return f"did you mean {' or '.join(names)}?"
    others = list(dict.fromkeys(each.name for each in found))
    return f"it defines: {', '.join(others[:N_SUGGESTED])}{', …' if len(others) > N_SUGGESTED else ''}"


def _walk(root: "Node", prefix: str, rules: "Rules", source: bytes) -> Iterator[Definition]:
    """Definitions below a node. What is inside of a function is its own business."""
    waiting = [(child, prefix) for child in reversed(root.named_children)]
    while waiting:
        node, inside = waiting.pop()
        rule = rules.get(node.type)
        if rule is None:
            waiting += [(child, inside) for child in reversed(node.named_children)]
            continue
        kind, names_of = rule
        names = [_SEPARATORS.sub(".", name) for name in names_of(node)]
        if kind == "container":
            inside = f"{inside}{names[0]}." if names else inside
            waiting += [(child, inside) for child in reversed(node.named_children)]
            continue
        if names:
            first, last = _lines(node, source)
            exact = _kind(node, kind)
            yield from (Definition(inside + name, exact, first, last) for name in names)
        if kind in _CONTAINERS:
            inner = f"{inside}{names[0]}." if names else inside
            waiting += [(child, inner) for child in reversed(node.named_children)]


def _kind(node: "Node", kind: str) -> str:
    if kind == "variable":
        value = node.child_by_field_name("value") or node.child_by_field_name("right")
        return "function" if value is not None and "function" in value.type else kind
    if kind == "class" and node.type.endswith("_specifier") and node.child_by_field_name("body") is None:
        return "declaration"
    return kind


# What stands around a definition and belongs to it.
_WRAPPERS = (
    "decorated_definition",
    "export_statement",
    "ambient_declaration",
    "template_declaration",
    "expression_statement",
    "assignment_statement",
    "variable_declaration",
    "lexical_declaration",
    "type_declaration",
    "const_declaration",
    "var_declaration",
    "var_spec_list",
    "field_declaration",
    "statement",
)
_ABOVE = ("attribute_item", "attribute_list", "decorator", "annotation")


def _lines(node: "Node", source: bytes) -> tuple[int, int]:
    while (parent := node.parent) is not None and parent.type in _WRAPPERS:
        is_one_of_many = sum(child.type == node.type for child in parent.children) > 1
        if is_one_of_many and node.start_point.row > parent.start_point.row:
            break
        node = parent
    first, last = node.start_point.row, _last_row(node)
    while (above := node.prev_sibling) is not None and _belongs_below(above, first, source):
        node, first = above, above.start_point.row
    rows = source.split(b"\n")
    while last > first and not rows[last].strip():
        last -= 1
    return first + 1, last + 1


def _last_row(node: "Node") -> int:
    row, column = node.end_point
    return row - 1 if column == 0 and row > node.start_point.row else row


def _belongs_below(node: "Node", row: int, source: bytes) -> bool:
    is_comment = node.is_extra or "comment" in node.type
    if not (is_comment or node.type in _ABOVE) or _last_row(node) != row - 1:
        return False
    start_of_line = source.rfind(b"\n", 0, node.start_byte) + 1
    return not source[start_of_line : node.start_byte].strip()
