"""Taking proposals in: who may, what is refused, and what the same request again gets."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlmodel import func, select

from errata.protocol import DEEPEST
from ingestion import halts, tables
from tests.people import NOW, Api, action, at


def count(api: Api) -> int:
    with api.database.reading() as session:
        return session.exec(select(func.count()).select_from(tables.Proposal)).one()


def refused(api: Api, body: Any, **headers: str) -> tuple[int, dict[str, Any]]:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    response = api.client.post(
        "/v1/proposals", content=raw, headers={**api.people.agent.headers, **headers}
    )
    return response.status_code, response.json()


def test_what_the_policy_decides_at_once_is_answered_201_with_its_permit(api: Api) -> None:
    response = api.client.post(
        "/v1/proposals",
        json=action("transfer", amount=5, to="bob"),
        headers=api.people.agent.headers,
    )
    ticket = response.json()
    assert response.status_code == 201
    assert (ticket["status"], ticket["decision"]["outcome"], ticket["decision"]["by"]) == (
        "permitted",
        "approve",
        "policy",
    )
    assert ticket["permit"]["status"] == "issued"
    assert ticket["permit"]["digest"] == ticket["decision"]["digest"] == ticket["digest"]


def test_what_people_decide_is_answered_202_with_where_to_look(api: Api) -> None:
    response = api.client.post("/v1/proposals", json=action(), headers=api.people.agent.headers)
    ticket = response.json()
    assert (response.status_code, ticket["status"]) == (202, "queued")
    assert ticket["reviews"] == []
    assert "decision" not in ticket
    assert "permit" not in ticket
    assert api.client.get(ticket["poll_url"].replace("30", "0"), headers=api.people.agent.headers)
    assert ticket["events_url"] == f"/v1/events?proposal={ticket['id']}"
    assert ticket["review_url"] == f"/v1/proposals/{ticket['id']}/review"


def test_a_red_line_is_answered_201_blocked_and_without_a_permit(api: Api) -> None:
    ticket = api.propose(action("drop_table"))
    assert ticket["decision"]["outcome"] == "blocked"
    assert "permit" not in ticket
    assert ticket["decision"]["effective"] == {}
    assert api.review(ticket, "approve").json()["error"] == "already_decided"


def test_a_red_line_in_one_candidate_blocks_them_all(api: Api) -> None:
    candidates = [
        {"id": "a", "action": {"name": "keep_table", "arguments": {}}},
        {"id": "b", "action": {"name": "drop_table", "arguments": {}}},
    ]
    body = {"hap": "1", "kind": "candidates", "agent": {"id": "desk"}, "candidates": candidates}
    assert api.propose(body)["decision"]["outcome"] == "blocked"


def test_arguments_must_fit_the_schema_of_the_policy_and_the_field_is_named(api: Api) -> None:
    status, error = refused(api, action("transfer", amount="5"))
    assert (status, error["error"], error["field"]) == (422, "malformed", "action.arguments.amount")
    status, error = refused(api, action("transfer", to="bob"))
    assert (status, error["field"]) == (422, "action.arguments")
    candidates = [
        {"id": "a", "content": "x"},
        {"id": "b", "action": {"name": "transfer", "arguments": {"amount": -1}}},
    ]
    body = {"hap": "1", "kind": "candidates", "agent": {"id": "desk"}, "candidates": candidates}
    assert refused(api, body)[1]["field"] == "candidates[1].action.arguments.amount"
    assert count(api) == 0


def test_arguments_must_fit_the_schema_that_the_proposal_states_where_the_policy_has_none(
    api: Api,
) -> None:
    tool = {"name": "refund", "parameters": {"type": "object", "required": ["order"]}}
    assert refused(api, {**action(), "tools": [tool]})[0] == 422
    broken = {"name": "refund", "parameters": {"type": "objekt"}}
    assert "not valid" in refused(api, {**action(), "tools": [broken]})[1]["detail"]
    away = {"name": "refund", "parameters": {"$ref": "https://example.com/schema.json"}}
    assert refused(api, {**action(), "tools": [away]})[0] == 422


def test_an_agent_cannot_weaken_the_policys_schema_with_its_own(api: Api) -> None:
    tool = {"name": "transfer", "parameters": {}}
    assert refused(api, {**action("transfer", amount=-5), "tools": [tool]})[0] == 422


def test_a_question_that_no_answer_could_fit_is_refused(api: Api) -> None:
    body = {
        "hap": "1",
        "kind": "question",
        "agent": {"id": "desk"},
        "message": "When?",
        "response_schema": {"type": "strnig"},
    }
    assert refused(api, body)[1]["field"] == "response_schema"


def test_a_deadline_that_has_passed_is_refused(api: Api) -> None:
    past = (datetime.now(UTC) - timedelta(seconds=1)).isoformat()
    assert refused(api, {**action(), "expires_at": past})[1]["field"] == "expires_at"


def test_tests_count_in_no_figure(api: Api) -> None:
    ticket = api.propose({**action(), "mode": "test"})
    with api.database.reading() as session:
        assert session.get_one(tables.Proposal, ticket["id"]).exclude == "test"


@pytest.mark.parametrize(
    ("stated", "expected"),
    [(timedelta(hours=1), timedelta(hours=1)), (timedelta(hours=90), timedelta(hours=24))],
)
def test_the_earlier_deadline_counts(api: Api, stated: timedelta, expected: timedelta) -> None:
    now = datetime.now(UTC)
    ticket = api.propose({**action(), "expires_at": (now + stated).isoformat()})
    with api.database.reading() as session:
        row = session.get_one(tables.Proposal, ticket["id"])
    assert row.expires_at is not None
    assert abs(row.expires_at - (now + expected)) < timedelta(seconds=30)


def test_the_agents_lower_risk_does_not_lower_the_tools(api: Api) -> None:
    body = {**action(), "risk": {"level": "low"}}
    ticket = api.propose(body)
    with api.database.reading() as session:
        assert session.get_one(tables.Proposal, ticket["id"]).risk_level == "low"


def test_an_action_beside_a_draft_neither_routes_nor_runs(api: Api) -> None:
    hidden = action("transfer", amount=5, to="eve")["action"]
    body = {
        "hap": "1",
        "kind": "draft",
        "agent": {"id": "desk"},
        "content": "Dear Bob",
        "action": hidden,
    }
    ticket = api.propose(body)
    assert ticket["status"] == "queued"
    decided = api.review(ticket, "approve").json()
    assert decided["decision"]["effective"] == {"content": "Dear Bob"}
    assert decided["permit"]["digest"] == ticket["digest"]


# --- the same request again ---


def test_the_same_key_and_body_get_the_same_answer(api: Api) -> None:
    key = {"Idempotency-Key": "k1"}
    body = action("transfer", amount=5, to="bob")
    first = api.client.post("/v1/proposals", json=body, headers={**api.people.agent.headers, **key})
    again = api.client.post("/v1/proposals", json=body, headers={**api.people.agent.headers, **key})
    assert (again.status_code, again.json()) == (first.status_code, first.json())
    assert count(api) == 1


def test_the_answer_stays_the_same_after_the_decision(api: Api) -> None:
    first = api.propose(key="k1")
    api.review(first, "approve")
    assert api.propose(key="k1") == first


def test_the_same_key_for_another_body_is_a_conflict(api: Api) -> None:
    api.propose(key="k1")
    status, error = refused(api, action(amount=31), **{"Idempotency-Key": "k1"})
    assert (status, error["error"]) == (409, "idempotency_conflict")
    assert count(api) == 1


def test_keys_of_two_agents_do_not_meet(api: Api) -> None:
    first = api.propose(key="k1")
    headers = {**api.people.other_agent.headers, "Idempotency-Key": "k1"}
    second = api.client.post("/v1/proposals", json=action(), headers=headers)
    assert second.status_code == 202
    assert second.json()["id"] != first["id"]


def test_a_refused_request_uses_up_no_key(api: Api) -> None:
    bad = action("transfer", amount=-1)
    assert refused(api, bad, **{"Idempotency-Key": "k1"})[0] == 422
    assert api.propose(key="k1")["status"] == "queued"


def test_without_a_key_every_request_is_another_proposal(api: Api) -> None:
    assert api.propose()["id"] != api.propose()["id"]
    assert count(api) == 2


def test_the_same_id_and_content_are_the_same_proposal(api: Api) -> None:
    body = {**action(), "id": "order-7"}
    first = api.propose(body)
    api.review(first, "reject")
    again = api.propose(body)
    assert again["id"] == first["id"] == "order-7"
    assert again["decision"]["outcome"] == "reject"
    assert count(api) == 1


def test_a_known_id_with_other_content_or_from_another_agent_is_a_conflict(api: Api) -> None:
    api.propose({**action(), "id": "order-7"})
    status, error = refused(api, {**action(amount=31), "id": "order-7"})
    assert (status, error["field"]) == (409, "id")
    stolen = api.client.post(
        "/v1/proposals",
        json={**action(), "id": "order-7"},
        headers=api.people.other_agent.headers,
    )
    assert stolen.status_code == 409


# --- bad bodies over HTTP ---


@pytest.mark.parametrize(
    ("raw", "status", "field"),
    [
        (b"{", 422, "body"),
        (b"[" * 100_000, 422, "body"),
        (b'{"\\ud800": 1}', 422, "value"),
        (json.dumps({**action(), "kind": "song"}).encode(), 422, "kind"),
        (json.dumps({**action(), "shoe": 1}).encode(), 422, "shoe"),
        (json.dumps(action(note="x" * 10_000_000)).encode(), 413, "action.arguments.note"),
        (b"[" * 9_000_000, 413, "body"),
        (b" " * (33 * 1024 * 1024), 413, "body"),
    ],
)  # fmt: skip
def test_a_bad_body_is_answered_with_its_field(
    api: Api, raw: bytes, status: int, field: str
) -> None:
    answered, error = refused(api, raw)
    assert (answered, error["field"]) == (status, field)
    assert error["error"] == ("too_large" if status == 413 else "malformed")
    assert count(api) == 0


def test_what_is_nested_as_deep_as_may_be_is_taken_and_can_be_decided(api: Api) -> None:
    deep: Any = 1
    for _ in range(DEEPEST - 3):  # the proposal, its action and the arguments hold it
        deep = [deep]
    assert api.approved(action(deep=deep))["status"] == "permitted"


def test_nobody_without_a_valid_key_has_their_body_read(api: Api) -> None:
    for headers in ({}, {"Authorization": "Bearer errata_wrong"}, {"Authorization": "Basic x"}):
        response = api.client.post("/v1/proposals", content=b" " * 9_000_000, headers=headers)
        assert response.status_code == 401
        assert response.headers["WWW-Authenticate"] == "Bearer"


def test_null_arguments_survive_the_way_to_the_decision(api: Api) -> None:
    ticket = api.approved(action(note=None, nested={"a": None}))
    arguments = {"note": None, "nested": {"a": None}}
    assert ticket["decision"]["effective"]["action"]["arguments"] == arguments
    assert ticket["permit"]["digest"] == ticket["digest"]


def test_a_key_that_was_used_is_a_conflict_whatever_comes_with_it(api: Api) -> None:
    api.propose(action(), key="k")
    headers = {**api.people.agent.headers, "Idempotency-Key": "k"}
    answer = api.client.post("/v1/proposals", content=b"{", headers=headers)
    assert (answer.status_code, answer.json()["error"]) == (409, "idempotency_conflict")


# --- batches ---


def post_batch(api: Api, *lines: Any) -> Any:
    raw = b"\n".join(
        line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines
    )
    return api.client.post("/v1/proposals/batch", content=raw, headers=api.people.agent.headers)


def test_a_batch_takes_every_line(api: Api) -> None:
    response = post_batch(api, action(), b"", action("transfer", amount=5, to="b"), b"")
    assert response.status_code == 202
    taken = response.json()["proposals"]
    assert [(one["line"], one["status"]) for one in taken] == [(1, "queued"), (3, "permitted")]
    assert count(api) == 2


def test_a_batch_with_one_bad_line_takes_none_and_lists_every_mistake(api: Api) -> None:
    large = action(note="x" * 9_000_000)
    response = post_batch(
        api,
        action(),
        {**action(), "kind": "song"},
        b"{",
        action("transfer", amount=5),
        action("transfer", amount=-5),
        large,
    )
    assert response.status_code == 422
    error = response.json()
    assert error["error"] == "malformed_batch"
    assert [(one["line"], one.get("field")) for one in error["lines"]] == [
        (2, "kind"),
        (3, "body"),
        (5, "action.arguments.amount"),
        (6, "action.arguments.note"),
    ]
    assert count(api) == 0
    with api.database.reading() as session:
        types = session.exec(select(tables.Event.type)).all()
    assert not [one for one in types if one.startswith("proposal.")]


def test_a_batch_that_repeats_an_id_with_other_content_takes_nothing(api: Api) -> None:
    response = post_batch(api, {**action(), "id": "a"}, {**action(amount=1), "id": "a"})
    assert response.status_code == 422
    assert response.json()["lines"][0]["line"] == 2
    assert count(api) == 0


# --- cancelling ---


def test_an_agent_can_take_back_what_nobody_has_decided(api: Api) -> None:
    ticket = api.propose()
    path = f"/v1/proposals/{ticket['id']}/cancel"
    assert api.client.post(path, headers=api.people.other_agent.headers).status_code == 403
    assert api.client.post(path, headers=api.people.admin.headers).status_code == 403
    cancelled = api.client.post(path, headers=api.people.agent.headers).json()
    assert (cancelled["status"], cancelled["decision"]["outcome"]) == ("decided", "cancelled")
    assert api.client.post(path, headers=api.people.agent.headers).status_code == 409
    assert api.review(ticket, "approve").status_code == 409


def test_nothing_is_routed_automatically_during_a_halt(api: Api) -> None:
    with api.database.transaction() as session:
        halts.start(session, actor="test", now=NOW)
    ticket = api.propose(action("transfer", amount=5, to="bob"))
    assert ticket["status"] == "queued"
    with api.database.reading() as session:
        routing = session.exec(select(tables.Routing)).one()
    assert (routing.route, routing.reason, routing.propensity) == (
        "queue",
        "the fleet is halted",
        1.0,
    )
    with api.database.transaction() as session:
        halts.lift(session, actor="test", now=at(1))
    assert api.propose(action("transfer", amount=5, to="bob"))["status"] == "permitted"
