"""What a reply must be: response_format, json_schema, grammar, or one of several choices."""

import json
from typing import Any

from aigc_cli.engine.base import Choices, Constraint, Grammar, JsonSchema
from aigc_cli.serve.fields import Fields, required
from aigc_cli.serve.refusals import BadField

ANY_OBJECT = {"type": "object"}


def decode_constraint(fields: Fields) -> Constraint | None:
    """The constraint of a request, None when there is none.

    Raises:
        BadField: it has no constraint's shape, or there are two.
    """
    found: dict[str, Constraint] = {}
    if (schema := _response_format(fields)) is not None:
        found["response_format"] = _json_schema(schema)
    if (schema := fields.mapping("json_schema")) is not None:
        found["json_schema"] = _json_schema(schema or ANY_OBJECT)
    if grammar := fields.text("grammar"):
        found["grammar"] = Grammar(grammar)
    if options := fields.nested("x_aigc").texts("choices"):
        found["x_aigc.choices"] = Choices(options)
    if len(found) > 1:
        raise BadField(next(iter(found)), f"{' and '.join(found)} exclude each other")
    return next(iter(found.values()), None)


def _response_format(fields: Fields) -> dict[str, Any] | None:
    if "response_format" not in fields:
        return None
    wanted = fields.nested("response_format")
    match required(wanted, "type", wanted.text("type")):
        case "text":
            return None
        case "json_object":
            return wanted.mapping("schema") or ANY_OBJECT
        case "json_schema" if "json_schema" in wanted:
            inner = wanted.nested("json_schema")
            return required(inner, "schema", inner.mapping("schema"))
        case "json_schema":  # as llama-server's own examples write it
            return required(wanted, "json_schema", wanted.mapping("schema"))
        case _:
            return wanted.refuse("type", "one of text, json_object, json_schema")


def _json_schema(schema: dict[str, Any]) -> JsonSchema:
    return JsonSchema(json.dumps(schema, ensure_ascii=False))
