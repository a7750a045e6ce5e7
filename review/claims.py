"""Saying that one is working on a proposal, so that two do not do the same work.

In: a reviewer's word. Out: a lease that ends by itself. It decides nothing: whoever may vote still
may, and a vote needs no claim.
"""

from datetime import datetime, timedelta

from sqlmodel import Session

from errata import protocol
from errata.errors import Claimed, Conflict
from ingestion import asked, events, store, tables
from review import votes

LEASE = timedelta(minutes=10)


def holder(row: tables.Proposal, now: datetime) -> str | None:
    """The id of whoever holds a claim now."""
    if row.claimed_until is None or row.claimed_until <= now:
        return None
    return row.claimed_by


def claim(
    session: Session, proposal_id: str, person: tables.Principal, *, now: datetime
) -> tables.Proposal:
    """Claim a proposal, or renew one's own claim.

    Raises:
        NotFound: No such proposal.
        NotEligible: The person may not vote on it.
        AlreadyDecided, Conflict: Nobody is asked about it any more.
        Claimed: Somebody else holds it.
    """
    row = store.hold(session, proposal_id)
    votes.check_eligible(row, asked.terms(session, row), person, now)
    asked.check_open(session, row, now)
    if holder(row, now) not in {None, person.id}:
        assert row.claimed_until is not None
        until = row.claimed_until.isoformat(timespec="seconds")
        raise Claimed(f"somebody else works on proposal {row.id} until {until}")
    _set(session, row, person.id, now + LEASE)
    events.append(session, "proposal.claimed", actor=person.id, now=now, proposal_id=row.id)
    return row


def release(
    session: Session, proposal_id: str, person: tables.Principal, *, now: datetime
) -> tables.Proposal:
    """Give one's own claim back.

    Raises:
        NotFound: No such proposal.
        Conflict: The person holds no claim on it.
    """
    row = store.hold(session, proposal_id)
    if holder(row, now) != person.id:
        raise Conflict(f"you hold no claim on proposal {row.id}")
    _set(session, row, None, None)
    events.append(session, "proposal.released", actor=person.id, now=now, proposal_id=row.id)
    return row


def _set(session: Session, row: tables.Proposal, who: str | None, until: datetime | None) -> None:
    row.claimed_by, row.claimed_until = who, until
    session.add(row)
    session.flush()


def shown(ticket: protocol.Ticket, row: tables.Proposal, now: datetime) -> protocol.Ticket:
    """The ticket with its claim: while one is held, the proposal is in review.

    Only what is shown says so. The row stays `queued`, by which the worker knows that it is still
    to be put before people, and nothing has to set it back when the lease ends.
    """
    if holder(row, now) is None or ticket.decision is not None:
        return ticket
    status = "in_review" if ticket.status == "queued" else ticket.status
    return ticket.model_copy(update={"status": status, "claimed_until": row.claimed_until})
