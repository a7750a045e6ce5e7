"""What an agent is told of a decision that did not go its way."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from errata.digest import canonical
from ingestion.corrections import changed
from tests.people import Api, action


def told(ticket: dict[str, Any]) -> str:
    return ticket["decision"].get("corrective_prompt", "")


def test_an_edit_says_what_was_wrong_what_is_right_and_what_to_do(api: Api) -> None:
    asked = api.propose(action("refund", amount=30.0, to="bob", note={"urgent": True}))
    mended = {"name": "refund", "arguments": {"amount": 20, "to": "bob", "ref": "A1", "note": {}}}
    ticket = api.review(asked, "edit", action=mended, guidance="stay below 25").json()
    assert told(ticket).splitlines() == [
        "Your proposal (refund) was not taken as it stood: edit by ann: stay below 25.",
        "What was changed:",
        "- amount: 20 instead of 30",
        "- note.urgent: true was taken out",
        '- ref: "A1" was added',
        "Run only the corrected version, under its permit. "
        "Next time, propose it in that form from the start.",
    ]


def test_an_edited_text_is_quoted_and_a_very_long_one_is_not(api: Api) -> None:
    draft = {"hap": "1", "kind": "draft", "agent": {"id": "desk"}, "content": "Dear Sir"}
    ticket = api.review(api.propose(draft), "edit", content="Dear Ms Lee").json()
    assert "The corrected text:\nDear Ms Lee\n" in told(ticket)
    ticket = api.review(api.propose(draft), "edit", content="x" * 5000).json()
    assert "x" * 100 not in told(ticket)


@pytest.mark.parametrize(
    ("verdict", "words"),
    [
        ("reject", "do not propose the same again"),
        ("regenerate", "Make another attempt"),
        ("takeover", "A person carries this task on"),
    ],
)
def test_each_refusal_says_what_to_do_and_why(api: Api, verdict: str, words: str) -> None:
    ticket = api.review(api.propose(), verdict, rationale={"code": "wrong customer"}).json()
    assert words in told(ticket)
    assert f"{verdict} by ann: wrong customer" in told(ticket)


def test_what_the_policy_forbids_is_not_to_be_tried_again(api: Api) -> None:
    assert "Do not propose it again" in told(api.propose(action("drop_table")))


def test_an_agent_that_got_what_it_asked_for_is_told_nothing(api: Api) -> None:
    assert "corrective_prompt" not in api.approved()["decision"]
    assert "corrective_prompt" not in api.propose(action("transfer", amount=5))["decision"]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", max_size=2), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(json_values, json_values)
def test_two_values_differ_exactly_where_a_change_is_named(before: Any, after: Any) -> None:
    assert bool(list(changed(before, after))) == (canonical(before) != canonical(after))
    assert list(changed(before, before)) == []
