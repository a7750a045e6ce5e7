"""Watching over runs: silence becomes doubt and an alarm, never a second run."""

from datetime import datetime

import pytest
from sqlmodel import select

from errata import protocol
from errata.db import Database
from errata.errors import PermitExpired, PermitUsed
from ingestion import alarms, intake, permits, store, tables, watch
from tests.people import NOW, People, at, proposal, together

LIMIT = 900.0
DAY = 24 * 3600


class Desk:
    """An agent with a permit, and a clock that is passed in."""

    def __init__(self, database: Database, people: People) -> None:
        self.database = database
        self.agent = people.agent.principal

    def permit(self) -> protocol.Permit:
        small = proposal(kind="action", content=None, action={"name": "transfer", "arguments": {
            "amount": 5}})  # fmt: skip
        with self.database.transaction() as session:
            row = intake.take(session, small, self.agent, now=NOW).row
            permit = store.permit(session, row.id)
        assert permit is not None
        return permit

    def used(self) -> protocol.Permit:
        permit = self.permit()
        with self.database.transaction() as session:
            permits.consume(session, permit.id, permit.digest, self.agent, now=NOW)
        return permit

    def report(self, permit: protocol.Permit, status: str, now: datetime) -> None:
        told = {"permit_id": permit.id, "status": status, "started_at": NOW, "finished_at": now}
        with self.database.transaction() as session:
            receipt = protocol.Receipt.model_validate(told)
            permits.report(session, receipt, self.agent, now=now)

    def look(self, seconds: float) -> int:
        with self.database.reading() as session:
            due = watch.is_due(session, limit_s=LIMIT, now=at(seconds))
        with self.database.transaction() as session:
            found = watch.look(session, limit_s=LIMIT, now=at(seconds))
        assert due == (found > 0)
        return found

    def status(self, permit: protocol.Permit) -> tuple[str, str]:
        with self.database.reading() as session:
            row = store.load(session, permit.proposal_id)
            return row.status, session.get_one(tables.Permit, permit.id).status

    def alarms(self, *, closed: bool = False) -> list[tuple[str, str | None]]:
        with self.database.reading() as session:
            return [(one.kind, one.proposal_id) for one in alarms.listed(session, closed=closed)]

    def events(self) -> list[str]:
        with self.database.reading() as session:
            return list(session.exec(select(tables.Event.type)))


@pytest.fixture
def desk(database: Database, people: People) -> Desk:
    return Desk(database, people)


def test_a_run_without_a_receipt_is_in_doubt_once_its_time_is_over(desk: Desk) -> None:
    permit = desk.used()
    assert desk.look(LIMIT - 0.001) == 0
    assert desk.status(permit) == ("executing", "used")
    assert desk.look(LIMIT) == 1
    assert desk.status(permit) == ("unknown", "used")
    assert desk.alarms() == [("unknown", permit.proposal_id)]
    assert desk.look(LIMIT + 1) == 0, "it is raised once"


def test_what_is_in_doubt_never_runs_again(desk: Desk) -> None:
    permit = desk.used()
    desk.look(LIMIT)
    with pytest.raises(PermitUsed), desk.database.transaction() as session:
        permits.consume(session, permit.id, permit.digest, desk.agent, now=at(LIMIT + 1))
    assert desk.status(permit) == ("unknown", "used")


@pytest.mark.parametrize("status", ["executed", "failed"])
def test_a_late_receipt_ends_the_doubt(desk: Desk, status: str) -> None:
    permit = desk.used()
    desk.look(LIMIT)
    desk.report(permit, status, at(LIMIT + 60))
    assert desk.status(permit) == (status, "used")
    assert desk.alarms() == []
    assert desk.alarms(closed=True) == [("unknown", permit.proposal_id)]


def test_a_run_that_was_reported_is_left_alone(desk: Desk) -> None:
    permit = desk.used()
    desk.report(permit, "failed", at(1))
    assert desk.look(10 * DAY) == 0
    assert (desk.status(permit), desk.alarms()) == (("failed", "used"), [])


def test_an_agent_that_does_not_know_raises_the_alarm_and_may_find_out(desk: Desk) -> None:
    permit = desk.used()
    desk.report(permit, "unknown", at(1))
    assert desk.alarms() == [("unknown", permit.proposal_id)]
    desk.report(permit, "executed", at(2))
    assert (desk.status(permit), desk.alarms()) == (("executed", "used"), [])
    with desk.database.reading() as session:
        assert session.exec(select(tables.Receipt.status)).all() == ["executed"]


def test_a_permit_that_nobody_used_expires(desk: Desk) -> None:
    permit = desk.permit()
    assert desk.look(DAY - 0.001) == 0
    assert desk.look(DAY) == 1
    assert desk.status(permit) == ("permitted", "expired")
    assert desk.events().count("permit.expired") == 1
    with pytest.raises(PermitExpired), desk.database.transaction() as session:
        permits.consume(session, permit.id, permit.digest, desk.agent, now=NOW)
    assert desk.look(2 * DAY) == 0


def test_two_workers_at_once_raise_each_doubt_once(desk: Desk) -> None:
    for _ in range(8):
        desk.used()
    idle = [desk.permit() for _ in range(4)]
    counts: list[int] = []

    def look(_number: int) -> str:
        with desk.database.transaction() as session:
            counts.append(watch.look(session, limit_s=LIMIT, now=at(DAY)))
        return "looked"

    assert together(2, look) == {"looked": 2}
    assert sum(counts) == 12
    assert len(desk.alarms()) == 8
    assert {desk.status(one)[1] for one in idle} == {"expired"}
    seen = desk.events()
    assert (seen.count("alarm.raised"), seen.count("permit.expired")) == (8, 4)


def test_a_receipt_and_the_watch_at_once_agree_in_the_end(desk: Desk) -> None:
    for _ in range(5):
        permit = desk.used()

        def act(number: int, permit: protocol.Permit = permit) -> str:
            if number:
                desk.report(permit, "executed", at(LIMIT))
            else:
                with desk.database.transaction() as session:
                    watch.look(session, limit_s=LIMIT, now=at(LIMIT))
            return "done"

        assert together(2, act) == {"done": 2}
        assert desk.status(permit) == ("executed", "used")
        assert desk.alarms() == []
