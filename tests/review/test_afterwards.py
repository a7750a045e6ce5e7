"""Tasks on what is decided: audits of what ran by itself, work that the policy gave to people."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import select
from typer.testing import CliRunner

from errata.cli import app
from ingestion import policies, revocations, store, tables
from review import audit, erasure
from tests.people import NOW, Api, Person, action, together

POLICY = """\
version: 1
tools:
  refund: {schema: {type: object, properties: {amount: {type: number, minimum: 0}}}}
rules:
  - name: small
    when: {action: refund, args.amount: {lt: 100}}
    route: auto
    audit_share: 1.0
    undo_window: 1h
  - {name: large, when: {action: refund}, route: takeover}
"""


@pytest.fixture
def desk(api: Api) -> Api:
    with api.database.transaction() as session:
        policies.apply(session, POLICY, actor="test", now=NOW)
    return api


def open_tasks(desk: Api) -> list[dict[str, Any]]:
    answer = desk.client.get("/v1/queue", headers=desk.people.ann.headers)
    assert answer.status_code == 200, answer.text
    return answer.json()["tasks"]


def say(
    desk: Api, task: dict[str, Any], verdict: str, by: Person | None = None, **more: Any
) -> Any:
    said = {"proposal_id": task["proposal_id"], "digest": task["digest"], "verdict": verdict}
    headers = (by or desk.people.ann).headers
    return desk.client.post(f"/v1/tasks/{task['id']}/review", json=said | more, headers=headers)


def test_an_audit_is_answered_beside_the_decision_which_stays(desk: Api) -> None:
    ticket = desk.propose(action(amount=5))
    assert ticket["decision"]["by"] == "policy"
    (task,) = open_tasks(desk)
    assert (task["sort"], task["proposal_id"]) == ("audit", ticket["id"])
    answer = say(desk, task, "reject", guidance="Not this customer")
    assert answer.status_code == 201, answer.text
    after = answer.json()
    assert (after["decision"], after["permit"]) == (ticket["decision"], ticket["permit"])
    (review,) = after["reviews"]
    assert (review["reviewer"], review["review"]["verdict"]) == ("ann", "reject")
    assert open_tasks(desk) == []
    again = say(desk, task, "approve", by=desk.people.ben)
    assert (again.status_code, again.json()["detail"]) == (409, f"task {task['id']} is done")
    with desk.database.reading() as session:
        assert audit.verify(session).faults == []


def test_of_a_task_that_was_handed_over_people_say_what_they_did(desk: Api) -> None:
    ticket = desk.propose(action(amount=500))
    assert ticket["decision"]["outcome"] == "takeover"
    (task,) = open_tasks(desk)
    assert task["sort"] == "handover"
    mine = {"name": "refund", "arguments": {"amount": 250}}
    done = say(desk, task, "edit", action=mine)
    assert done.status_code == 201, done.text
    assert done.json()["reviews"][0]["review"]["action"] == mine
    assert "permit" not in done.json()


def test_what_does_not_fit_leaves_the_task_open(desk: Api) -> None:
    ticket = desk.propose({**action(amount=5), "requested_by": "ben"})
    (task,) = open_tasks(desk)
    other = "sha256:" + "1" * 64
    refused = [
        say(desk, task, "approve", by=desk.people.agent),
        say(desk, task, "approve", by=desk.people.ben),
        say(desk, task | {"digest": other}, "approve"),
        say(desk, task | {"proposal_id": "other"}, "approve"),
        say(desk, task, "respond", response=1),
        say(desk, task, "edit", action={"name": "drop", "arguments": {}}),
        say(desk, task | {"id": "unknown"}, "approve"),
        say(desk, task, "edit", action={"name": "refund", "arguments": {"amount": -5}}),
    ]
    assert [one.status_code for one in refused] == [403, 403, 409, 422, 422, 422, 404, 422]
    assert len(open_tasks(desk)) == 1
    with desk.database.transaction() as session:
        row = store.hold(session, ticket["id"])
        revocations.undo(session, row, actor="test", now=NOW)
    assert open_tasks(desk) == []
    assert say(desk, task, "approve").status_code == 409


def test_what_is_erased_is_no_task_any_more(desk: Api) -> None:
    ticket = desk.propose(action(amount=5))
    with desk.database.transaction() as session:
        erasure.erase(session, [ticket["id"]], actor="test", now=NOW)
    assert open_tasks(desk) == []


def test_of_two_at_once_one_answers(desk: Api) -> None:
    desk.propose(action(amount=5))
    (task,) = open_tasks(desk)

    def answer(number: int) -> str:
        by = (desk.people.ann, desk.people.supervisor)[number % 2]
        return str(say(desk, task, "approve", by=by).status_code)

    assert together(6, answer) == Counter({"201": 1, "409": 5})
    with desk.database.reading() as session:
        assert session.exec(select(tables.Task.status)).all() == ["done"]


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_the_command_says_how_many_there_are(desk: Api, tmp_path: Path) -> None:
    for amount in (5, 6, 500):
        desk.propose(action(amount=amount))
    said = CliRunner().invoke(app, ["queue", "--home", str(tmp_path)]).output
    assert said == (
        "Nothing waits.\nOn what is decided: 2 audit, 1 handover (GET /v1/queue names them).\n"
    )
