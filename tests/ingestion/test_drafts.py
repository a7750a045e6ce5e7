"""Drafts: what is answered from memory is what is stored, singly and in a batch alike."""

import json
from typing import Any

import pytest
from sqlmodel import SQLModel, col, select

from ingestion import policies, tables
from review import audit
from tests.people import NOW, POLICY, Api, action

RULES = """\
  - name: large ones
    when: {action: refund, args.amount: {gte: 1000}}
    route: takeover
  - name: undoable
    when: {action: mail}
    route: auto
    undo_window: 1h
    audit_share: 1.0
"""
QUESTION = {
    "hap": "1",
    "kind": "question",
    "agent": {"id": "desk"},
    "message": "Which?",
    "options": [{"id": "a", "label": "A"}, {"id": "b", "label": "B"}],
}
CANDIDATES = {
    "hap": "1",
    "kind": "candidates",
    "agent": {"id": "desk", "version": "2", "model": "m"},
    "candidates": [{"id": "a", "content": "one"}, {"id": "b", "content": "two"}],
}
CASES: dict[str, dict[str, Any]] = {
    "queued": {**action(amount=5), "metadata": {"n": None, "deep": {"x": [1, 2.0, "é"]}}},
    "auto": action("transfer", amount=5, to="bob"),
    "auto with a window and an audit": action("mail", to="bob"),
    "blocked": action("drop_table"),
    "handed over": action(amount=5000),
    "a question": QUESTION,
    "candidates": CANDIDATES,
    "named": {**action(amount=7), "id": "mine", "task_id": "t", "urgency": "high"},
    "depends": {**action(amount=8), "depends_on": ["mine"]},
    "depends on what will not run": {**action(amount=9), "depends_on": ["refused"]},
    "shadow": {**action(amount=5), "mode": "shadow", "task_id": "t"},
}
TABLES: tuple[type[SQLModel], ...] = (
    tables.Proposal,
    tables.Payload,
    tables.Routing,
    tables.Decision,
    tables.Permit,
    tables.Task,
    tables.Dependency,
    tables.Event,
)


@pytest.fixture
def desk(api: Api) -> Api:
    with api.database.transaction() as session:
        policies.apply(session, POLICY + RULES, actor="test", now=NOW)
    refused = api.propose({**action("drop_all"), "id": "refused"})
    assert refused["decision"]["outcome"] == "blocked"
    return api


def batch(api: Api, *bodies: dict[str, Any]) -> list[dict[str, Any]]:
    lines = "\n".join(map(json.dumps, bodies))
    answer = api.client.post("/v1/proposals/batch", content=lines, headers=api.people.agent.headers)
    assert answer.status_code == 202, answer.text
    return [{k: v for k, v in one.items() if k != "line"} for one in answer.json()["proposals"]]


PLACES = ("poll_url", "review_url", "events_url", "estimated_wait_s", "reviews")


def bare(ticket: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in ticket.items() if name not in PLACES}


@pytest.mark.parametrize("way", ["singly", "in a batch"])
def test_the_answer_made_from_a_draft_is_what_is_read_back(desk: Api, way: str) -> None:
    bodies = list(CASES.values())
    taken = [desk.propose(one) for one in bodies] if way == "singly" else batch(desk, *bodies)
    for case, ticket in zip(CASES, taken, strict=True):
        assert bare(ticket) == bare(desk.show(ticket["id"])), case
    with desk.database.reading() as session:
        assert audit.verify(session).faults == []
        expected = {"queued": 5, "permitted": 2, "decided": 4, "proposed": 1}
        statuses = list(session.exec(select(tables.Proposal.status)))
        assert {one: statuses.count(one) for one in set(statuses)} == expected
        assert sorted(session.exec(select(tables.Task.sort))) == ["audit", "handover"]


def stored(desk: Api, known: set[str]) -> dict[str, list[Any]]:
    """What was stored beside the known proposals, without ids, times and what depends on them."""
    random = {"id", "proposal_id", "fence", "seq", "hash", "previous", "data", "body"}
    found: dict[str, list[Any]] = {}
    with desk.database.reading() as session:
        for table in TABLES:
            order = [one for one in ("seq", "rule") if one in table.model_fields]
            rows = session.exec(select(table).order_by(*(col(getattr(table, o)) for o in order)))
            found[table.__name__] = sorted(
                json.dumps(
                    {
                        name: value
                        for name, value in row.model_dump(mode="json").items()
                        if name not in random
                        and not name.endswith(("_at", "_before"))
                        and name not in {"at"}
                    },
                    sort_keys=True,
                )
                for row in rows
                if getattr(row, "proposal_id", getattr(row, "id", None)) not in known
            )
    return found


def ids(desk: Api) -> set[str]:
    with desk.database.reading() as session:
        return set(session.exec(select(tables.Proposal.id)))


def test_a_batch_stores_what_the_same_proposals_store_one_by_one(desk: Api) -> None:
    bodies = [one for name, one in CASES.items() if "id" not in one and name != "depends"]
    begun = ids(desk)
    for one in bodies:
        desk.propose(one)
    singly, known = stored(desk, begun), ids(desk)
    batch(desk, *bodies)
    together = stored(desk, known)
    assert together == singly
    assert len(singly["Proposal"]) == len(bodies)


def test_every_fence_of_a_batch_is_its_own(desk: Api) -> None:
    small = action("transfer", amount=5, to="bob")
    taken = batch(desk, small, action(), small, small)
    fences = [one["permit"]["fence"] for one in taken if "permit" in one]
    fences.append(desk.propose(small)["permit"]["fence"])
    assert len(set(fences)) == 4
    assert fences == sorted(fences)
