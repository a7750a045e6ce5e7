"""How long a proposal will probably wait for people.

In: what is open, and how quickly people decided lately. Out: seconds, or None where nothing is
known.
"""

from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import bindparam
from sqlmodel import Session, and_, col, func, or_, select

from errata import protocol
from ingestion import tables
from ingestion.tickets import OPEN

URGENCIES = ("critical", "high", "normal", "log")
"""In the order in which people are shown what waits."""
LATELY = timedelta(hours=4)
SAMPLE = 50
"""Decisions that the pace is measured on, at most."""
LEAST = 3
"""Decisions without which nothing is known of the pace."""
MOST_AHEAD = 5000
"""More than these are not counted: the answer is long, whatever it is."""


class Place(NamedTuple):
    """Where a proposal stands in the queue."""

    status: str
    source: str
    urgency: str
    received_at: datetime
    expires_at: datetime | None


def estimate(session: Session, row: Place | tables.Proposal, now: datetime) -> float | None:
    """Seconds until people decide on an open proposal, by Little's law: W = L / λ.

    L are the open proposals that people are shown no later than this one, with it: the more urgent,
    and of the same urgency the older. λ is the pace of the newest decisions that people made in the
    last four hours: their number by the time from the oldest of them until now, so that a pause
    counts. No wait is longer than the deadline, which ends it.

    J. D. C. Little, "A Proof for the Queuing Formula: L = λW", Operations Research 9(3), 1961.

    Args:
        session: A transaction.
        row: The proposal.
        now: When.

    Returns:
        Seconds; None where it is decided, or fewer than three were decided lately.
    """
    if row.status not in OPEN or row.source != "live":
        return None
    pace = _pace(session, now)
    if pace is None:
        return None
    seconds = (_ahead(session, row) + 1) / pace
    if row.expires_at is not None:
        seconds = min(seconds, (row.expires_at - now).total_seconds())
    return round(max(seconds, 0.0), 1)


def _pace(session: Session, now: datetime) -> float | None:
    """Decisions a second."""
    times = session.exec(_LATEST, params={"since": now - LATELY}).all()
    if len(times) < LEAST:
        return None
    return len(times) / max((now - times[-1]).total_seconds(), 1.0)


# Built once: every proposal asks it.
_LATEST = (
    select(tables.Decision.decided_at)
    .where(tables.Decision.by == "people", col(tables.Decision.decided_at) > bindparam("since"))
    .order_by(col(tables.Decision.decided_at).desc())
    .limit(SAMPLE)
)


def _ahead(session: Session, row: Place | tables.Proposal) -> int:
    more_urgent = URGENCIES[: URGENCIES.index(row.urgency)]
    found = (
        select(tables.Proposal.id)
        .where(
            col(tables.Proposal.status).in_(OPEN),
            tables.Proposal.source == "live",
            or_(
                col(tables.Proposal.urgency).in_(more_urgent),
                and_(
                    col(tables.Proposal.urgency) == row.urgency,
                    col(tables.Proposal.received_at) < row.received_at,
                ),
            ),
        )
        .limit(MOST_AHEAD)
    )
    return session.exec(select(func.count()).select_from(found.subquery())).one()


def with_wait(
    session: Session, ticket: protocol.Ticket, row: Place | tables.Proposal, now: datetime
) -> protocol.Ticket:
    """The ticket with its estimated wait, where one is known."""
    return ticket.model_copy(update={"estimated_wait_s": estimate(session, row, now)})
