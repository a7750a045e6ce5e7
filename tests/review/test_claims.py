"""Claims, what the queue says of each proposal, and the wait that tickets estimate."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlmodel import col, select, update

from errata import protocol
from errata.db import Database
from errata.errors import AlreadyDecided, Claimed, Conflict, NotEligible
from ingestion import intake, policies, store, tables, tickets, waits
from review import claims, queue, settling, votes
from review.argilla import outbox
from tests.people import NOW, Api, People, Person, action, at, proposal, together

LEASE = claims.LEASE.total_seconds()


def call(api: Api, what: str, ticket: dict[str, Any], by: Person | None = None) -> Any:
    headers = (by or api.people.ann).headers
    return api.client.post(f"/v1/proposals/{ticket['id']}/{what}", headers=headers)


def entry(api: Api, ticket: dict[str, Any]) -> dict[str, Any]:
    answer = api.client.get("/v1/queue", headers=api.people.ann.headers).json()["waiting"]
    return next(one for one in answer if one["id"] == ticket["id"])


# --- over HTTP ---


def test_a_claim_shows_who_works_on_it_and_until_when(api: Api) -> None:
    ticket = api.propose()
    assert ticket["status"] == "queued"
    held = call(api, "claim", ticket)
    assert (held.status_code, held.json()["status"]) == (200, "in_review")
    shown = api.show(ticket["id"])
    assert (shown["status"], "claimed_until" in shown) == ("in_review", True)
    assert entry(api, ticket)["claimed_by"] == "ann"
    other = call(api, "claim", ticket, api.people.ben)
    assert (other.status_code, other.json()["error"]) == (409, "claimed")
    assert shown["claimed_until"][:19] in other.json()["detail"]
    assert call(api, "release", ticket, api.people.ben).status_code == 409
    freed = call(api, "release", ticket).json()
    assert (freed["status"], freed.get("claimed_until")) == ("queued", None)
    assert call(api, "claim", ticket, api.people.ben).status_code == 200


def test_a_claim_decides_nothing(api: Api) -> None:
    ticket = api.propose()
    call(api, "claim", ticket)
    done = api.review(ticket, "approve", by=api.people.ben)
    assert done.json()["status"] == "permitted"
    assert call(api, "claim", ticket).json()["error"] == "already_decided"
    assert "claimed_until" not in api.show(ticket["id"])


def test_a_claimed_proposal_is_still_put_into_argilla(api: Api) -> None:
    ticket = api.propose()
    call(api, "claim", ticket)
    with api.database.transaction() as session:
        assert outbox.enroll(session, now=NOW) == 1


def test_who_may_not_vote_may_not_claim(api: Api) -> None:
    asked_by_ann = api.propose({**action(), "requested_by": "ann"})
    refused = call(api, "claim", asked_by_ann)
    assert (refused.status_code, refused.json()["error"]) == (403, "not_eligible")
    assert call(api, "claim", asked_by_ann, api.people.agent).status_code == 403
    assert call(api, "claim", {"id": "none"}).status_code == 404


# --- the clock ---


class Room:
    """Proposals by function, with a clock that is passed in."""

    def __init__(self, database: Database, people: People) -> None:
        self.database = database
        self.people = people

    def ask(self, seconds: float = 0, **fields: Any) -> str:
        with self.database.transaction() as session:
            agent = self.people.agent.principal
            return intake.take(session, proposal(**fields), agent, now=at(seconds)).row.id

    def claim(self, id_: str, who: Person, seconds: float) -> datetime | None:
        with self.database.transaction() as session:
            return claims.claim(session, id_, who.principal, now=at(seconds)).claimed_until

    def decide(self, id_: str, seconds: float, who: Person | None = None) -> None:
        with self.database.transaction() as session:
            row = store.load(session, id_)
            review = protocol.Review(proposal_id=id_, digest=row.digest, verdict="approve")
            voice = votes.Voice((who or self.people.ann).principal, "api")
            settling.submit(session, review, voice, now=at(seconds))

    def wait(self, id_: str, seconds: float) -> float | None:
        with self.database.reading() as session:
            return waits.estimate(session, store.load(session, id_), at(seconds))

    def queue(self, seconds: float) -> list[queue.Waiting]:
        with self.database.reading() as session:
            return queue.waiting(session, now=at(seconds))


@pytest.fixture
def room(database: Database, people: People) -> Room:
    return Room(database, people)


def test_a_claim_ends_by_itself_and_its_holder_renews_it(room: Room) -> None:
    id_, ann, ben = room.ask(), room.people.ann, room.people.ben
    assert room.claim(id_, ann, 0) == at(LEASE)
    assert room.claim(id_, ann, LEASE - 1) == at(2 * LEASE - 1)
    with pytest.raises(Claimed):
        room.claim(id_, ben, LEASE)
    assert room.queue(2 * LEASE - 1.5)[0].claimed_by == "ann"
    assert room.queue(2 * LEASE - 1)[0].claimed_by is None
    with pytest.raises(Conflict), room.database.transaction() as session:
        claims.release(session, id_, ann.principal, now=at(2 * LEASE - 1))
    assert room.claim(id_, ben, 2 * LEASE - 1) == at(3 * LEASE - 1)
    with room.database.reading() as session:
        row = store.load(session, id_)
        for seconds, status in ((3 * LEASE - 2, "in_review"), (3 * LEASE - 1, "queued")):
            shown = claims.shown(tickets.ticket(session, row), row, at(seconds))
            assert shown.status == status


def test_what_is_overdue_cannot_be_claimed(room: Room) -> None:
    id_ = room.ask()
    with pytest.raises(AlreadyDecided):
        room.claim(id_, room.people.ann, 24 * 3600)
    with pytest.raises(NotEligible):
        room.claim(id_, room.people.agent, 0)


def test_of_many_who_claim_at_once_one_gets_it(room: Room) -> None:
    id_ = room.ask()
    who = [room.people.ann, room.people.ben, room.people.supervisor]

    def step(number: int) -> str:
        room.claim(id_, who[number], 0)
        return "held"

    assert together(3, step) == {"held": 1, "claimed": 2}


# --- the queue ---

QUORUM = """\
version: 1
rules:
  - {name: drafts, when: {kind: draft}, route: queue, quorum: {needed: 2, from: [senior, junior]}}
  - {name: plans, when: {kind: plan}, route: queue, quorum: {needed: 2, roles: [senior]}}
"""


def test_the_queue_says_for_whom_how_many_and_how_long(room: Room) -> None:
    with room.database.transaction() as session:
        policies.apply(session, QUORUM, actor="test", now=NOW)
        ann = session.get_one(tables.Principal, room.people.ann.principal.id)
        ann.groups = {"senior": None}
        session.add(ann)
    draft, plan = room.ask(), room.ask(10, kind="plan")
    room.ask(20, urgency="high", kind="plan")
    senior = room.people.ann._replace(principal=ann)
    room.decide(draft, 30, senior)
    found = room.queue(60)
    assert [one.urgency for one in found] == ["high", "normal", "normal"]
    first, second = found[1].wire(), found[2].wire()
    assert (first["id"], first["needed"], first["got"]) == (draft, 2, 1)
    assert (first["for"], first["roles"], first["waited_s"]) == (("senior", "junior"), (), 60.0)
    assert (second["id"], second["got"], second["for"]) == (plan, 0, ())
    assert (second["roles"], second["waited_s"]) == (("senior",), 50.0)
    assert "groups" not in first


def test_a_vote_that_is_void_is_not_counted_in_the_queue(room: Room) -> None:
    with room.database.transaction() as session:
        two = QUORUM.replace(", from: [senior, junior]", "")
        policies.apply(session, two, actor="test", now=NOW)
    id_ = room.ask()
    room.decide(id_, 1)
    assert room.queue(2)[0].got == 1
    with room.database.transaction() as session:
        votes.withdraw(session, id_, room.people.ann.principal, now=at(3))
    assert room.queue(4)[0].got == 0


# --- the estimated wait ---


def test_nothing_is_estimated_until_something_is_known(room: Room) -> None:
    ids = [room.ask(number) for number in range(4)]
    assert room.wait(ids[-1], 10) is None
    room.decide(ids[0], 20)
    room.decide(ids[1], 30)
    assert room.wait(ids[-1], 35) is None, "two say nothing of the pace"
    room.decide(ids[2], 40)
    assert room.wait(ids[-1], 50) == 10.0  # 3 in the 30 s since the first: 10 s each, alone
    assert room.wait(ids[0], 50) is None, "it is decided"


def test_the_wait_is_that_of_those_ahead_by_urgency_and_age(room: Room) -> None:
    for number in range(3):
        room.decide(room.ask(), number * 10)
    older, newer = room.ask(21), room.ask(22)
    urgent, least = room.ask(23, urgency="critical"), room.ask(21, urgency="log")
    waits_ = {id_: room.wait(id_, 30) for id_ in (urgent, older, newer, least)}
    assert waits_ == {urgent: 10.0, older: 20.0, newer: 30.0, least: 40.0}
    assert room.wait(urgent, 60) == 20.0, "a pause makes it longer"


def test_the_wait_forgets_what_was_long_ago_and_ends_at_the_deadline(room: Room) -> None:
    for number in range(3):
        room.decide(room.ask(), number * 10)
    hours = waits.LATELY.total_seconds()
    id_ = room.ask(21)
    assert room.wait(id_, hours + 10) is None
    with room.database.transaction() as session:
        session.exec(
            update(tables.Proposal)
            .where(col(tables.Proposal.id) == id_)
            .values(expires_at=NOW + timedelta(seconds=33))
        )
    assert room.wait(id_, 30) == 3.0


def test_what_the_policy_decides_and_imports_say_nothing_of_the_pace(room: Room) -> None:
    for amount in range(5):
        small = {"name": "transfer", "arguments": {"amount": amount}}
        room.ask(kind="action", content=None, action=small)
    with room.database.reading() as session:
        assert len(session.exec(select(tables.Decision)).all()) == 5
    assert room.wait(room.ask(1), 10) is None


def test_tickets_carry_the_wait(api: Api) -> None:
    assert "estimated_wait_s" not in api.propose()
    for _ in range(3):
        api.approved()
    ticket = api.propose()
    assert ticket["estimated_wait_s"] > 0
    assert api.show(ticket["id"])["estimated_wait_s"] > 0
    done = api.review(ticket, "approve").json()
    assert "estimated_wait_s" not in api.show(done["id"])
