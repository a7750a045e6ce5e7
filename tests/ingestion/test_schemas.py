"""Checking values against JSON Schemas: the field is named, and the work is bounded."""

from typing import Any

import pytest

from errata.errors import Malformed
from ingestion import patterns, schemas
from tests.people import Api, action

TREE: dict[str, Any] = {
    "$ref": "#/$defs/node",
    "$defs": {
        "node": {
            "type": "object",
            "properties": {
                "size": {"type": "integer"},
                "children": {"type": "array", "items": {"$ref": "#/$defs/node"}},
            },
        }
    },
}


def refusal(schema: dict[str, Any], value: Any) -> Malformed:
    with pytest.raises(Malformed) as refused:
        schemas.check(schema, value, "action.arguments")
    return refused.value


@pytest.mark.parametrize(
    ("schema", "value", "field", "says"),
    [
        ({"properties": {"amount": {"minimum": 0}}}, {"amount": -1}, ".amount", "minimum of 0"),
        ({"required": ["amount"]}, {}, "", '"amount" is a required property'),
        ({"properties": {"to": {"items": {"type": "string"}}}}, {"to": ["a", 1]}, ".to[1]", "1 is"),
        ({"properties": {"a b": {"type": "null"}}}, {"a b": 1}, "['a b']", "null"),
        ({"properties": {"a": {}}, "additionalProperties": False}, {"b": 1}, "", "'b' was"),
        (
            {"anyOf": [{"type": "string"}, {"properties": {"a": {"properties": {"b": False}}}}]},
            {"a": {"b": 1}},
            ".a.b",
            "allows nothing",
        ),
        ({"anyOf": [{"type": "string"}, {"type": "array"}]}, {"a": 1}, "", "anyOf"),
        (TREE, {"children": [{}, {"children": [{"size": "xl"}]}]}, ".children[1].children[0].size",
         "integer"),
    ],
)  # fmt: skip
def test_the_field_that_does_not_fit_is_named(
    schema: dict[str, Any], value: Any, field: str, says: str
) -> None:
    error = refusal(schema, value)
    assert error.field == f"action.arguments{field}"
    assert says in error.detail


@pytest.mark.parametrize("value", [5, 5.0, -3, 2**53 - 1])
def test_what_fits_passes(value: float) -> None:
    schemas.check({"type": "integer"}, value, "x")
    schemas.check(TREE, {"size": value, "children": [{"size": value}]}, "x")


@pytest.mark.parametrize("value", [True, "5", None, 5.5])
def test_nothing_is_coerced(value: Any) -> None:
    refusal({"type": "integer"}, value)


@pytest.mark.parametrize(
    ("schema", "says"),
    [
        ({"type": "objekt"}, "objekt"),
        ({"$ref": "http://127.0.0.1:9/schema"}, "leads elsewhere"),
        ({"$ref": "file:///etc/passwd"}, "leads elsewhere"),
        ({"$ref": "other.json#/a"}, "leads elsewhere"),
        ({"$dynamicRef": "#meta"}, "leads elsewhere"),
        ({"$ref": "#/nowhere"}, "nothing stands at"),
        ({"$ref": "#/allOf/7", "allOf": [{}]}, "nothing stands at"),
        ({"properties": {"a": {"$id": "http://127.0.0.1:9/a"}}}, "$id"),
        ({"pattern": "("}, "no look-around"),
        ({"pattern": "(?=a)b"}, "no look-around"),
        ({"pattern": "(a)\\1"}, "no look-around"),
        ({"pattern": "(a{1000}){1000}"}, "no large counts"),
        ({"patternProperties": {"(?!x)": {}}}, "not valid"),
    ],
)
def test_a_schema_that_cannot_be_used_says_why(schema: dict[str, Any], says: str) -> None:
    problem = schemas.problem(schema)
    assert problem is not None
    assert says in problem
    assert says in refusal(schema, {}).detail


def test_references_within_a_schema_are_followed() -> None:
    schema = {"allOf": [{"$ref": "#/$defs/a%20b/allOf/0"}], "$defs": {"a b": {"allOf": [False]}}}
    assert "allows nothing" in refusal(schema, 1).detail


def multiplying(levels: int) -> dict[str, Any]:
    """Each level refers twice to the next: the last is used 2 ** levels times."""
    twice = {f"a{n}": {"allOf": [{"$ref": f"#/$defs/a{n + 1}"}] * 2} for n in range(levels)}
    return {"$ref": "#/$defs/a0", "$defs": {**twice, f"a{levels}": {"type": "string"}}}


def test_references_that_multiply_are_refused_before_they_are_followed() -> None:
    assert schemas.problem(multiplying(5)) is None
    problem = schemas.problem(multiplying(60))  # followed, it would not end in this century
    assert problem is not None
    assert "multiply" in problem


def test_a_long_chain_of_references_is_refused() -> None:
    chain: dict[str, Any] = {f"a{n}": {"$ref": f"#/$defs/a{n + 1}"} for n in range(50_000)}
    problem = schemas.problem({"$ref": "#/$defs/a0", "$defs": chain})
    assert problem is not None
    assert "too deeply" in problem


def test_a_recursive_schema_with_too_many_ways_says_only_that_a_value_does_not_fit() -> None:
    again = {"properties": {"x": {"$ref": "#/$defs/a"}}}
    schema = {
        "$ref": "#/$defs/a",
        "$defs": {"a": {"type": "object", "anyOf": [again, {**again, "maxProperties": 9}]}},
    }
    value: Any = 5
    for _ in range(90):  # 2 ** 90 ways
        value = {"x": value}
    assert refusal(schema, value).detail == "the value does not fit the JSON Schema"
    assert refusal(schema, {"x": {"x": 5}}).field == "action.arguments.x.x"


EVIL = ["(a+)+$", "^(a|a)*$", "^(a|aa)+$", "^(.*a){20}$", "^((a+)+b)$", "^([a-zA-Z]+)*$"]


@pytest.mark.parametrize("pattern", EVIL)
def test_a_catastrophic_pattern_ends(pattern: str) -> None:
    # Backtracking, a thirtieth of a thousandth of this text would already take minutes.
    text = "a" * 100_000 + "!"
    assert patterns.problem(pattern) is None
    assert not patterns.fits(pattern, text)
    refused = refusal({"pattern": f"^(?:{pattern})$"}, text)
    assert "does not match" in refused.detail
    assert len(refused.detail) < 600


def test_an_agent_cannot_stop_the_server_by_a_pattern_of_its_own(api: Api) -> None:
    body = action("mail", to="a" * 100_000 + "!")
    parameters = {"properties": {"to": {"pattern": "^(a+)+$"}}}
    body["tools"] = [{"name": "mail", "parameters": parameters}]
    answer = api.client.post("/v1/proposals", json=body, headers=api.people.agent.headers)
    assert (answer.status_code, answer.json()["field"]) == (422, "action.arguments.to")


@pytest.mark.parametrize(
    ("pattern", "text", "fits"),
    [
        ("b.b", "bob", True),
        ("b.b", "bobby", False),
        ("b|bob", "bob", True),
        ("bob", "bob\n", False),
        ("a.b", "a\nb", False),
        ("(?s)a.b", "a\nb", True),
        ("(?i)BOB", "bob", True),
        ("\\d+", "12", True),
        ("\\d+", "١٢", False),
        ("\\p{L}+", "Grüße", True),
        ("", "", True),
        ("", "x", False),
    ],
)
def test_a_pattern_speaks_of_the_whole_text(pattern: str, text: str, fits: bool) -> None:
    assert patterns.problem(pattern) is None
    assert patterns.fits(pattern, text) is fits


@pytest.mark.parametrize("pattern", ["a)|(b", "(?=a)", "(a)\\1", "[", "(a{1000}){1000}", "(?x)a #"])
def test_a_pattern_that_cannot_be_taken_is_named(pattern: str) -> None:
    problem = patterns.problem(pattern)
    assert problem is not None
    assert "no look-around" in problem
