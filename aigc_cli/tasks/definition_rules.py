"""Which nodes of a language's syntax tree define something, what kind of thing, and where its name stands."""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

    from tree_sitter import Node

Names: TypeAlias = "Callable[[Node], list[str]]"
# Type of the node -> kind, and what gives its names. Definitions inside of a `class`, a `module` or a
# `container` (which has no definition of its own, like Rust's impl) belong to it; those inside of anything
# else that is named here are local.
Rules: TypeAlias = Mapping[str, tuple[str, Names]]


def text_of(node: "Node | None") -> str:
    """The source of a node; empty for none."""
    return node.text.decode("utf-8", "replace") if node is not None and node.text is not None else ""


def _named(node: "Node") -> list[str]:
    """By its field `name`, or else its first identifier."""
    name = node.child_by_field_name("name") or _first_identifier(node)
    return [text_of(name)] if name is not None else []


def _nothing(_node: "Node") -> list[str]:
    return []


def _first_identifier(node: "Node") -> "Node | None":
    level = list(node.named_children)
    for _ in range(3):  # deeper ones belong to something else
        for child in level:
            if "identifier" in child.type or child.type in ("name", "constant", "word"):
                return child
        level = [grandchild for child in level for grandchild in child.named_children]
    return None


def _declared(node: "Node") -> list[str]:
    """The names of C's declarators: `int *a, b[2], f(void)` declares a, b and f."""
    return [name for each in node.children_by_field_name("declarator") if (name := _declarator(each))]


def _declarator(node: "Node") -> str:
    while (inner := node.child_by_field_name("declarator") or _bracketed(node)) is not None:
        node = inner
    return re.sub(r"<.*?>|\s", "", text_of(node))


def _bracketed(node: "Node") -> "Node | None":
    is_wrapper = node.type in ("parenthesized_declarator", "reference_declarator")
    return node.named_children[0] if is_wrapper and node.named_children else None


def _assigned(node: "Node") -> list[str]:
    """The left side: a name, several, or a member that a function is given to."""
    left = node.child_by_field_name("left")
    if left is None:
        return []
    if "identifier" in left.type or left.type in ("constant", "type"):
        return [text_of(left)]
    if left.type == "pattern_list":
        return [text_of(child) for child in left.named_children if child.type == "identifier"]
    right = node.child_by_field_name("right")
    is_code = right is not None and right.type in ("function_expression", "arrow_function", "class")
    return [text_of(left)] if is_code and left.type == "member_expression" else []


def _constant(node: "Node") -> list[str]:
    left = node.child_by_field_name("left")
    return [text_of(left)] if left is not None and left.type == "constant" else []


def _method_of_receiver(node: "Node") -> list[str]:
    """Go: `func (s *Stack[T]) Push()` is Stack.Push."""
    receiver = re.search(r"(\w+)\s*(?:\[.*\])?\s*\)$", text_of(node.child_by_field_name("receiver")))
    return [f"{receiver[1]}.{name}" if receiver else name for name in _named(node)]


def _implemented(node: "Node") -> list[str]:
    """Rust: `impl<T> Show for Stack<T>` belongs to Stack."""
    return [re.sub(r"<.*", "", text_of(node.child_by_field_name("type")), flags=re.DOTALL)]


def _variable_in_declaration(node: "Node") -> list[str]:
    """Java, C#: `int a = 1, b;`."""
    declarators = node.children_by_field_name("declarator") or [
        child for each in node.named_children for child in each.named_children if "declarator" in child.type
    ]
    return [name for each in declarators for name in _named(each)[:1]]


def _lua_names(node: "Node") -> list[str]:
    names = next((child for child in node.named_children if child.type == "variable_list"), None)
    return [text_of(child) for child in names.named_children] if names is not None else []


def _object_name(node: "Node") -> list[str]:
    """SQL: `CREATE TABLE shop.item` is shop.item."""
    name = next((child for child in node.named_children if child.type == "object_reference"), None)
    return [text_of(name).strip('"`')] if name is not None else []


def _key(node: "Node") -> list[str]:
    key = node.child_by_field_name("key") or (node.named_children[0] if node.named_children else None)
    return [text_of(key).strip("\"'")]


def _heading(node: "Node") -> list[str]:
    first = node.named_children[0] if node.named_children else None
    content = first.child_by_field_name("heading_content") if first is not None else None
    return [text_of(content).strip()] if content is not None else []


_JAVASCRIPT: Rules = {
    "function_declaration": ("function", _named),
    "generator_function_declaration": ("function", _named),
    "class_declaration": ("class", _named),
    "method_definition": ("function", _named),
    "field_definition": ("variable", lambda node: [text_of(node.child_by_field_name("property"))]),
    "variable_declarator": ("variable", _named),
    "assignment_expression": ("variable", _assigned),
    # what is inside of a function without a name is local
    "arrow_function": ("function", _nothing),
    "function_expression": ("function", _nothing),
}
_TYPESCRIPT: Rules = {
    **_JAVASCRIPT,
    "abstract_class_declaration": ("class", _named),
    "interface_declaration": ("class", _named),
    "enum_declaration": ("type", _named),
    "type_alias_declaration": ("type", _named),
    "internal_module": ("module", _named),
    "module": ("module", _named),
    "public_field_definition": ("variable", _named),
    "function_signature": ("declaration", _named),
    "abstract_method_signature": ("declaration", _named),
}
_C: Rules = {
    "function_definition": ("function", _declared),
    "declaration": ("declaration", _declared),
    "struct_specifier": ("class", _named),
    "union_specifier": ("class", _named),
    "enum_specifier": ("class", _named),
    "type_definition": ("type", _declared),
    "preproc_def": ("variable", _named),
    "preproc_function_def": ("function", _named),
    "field_declaration": ("declaration", _declared),
    "enumerator": ("variable", _named),
    "compound_statement": ("function", _nothing),
}
RULES: "Mapping[str, Rules]" = {
    "python": {
        "function_definition": ("function", _named),
        "class_definition": ("class", _named),
        "assignment": ("variable", _assigned),
        "type_alias_statement": ("type", _assigned),
    },
    "javascript": _JAVASCRIPT,
    "jsx": _JAVASCRIPT,
    "typescript": _TYPESCRIPT,
    "tsx": _TYPESCRIPT,
    "go": {
        "function_declaration": ("function", _named),
        "method_declaration": ("function", _method_of_receiver),
        "type_spec": ("type", _named),
        "type_alias": ("type", _named),
        "const_spec": ("variable", _named),
        "var_spec": ("variable", _named),
    },
    "rust": {
        "function_item": ("function", _named),
        "function_signature_item": ("declaration", _named),
        "struct_item": ("type", _named),
        "enum_item": ("type", _named),
        "union_item": ("type", _named),
        "trait_item": ("class", _named),
        "impl_item": ("container", _implemented),
        "mod_item": ("module", _named),
        "const_item": ("variable", _named),
        "static_item": ("variable", _named),
        "type_item": ("type", _named),
        "macro_definition": ("function", _named),
    },
    "c": _C,
    "cpp": {
        **_C,
        "class_specifier": ("class", _named),
        "namespace_definition": ("module", _named),
        "alias_declaration": ("type", _named),
        "concept_definition": ("type", _named),
    },
    "csharp": {
        "class_declaration": ("class", _named),
        "struct_declaration": ("class", _named),
        "interface_declaration": ("class", _named),
        "record_declaration": ("class", _named),
        "enum_declaration": ("type", _named),
        "delegate_declaration": ("type", _named),
        "method_declaration": ("function", _named),
        "constructor_declaration": ("function", _named),
        "property_declaration": ("variable", _named),
        "field_declaration": ("variable", _variable_in_declaration),
        "local_function_statement": ("function", _named),
        "namespace_declaration": ("container", _nothing),
    },
    "java": {
        "class_declaration": ("class", _named),
        "interface_declaration": ("class", _named),
        "enum_declaration": ("class", _named),
        "record_declaration": ("class", _named),
        "annotation_type_declaration": ("class", _named),
        "method_declaration": ("function", _named),
        "constructor_declaration": ("function", _named),
        "field_declaration": ("variable", _variable_in_declaration),
    },
    "kotlin": {
        "class_declaration": ("class", _named),
        "object_declaration": ("class", _named),
        "function_declaration": ("function", _named),
        "property_declaration": ("variable", _named),
        "type_alias": ("type", _named),
    },
    "swift": {
        "class_declaration": ("class", _named),
        "protocol_declaration": ("class", _named),
        "function_declaration": ("function", _named),
        "protocol_function_declaration": ("declaration", _named),
        "property_declaration": ("variable", _named),
        "typealias_declaration": ("type", _named),
    },
    "scala": {
        "object_definition": ("class", _named),
        "class_definition": ("class", _named),
        "trait_definition": ("class", _named),
        "enum_definition": ("class", _named),
        "function_definition": ("function", _named),
        "function_declaration": ("declaration", _named),
        "val_definition": ("variable", _named),
        "var_definition": ("variable", _named),
        "type_definition": ("type", _named),
    },
    "php": {
        "function_definition": ("function", _named),
        "class_declaration": ("class", _named),
        "interface_declaration": ("class", _named),
        "trait_declaration": ("class", _named),
        "enum_declaration": ("class", _named),
        "method_declaration": ("function", _named),
        "const_element": ("variable", _named),
    },
    "ruby": {
        "module": ("module", _named),
        "class": ("class", _named),
        "method": ("function", _named),
        "singleton_method": ("function", _named),
        "assignment": ("variable", _constant),
    },
    "lua": {
        "function_declaration": ("function", _named),
        "assignment_statement": ("variable", _lua_names),
    },
    "bash": {"function_definition": ("function", _named)},
    "sql": {
        "create_table": ("type", _object_name),
        "create_view": ("type", _object_name),
        "create_materialized_view": ("type", _object_name),
        "create_function": ("function", _object_name),
        "create_type": ("type", _object_name),
    },
    "json": {"pair": ("key", _key)},
    "yaml": {"block_mapping_pair": ("key", _key)},
    "toml": {"pair": ("key", _key), "table": ("key", _key), "table_array_element": ("key", _key)},
    "markdown": {"section": ("class", _heading)},
}
