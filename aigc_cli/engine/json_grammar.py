"""JSON Schema to GBNF: every reply that the grammar allows is valid, and no keyword is silently ignored.

The grammar may allow less than the schema (properties come in the schema's order, undeclared ones do not come
at all); it never allows more. What no grammar can promise is refused by its name. Sources: JSON Schema
2020-12, RFC 8259, llama.cpp's grammars/README.md.
"""

import json
from collections.abc import Iterable
from typing import Any

from aigc_cli.errors import UnsupportedFeature, UsageError

MAX_REPETITIONS = 2000  # of one item; llama.cpp's parser refuses more
MAX_ENUMERATED = 1000  # integers of a range that are listed one by one
# Keywords that say nothing about which values are valid.
_ANNOTATIONS = frozenset(
    {"$schema", "$id", "$comment", "$defs", "definitions", "title", "description", "default", "examples"}
    | {"deprecated", "readOnly", "writeOnly", "contentMediaType", "contentEncoding"}
)
_HEX = "[0-9a-fA-F]"
_TWO = "[0-9] [0-9]"
# Four hexadecimal digits that are no surrogate: one alone ("\ud800") is no character.
_CODE = f"([0-9a-cA-CefEF] {_HEX} | [dD] [0-7]) {_HEX} {_HEX}"
# Characters that a string holds as they are: no control character, quote, backslash or surrogate.
_PLAIN = r"[\x20\x21\x23-\x5B\x5D-\x7E\u0080-\uD7FF\uE000-\U0010FFFF]"
# Text of the fixed rules. Days stop at 28: every month has them.
_FIXED = {
    "ws": '" "?',
    "char": rf'{_PLAIN} | "\\" (["\\/bfnrt] | "u" {_CODE})',
    "string": r'"\"" char* "\""',
    "integer": '"-"? ("0" | [1-9] [0-9]{0,14})',
    "number": 'integer ("." [0-9]{1,15})? ([eE] [-+]? [0-9]{1,2})?',
    "boolean": '"true" | "false"',
    "null": '"null"',
    "value": "string | number | boolean | null | object | array",
    "object": '"{" ws (string ":" ws value ("," ws string ":" ws value)*)? "}"',
    "array": '"[" ws (value ("," ws value)*)? "]"',
    "date": f'{_TWO} {_TWO} "-" ("0" [1-9] | "1" [0-2]) "-" ("0" [1-9] | "1" [0-9] | "2" [0-8])',
    "time": '([01] [0-9] | "2" [0-3]) ":" [0-5] [0-9] ":" [0-5] [0-9] "Z"',
    "date-time": 'date "T" time',
    "uuid": ' "-" '.join(f"{_HEX}{{{n}}}" for n in (8, 4, 4, 4, 12)),
}
_TYPES = ("string", "number", "integer", "boolean", "null", "object", "array")
_FORMATS = ("date", "time", "date-time", "uuid")
_KEYWORDS = {
    "string": {"minLength", "maxLength", "pattern", "format"},
    "number": {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"},
    "object": {"properties", "required", "additionalProperties", "minProperties", "maxProperties"},
    "array": {"items", "prefixItems", "minItems", "maxItems", "uniqueItems"},
}
_KEYWORDS["integer"] = _KEYWORDS["number"]


def schema_to_gbnf(schema: str) -> str:
    """The grammar for a JSON Schema, given as a JSON text.

    Raises:
        UsageError: it is no valid schema.
        UnsupportedFeature: a keyword that no grammar can enforce; the message names it and its place.
    """
    try:
        root = json.loads(schema)
    except (json.JSONDecodeError, RecursionError) as error:
        raise UsageError(f"the schema is no JSON: {error}") from error
    converter = _Converter(root)
    try:
        body = converter.convert(root, "#")
    except RecursionError:
        raise UsageError("the schema is nested too deeply") from None
    return "\n".join(f"{name} ::= {text}" for name, text in {"root": body, **converter.rules}.items())


class _Converter:
    """Collects the rules that one schema needs."""

    def __init__(self, root: Any) -> None:
        self._root = root
        self._rule_of_pointer: dict[str, str] = {}
        self.rules = dict(_FIXED)

    def _rule(self, body: str) -> str:
        """The name of a rule with this body."""
        name = f"r{len(self.rules)}"
        self.rules[name] = body
        return name

    def convert(self, schema: Any, where: str) -> str:
        """An expression for the values that this schema accepts."""
        if schema is True:
            return "value"
        if not isinstance(schema, dict):
            raise UsageError(f"the schema at {where} is {json.dumps(schema)}", "a schema is a JSON object")
        schema = {key: value for key, value in schema.items() if key not in _ANNOTATIONS}
        for keyword in ("$ref", "const", "enum", "anyOf", "oneOf", "allOf"):
            if keyword in schema:
                _honour(schema, {keyword, "type"}, where)
                return self._combined(keyword, schema[keyword], f"{where}/{keyword}")
        kinds = schema.get("type", _implied_type(schema))
        if kinds is None:
            _honour(schema, set(), where)
            return "value"
        kinds = kinds if isinstance(kinds, list) else [kinds]
        return self._any_of(self._typed(_part_for(schema, kind, kinds), kind, where) for kind in kinds)

    def _combined(self, keyword: str, value: Any, where: str) -> str:
        if keyword == "$ref":
            return self._referenced(value, where)
        if keyword == "const":
            return _literal(json.dumps(value, ensure_ascii=False))
        if not isinstance(value, list) or not value:
            raise UsageError(
                f"the schema at {where} is {json.dumps(value)}", "it is a list with something in it"
            )
        if keyword == "enum":
            return self._any_of(_literal(json.dumps(item, ensure_ascii=False)) for item in value)
        if keyword == "allOf" and len(value) > 1:
            raise UnsupportedFeature(
                f"'allOf' of several schemas at {where} can't be enforced", "merge them into one"
            )
        if keyword == "oneOf":
            _check_exclusive(value, where)
        return self._any_of(self.convert(part, f"{where}/{index}") for index, part in enumerate(value))

    def _any_of(self, parts: Iterable[str]) -> str:
        alternatives = list(parts)
        return alternatives[0] if len(alternatives) == 1 else self._rule(" | ".join(alternatives))

    def _referenced(self, pointer: Any, where: str) -> str:
        if pointer not in self._rule_of_pointer:
            target = _resolve(self._root, pointer, where)
            # Known before it is written: a schema may refer to itself.
            name = self._rule_of_pointer[pointer] = self._rule("")
            self.rules[name] = self.convert(target, pointer)
        return self._rule_of_pointer[pointer]

    def _typed(self, schema: dict[str, Any], kind: Any, where: str) -> str:
        if kind not in _TYPES:
            raise UsageError(f"the schema at {where} has the type {kind!r}", f"types: {', '.join(_TYPES)}")
        match kind:
            case "object":
                return self._object(schema, where)
            case "array":
                return self._array(schema, where)
            case "string":
                return self._string(schema, where)
            case "integer":
                return self._integer(schema, where)
            case _:
                _honour(schema, {"type"}, where)
                return str(kind)

    def _object(self, schema: dict[str, Any], where: str) -> str:
        _honour(schema, {"type", "properties", "required", "additionalProperties"}, where)
        properties, required = schema.get("properties", {}), schema.get("required", [])
        if not isinstance(properties, dict) or not isinstance(required, list):
            raise UsageError(
                f"the properties at {where} are no JSON object", "look at properties and required"
            )
        if missing := [name for name in required if name not in properties]:
            raise UnsupportedFeature(
                f"the schema at {where} requires {missing[0]!r} and does not describe it"
            )
        if properties:
            return self._rule(f'"{{" ws {self._members(properties, required, where)} "}}"')
        extra = schema.get("additionalProperties", True)
        if extra is False:
            return self._rule('"{" ws "}"')
        value = self.convert(extra, f"{where}/additionalProperties")
        return self._rule(f'"{{" ws (string ":" ws {value} ("," ws string ":" ws {value})*)? "}}"')

    def _members(self, properties: dict[str, Any], required: list[str], where: str) -> str:
        """The members in the schema's order: `later` goes on behind one, `first` when there is none yet."""
        later = first = '""'
        for name, part in reversed(properties.items()):
            value = self.convert(part, f"{where}/properties/{name}")
            member = f'{_literal(json.dumps(name, ensure_ascii=False))} ":" ws {value}'
            starts, continues = f"{member} {later}", f'"," ws {member} {later}'
            if name in required:
                later, first = self._rule(continues), self._rule(starts)
            else:
                later, first = self._rule(f"{continues} | {later}"), self._rule(f"{starts} | {first}")
        return first

    def _array(self, schema: dict[str, Any], where: str) -> str:
        if "prefixItems" in schema:
            _honour(schema, {"type", "prefixItems"}, where)
            parts = [self.convert(p, f"{where}/prefixItems/{i}") for i, p in enumerate(schema["prefixItems"])]
            return self._rule('"[" ws ' + ' "," ws '.join(parts) + ' "]"')
        _honour(schema, {"type", "items", "minItems", "maxItems"}, where)
        low, high = _bounds(schema, "minItems", "maxItems", where)
        item = self.convert(schema.get("items", True), f"{where}/items")
        if high == 0:
            return self._rule('"[" ws "]"')
        more = f'("," ws {item}){_times(max(0, low - 1), None if high is None else high - 1)}'
        return self._rule(f'"[" ws ({item} {more}){"" if low else "?"} "]"')

    def _string(self, schema: dict[str, Any], where: str) -> str:
        if schema.get("format") in _FORMATS:
            _honour(schema, {"type", "format"}, where)
            return self._rule(rf'"\"" {schema["format"]} "\""')
        _honour(schema, {"type", "format", "minLength", "maxLength"}, where)  # other formats are annotations
        low, high = _bounds(schema, "minLength", "maxLength", where)
        return "string" if (low, high) == (0, None) else self._rule(rf'"\"" char{_times(low, high)} "\""')

    def _integer(self, schema: dict[str, Any], where: str) -> str:
        _honour(schema, {"type", *_KEYWORDS["integer"]} - {"multipleOf"}, where)
        low = _tightest(max, schema.get("minimum"), schema.get("exclusiveMinimum"), 1)
        high = _tightest(min, schema.get("maximum"), schema.get("exclusiveMaximum"), -1)
        match low, high:
            case None, None:
                return "integer"
            case int(), int() if 0 <= high - low < MAX_ENUMERATED:
                return self._any_of(_literal(str(number)) for number in range(low, high + 1))
            case ((0 | 1), None):
                return self._rule(('"0" | ' if low == 0 else "") + "[1-9] [0-9]{0,14}")
            case _:
                raise UnsupportedFeature(
                    f"the range of the integer at {where} can't be enforced",
                    f"use a minimum of 0 or 1, or a minimum and maximum up to {MAX_ENUMERATED} apart",
                )


def _literal(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _times(low: int, high: int | None) -> str:
    return f"{{{low},{'' if high is None else high}}}"


def _implied_type(schema: dict[str, Any]) -> str | None:
    """The type that keywords without a `type` speak of."""
    return next((kind for kind, keywords in _KEYWORDS.items() if schema.keys() & keywords), None)


def _part_for(schema: dict[str, Any], kind: str, kinds: list[Any]) -> dict[str, Any]:
    """What a schema of several types says of one of them."""
    if len(kinds) == 1:
        return schema
    of_others = set().union(*(_KEYWORDS.get(str(other), set()) for other in kinds)) - _KEYWORDS.get(
        kind, set()
    )
    return {key: value for key, value in schema.items() if key not in of_others}


def _honour(schema: dict[str, Any], honoured: set[str], where: str) -> None:
    for keyword in sorted(schema.keys() - honoured):
        raise UnsupportedFeature(
            f"{keyword!r} at {where} of the schema can't be enforced",
            "leave it out of the schema and check the value afterwards",
        )


def _bounds(schema: dict[str, Any], least: str, most: str, where: str) -> tuple[int, int | None]:
    low, high = schema.get(least, 0), schema.get(most)
    numbers = [n for n in (low, high) if n is not None]
    if not all(
        isinstance(n, int) and not isinstance(n, bool) and n >= 0 for n in numbers
    ) or numbers != sorted(numbers):
        raise UsageError(f"{least} and {most} at {where} are {low} and {high}")
    if max(numbers) > MAX_REPETITIONS:
        raise UnsupportedFeature(
            f"{most} at {where} is over {MAX_REPETITIONS}", "leave it out or make it smaller"
        )
    return low, high


def _tightest(choose: Any, inclusive: Any, exclusive: Any, step: int) -> int | None:
    limits = [
        limit for limit in (inclusive, None if exclusive is None else exclusive + step) if limit is not None
    ]
    return int(choose(limits)) if limits else None


def _resolve(root: Any, pointer: Any, where: str) -> Any:
    """The part of the schema that a `$ref` names; only places inside the same schema."""
    if not isinstance(pointer, str) or not (pointer == "#" or pointer.startswith("#/")):
        raise UnsupportedFeature(
            f"the reference {pointer!r} at {where} leaves the schema", "put it into $defs"
        )
    target = root
    for step in pointer.split("/")[1:]:
        key = step.replace("~1", "/").replace("~0", "~")
        if not isinstance(target, dict) or key not in target:
            raise UsageError(f"the reference {pointer!r} at {where} leads nowhere")
        target = target[key]
    return target


def _check_exclusive(parts: list[Any], where: str) -> None:
    """Refuse a `oneOf` whose parts could accept the same value: exactly one of them must."""
    kinds = [_scalar_kind(part) for part in parts]
    tags = [_tags(part) for part in parts]
    for a in range(len(parts)):
        for b in range(a + 1, len(parts)):
            same_kind = kinds[a] is None or kinds[b] is None or kinds[a] == kinds[b]
            tagged_apart = any(tags[b].get(name, value) != value for name, value in tags[a].items())
            if same_kind and not tagged_apart:
                raise UnsupportedFeature(
                    f"'oneOf' at {where} can't be enforced: {a} and {b} may accept the same value",
                    "use anyOf, or give each alternative a required property with its own const",
                )


def _scalar_kind(part: Any) -> str | None:
    kind = part.get("type") if isinstance(part, dict) else None
    if not isinstance(kind, str):
        return None
    return "number" if kind == "integer" else kind


def _tags(part: Any) -> dict[str, str]:
    """Required properties with a constant value, and the constant that a whole schema is, as JSON."""
    if not isinstance(part, dict):
        return {}
    if "const" in part:
        return {"": json.dumps(part["const"])}
    properties = part.get("properties", {})
    return {
        name: json.dumps(properties[name]["const"])
        for name in part.get("required", [])
        if isinstance(properties.get(name), dict) and "const" in properties[name]
    }
