"""Speculation: what depends on something runs after it, or not at all; on both databases."""

import json
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlmodel import select

from ingestion import dependencies, tables, watch
from review import audit, deadlines
from tests.people import NOW, Api, action, at, together

SMALL = action("transfer", amount=5, to="bob")
TIMES = {"started_at": "2026-03-01T12:00:00Z", "finished_at": "2026-03-01T12:00:01Z"}


def after(body: dict[str, Any], *needed: dict[str, Any]) -> dict[str, Any]:
    return {**body, "depends_on": [one["id"] for one in needed]}


def run(api: Api, ticket: dict[str, Any], status: str = "executed") -> None:
    """Use a ticket's permit and say what came of it."""
    permit = ticket["permit"]
    assert api.consume(permit).status_code == 200
    told = api.client.post(
        f"/v1/permits/{permit['id']}/receipt",
        json={"permit_id": permit["id"], "status": status, **TIMES},
        headers=api.people.agent.headers,
    )
    assert told.status_code == 201, told.text


def spread(api: Api, now: datetime = NOW) -> int:
    """What the worker does, until nothing is due."""
    done = 0
    while True:
        with api.database.reading() as session:
            if not dependencies.is_due(session):
                return done
        with api.database.transaction() as session:
            done += dependencies.spread(session, now=now)


def test_what_depends_on_something_waits_until_it_has_run(api: Api) -> None:
    first = api.propose(SMALL)
    second = api.propose(after(SMALL, first))
    assert second["status"] == "permitted", "people and policy may decide ahead"
    early = api.consume(second["permit"])
    assert (early.status_code, early.json()["error"]) == (409, "waiting_for")
    assert first["id"] in early.json()["detail"]
    assert int(early.headers["Retry-After"]) >= 1
    assert api.consume(first["permit"]).status_code == 200
    assert api.consume(second["permit"]).json()["error"] == "waiting_for", "begun is not done"
    api.client.post(
        f"/v1/permits/{first['permit']['id']}/receipt",
        json={"permit_id": first["permit"]["id"], "status": "executed", **TIMES},
        headers=api.people.agent.headers,
    )
    assert api.consume(second["permit"]).status_code == 200


def test_each_of_several_must_have_run(api: Api) -> None:
    one, two = api.propose(SMALL), api.propose(SMALL)
    last = api.propose(after(SMALL, one, two))
    run(api, one)
    assert two["id"] in api.consume(last["permit"]).json()["detail"]
    run(api, two)
    assert api.consume(last["permit"]).status_code == 200
    assert spread(api) == 2
    assert api.show(last["id"])["status"] == "executing", "what has begun is left alone"


def test_a_question_is_met_by_its_answer(api: Api) -> None:
    asked = api.propose(
        {"hap": "1", "kind": "question", "agent": {"id": "desk"}, "message": "Which?"}
    )
    then = api.propose(after(SMALL, asked))
    assert api.consume(then["permit"]).json()["error"] == "waiting_for"
    assert api.review(asked, "respond", response="the blue one").status_code == 201
    assert api.consume(then["permit"]).status_code == 200


def end(api: Api, ticket: dict[str, Any], how: str) -> None:
    """Have a proposal end so that it will not run."""
    people = api.people
    path = f"/v1/proposals/{ticket['id']}"
    match how:
        case "reject" | "regenerate" | "takeover":
            assert api.review(ticket, how).status_code == 201
        case "cancelled":
            assert api.client.post(f"{path}/cancel", headers=people.agent.headers).is_success
        case "expired":
            with api.database.transaction() as session:
                session.get_one(tables.Proposal, ticket["id"]).expires_at = NOW
            with api.database.transaction() as session:
                deadlines.expire(session, now=at(1))
        case "undone":
            assert api.review(ticket, "approve").status_code == 201
            assert api.client.post(f"{path}/undo", headers=people.supervisor.headers).is_success
        case "its permit has expired":
            assert api.review(ticket, "approve").status_code == 201
            with api.database.transaction() as session:
                session.exec(
                    select(tables.Permit).where(tables.Permit.proposal_id == ticket["id"])
                ).one().expires_at = NOW
            with api.database.transaction() as session:
                watch.look(session, limit_s=900, now=NOW + timedelta(seconds=1))
        case _:
            assert how == "failed"
            run(api, api.review(ticket, "approve").json(), "failed")


ENDS = (
    "reject",
    "regenerate",
    "takeover",
    "cancelled",
    "expired",
    "undone",
    "its permit has expired",
    "failed",
)


@pytest.mark.parametrize("how", ENDS)
def test_what_depends_on_something_that_will_not_run_does_not_run_either(
    api: Api, how: str
) -> None:
    first = api.propose()
    waiting, permitted = api.propose(after(action(), first)), api.propose(after(SMALL, first))
    chained = api.propose(after(action(), waiting))
    unrelated = api.propose()
    end(api, first, how)
    gone = api.consume(permitted["permit"])
    assert (gone.status_code, gone.json()["error"]) == (410, "revoked"), "before the worker looks"
    assert spread(api) == 3
    for ticket, ground in ((waiting, first), (chained, waiting)):
        shown = api.show(ticket["id"])
        assert shown["decision"]["outcome"] == "cancelled"
        assert ground["id"] in shown["decision"]["reason"]
    assert how in api.show(waiting["id"])["decision"]["reason"]
    shown = api.show(permitted["id"])
    assert (shown["status"], shown["permit"]["status"]) == ("undone", "revoked")
    assert api.show(unrelated["id"])["status"] == "queued"
    assert api.review(waiting, "approve").json()["error"] == "already_decided"
    with api.database.reading() as session:
        types = list(session.exec(select(tables.Event.type)))
        assert audit.verify(session).faults == []
    assert types.count("dependency.lost") == 3


def test_what_is_in_doubt_is_waited_for(api: Api) -> None:
    first = api.propose(SMALL)
    second = api.propose(after(SMALL, first))
    run(api, first, "unknown")
    assert spread(api) == 0
    assert api.consume(second["permit"]).json()["error"] == "waiting_for"


def test_what_comes_after_the_end_of_its_ground_is_cancelled_at_once(api: Api) -> None:
    first = api.propose()
    end(api, first, "reject")
    for body in (action(), SMALL):
        late = api.propose(after(body, first))
        assert late["decision"]["outcome"] == "cancelled"
        assert first["id"] in late["decision"]["reason"]
        assert "permit" not in late
    blocked = api.propose(after(action("drop_table"), first))
    assert blocked["decision"]["outcome"] == "blocked", "a red line is a red line"


def test_an_approval_that_comes_too_late_gives_nothing_to_run(api: Api) -> None:
    first = api.propose()
    second = api.propose(after(action(), first))
    end(api, first, "reject")
    permit = api.review(second, "approve").json()["permit"]
    assert api.consume(permit).json()["error"] == "revoked"
    spread(api)
    assert api.show(second["id"])["permit"]["status"] == "revoked"


@pytest.mark.parametrize("what", ["unknown", "own", "another's", "too many"])
def test_what_could_never_be_met_is_refused_by_field(api: Api, what: str) -> None:
    theirs = api.client.post(
        "/v1/proposals",
        json={**action(), "agent": {"id": "rival"}},
        headers=api.people.other_agent.headers,
    ).json()
    ids = {
        "unknown": ["nobody"],
        "own": ["me"],
        "another's": [theirs["id"]],
        "too many": [f"p{number}" for number in range(101)],
    }[what]
    answer = api.client.post(
        "/v1/proposals",
        json={**action(), "id": "me", "depends_on": ids},
        headers=api.people.agent.headers,
    )
    assert (answer.status_code, answer.json()["field"]) == (422, "depends_on")


def test_no_cycle_can_be_made(api: Api) -> None:
    lines = [
        b'{"hap":"1","id":"a","kind":"draft","agent":{"id":"desk"},"content":"c","depends_on":["b"]}',
        b'{"hap":"1","id":"b","kind":"draft","agent":{"id":"desk"},"content":"c","depends_on":["a"]}',
    ]
    answer = api.client.post(
        "/v1/proposals/batch", content=b"\n".join(lines), headers=api.people.agent.headers
    )
    assert answer.status_code == 422
    assert [one["field"] for one in answer.json()["lines"]] == ["depends_on", "depends_on"]
    forward = [lines[0].replace(b'"b"', b'"c"').replace(b'["c"]', b"[]"), lines[1]]
    answer = api.client.post(
        "/v1/proposals/batch", content=b"\n".join(forward), headers=api.people.agent.headers
    )
    assert answer.status_code == 202, "a later line may depend on an earlier one"


def test_a_shadow_waits_for_nothing_and_is_ended_by_nothing(api: Api) -> None:
    live = api.propose()
    silent = api.propose({**after(SMALL, live), "mode": "shadow", "parent_id": live["id"]})
    assert api.review(live, "reject").status_code == 201
    assert spread(api) == 0
    shown = api.show(silent["id"])
    assert (shown["status"], "decision" in shown) == ("proposed", False)


def test_what_is_decided_and_what_depends_on_it_come_at_once_without_a_deadlock(api: Api) -> None:
    for _ in range(5):
        first = api.propose()

        def act(number: int, first: dict[str, Any] = first) -> str:
            if number == 0:
                return str(api.review(first, "approve").status_code)
            lines = "\n".join(json.dumps(after(SMALL, first)) for _ in range(3))
            headers = api.people.agent.headers
            if number == 1:
                return str(
                    api.client.post(
                        "/v1/proposals/batch", content=lines, headers=headers
                    ).status_code
                )
            body = after(SMALL, first)
            return str(api.client.post("/v1/proposals", json=body, headers=headers).status_code)

        assert together(4, act) == {"201": 3, "202": 1}
