"""Permits: one use of exactly the approved bytes, while nothing is halted."""

from datetime import timedelta
from typing import Any

import pytest
from sqlmodel import col, select, update

from errata import protocol
from errata.db import Database
from errata.errors import PermitExpired, TooEarly, Unavailable
from ingestion import halts, intake, permits, tables
from tests.people import NOW, Api, People, Person, action, at, proposal, together

SMALL = action("transfer", amount=5, to="bob")


def receipt(permit: dict[str, Any], status: str = "executed", **more: Any) -> dict[str, Any]:
    times = {"started_at": "2026-03-01T12:00:00Z", "finished_at": "2026-03-01T12:00:01Z"}
    return {"permit_id": permit["id"], "status": status, **times, **more}


def report(api: Api, permit: dict[str, Any], *, path: str | None = None, **given: Any) -> Any:
    return api.client.post(
        f"/v1/permits/{path or permit['id']}/receipt",
        json=receipt(permit, **given),
        headers=api.people.agent.headers,
    )


def change(api: Api, **values: Any) -> None:
    with api.database.transaction() as session:
        session.exec(update(tables.Permit).values(**values))


def test_a_permit_is_used_once(api: Api) -> None:
    ticket = api.propose(SMALL)
    used = api.consume(ticket["permit"])
    assert (used.status_code, used.json()["status"]) == (200, "used")
    assert api.show(ticket["id"])["status"] == "executing"
    again = api.consume(ticket["permit"])
    assert (again.status_code, again.json()["error"]) == (409, "used")


def test_the_same_use_asked_again_with_its_key_is_the_same_use(api: Api) -> None:
    permit = api.propose(SMALL)["permit"]
    first = api.consume(permit, key="k1")
    assert api.consume(permit, key="k1").json() == first.json()
    assert api.consume(permit, key="k2").json()["error"] == "used"
    assert api.consume({**permit, "digest": "sha256:" + "0" * 64}, key="k1").status_code == 409


def test_other_bytes_do_not_use_the_permit(api: Api) -> None:
    permit = api.propose(SMALL)["permit"]
    wrong = api.consume({**permit, "digest": "sha256:" + "0" * 64})
    assert (wrong.status_code, wrong.json()["error"]) == (409, "digest_mismatch")
    assert api.consume(permit).status_code == 200


def test_another_agents_key_cannot_use_or_report(api: Api) -> None:
    permit = api.propose(SMALL)["permit"]
    assert api.consume(permit, by=api.people.other_agent).status_code == 403
    assert api.consume(permit, by=api.people.admin).status_code == 403
    api.consume(permit)
    stolen = api.client.post(
        f"/v1/permits/{permit['id']}/receipt",
        json=receipt(permit),
        headers=api.people.other_agent.headers,
    )
    assert stolen.status_code == 403


def report_all(api: Api, *permits: dict[str, Any], by: Person | None = None) -> dict[str, Any]:
    told = {"receipts": [receipt(one) for one in permits]}
    headers = (by or api.people.agent).headers
    response = api.client.post("/v1/receipts", json=told, headers=headers)
    assert response.status_code == 201
    return response.json()


def test_receipts_of_a_moment_are_taken_together_and_again(api: Api) -> None:
    tickets = [api.propose(SMALL) for _ in range(3)]
    permits = [one["permit"] for one in tickets]
    for permit in permits:
        api.consume(permit)
    assert report_all(api, *permits) == {"refused": []}
    assert report_all(api, *permits, *permits) == {"refused": []}
    assert {api.show(one["id"])["status"] for one in tickets} == {"executed"}


def test_one_wrong_receipt_costs_only_itself(api: Api) -> None:
    used, never, unknown = api.propose(SMALL), api.propose(SMALL), {"id": "0" * 32}
    api.consume(used["permit"])
    refused = report_all(api, never["permit"], used["permit"], unknown)["refused"]
    said = {one["permit_id"]: one["error"] for one in refused}
    assert said == {never["permit"]["id"]: "conflict", unknown["id"]: "not_found"}
    assert api.show(used["id"])["status"] == "executed"
    alarms = api.client.get("/v1/alarms", headers=api.people.supervisor.headers).json()["alarms"]
    assert [(one["kind"], one["proposal_id"]) for one in alarms] == [("bypass", never["id"])]


def test_another_agents_receipts_are_not_taken(api: Api) -> None:
    used = api.propose(SMALL)
    api.consume(used["permit"])
    refused = report_all(api, used["permit"], by=api.people.other_agent)["refused"]
    assert [one["error"] for one in refused] == ["forbidden"]
    assert api.show(used["id"])["status"] == "executing"


def test_receipts_that_find_no_room_in_the_database_are_sent_once_more(
    sqlite_api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    used = sqlite_api.propose(SMALL)
    sqlite_api.consume(used["permit"])
    told = {"receipts": [receipt(used["permit"])]}

    def busy(*_: Any, **__: Any) -> None:
        raise Unavailable("the database is busy; try again")

    with monkeypatch.context() as patched:
        patched.setattr(permits, "report_all", busy)
        headers = sqlite_api.people.agent.headers
        response = sqlite_api.client.post("/v1/receipts", json=told, headers=headers)
    assert response.status_code == 503
    assert sqlite_api.show(used["id"])["status"] == "executing"
    assert report_all(sqlite_api, used["permit"]) == {"refused": []}


def test_an_expired_or_revoked_permit_is_gone(api: Api) -> None:
    permit = api.propose(SMALL)["permit"]
    change(api, expires_at=NOW)
    gone = api.consume(permit)
    assert (gone.status_code, gone.json()["error"]) == (410, "expired")
    change(api, status="revoked")
    gone = api.consume(permit)
    assert (gone.status_code, gone.json()["error"]) == (410, "revoked")


def test_a_permit_that_is_not_valid_yet_says_when_to_come_back(api: Api) -> None:
    ticket = api.propose(SMALL)
    with api.database.reading() as session:
        start = session.exec(select(tables.Permit.not_before)).one()
    change(api, not_before=start + timedelta(minutes=10))
    early = api.consume(ticket["permit"])
    assert (early.status_code, early.json()["error"]) == (409, "too_early")
    assert 590 <= int(early.headers["Retry-After"]) <= 600


def test_a_permit_is_valid_from_its_first_moment_and_not_in_its_last(
    database: Database, people: People
) -> None:
    permit = _permit(database, people)
    agent = people.agent.principal

    def use(seconds: float) -> None:
        with database.transaction() as session:
            permits.consume(session, permit.id, permit.digest, agent, now=at(seconds))

    with pytest.raises(TooEarly):
        use(-0.001)
    with pytest.raises(PermitExpired):
        use(24 * 3600)
    use(0)


def test_nothing_is_used_during_a_halt_and_the_permit_outlives_it(api: Api) -> None:
    permit = api.propose(SMALL)["permit"]
    supervisor = api.people.supervisor.headers
    assert api.client.post("/v1/halt", headers=supervisor).json()["halted"] is True
    halted = api.consume(permit)
    assert (halted.status_code, halted.json()["error"]) == (409, "halted")
    assert api.client.get("/v1/halt", headers=api.people.agent.headers).json()["halted"] is True
    assert api.client.delete("/v1/halt", headers=supervisor).json() == {"halted": False}
    assert api.client.delete("/v1/halt", headers=supervisor).status_code == 409
    assert api.consume(permit).status_code == 200


def test_an_unknown_permit_is_not_found(api: Api) -> None:
    nothing = {"id": "none", "digest": "sha256:" + "0" * 64}
    assert api.consume(nothing).status_code == 404
    assert report(api, {"id": "none"}).status_code == 404


def test_a_digest_that_is_none_is_malformed(api: Api) -> None:
    permit = api.propose(SMALL)["permit"]
    assert api.consume({**permit, "digest": "sha256:short"}).json()["field"] == "digest"


# --- receipts ---


@pytest.mark.parametrize("status", ["executed", "failed", "unknown"])
def test_a_receipt_says_what_came_of_it(api: Api, status: str) -> None:
    ticket = api.propose(SMALL)
    api.consume(ticket["permit"])
    answer = report(api, ticket["permit"], status=status, error="or nothing")
    assert answer.status_code == 201
    assert api.show(ticket["id"])["status"] == status


def test_the_same_receipt_again_changes_nothing_and_another_is_refused(api: Api) -> None:
    ticket = api.propose(SMALL)
    api.consume(ticket["permit"])
    report(api, ticket["permit"])
    assert report(api, ticket["permit"]).status_code == 201
    assert report(api, ticket["permit"], status="failed").status_code == 409
    assert api.show(ticket["id"])["status"] == "executed"
    with api.database.reading() as session:
        assert len(session.exec(select(tables.Receipt)).all()) == 1


def test_a_receipt_for_what_was_never_started_is_refused(api: Api) -> None:
    ticket = api.propose(SMALL)
    assert report(api, ticket["permit"]).json()["error"] == "conflict"
    assert report(api, ticket["permit"], path="other").json()["field"] == "permit_id"


# --- at the same time ---


def _permit(database: Database, people: People) -> tables.Permit:
    small = proposal(
        kind="action",
        content=None,
        action={"name": "transfer", "arguments": {"amount": 5}},
    )
    with database.transaction() as session:
        row = intake.take(session, small, people.agent.principal, now=NOW).row
    with database.reading() as session:
        return session.exec(select(tables.Permit).where(tables.Permit.proposal_id == row.id)).one()


def test_of_twenty_that_use_one_permit_one_succeeds(database: Database, people: People) -> None:
    permit = _permit(database, people)

    def use(number: int) -> str:
        with database.transaction() as session:
            permits.consume(
                session, permit.id, permit.digest, people.agent.principal, key=f"{number}", now=NOW
            )
        return "success"

    assert together(20, use) == {"success": 1, "used": 19}


def test_one_use_asked_for_many_times_at_once_is_one_use(
    database: Database, people: People
) -> None:
    permit = _permit(database, people)

    def use(_number: int) -> str:
        with database.transaction() as session:
            permits.consume(
                session, permit.id, permit.digest, people.agent.principal, key="k", now=NOW
            )
        return "success"

    assert together(10, use) == {"success": 10}
    with database.reading() as session:
        events = session.exec(select(tables.Event).where(tables.Event.type == "permit.used")).all()
    assert len(events) == 1


def test_a_receipt_sent_many_times_at_once_is_kept_once(database: Database, people: People) -> None:
    permit = _permit(database, people)
    agent = people.agent.principal
    with database.transaction() as session:
        permits.consume(session, permit.id, permit.digest, agent, now=NOW)
    told = protocol.Receipt(
        permit_id=permit.id, status="executed", started_at=NOW, finished_at=at(1)
    )

    def tell(_number: int) -> str:
        with database.transaction() as session:
            permits.report(session, told, agent, now=at(2))
        return "success"

    assert together(10, tell) == {"success": 10}


def test_fences_differ_and_rise_with_every_permit(database: Database, people: People) -> None:
    def issue(_number: int) -> str:
        return str(_permit(database, people).fence)

    given = together(10, issue)
    assert set(given.values()) == {1}
    assert len(given) == 10
    with database.reading() as session:
        by_fence = session.exec(select(tables.Permit.id).order_by(col(tables.Permit.fence))).all()
        noted = session.exec(
            select(tables.Event)
            .where(tables.Event.type == "permit.issued")
            .order_by(col(tables.Event.seq))
        ).all()
    assert list(by_fence) == [one.data["permit"] for one in noted]


def test_halts_and_uses_at_the_same_time_leave_no_use_after_the_halt(
    database: Database, people: People
) -> None:
    issued = [_permit(database, people) for _ in range(8)]

    def act(number: int) -> str:
        with database.transaction() as session:
            if number == 4:
                halts.start(session, actor="test", now=NOW)
                return "halted fleet"
            permit = issued[number]
            permits.consume(session, permit.id, permit.digest, people.agent.principal, now=NOW)
        return "success"

    outcome = together(8, act)
    assert outcome["success"] + outcome["halted"] == 7
    with database.reading() as session:
        types = list(session.exec(select(tables.Event.type).order_by(col(tables.Event.seq))))
    assert "permit.used" not in types[types.index("halt.started") :]


def test_halts_at_the_same_time_are_one_halt(database: Database, people: People) -> None:
    def start(_number: int) -> str:
        with database.transaction() as session:
            return halts.start(session, actor="test", now=NOW).id

    assert len(together(6, start)) == 1
    with database.transaction() as session:
        halts.lift(session, actor="test", now=at(1))
        assert halts.active(session) is None
