"""Whether a text is in its language, and its tree: text -> problems with positions. Nothing is run.

tree-sitter (Brunsfeld 2018) parses every language that has a grammar. Python, JSON and TOML are judged by
the parsers of the standard library, which say more exactly what is wrong.
"""

import warnings
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING

from aigc_cli.tasks.languages import Grammar, Language, language_called
from aigc_cli.tasks.verdicts import JUDGES, Problem

if TYPE_CHECKING:
    from collections.abc import Iterator

    import tree_sitter

MOST_PROBLEMS = 5  # of one text: what follows the first few is mostly their consequence
MOST_BYTES = 2 * 2**20  # a larger text is not parsed: nobody generates one
_CHUNK_BYTES = 65_536
_MOST_STEPS = 100_000  # the parser's reports of progress: about 10 s of work, where a file takes milliseconds
_MOST_QUOTED = 40  # characters of the offending text
_CLOSING = {"(": ")", "[": "]", "{": "}"}
_EMBEDDED = {"script_element": "javascript", "style_element": "css"}
_SCRIPT_TYPES = (b"", b"module", b"text/javascript", b"application/javascript")


@dataclass(frozen=True, slots=True)
class Parsed:
    """A text and what its language's parser makes of it.

    Attributes:
        source: the text in UTF-8; the byte offsets of the tree are of it.
        tree: None where there is no grammar, or the text is too large for one.
        problems: what is wrong, in the order of the text, the first MOST_PROBLEMS.
        doubts: what the grammar does not know, though it may be right: it has complained about good code.
        is_checked: whether anything parsed the text; False means that nobody looked.
    """

    language: Language | None
    source: bytes
    tree: "tree_sitter.Tree | None" = None
    problems: tuple[Problem, ...] = ()
    doubts: tuple[Problem, ...] = ()
    is_checked: bool = False

    def nodes(self) -> "Iterator[tree_sitter.Node]":
        """Every node of the tree in the order of the text, a parent before its children."""
        return iter(()) if self.tree is None else walk(self.tree.root_node)

    def comments(self) -> "Iterator[tree_sitter.Node]":
        """The nodes that are comments; a docstring is none."""
        return (node for node in self.nodes() if node.is_extra and "comment" in node.type)


def parse(language: Language | None, text: str) -> Parsed:
    """Parse a text; what can't be parsed is a problem, never an exception. Linear in its length."""
    source = text.encode("utf-8", "surrogatepass")
    if language is None or language.grammar is None or len(source) > MOST_BYTES:
        return Parsed(language, source)
    tree = _tree(language.grammar, source)
    if judge := JUDGES.get(language.tag):
        return Parsed(language, source, tree, judge(text), is_checked=True)
    if tree is None:
        return Parsed(language, source)
    faults = [*_faults(tree, language.grammar), *_faults_inside(tree, source)]
    problems = _placed(source, [fault for fault in faults if fault.is_certain])
    doubts = _placed(source, [fault for fault in faults if not fault.is_certain])
    return Parsed(language, source, tree, problems, doubts, is_checked=True)


def walk(root: "tree_sitter.Node") -> "Iterator[tree_sitter.Node]":
    """A node and all below it, in the order of the text; without recursion, however deep the tree is."""
    cursor = root.walk()
    while True:
        if cursor.node is not None:
            yield cursor.node
        if cursor.goto_first_child():
            continue
        while not cursor.goto_next_sibling():
            if not cursor.goto_parent():
                return


@cache
def _language(grammar: Grammar) -> "tree_sitter.Language":
    import tree_sitter  # a shared library, and one more for each grammar: only what is used is loaded

    pointer = getattr(import_module(grammar.package), grammar.function)()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # older grammars give a number, not a capsule
        return tree_sitter.Language(pointer)


def _tree(
    grammar: Grammar, source: bytes, within: "tree_sitter.Range | None" = None
) -> "tree_sitter.Tree | None":
    """The tree; None when the parser takes too long over a text that is made to delay it."""
    import tree_sitter  # as above

    steps = 0

    def is_too_long(_offset: int, _has_error: bool) -> bool:  # noqa: FBT001 - the library's signature
        nonlocal steps
        steps += 1
        return steps > _MOST_STEPS

    parser = tree_sitter.Parser(_language(grammar))
    if within:
        parser.included_ranges = [within]
    try:
        return parser.parse(
            lambda offset, _point: source[offset : offset + _CHUNK_BYTES], progress_callback=is_too_long
        )
    except ValueError:  # "Parsing failed": stopped by the callback
        return None


@dataclass(frozen=True, slots=True)
class _Fault:
    """What a grammar complains about, at an offset in bytes."""

    offset: int
    message: str
    is_certain: bool


def _faults(tree: "tree_sitter.Tree", grammar: Grammar) -> list[_Fault]:
    """What the grammar does not expect, what it misses, or the bracket without a partner."""
    if not tree.root_node.has_error:
        return []
    nodes = list(walk(tree.root_node))
    said = [_unpaired_bracket(nodes)]
    if said == [None]:
        said = [_complaint(node) for node in nodes]
    return [_Fault(node.start_byte, text, grammar.is_exact) for node, text in filter(None, said)]


def _complaint(node: "tree_sitter.Node") -> "tuple[tree_sitter.Node, str] | None":
    if node.is_missing:
        return node, f"{_quoted(node.type)} is missing"
    if node.is_error and not any(child.has_error for child in node.children):
        text = (node.text or b"").decode("utf-8", "replace").strip()
        what = _quoted(text) if text else "what stands here"
        return node, f"{what} is not expected"
    return None


def _unpaired_bracket(nodes: "list[tree_sitter.Node]") -> "tuple[tree_sitter.Node, str] | None":
    """The first bracket without a partner, of those that are tokens and not in a string or a comment."""
    open_: list[tree_sitter.Node] = []
    for node in nodes:
        if node.child_count or node.is_missing:
            continue
        if node.type in _CLOSING:
            open_.append(node)
        elif node.type in _CLOSING.values():
            if not open_:
                return node, f"'{node.type}' closes nothing"
            opening = open_.pop()
            if _CLOSING[opening.type] != node.type:
                line = opening.start_point.row + 1
                return node, f"'{node.type}' does not close the '{opening.type}' of line {line}"
    return (open_[-1], f"'{open_[-1].type}' is never closed") if open_ else None


def _faults_inside(tree: "tree_sitter.Tree", source: bytes) -> list[_Fault]:
    """Those of scripts and style sheets inside a page."""
    found: list[_Fault] = []
    for node in walk(tree.root_node):
        tag = _EMBEDDED.get(node.type)
        if tag is None or (tag == "javascript" and not _is_script(node)):
            continue
        language = language_called(tag)
        content = next((child for child in node.children if child.type == "raw_text"), None)
        if content is None or language is None or language.grammar is None:
            continue
        inner = _tree(language.grammar, source, content.range)
        found += _faults(inner, language.grammar) if inner else []
    return found


def _is_script(element: "tree_sitter.Node") -> bool:
    """Whether a script element holds JavaScript and not data or a template."""
    for node in walk(element.children[0]):
        if node.type == "attribute" and (node.text or b"").lower().startswith(b"type"):
            return (node.text or b"").lower().partition(b"=")[2].strip(b"\"' ") in _SCRIPT_TYPES
    return True


def _placed(source: bytes, faults: list[_Fault]) -> tuple[Problem, ...]:
    """The first faults with line and column; a column counts characters and not bytes."""
    problems = []
    for fault in sorted(faults, key=lambda each: each.offset)[:MOST_PROBLEMS]:
        before = source[: fault.offset]
        line = before.count(b"\n") + 1
        column = len(before[before.rfind(b"\n") + 1 :].decode("utf-8", "replace")) + 1
        problems.append(Problem(line, column, fault.message))
    return tuple(dict.fromkeys(problems))


def _quoted(text: str) -> str:
    first, _, rest = text.partition("\n")
    is_cut = bool(rest) or len(first) > _MOST_QUOTED
    return f"'{first[:_MOST_QUOTED].rstrip()}{'…' if is_cut else ''}'"
