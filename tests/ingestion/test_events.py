"""The log: every change to it is found, and erasing texts changes nothing in it."""

from collections.abc import Callable

import pytest
from sqlalchemy import text
from sqlmodel import Session, col, select

from errata import protocol
from errata.db import Database
from ingestion import events, intake, keys, store, tables
from ingestion.audit import Audit
from review import audit as audits
from review import erasure, settling, votes
from tests.people import NOW, Api, People, at, proposal, together


def decide(database: Database, people: People, verdict: protocol.Verdict = "approve") -> str:
    """One proposal from start to decision; its id."""
    with database.transaction() as session:
        row = intake.take(session, proposal(), people.agent.principal, now=NOW).row
    with database.transaction() as session:
        review = protocol.Review(proposal_id=row.id, digest=row.digest, verdict=verdict)
        settling.submit(session, review, votes.Voice(people.ann.principal, "api"), now=at(5))
    return row.id


def audit(database: Database) -> Audit:
    with database.reading() as session:
        return audits.verify(session, batch=3)  # smaller than the log: it is read in pages


def test_a_log_that_nobody_touched_verifies(database: Database, people: People) -> None:
    decide(database, people)
    decide(database, people, "reject")
    found = audit(database)
    assert found.faults == []
    with database.reading() as session:
        entries = session.exec(select(tables.Event).order_by(col(tables.Event.seq))).all()
    assert [entry.seq for entry in entries] == list(range(1, found.events + 1))
    assert entries[0].previous == events.GENESIS
    assert found.head == entries[-1].hash
    assert entries[-1].at.utcoffset() == NOW.utcoffset()


def test_an_empty_log_verifies(database: Database) -> None:
    assert audit(database) == Audit(events=0, head=events.GENESIS, faults=[])


def _sql(statement: str) -> Callable[[Session], None]:
    return lambda session: session.connection().execute(text(statement)) and None


def _swap(session: Session) -> None:
    first, second = session.exec(
        select(tables.Event)
        .where(col(tables.Event.seq).in_([5, 6]))
        .order_by(col(tables.Event.seq))
    ).all()
    data = first.model_dump(exclude={"seq"})
    other = second.model_dump(exclude={"seq"})
    session.delete(first)
    session.delete(second)
    session.flush()
    session.add(tables.Event(seq=5, **other))
    session.add(tables.Event(seq=6, **data))
    session.flush()


def _reseal(session: Session) -> None:
    """Somebody who knows how the hash is made, but does not redo the rest of the chain."""
    entry = session.exec(select(tables.Event).where(tables.Event.seq == 4)).one()
    entry.actor = "somebody else"
    entry.hash = events.seal(entry)
    session.add(entry)
    session.flush()


TAMPERINGS: dict[str, tuple[Callable[[Session], None], str]] = {
    "a changed time": (
        _sql("UPDATE event SET at = '2020-01-01 00:00:00' WHERE seq = 3"),
        "event 3 (key.created) was changed",
    ),
    "a changed actor": (_sql("UPDATE event SET actor = 'x' WHERE seq = 3"), "event 3 "),
    "changed data": (
        _sql("UPDATE event SET data = '{\"outcome\": \"reject\"}' WHERE type = 'proposal.decided'"),
        "(proposal.decided) was changed",
    ),
    "another proposal": (
        _sql("UPDATE event SET proposal_id = NULL WHERE seq = 9"),
        "event 9 ",
    ),
    "an event resealed": (_reseal, "event 5 does not follow on the one before it"),
    "a deleted event": (
        _sql("DELETE FROM event WHERE seq = 4"),
        "event 4 is missing; event 5 follows",
    ),
    "the first event deleted": (_sql("DELETE FROM event WHERE seq = 1"), "event 1 is missing"),
    "events swapped": (_swap, "event 5 (key.created) was changed"),
    "the newest events cut off": (
        _sql("DELETE FROM event WHERE seq > (SELECT max(seq) - 2 FROM event AS e)"),
        "the log ends at event",
    ),
    "a decision turned round": (
        _sql("UPDATE decision SET outcome = 'reject'"),
        "differs from the log",
    ),
    "a decision about other bytes": (
        _sql("UPDATE decision SET digest = 'sha256:x'"),
        "differs from the log",
    ),
    "a decision removed": (
        _sql("DELETE FROM decision"),
        "is gone",
    ),
    "a permit for other bytes": (
        _sql("UPDATE permit SET digest = 'sha256:x'"),
        "is for other bytes",
    ),
    "a permit used, and the log silent": (
        _sql("UPDATE permit SET status = 'used'"),
        "the log says otherwise",
    ),
    "a permit removed": (
        _sql("DELETE FROM permit"),
        "permit",
    ),
    "a review of somebody else": (
        _sql("UPDATE review SET reviewer_id = (SELECT id FROM principal WHERE name = 'ben')"),
        "review",
    ),
    "a review that was refused": (
        _sql("UPDATE review SET accepted = false"),
        "differs from the log",
    ),
}


@pytest.mark.parametrize("name", TAMPERINGS)
def test_every_tampering_is_found(database: Database, people: People, name: str) -> None:
    decide(database, people)
    tamper, words = TAMPERINGS[name]
    with database.transaction() as session:
        tamper(session)
    faults = audit(database).faults
    assert any(words in fault for fault in faults), faults


def test_a_decision_that_was_slipped_in_is_found(database: Database, people: People) -> None:
    with database.transaction() as session:
        row = intake.take(session, proposal(), people.agent.principal, now=NOW).row
        session.add(
            tables.Decision(
                proposal_id=row.id,
                outcome="approve",
                by="people",
                digest=row.digest,
                policy_version=row.policy_version,
                needed=1,
                got=1,
                decided_at=NOW,
            )
        )
    assert audit(database).faults == [f"decision on {row.id} is not in the log"]


def test_a_log_cut_off_together_with_its_head_shows_in_the_head_kept_elsewhere(
    database: Database, people: People
) -> None:
    before = audit(database)
    decide(database, people)
    kept = audit(database).head
    with database.transaction() as session:
        session.connection().execute(text(f"DELETE FROM event WHERE seq > {before.events}"))
        for table in ("permit", "reviewpayload", "review"):
            session.connection().execute(text(f"DELETE FROM {table}"))
        session.connection().execute(text("DELETE FROM decision"))
        session.connection().execute(
            text("UPDATE chainhead SET seq = :seq, hash = :hash"),
            {"seq": before.events, "hash": before.head},
        )
    found = audit(database)
    assert found.faults == []
    assert found.head != kept


def test_the_log_verifies_after_texts_were_erased_and_they_are_gone(
    database: Database, people: People
) -> None:
    id_ = decide(database, people)
    with database.transaction() as session:
        # the proposal's text, the decision's and the review's
        assert erasure.erase(session, [id_], actor="test", now=at(10)) == 3
    assert audit(database).faults == []
    with database.reading() as session:
        assert store.proposal(session, id_) is None
        decision = store.decision(session, id_)
        assert decision is not None
        assert (decision.outcome, decision.reason) == ("approve", "erased")
        assert votes.stated(session, id_) == ()
        assert session.exec(select(tables.Payload)).all() == []


def test_only_decided_work_is_erased(database: Database, people: People) -> None:
    with database.transaction() as session:
        row = intake.take(session, proposal(), people.agent.principal, now=NOW).row
    with pytest.raises(Exception, match="is open"), database.transaction() as session:
        erasure.erase(session, [row.id], actor="test", now=at(10))


def test_an_erased_proposal_is_still_shown_without_its_text(api: Api) -> None:
    ticket = api.approved()
    with api.database.transaction() as session:
        erasure.erase(session, [ticket["id"]], actor="test", now=at(10))
    shown = api.show(ticket["id"])
    assert "proposal" not in shown
    assert (shown["status"], shown["decision"]["reason"]) == ("permitted", "erased")


class Broken(Exception):
    """What goes wrong in the middle of a transaction."""


def types(database: Database) -> list[str]:
    with database.reading() as session:
        return list(session.exec(select(tables.Event.type).order_by(col(tables.Event.seq))))


def test_what_is_rolled_back_leaves_no_event(database: Database, people: People) -> None:
    before = types(database)

    def fail() -> None:
        with database.transaction() as session:
            keys.create(session, "agent", "new", actor="test", now=NOW)
            raise Broken

    with pytest.raises(Broken):
        fail()
    assert types(database) == before
    decide(database, people)
    assert audit(database).faults == []


def test_a_savepoint_that_fails_drops_its_events_and_keeps_the_others(
    database: Database, people: People
) -> None:
    before = types(database)
    with database.transaction() as session:
        keys.create(session, "agent", "one", actor="test", now=NOW)

        def fail() -> None:
            with events.savepoint(session):
                intake.take(session, proposal(), people.agent.principal, now=NOW)
                raise Broken

        with pytest.raises(Broken):
            fail()
        with events.savepoint(session), events.savepoint(session):
            intake.take(session, proposal(), people.agent.principal, now=NOW)
    assert types(database)[len(before) :] == [
        "key.created",
        "proposal.received",
    ]
    assert audit(database).faults == []


def test_no_event_holds_what_a_person_or_an_agent_wrote(api: Api) -> None:
    secret = "s3cret words"
    body = {"hap": "1", "kind": "draft", "agent": {"id": "desk"}, "content": secret}
    ticket = api.propose({**body, "metadata": {"note": secret}})
    api.review(ticket, "edit", content=f"my {secret}", guidance=secret)
    with api.database.reading() as session:
        entries = session.exec(select(tables.Event)).all()
    assert not [entry for entry in entries if secret in str(entry.data)]


def test_many_who_write_at_once_make_one_unbroken_chain(database: Database, people: People) -> None:
    faults: list[str] = []

    def act(number: int) -> str:
        if number % 4 == 3:  # the audit runs while others write
            faults.extend(audit(database).faults)
        else:
            decide(database, people)
        return "done"

    assert together(12, act) == {"done": 12}
    assert faults == []
    found = audit(database)
    assert found.faults == []
    assert types(database).count("proposal.decided") == 9
