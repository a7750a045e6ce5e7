"""Taking an approval back: the documents' sent mail, who may, and what has run stays run."""

from datetime import timedelta
from typing import Any

import pytest
from sqlmodel import select, update

from errata.db import Database
from errata.errors import PermitRevoked, PermitUsed
from ingestion import intake, permits, policies, revocations, store, tables
from tests.people import NOW, Api, People, Person, action, at, proposal, together

MAIL = """\
version: 1
rules:
  - {name: outgoing mail, when: {action: send_email}, route: auto, undo_window: 30s}
"""


def mail(**more: Any) -> dict[str, Any]:
    return {**action("send_email", to="bob", text="Hello"), **more}


@pytest.fixture
def office(api: Api) -> Api:
    with api.database.transaction() as session:
        policies.apply(session, MAIL, actor="test", now=NOW)
    return api


def undo(api: Api, ticket: dict[str, Any], by: Person | None = None) -> Any:
    headers = (by or api.people.supervisor).headers
    return api.client.post(f"/v1/proposals/{ticket['id']}/undo", headers=headers)


def pass_window(api: Api, seconds: float) -> None:
    """Let time pass for every permit."""
    with api.database.transaction() as session:
        for permit in session.exec(select(tables.Permit)).all():
            permit.not_before -= timedelta(seconds=seconds)
            session.add(permit)


# --- the documents' example ---


def test_a_mail_that_is_undone_in_its_window_is_never_sent(office: Api) -> None:
    ticket = office.propose(mail())
    assert ticket["decision"]["outcome"] == "approve"
    early = office.consume(ticket["permit"])
    assert (early.status_code, early.json()["error"]) == (409, "too_early")
    assert 25 <= int(early.headers["Retry-After"]) <= 30
    undone = undo(office, ticket)
    assert (undone.status_code, undone.json()["status"]) == (200, "undone")
    assert undone.json()["permit"]["status"] == "revoked"
    pass_window(office, 31)
    gone = office.consume(ticket["permit"])
    assert (gone.status_code, gone.json()["error"]) == (410, "revoked")


def test_a_mail_that_is_not_undone_is_sent_after_its_window(office: Api) -> None:
    ticket = office.propose(mail())
    pass_window(office, 31)
    assert office.consume(ticket["permit"]).status_code == 200
    late = undo(office, ticket)
    assert (late.status_code, late.json()["error"]) == (409, "used")
    assert "has run already" in late.json()["detail"]
    assert office.show(ticket["id"])["status"] == "executing"


@pytest.mark.parametrize(("own", "expected"), [(120, 120), (5, 30), (None, 30)])
def test_the_longer_window_of_agent_and_policy_wins(
    office: Api, own: float | None, expected: float
) -> None:
    office.propose(mail(**({} if own is None else {"undo_window_s": own})))
    with office.database.reading() as session:
        permit = session.exec(select(tables.Permit)).one()
        decided = session.exec(select(tables.Decision.decided_at)).one()
    assert permit.not_before - decided == timedelta(seconds=expected)
    assert permit.expires_at > permit.not_before


def test_what_people_approve_has_a_window_too(api: Api) -> None:
    ticket = api.approved({**action(), "undo_window_s": 60})
    assert api.consume(ticket["permit"]).json()["error"] == "too_early"


# --- who may, and when ---


def test_the_reviewer_who_decided_may_undo_and_another_may_not(api: Api) -> None:
    ticket = api.approved()
    for other in (api.people.ben, api.people.agent, api.people.admin):
        assert undo(api, ticket, other).status_code == 403
    assert undo(api, ticket, api.people.ann).json()["status"] == "undone"


def test_undoing_again_changes_nothing(office: Api) -> None:
    ticket = office.propose(mail())
    first = undo(office, ticket).json()
    assert undo(office, ticket).json() == first
    with office.database.reading() as session:
        types = list(session.exec(select(tables.Event.type)))
    assert types.count("permit.revoked") == 1


def test_what_nothing_of_may_run_cannot_be_undone(api: Api) -> None:
    waiting = api.propose()
    assert undo(api, waiting).json()["error"] == "conflict"
    api.review(waiting, "reject")
    assert undo(api, waiting).json()["error"] == "conflict"
    assert undo(api, {"id": "none"}).status_code == 404
    lapsed = api.propose(action("transfer", amount=5))
    with api.database.transaction() as session:
        session.exec(update(tables.Permit).values(expires_at=NOW))
    assert undo(api, lapsed).json()["error"] == "expired"


def test_whoever_follows_the_log_hears_of_it(office: Api) -> None:
    ticket = office.propose(mail())
    headers = office.people.agent.headers
    known = office.client.get("/v1/events?after=0", headers=headers).json()
    after = max(event["seq"] for event in known["events"])
    undo(office, ticket)
    news = office.client.get(f"/v1/events?after={after}&wait=5", headers=headers).json()["events"]
    assert "permit.revoked" in {event["type"] for event in news}


def test_what_is_undone_is_not_looked_at_afterwards(api: Api) -> None:
    audited = MAIL.replace("route: auto", "route: auto, audit_share: 1.0")
    with api.database.transaction() as session:
        policies.apply(session, audited, actor="test", now=NOW)
    kept, undone = api.propose(mail()), api.propose(mail())
    undo(api, undone)
    with api.database.reading() as session:
        status = dict(session.exec(select(tables.Task.proposal_id, tables.Task.status)).all())
    assert status == {kept["id"]: "open", undone["id"]: "dropped"}


# --- at the same time ---


def test_undoing_and_using_at_once_do_one_or_the_other(database: Database, people: People) -> None:
    small = proposal(kind="action", content=None, action={"name": "transfer", "arguments": {
        "amount": 5}})  # fmt: skip
    agent, supervisor = people.agent.principal, people.supervisor.principal
    for _ in range(6):
        with database.transaction() as session:
            row = intake.take(session, small, agent, now=NOW).row
            permit = store.permit(session, row.id)
        assert permit is not None

        def act(
            number: int, id_: str = row.id, permit_id: str = permit.id, digest: str = permit.digest
        ) -> str:
            with database.transaction() as session:
                if number % 2:
                    held = store.hold(session, id_)
                    revocations.undo(session, held, actor=supervisor.id, now=at(1))
                    return "undone"
                permits.consume(session, permit_id, digest, agent, now=at(1))
            return "ran"

        came = together(4, act)
        with database.reading() as session:
            status = store.load(session, row.id).status
        if status == "undone":
            assert came == {"undone": 2, PermitRevoked.code: 2}
        else:
            assert status == "executing"
            assert came == {"ran": 1, PermitUsed.code: 3}
