"""What the protocol's values take and refuse."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from errata import protocol
from errata.errors import Malformed
from errata.protocol import KIND_VERDICTS, Kind, Proposal
from ingestion import bodies
from tests.people import action, proposal


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"hap": "2"}, "hap"),
        ({"kind": "song"}, "kind"),
        ({"colour": "red"}, "colour"),
        ({"agent": {}}, "agent.id"),
        ({"agent": {"id": ""}}, "agent.id"),
        ({"agent": {"id": "x" * 201}}, "agent.id"),
        ({"agent": {"id": "a\0b"}}, "agent.id"),
        ({"agent": {"id": "desk", "shoe": 44}}, "agent.shoe"),
        ({"id": "no spaces"}, "id"),
        ({"id": "a" * 101}, "id"),
        ({"id": "end\n"}, "id"),
        ({"task_id": "t" * 501}, "task_id"),
        ({"task_id": "t\0"}, "task_id"),
        ({"action": None}, "action"),
        ({"action": {"name": "n", "arguments": [1]}}, "action.arguments"),
        ({"action": {"name": "n", "arguments": "[1]"}}, "action.arguments"),
        ({"action": {"name": "n", "arguments": "{"}}, "action.arguments"),
        ({"action": {"name": "n", "arguments": '{"a": 1, "a": 2}'}}, "action.arguments"),
        ({"action": {"name": "n", "arguments": '{"a": NaN}'}}, "action.arguments"),
        ({"action": {"name": "n", "arguments": "[" * 5000}}, "action.arguments"),
        ({"confidence": {"value": 1.1, "method": "judge"}}, "confidence.value"),
        ({"confidence": {"value": 0.5, "method": "gut"}}, "confidence.method"),
        ({"risk": {"level": "mild"}}, "risk.level"),
        ({"evidence": [{"text": "a", "origin": "tool"}]}, "evidence[0].trusted"),
        ({"allowed": []}, "allowed"),
        ({"allowed": ["respond"]}, "allowed"),
        ({"undo_window_s": -1}, "undo_window_s"),
        ({"cost": {"usd": -1}}, "cost.usd"),
        ({"cost": {"tokens": 2**53}}, "cost.tokens"),
        ({"screenshot": "https://example.com/a.png"}, "screenshot"),
        ({"screenshot": "data:image/svg+xml;base64,PHN2Zz4="}, "screenshot"),
        ({"created_at": "yesterday"}, "created_at"),
        ({"created_at": "0001-01-01T00:00:00+14:00"}, "created_at"),
        ({"expires_at": "9999-12-31T23:59:59-14:00"}, "expires_at"),
        ({"prompt": [{"role": "robot"}]}, "prompt[0].role"),
        ({"mode": "dream"}, "mode"),
        ({"metadata": {"a": [2**53]}}, "metadata.a[0]"),
    ],
)
def test_a_malformed_proposal_is_refused_with_its_field(change: dict[str, Any], field: str) -> None:
    given = {key: value for key, value in {**action(), **change}.items() if value is not None}
    with pytest.raises(Malformed) as refused:
        bodies.parse(json.dumps(given), Proposal)
    assert refused.value.field == field
    assert refused.value.status == 422


@pytest.mark.parametrize("kind", sorted(KIND_VERDICTS))
def test_a_proposal_without_what_its_kind_needs_is_refused(kind: str) -> None:
    with pytest.raises(Malformed, match="needs it"):
        bodies.parse(json.dumps({"hap": "1", "kind": kind, "agent": {"id": "a"}}), Proposal)


@pytest.mark.parametrize(
    ("raw", "field"),
    [
        (b"", "body"),
        (b"{", "body"),
        (b"\xff\xfe{\x00}\x00", "body"),
        (b'{"a": "\xed\xa0\x80"}', "body"),
        (b'{"hap": "1", "hap": "1"}', "body"),
        (b"[" * 100_000, "body"),
        (b"1" * 5_000, "body"),
        (b'{"metadata": {"x": NaN}}', "metadata.x"),
        (b'{"metadata": {"x": [1, Infinity]}}', "metadata.x[1]"),
        (b'{"metadata": {"x": 1e400}}', "metadata.x"),
        (b'{"metadata": {"x": 9007199254740992}}', "metadata.x"),
        (b'{"metadata": {"x": "\\ud800"}}', "metadata.x"),
        (b'{"\\ud800": 1}', "value"),
        (b'{"prompt": [{"role": "user", "tool_calls": [{"id": "\\udc00"}]}]}',
         "prompt[0].tool_calls[0].id"),
        (b"[]", ""),
        (b'"text"', ""),
    ],
)  # fmt: skip
def test_a_body_that_is_not_exact_json_is_refused(raw: bytes, field: str) -> None:
    with pytest.raises(Malformed) as refused:
        bodies.parse(raw, Proposal)
    if field:
        assert refused.value.field == field


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


def test_nesting_is_taken_up_to_a_limit_and_refused_beyond() -> None:
    # the proposal and its metadata are two levels themselves
    given = {**action(), "metadata": {"x": nested(protocol.DEEPEST - 2)}}
    assert bodies.parse(json.dumps(given), Proposal).metadata["x"]
    given = {**action(), "metadata": {"x": nested(protocol.DEEPEST - 1)}}
    with pytest.raises(Malformed, match="nested too deeply"):
        bodies.parse(json.dumps(given), Proposal)


def test_the_field_that_makes_a_body_large_is_named() -> None:
    big = "x" * 1000
    assert bodies.largest(json.dumps({**action(), "content": big}).encode()) == "content"
    within = action(letter={"text": big, "to": "bob"})
    assert bodies.largest(json.dumps(within).encode()) == "action.arguments.letter.text"
    assert bodies.largest(b"[" * 5000) == "body"
    assert bodies.largest(b"not json") == "body"


def test_arguments_may_come_as_a_json_string_and_are_kept_as_an_object() -> None:
    asked = proposal(kind="action", action={"name": "n", "arguments": '{"a": null, "b": 1.0}'})
    assert asked.action is not None
    assert asked.action.arguments == {"a": None, "b": 1.0}
    assert asked.wire()["action"]["arguments"] == {"a": None, "b": 1.0}


def test_tool_call_ids_may_repeat_in_a_conversation() -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "n", "arguments": "{}"}}
    asked = proposal(prompt=[{"role": "assistant", "tool_calls": [call, call]}] * 2)
    assert asked.prompt is not None
    assert asked.prompt[1].tool_calls is not None
    assert [one.id for one in asked.prompt[1].tool_calls] == ["call_1", "call_1"]


@pytest.mark.parametrize("field", ["candidates", "options"])
def test_ids_that_repeat_are_refused(field: str) -> None:
    twins = [{"id": "a", "content": "1", "label": "1"}, {"id": "a", "content": "2", "label": "2"}]
    keep = {"candidates": "content", "options": "label"}[field]
    given = [{"id": one["id"], keep: one[keep]} for one in twins]
    with pytest.raises(ValidationError, match=f"{field}: ids must differ"):
        proposal(**{field: given})


@pytest.mark.parametrize(
    "candidate",
    [{"id": "a"}, {"id": "a", "content": "x", "action": {"name": "n", "arguments": {}}}],
)
def test_a_candidate_is_either_a_text_or_an_action(candidate: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="either content or action"):
        proposal(kind="candidates", candidates=[candidate, {"id": "b", "content": "y"}])


def test_one_candidate_is_no_choice() -> None:
    with pytest.raises(ValidationError, match="at least 2"):
        proposal(kind="candidates", candidates=[{"id": "b", "content": "y"}])


@pytest.mark.parametrize("kind", sorted(KIND_VERDICTS))
def test_an_agent_can_narrow_the_verdicts_and_not_widen_them(kind: Kind) -> None:
    body: dict[str, Any] = {
        "action": {"name": "n", "arguments": {}},
        "content": "c",
        "candidates": [{"id": "a", "content": "1"}, {"id": "b", "content": "2"}],
        "point": {"x": 1, "y": 2},
        "message": "m",
    }
    fields = {"content": None, protocol.KIND_FIELD[kind]: body[protocol.KIND_FIELD[kind]]}
    assert proposal(kind=kind, **fields).verdicts == KIND_VERDICTS[kind]
    assert proposal(kind=kind, **fields, allowed=["reject"]).verdicts == ("reject",)
    every = ["approve", "edit", "reject", "respond", "regenerate", "takeover"]
    with pytest.raises(ValidationError, match="takes one or more of"):
        proposal(kind=kind, **fields, allowed=every)


def test_times_are_read_as_utc() -> None:
    assert proposal(created_at="2026-03-01T12:00:00").created_at == datetime(
        2026, 3, 1, 12, tzinfo=UTC
    )
    assert proposal(created_at="2026-03-01T12:00:00+02:00").created_at == datetime(
        2026, 3, 1, 10, tzinfo=UTC
    )


def test_values_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        proposal().kind = "plan"


def test_every_published_schema_refuses_unknown_fields() -> None:
    for model in protocol.VALUES:
        assert model.model_json_schema()["additionalProperties"] is False
