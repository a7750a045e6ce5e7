"""What a model wrote is compared with what a person wanted, whatever the template's marks."""

import json
from typing import Any

import pytest

from training.evaluation.answers import judge

CALL = {"name": "refund", "arguments": {"amount": 5, "to": "bob"}}


def turn(*calls: dict[str, Any], content: str = "") -> dict[str, Any]:
    made = [{"type": "function", "function": call} for call in calls]
    return {"role": "assistant", "content": content, **({"tool_calls": made} if made else {})}


@pytest.mark.parametrize(
    "text",
    [
        f"<tool_call>{json.dumps(CALL)}</tool_call>",
        f"I refund it.\n<tool_call>\n{json.dumps(CALL, indent=1)}\n</tool_call>",
        '{"arguments": {"to": "bob", "amount": 5}, "name": "refund"}',
        '{"type": "function", "name": "refund", "parameters": {"to": "bob", "amount": 5}}',
    ],
)
def test_a_call_is_its_tool_and_its_arguments(text: str) -> None:
    found = judge(text, turn(CALL), prefers=True)
    assert (found.exact, found.distance, found.prefers) == (True, 0.0, True)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "refund bob",
        '{"name": "refund"',
        '{"name": "refund", "arguments": "5"}',
        '{"amount": 5, "to": "bob"}',
        '{"name": "refund", "arguments": {"amount": 6, "to": "bob"}}',
        '{"name": "credit", "arguments": {"amount": 5, "to": "bob"}}',
        f"{json.dumps(CALL)} {json.dumps(CALL)}",
    ],
)
def test_anything_else_is_another_call(text: str) -> None:
    found = judge(text, turn(CALL), prefers=None)
    assert not found.exact
    assert 0 < found.distance <= 1


def test_calls_count_in_their_order() -> None:
    other = {"name": "mail", "arguments": {"to": "bob"}}
    text = f"{json.dumps(CALL)}\n{json.dumps(other)}"
    assert judge(text, turn(CALL, other), None).exact
    assert not judge(text, turn(other, CALL), None).exact


def test_texts_are_compared_by_their_words() -> None:
    assert judge(" Dear  Ann,\nsorry. ", turn(content="Dear Ann, sorry."), None).exact
    found = judge("Hi Ann, sorry.", turn(content="Dear Ann, sorry."), None)
    assert (found.exact, found.distance) == (False, pytest.approx(1 / 3))
