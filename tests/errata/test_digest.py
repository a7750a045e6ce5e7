"""Canonical JSON and digests: published vectors, the rfc8785 package as an oracle, our own vectors."""

import json
import math
import struct
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from errata import digest
from errata.protocol import Action, Effective
from tests.people import proposal

ZEROS = "sha256:" + "0" * 64

# RFC 8785, appendix B: IEEE 754 bits and their ECMAScript form.
NUMBERS = {
    "0000000000000000": "0",
    "8000000000000000": "0",
    "0000000000000001": "5e-324",
    "8000000000000001": "-5e-324",
    "7fefffffffffffff": "1.7976931348623157e+308",
    "ffefffffffffffff": "-1.7976931348623157e+308",
    "4340000000000000": "9007199254740992",
    "c340000000000000": "-9007199254740992",
    "4430000000000000": "295147905179352830000",
    "44b52d02c7e14af5": "9.999999999999997e+22",
    "44b52d02c7e14af6": "1e+23",
    "44b52d02c7e14af7": "1.0000000000000001e+23",
    "444b1ae4d6e2ef4e": "999999999999999700000",
    "444b1ae4d6e2ef4f": "999999999999999900000",
    "444b1ae4d6e2ef50": "1e+21",
    "3eb0c6f7a0b5ed8c": "9.999999999999997e-7",
    "3eb0c6f7a0b5ed8d": "0.000001",
    "41b3de4355555553": "333333333.3333332",
    "41b3de4355555554": "333333333.33333325",
    "41b3de4355555555": "333333333.3333333",
    "41b3de4355555556": "333333333.3333334",
    "41b3de4355555557": "333333333.33333343",
    "becbf647612f3696": "-0.0000033333333333333333",
    "43143ff3c1cb0959": "1424953923781206.2",
}


@pytest.mark.parametrize(("bits", "written"), NUMBERS.items())
def test_numbers_are_written_as_in_appendix_b(bits: str, written: str) -> None:
    (number,) = struct.unpack(">d", bytes.fromhex(bits))
    assert digest.canonical(number) == written.encode()


def test_keys_are_sorted_by_utf16_as_in_section_3_2_3() -> None:
    value = {
        "\u20ac": "Euro Sign",
        "\r": "Carriage Return",
        "\ufb33": "Hebrew Letter Dalet With Dagesh",
        "1": "One",
        "\U0001f600": "Emoji: Grinning Face",
        "\u0080": "Control",
        "\u00f6": "Latin Small Letter O With Diaeresis",
    }
    assert list(json.loads(digest.canonical(value)).values()) == [
        "Carriage Return",
        "One",
        "Control",
        "Latin Small Letter O With Diaeresis",
        "Euro Sign",
        "Emoji: Grinning Face",
        "Hebrew Letter Dalet With Dagesh",
    ]


def test_the_example_of_section_3_2_2_is_written_as_published() -> None:
    value = json.loads(
        r"""{
          "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
          "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
          "literals": [null, true, false]
        }"""
    )
    assert digest.canonical(value).decode() == (
        '{"literals":[null,true,false],'
        '"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],'
        '"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'
    )


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8")),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(codec="utf-8")), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(JSON)
def test_any_json_is_written_as_the_reference_package_writes_it(value: Any) -> None:
    assert digest.canonical(value) == rfc8785.dumps(value)


@given(JSON)
def test_writing_what_was_read_back_changes_nothing(value: Any) -> None:
    written = digest.canonical(value)
    again = json.loads(written, parse_int=_as_javascript_reads)
    assert digest.canonical(again) == written


def _as_javascript_reads(text: str) -> int | float:
    """1e16 is written without an exponent; only a reader of doubles takes it back."""
    number = int(text)
    return number if abs(number) < 2**53 else float(text)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (math.nan, "NaN"),
        ({"a": [math.inf]}, r"a\[0\]: NaN and infinities"),
        ({"a": {"b": -math.inf}}, r"a\.b: NaN"),
        ({"a": 2**53}, r"a: integer beyond"),
        ([-(2**53)], r"\[0\]: integer beyond"),
        ({"a": "\ud800"}, "a: lone surrogate"),
        ({"\udfff": 1}, "value: lone surrogate"),
        ({1: "a"}, "keys must be strings"),
        ({"a": {1, 2}}, "a: set is not JSON"),
        (b"bytes", "bytes is not JSON"),
    ],
)
def test_what_json_cannot_carry_exactly_is_refused_with_its_place(value: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        digest.canonical(value)


def test_an_action_has_the_digest_of_the_protocol() -> None:
    schema = {
        "type": "object",
        "properties": {"amount": {"type": "number", "minimum": 0}, "to": {"type": "string"}},
        "required": ["amount"],
    }
    stated = digest.schema_digest(schema)
    assert stated == "sha256:041b338628fae5971481b6bd7ce914d8d08bed4817b657a2a60433b3e5545c2c"
    asked = proposal(
        kind="action",
        agent={"id": "cfo"},
        action={"name": "transfer", "arguments": '{"amount": 100.0, "to": "bob"}'},
    )
    assert (
        digest.digest(
            agent="cfo",
            kind="action",
            body=digest.body(asked),
            tool_schema=stated,
            policy_version=ZEROS,
        )
        == "sha256:f4f5e6ec935ee3b81879c5665f20c176aab8d722d4a62cfe479de356a636c84b"
    )


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (
            {"kind": "draft", "content": "Grüße,\r\n€5 back"},
            "sha256:83e949055c33071535aa14ad2a188126c383f417074ebeba974a0fe38c18ea42",
        ),
        (
            {
                "kind": "question",
                "message": "Which flight?",
                "options": [{"id": "a", "label": "5 pm"}, {"id": "b", "label": "6 pm"}],
            },
            "sha256:7ec72304e099c9e52a8d4589d9145e3ef75e3b459fb84dcb041804f07c342561",
        ),
    ],
)
def test_a_draft_and_a_question_have_the_digests_of_the_protocol(
    fields: dict[str, Any], expected: str
) -> None:
    asked = proposal(**fields)
    found = digest.digest(
        agent="desk",
        kind=asked.kind,
        body=digest.body(asked),
        tool_schema=None,
        policy_version=ZEROS,
    )
    assert found == expected


@pytest.mark.parametrize(
    "other",
    [
        {"agent": "rival"},
        {"kind": "plan"},
        {"body": {"content": "Dear Bob, …!"}},
        {"tool_schema": ZEROS},
        {"policy_version": "sha256:" + "1" * 64},
    ],
)
def test_every_part_of_the_input_changes_the_digest(other: dict[str, Any]) -> None:
    given: dict[str, Any] = {
        "agent": "desk",
        "kind": "draft",
        "body": digest.body(proposal()),
        "tool_schema": None,
        "policy_version": ZEROS,
    }
    assert digest.digest(**given) != digest.digest(**{**given, **other})


def test_the_body_of_candidates_keeps_their_order_and_leaves_scores_out() -> None:
    asked = proposal(
        kind="candidates",
        candidates=[
            {"id": "b", "content": "two", "score": 0.1},
            {"id": "a", "action": {"name": "n", "arguments": {}}},
        ],
    )
    assert digest.body(asked) == {
        "candidates": [
            {"id": "b", "content": "two"},
            {"id": "a", "action": {"name": "n", "arguments": {}}},
        ]
    }


def test_a_version_is_bound_in_place_of_what_was_proposed() -> None:
    click = proposal(kind="click", point={"x": 3, "y": 4})
    assert digest.version_body(click, Effective()) == {"point": {"x": 3.0, "y": 4.0}}
    moved = Effective.model_validate({"point": {"x": 5, "y": 4}})
    assert digest.version_body(click, moved) == {"point": {"x": 5.0, "y": 4.0}}
    other = Effective(action=Action(name="n", arguments={"a": 1}))
    assert digest.version_body(click, other) == {"action": {"name": "n", "arguments": {"a": 1}}}


def test_the_schema_of_a_tool_is_read_in_both_forms() -> None:
    schema = {"type": "object"}
    for tool in (
        {"name": "n", "parameters": schema},
        {"type": "function", "function": {"name": "n", "parameters": schema}},
    ):
        asked = proposal(tools=[{"name": "other"}, tool])
        assert digest.stated_schema(asked, "n") == schema
        assert digest.stated_schema(asked, "other") is None
        assert digest.stated_schema(asked, "missing") is None
