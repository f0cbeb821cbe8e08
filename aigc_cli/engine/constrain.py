"""Constraints to GBNF, the grammar notation of llama.cpp."""

from typing import assert_never

from aigc_cli.engine.base import Choices, Constraint, Grammar, JsonSchema
from aigc_cli.engine.json_grammar import schema_to_gbnf
from aigc_cli.errors import UsageError

# What brings a JSON value to its end, the most urgent first: inside a string the quote, else the brackets.
JSON_CLOSERS = ('"', "}", "]")
_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"})


def to_gbnf(constraint: Constraint) -> str:
    """The grammar that holds a reply to this constraint.

    Raises:
        UsageError: it is no valid schema, or there are no choices.
        UnsupportedFeature: the schema says something that no grammar can promise; the message names it.
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
    return "root ::= " + " | ".join(f'"{option.translate(_ESCAPES)}"' for option in options)
