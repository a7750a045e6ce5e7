"""Stored texts as light values."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from errata import protocol
from review import stored

MODELS: tuple[type[protocol.Value], ...] = (
    protocol.Proposal,
    protocol.Decision,
    protocol.Review,
)
WORDS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=6,
)
CALLS = st.fixed_dictionaries({"name": st.just("pay"), "arguments": st.dictionaries(WORDS, JSON)})
MESSAGES = st.fixed_dictionaries(
    {"role": st.sampled_from(["user", "assistant"])},
    optional={
        "content": WORDS,
        "tool_calls": st.lists(st.fixed_dictionaries({"function": CALLS}), max_size=2),
    },
)
PROPOSALS = st.fixed_dictionaries(
    {
        "hap": st.just("1"),
        "kind": st.just("action"),
        "agent": st.sampled_from([{"id": "desk"}, {"id": "desk", "model": "small"}]),
        "action": CALLS,
    },
    optional={
        "prompt": st.lists(MESSAGES, max_size=3),
        "tools": st.lists(st.dictionaries(WORDS, JSON, max_size=2), max_size=2),
        "candidates": st.just([{"id": "a", "content": "x"}, {"id": "b", "content": "y"}]),
        "confidence": st.just({"value": 1, "method": "judge"}),
        "reasoning": st.fixed_dictionaries({"goal": WORDS}, optional={"factors": st.lists(JSON)}),
        "created_at": st.datetimes(datetime(1971, 1, 1)).map(  # noqa: DTZ001 - naive is UTC
            lambda at: at.isoformat()
        ),
        "metadata": st.dictionaries(WORDS, JSON, max_size=3),
        "undo_window_s": st.integers(0, 9),
    },
)


def attributes(value: Any) -> Any:
    """A value as plain data, by its attributes."""
    if isinstance(value, protocol.Value):
        return {name: attributes(getattr(value, name)) for name in type(value).model_fields}
    if isinstance(value, msgspec.Struct):
        names = value.__struct_fields__
        return {name: attributes(getattr(value, name)) for name in names}
    if isinstance(value, dict):
        return {name: attributes(item) for name, item in value.items()}
    return type(value)(map(attributes, value)) if isinstance(value, tuple | list) else value


@given(fields=PROPOSALS)
def test_a_light_proposal_has_what_the_validated_one_has(fields: dict[str, Any]):
    value = protocol.Proposal.model_validate(fields)
    text = TypeAdapter(dict[str, Any]).dump_json(value.model_dump(mode="json", exclude_unset=True))
    assert attributes(stored.reader(protocol.Proposal)(text)) == attributes(value)


@pytest.mark.parametrize("model", MODELS)
def test_every_field_of_a_value_is_there(model: type[protocol.Value]):
    light = stored.light(model)
    assert set(light.__struct_fields__) == set(model.model_fields)


def test_a_review_with_all_it_can_say_is_read():
    said = {
        "proposal_id": "p1",
        "digest": "sha256:" + "0" * 64,
        "verdict": "edit",
        "action": {"name": "pay", "arguments": {"amount": 1.0}},
        "ranking": [["a"], ["b", "c"]],
        "pairwise": [{"a": "a", "b": "b", "winner": "tie"}],
        "ratings": {"tone": 4},
        "labels": {"topic": "late", "tags": ["x", "y"]},
        "rationale": {"code": "tone", "text": "kinder"},
        "opened_at": "2026-05-04T12:00:00Z",
    }
    value = protocol.Review.model_validate(said)
    light = stored.reader(protocol.Review)(value.model_dump_json(exclude_unset=True))
    assert attributes(light) == attributes(value)
    assert light.opened_at == datetime(2026, 5, 4, 12, tzinfo=UTC)


def test_a_light_value_cannot_be_changed():
    text = '{"hap":"1","kind":"draft","agent":{"id":"desk"},"content":"hi"}'
    light = stored.reader(protocol.Proposal)(text)
    with pytest.raises(AttributeError):
        light.content = "ho"
