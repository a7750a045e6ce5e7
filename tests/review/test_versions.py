"""What a review amounts to, weighed against its proposal."""

from typing import Any

import pytest

from errata.errors import Malformed
from errata.protocol import Effective, Proposal, Review
from review import versions
from tests.people import action

ZEROS = "sha256:" + "0" * 64
MEND = {"name": "refund", "arguments": {"amount": 20, "to": "bob"}}


def weigh(body: dict[str, Any], verdict: str, **more: Any) -> versions.Vote:
    review = {"proposal_id": "p", "digest": ZEROS, "verdict": verdict, **more}
    return versions.weigh(Proposal.model_validate(body), Review.model_validate(review))


def refused(body: dict[str, Any], verdict: str, **more: Any) -> str | None:
    with pytest.raises(Malformed) as found:
        weigh(body, verdict, **more)
    return found.value.field


@pytest.mark.parametrize(
    ("body", "verdict", "more", "field"),
    [
        (action(), "respond", {"response": "a"}, "verdict"),
        ({**action(), "allowed": ["reject"]}, "approve", {}, "verdict"),
        (action(), "approve", {"action": MEND}, "verdict"),
        (action(), "approve", {"content": "text"}, "verdict"),
        (action(), "approve", {"action": action()["action"], "content": "x"}, "verdict"),
        (action(), "edit", {}, "verdict"),
        (action(), "edit", {"content": "text"}, "action"),
        (action(), "edit", {"action": MEND, "content": "text"}, "action"),
        (action(), "edit", {"action": {"name": "give", "arguments": {}}}, "action"),
        (action(), "approve", {"candidate": "a"}, "candidate"),
        (action(), "reject", {"ranking": [["a"]]}, "ranking"),
    ],
)
def test_a_verdict_and_version_that_do_not_go_together_are_refused(
    body: dict[str, Any], verdict: str, more: dict[str, Any], field: str
) -> None:
    assert refused(body, verdict, **more) == field


def candidates(**more: Any) -> dict[str, Any]:
    items = [{"id": one, "content": f"text {one}"} for one in ("a", "b", "c")]
    return {
        "hap": "1",
        "kind": "candidates",
        "agent": {"id": "desk"},
        "candidates": items,
        **more,
    }


@pytest.mark.parametrize(
    "said",
    [
        {"candidate": "b"},
        {"ranking": [["b"], ["a", "c"]]},
        {"ranking": [["b"]]},
        {"pairwise": [{"a": "b", "b": "a", "winner": "a"}, {"a": "c", "b": "b", "winner": "b"}]},
        {"candidate": "b", "ranking": [["b"], ["c"], ["a"]]},
    ],
)
def test_the_single_best_candidate_is_what_counts(said: dict[str, Any]) -> None:
    vote = weigh(candidates(), "approve", **said)
    assert vote.effective == Effective(candidate="b", content="text b")


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({}, "candidate"),
        ({"candidate": "z"}, "candidate"),
        ({"ranking": [["a"], ["z"]]}, "ranking"),
        ({"ranking": [["a"], ["a"]]}, "ranking"),
        ({"ranking": []}, "ranking"),
        ({"ranking": [[], ["a"]]}, "ranking"),
        ({"ranking": [["a", "b"], ["c"]]}, "ranking"),
        ({"pairwise": [{"a": "a", "b": "z", "winner": "a"}]}, "pairwise"),
        ({"pairwise": [{"a": "a", "b": "b", "winner": "tie"}]}, "pairwise"),
        ({"pairwise": [{"a": "a", "b": "a", "winner": "a"}]}, "pairwise"),
        (
            {
                "pairwise": [
                    {"a": "a", "b": "b", "winner": "a"},
                    {"a": "b", "b": "c", "winner": "a"},
                    {"a": "c", "b": "a", "winner": "a"},
                ]
            },
            "pairwise",
        ),
        ({"candidate": "a", "ranking": [["b"]]}, "candidate"),
        ({"candidate": "a", "content": "mine"}, "content"),
    ],
)
def test_without_a_single_best_nothing_is_approved(said: dict[str, Any], field: str) -> None:
    assert refused(candidates(), "approve", **said) == field


@pytest.mark.parametrize(
    "version",
    [
        {"action": {"name": "wire", "arguments": {}}},
        {"content": "x", "action": {"name": "pay", "arguments": {}}},
        {"point": {"x": 1, "y": 1}},
        {"candidate": "a", "action": {"name": "pay", "arguments": {}}},
    ],
)
def test_an_edit_of_candidates_invents_no_tool(version: dict[str, Any]) -> None:
    mixed = candidates(
        candidates=[
            {"id": "a", "content": "text"},
            {"id": "b", "action": {"name": "pay", "arguments": {"amount": 1}}},
        ]
    )
    assert refused(mixed, "edit", **version) in {"action", "verdict"}
    mended = {"name": "pay", "arguments": {"amount": 2}}
    assert weigh(mixed, "edit", action=mended).effective.wire() == {"action": mended}


def question(**more: Any) -> dict[str, Any]:
    return {
        "hap": "1",
        "kind": "question",
        "agent": {"id": "desk"},
        "message": "Which flight?",
        **more,
    }


OPTIONS = [{"id": "a", "label": "5 pm"}, {"id": "b", "label": "6 pm"}]
NUMBER = {"type": "integer", "minimum": 1}


@pytest.mark.parametrize(
    ("more", "response"),
    [
        ({"options": OPTIONS}, "b"),
        ({"response_schema": NUMBER}, 3),
        ({"options": OPTIONS, "response_schema": NUMBER}, 3),
        ({"options": OPTIONS, "response_schema": NUMBER}, "a"),
        ({}, "whichever is cheaper"),
        ({}, {"any": ["json"]}),
    ],
)
def test_an_answer_that_fits_is_what_counts(more: dict[str, Any], response: Any) -> None:
    assert weigh(question(**more), "respond", response=response).effective.response == response


@pytest.mark.parametrize(
    ("more", "response"),
    [
        ({"options": OPTIONS}, "c"),
        ({"response_schema": NUMBER}, 0),
        ({"response_schema": NUMBER}, "3"),
        ({}, None),
        ({}, ""),
    ],
)
def test_an_answer_that_does_not_fit_is_refused(more: dict[str, Any], response: Any) -> None:
    assert refused(question(**more), "respond", response=response) == "response"
