"""Constraints to GBNF, the grammar notation of llama.cpp: JSON schemas, choices, grammars as they are."""

import json
from typing import Any, assert_never

from aigc_cli.engine.base import Choices, Constraint, Grammar, JsonSchema
from aigc_cli.errors import UnsupportedFeature, UsageError

# What brings a JSON value to its end, the most urgent first: inside a string the quote, else the brackets.
JSON_CLOSERS = ('"', "}", "]")
MAX_LENGTH = 2000  # repetitions that llama.cpp's grammar parser takes for one item
# JSON Schema keywords that say nothing about which values are valid (the specification's "annotations").
_ANNOTATIONS = frozenset(
    "$schema $id $comment $defs definitions title description default examples deprecated readOnly writeOnly "
    "contentMediaType contentEncoding".split()
)
_FORMATS = frozenset(("date", "time", "date-time", "uuid"))
_PRIMITIVES = frozenset(("string", "number", "integer", "boolean", "null", "object", "array"))


def to_gbnf(constraint: Constraint) -> str:
    """The grammar that holds a reply to this constraint.

    Raises:
        UsageError: it is no valid schema, or there are no choices.
        UnsupportedFeature: the schema says something that no grammar is made of; the message names it.
    """
    match constraint:
        case Grammar(gbnf):
            return gbnf
        case JsonSchema(schema):
            return schema_to_gbnf(schema)
        case Choices(options):
            return choices_to_gbnf(options)
        case _:
            assert_never(constraint)


def choices_to_gbnf(options: tuple[str, ...]) -> str:
    """A grammar of fixed strings."""
    if not options or not all(options):
        raise UsageError("there is nothing to choose from", "give choices like: yes,no,maybe")
    return "root ::= " + " | ".join(json.dumps(option, ensure_ascii=False) for option in options)


def schema_to_gbnf(schema: str) -> str:
    """The grammar of all compact JSON texts that a JSON Schema accepts."""
    try:
        parsed = json.loads(schema)
    except json.JSONDecodeError as error:
        raise UsageError(f"the schema is no JSON: {error}") from error
    normal = _normalize(parsed, "#")
    from llama_cpp.llama_grammar import json_schema_to_gbnf

    try:
        gbnf: str = json_schema_to_gbnf(json.dumps(normal))
    except (AssertionError, KeyError, ValueError, AttributeError, TypeError, RecursionError) as error:
        raise UsageError(f"the schema can't be turned into a grammar: {error!r}") from error
    # The converter lets raw control characters into strings, which JSON forbids (RFC 8259, section 7).
    return gbnf.replace(r'[^"\\] |', r'[^"\\\x7F\x00-\x1F] |')


def _normalize(schema: Any, where: str) -> dict[str, Any]:
    """The schema in the forms that the converter knows, each keyword either honoured or refused by its name."""
    if schema is True:
        return {}
    if not isinstance(schema, dict):
        raise UsageError(f"the schema at {where} is {schema!r}", "a schema is a JSON object")
    schema = {
        key: value
        for key, value in schema.items()
        if key not in _ANNOTATIONS or key in ("$defs", "definitions")
    }
    for table in ("$defs", "definitions", "properties"):
        if table in schema:
            schema[table] = {
                name: _normalize(part, f"{where}/{table}/{name}")
                for name, part in _table(schema, table, where).items()
            }
    definitions = {key: schema.pop(key) for key in ("$defs", "definitions") if key in schema}
    return definitions | _normalize_value(schema, where)


def _table(schema: dict[str, Any], key: str, where: str) -> dict[str, Any]:
    if not isinstance(schema[key], dict):
        raise UsageError(f"{key} at {where} is {schema[key]!r}", "it is a JSON object")
    return dict(schema[key])


def _normalize_value(schema: dict[str, Any], where: str) -> dict[str, Any]:
    kind = schema.get("type")
    if isinstance(kind, list):
        return {"anyOf": [_normalize_value(_for_type(schema, k), where) for k in kind]}
    if len(schema.get("allOf", [])) == 1 and not schema.keys() - {"allOf", "type"}:
        return _normalize(schema["allOf"][0], f"{where}/allOf/0")
    for key in ("anyOf", "oneOf"):
        if key in schema:
            _honour(schema, {key, "type"}, where)
            return {"anyOf": [_normalize(part, f"{where}/{key}/{i}") for i, part in enumerate(schema[key])]}
    if kind is not None and kind not in _PRIMITIVES:
        raise UsageError(
            f"the schema at {where} has the type {kind!r}", f"types: {', '.join(sorted(_PRIMITIVES))}"
        )
    return _normalize_single(schema, where)


def _for_type(schema: dict[str, Any], kind: str) -> dict[str, Any]:
    """The part of a schema with several types that concerns one of them."""
    concerns = {
        "object": {"properties", "required", "additionalProperties"},
        "array": {"items", "prefixItems", "minItems", "maxItems"},
        "string": {"minLength", "maxLength", "pattern", "format"},
    }
    elsewhere = set().union(*(keys for name, keys in concerns.items() if name != kind))
    return {key: value for key, value in schema.items() if key not in elsewhere} | {"type": kind}


def _normalize_single(schema: dict[str, Any], where: str) -> dict[str, Any]:
    if "$ref" in schema:
        _honour(schema, {"$ref"}, where)
    elif "const" in schema or "enum" in schema:
        _honour(schema, {"const", "type"} if "const" in schema else {"enum", "type"}, where)
    elif "properties" in schema or isinstance(schema.get("additionalProperties"), dict):
        return _normalize_object(schema, where)
    elif "items" in schema or "prefixItems" in schema:
        return _normalize_array(schema, where)
    elif schema.get("type") == "string" or "pattern" in schema:
        _check_string(schema, where)
    else:
        _honour(schema, {"type", "additionalProperties"}, where)
    return schema


def _normalize_object(schema: dict[str, Any], where: str) -> dict[str, Any]:
    _honour(schema, {"type", "properties", "required", "additionalProperties"}, where)
    missing = set(schema.get("required", [])) - set(schema.get("properties", {}))
    if missing:
        raise UnsupportedFeature(f"the schema at {where} requires {min(missing)!r} and does not describe it")
    extra = schema.get("additionalProperties", False)
    # Without a word about them, other properties are valid but not wanted: the model would never stop inventing.
    schema["additionalProperties"] = (
        _normalize(extra, f"{where}/additionalProperties") if isinstance(extra, dict) else False
    )
    return schema


def _normalize_array(schema: dict[str, Any], where: str) -> dict[str, Any]:
    if "prefixItems" in schema:
        _honour(schema, {"type", "prefixItems", "items"}, where)
        parts = [_normalize(part, f"{where}/prefixItems/{i}") for i, part in enumerate(schema["prefixItems"])]
        return {"type": "array", "prefixItems": parts}
    _honour(schema, {"type", "items", "minItems", "maxItems"}, where)
    return schema | {"items": _normalize(schema["items"], f"{where}/items")}


def _check_string(schema: dict[str, Any], where: str) -> None:
    if "pattern" in schema:
        _honour(schema, {"type", "pattern"}, where)
    elif schema.get("format") in _FORMATS:
        _honour(schema, {"type", "format"}, where)
    else:
        schema.pop("format", None)  # an annotation unless a validator is told to assert it
        _honour(schema, {"type", "minLength", "maxLength"}, where)
        if schema.get("maxLength", 0) > MAX_LENGTH:
            raise UnsupportedFeature(
                f"maxLength at {where} is over {MAX_LENGTH}", "leave it out or make it smaller"
            )


def _honour(schema: dict[str, Any], honoured: set[str], where: str) -> None:
    ignored = sorted(schema.keys() - honoured)
    if ignored:
        raise UnsupportedFeature(
            f"{ignored[0]!r} at {where} of the schema can't be enforced (together with {', '.join(sorted(schema.keys() - set(ignored))) or 'nothing'})",
            "leave it out of the schema and check the value afterwards",
        )
