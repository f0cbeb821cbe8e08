"""Schemas to grammars: each keyword enforced or refused by its name, and every reply valid."""

import json
from dataclasses import replace
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aigc_cli.engine.base import Choices, Grammar, JsonSchema, Sampling
from aigc_cli.engine.constrain import choices_to_gbnf, to_gbnf
from aigc_cli.engine.json_grammar import schema_to_gbnf
from aigc_cli.engine.llama import LlamaEngine
from aigc_cli.errors import AigcError, UnsupportedFeature, UsageError
from aigc_cli.events import FinishReason
from tests.engine.conftest import OpenEngine
from tests.engine.replies import ask, done_of, text_of
from tests.tiny_model import write_tiny_model

# Few candidates: a byte that is no whole character counts as one for the grammar and as several in the text.
RANDOM = Sampling(temperature=2, top_k=20, top_p=1, min_p=0)

PERSON = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "Person",
    "type": "object",
    "properties": {
        "name": {"type": "string", "description": "full name"},
        "age": {"type": "integer"},
        "emails": {"type": "array", "items": {"type": "string"}, "maxItems": 3},
        "住址": {"anyOf": [{"type": "string"}, {"type": "null"}]},
    },
    "required": ["name", "age", "emails"],
    "additionalProperties": False,
}
TREE = {
    "$defs": {
        "node": {
            "type": "object",
            "properties": {
                "label": {"enum": ["leaf", "branch", 3, None]},
                "children": {"type": "array", "items": {"$ref": "#/$defs/node"}},
            },
            "required": ["label"],
        }
    },
    "$ref": "#/$defs/node",
}
MIXED = {
    "type": "array",
    "minItems": 1,
    "maxItems": 4,
    "items": {
        "anyOf": [
            {"const": 'a "quoted" \\ back\nslash'},
            {"type": "integer", "minimum": 1, "maximum": 5},
            {"type": "integer", "exclusiveMinimum": -1},
            {"type": "string", "format": "date-time"},
            {"type": "array", "minItems": 2},
            {"type": "object", "additionalProperties": False},
            {"type": ["number", "boolean"]},
            {"type": "string", "minLength": 2, "maxLength": 5},
            {"type": "string", "format": "date"},
            {"type": "array", "prefixItems": [{"type": "integer"}, {"type": "null"}]},
            {"type": "object", "additionalProperties": {"type": "number"}},
            {"allOf": [{"type": "object", "properties": {"x": {"type": "number"}}}]},
        ]
    },
}
TAGGED = {
    "oneOf": [
        {
            "type": "object",
            "properties": {"kind": {"const": kind}, "n": {"type": "number"}},
            "required": ["kind"],
        }
        for kind in ("circle", "square")
    ]
    + [{"type": "string"}]
}
FREE = {"type": "object"}
ANYTHING: dict[str, Any] = {}


@pytest.fixture
def engine(tmp_path_factory: pytest.TempPathFactory, open_engine: OpenEngine) -> LlamaEngine:
    path = tmp_path_factory.getbasetemp() / "ascii.gguf"
    return open_engine(path if path.exists() else write_tiny_model(path, ascii_only=True))


@pytest.mark.parametrize("schema", [PERSON, TREE, MIXED, TAGGED, FREE, ANYTHING])
@pytest.mark.parametrize("seed", range(6))
def test_even_a_random_model_gives_a_valid_reply(
    engine: LlamaEngine, schema: dict[str, Any], seed: int
) -> None:
    sampling = replace(RANDOM, seed=seed, max_tokens=400)
    events = list(engine.stream(ask("go", sampling=sampling, constraint=JsonSchema(json.dumps(schema)))))
    jsonschema.validate(json.loads(text_of(events)), schema)
    assert done_of(events).stats.reply_tokens <= 400


def objects(parts: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Object schemas over these parts, with odd property names and any of them required."""

    def build(properties: dict[str, Any], required: set[int], extra: object) -> dict[str, Any]:
        names = [name for index, name in enumerate(properties) if index in required]
        return {"type": "object", "properties": properties, "required": names, "additionalProperties": extra}

    names = st.text(alphabet='ab"\\\n词 {', min_size=1, max_size=3)
    return st.builds(
        build, st.dictionaries(names, parts, max_size=3), st.sets(st.integers(0, 2)), st.booleans()
    )


SCALARS: st.SearchStrategy[Any] = st.one_of(
    st.sampled_from([{"type": kind} for kind in ("string", "number", "integer", "boolean", "null")]),
    st.sampled_from([{"type": "string", "format": kind} for kind in ("date", "time", "date-time", "uuid")]),
    st.lists(st.one_of(st.none(), st.integers(-5, 5), st.text(max_size=3)), min_size=1, max_size=3).map(
        lambda values: {"enum": values}
    ),
    st.tuples(st.integers(0, 3), st.integers(0, 4)).map(
        lambda n: {"type": "string", "minLength": n[0], "maxLength": sum(n)}
    ),
    st.tuples(st.integers(-20, 20), st.integers(0, 30)).map(
        lambda n: {"type": "integer", "minimum": n[0], "maximum": sum(n)}
    ),
)
SCHEMAS = st.recursive(
    SCALARS,
    lambda parts: st.one_of(
        objects(parts),
        st.lists(parts, min_size=1, max_size=3).map(lambda options: {"anyOf": options}),
        st.tuples(parts, st.integers(0, 2), st.integers(0, 2)).map(
            lambda n: {"type": "array", "items": n[0], "minItems": n[1], "maxItems": n[1] + n[2]}
        ),
    ),
    max_leaves=6,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(schema=SCHEMAS, seed=st.integers(0, 1000))
def test_a_reply_to_any_schema_is_valid(engine: LlamaEngine, schema: dict[str, Any], seed: int) -> None:
    sampling = replace(RANDOM, seed=seed, max_tokens=1500)
    events = list(engine.stream(ask("go", sampling=sampling, constraint=JsonSchema(json.dumps(schema)))))
    assert jsonschema.Draft202012Validator(schema).is_valid(json.loads(text_of(events))), text_of(events)


def test_a_greedy_loop_inside_a_string_is_closed_into_valid_json(open_engine: OpenEngine) -> None:
    engine = open_engine(guard_loops=True)
    schema = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
    request = ask("go", sampling=Sampling(temperature=0), constraint=JsonSchema(json.dumps(schema)))
    events = list(engine.stream(request))
    jsonschema.validate(json.loads(text_of(events)), schema)
    assert done_of(events).finish_reason in (FinishReason.LOOP, FinishReason.LENGTH)


@pytest.mark.parametrize(
    ("schema", "keyword"),
    [
        ({"type": "integer", "minimum": 3}, "range"),
        ({"type": "number", "minimum": 3}, "minimum"),
        ({"oneOf": [{"type": "integer"}, {"type": "number"}]}, "oneOf"),
        ({"type": "string", "pattern": "^a$"}, "pattern"),
        ({"$ref": "https://example.org/schema"}, "leaves the schema"),
        ({"type": "number", "multipleOf": 2}, "multipleOf"),
        ({"type": "array", "items": {}, "uniqueItems": True}, "uniqueItems"),
        ({"type": "object", "properties": {"a": {"type": "string", "not": {}}}}, "not"),
        ({"type": "object", "properties": {}, "minProperties": 1}, "minProperties"),
        ({"type": "object", "patternProperties": {}}, "patternProperties"),
        ({"anyOf": [{"type": "string"}], "properties": {}}, "properties"),
        ({"allOf": [{"type": "object"}, {"type": "object"}]}, "allOf"),
        ({"type": ["string", "number"], "minimum": 1}, "minimum"),
        ({"if": {}, "then": {}}, "if"),
        ({"$defs": {"a": {"maximum": 1, "type": "number"}}, "$ref": "#/$defs/a"}, "maximum"),
        ({"type": "object", "properties": {"a": {}}, "required": ["b"]}, "requires 'b'"),
        ({"type": "string", "maxLength": 10**6}, "maxLength"),
    ],
)
def test_a_keyword_that_no_grammar_enforces_is_refused_by_name(schema: dict[str, Any], keyword: str) -> None:
    with pytest.raises(UnsupportedFeature, match=keyword):
        schema_to_gbnf(json.dumps(schema))


@pytest.mark.parametrize(
    "schema",
    [
        *("", "{", "3", '"text"', "false", "[" * 100_000),
        *('{"type": "thing"}', '{"properties": 3}', '{"$ref": "#/nowhere"}', '{"anyOf": [3]}'),
        *('{"enum": []}', '{"minLength": -1}', '{"minItems": 3, "maxItems": 2}'),
    ],
)
def test_a_schema_that_is_none_is_a_clear_error(schema: str) -> None:
    with pytest.raises(AigcError) as caught:
        schema_to_gbnf(schema)
    assert "\n" not in caught.value.message


def test_strings_of_the_grammar_hold_no_raw_control_characters(engine: LlamaEngine) -> None:
    schema = json.dumps({"type": "string", "minLength": 60, "maxLength": 80})
    for seed in range(5):
        sampling = replace(RANDOM, seed=seed)
        events = list(engine.stream(ask("go", sampling=sampling, constraint=JsonSchema(schema))))
        assert 60 <= len(json.loads(text_of(events))) <= 80


def test_a_grammar_is_taken_as_it_is() -> None:
    assert to_gbnf(Grammar('root ::= "x"')) == 'root ::= "x"'


@pytest.mark.parametrize("options", [(), ("",), ("a", "")])
def test_no_choice_is_a_clear_error(options: tuple[str, ...]) -> None:
    with pytest.raises(UsageError, match="nothing to choose"):
        to_gbnf(Choices(options))


def test_choices_are_quoted() -> None:
    assert choices_to_gbnf(('say "hi"', "词")) == 'root ::= "say \\"hi\\"" | "词"'
