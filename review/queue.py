"""The queue: what waits, for whom, and how long already.

In: open proposals. Out: a list, the urgent first.
"""

from datetime import datetime
from typing import Any, NamedTuple

from sqlmodel import Session, col, func, select

from ingestion import tables
from ingestion.ruling import Terms
from ingestion.tickets import OPEN
from ingestion.waits import URGENCIES
from review import claims
from review.tables import Review


class Waiting(NamedTuple):
    """A proposal in the queue."""

    id: str
    kind: str
    agent: str
    action: str | None
    risk: str | None
    urgency: str
    received_at: datetime
    expires_at: datetime | None
    waited_s: float
    needed: int
    """How many must agree."""
    got: int
    """How many have a vote on what is asked now."""
    groups: tuple[str, ...]
    """Only these may vote; empty: every reviewer."""
    roles: tuple[str, ...]
    """Of each of these groups somebody must agree."""
    claimed_by: str | None
    """The name of whoever works on it."""
    claimed_until: datetime | None

    def wire(self) -> dict[str, Any]:
        """The entry as it goes out, where the groups are called `for`."""
        return {"for" if name == "groups" else name: one for name, one in self._asdict().items()}


def waiting(session: Session, limit: int = 500, *, now: datetime) -> list[Waiting]:
    """What waits for people: the urgent first, then the oldest.

    Args:
        session: A transaction.
        limit: At most so many.
        now: When.
    """
    statement = (
        select(tables.Proposal)
        .where(col(tables.Proposal.status).in_(OPEN), tables.Proposal.source == "live")
        .order_by(col(tables.Proposal.received_at))
    )
    rows = sorted(session.exec(statement), key=lambda row: URGENCIES.index(row.urgency))[:limit]
    ids = [row.id for row in rows]
    terms, got = _terms(session, ids), _got(session, ids)
    names = _names(session, {who for row in rows if (who := claims.holder(row, now))})
    return [_entry(row, terms.get(row.id, Terms()), got.get(row.id, 0), names, now) for row in rows]


def _entry(
    row: tables.Proposal, terms: Terms, got: int, names: dict[str, str], now: datetime
) -> Waiting:
    who = claims.holder(row, now)
    return Waiting(
        id=row.id,
        kind=row.kind,
        agent=row.agent_id,
        action=row.action_name,
        risk=row.risk_level,
        urgency=row.urgency,
        received_at=row.received_at,
        expires_at=row.expires_at,
        waited_s=max((now - row.received_at).total_seconds(), 0.0),
        needed=terms.needed,
        got=got,
        groups=terms.voters,
        roles=terms.roles,
        claimed_by=names.get(who) if who is not None else None,
        claimed_until=row.claimed_until if who is not None else None,
    )


def _terms(session: Session, ids: list[str]) -> dict[str, Terms]:
    """Of each proposal the terms of its newest routing."""
    statement = (
        select(tables.Routing.proposal_id, tables.Routing.terms)
        .where(col(tables.Routing.proposal_id).in_(ids))
        .order_by(col(tables.Routing.round), col(tables.Routing.id))
    )
    return {id_: Terms.model_validate(terms) for id_, terms in session.exec(statement)}


def _got(session: Session, ids: list[str]) -> dict[str, int]:
    statement = (
        select(Review.proposal_id, func.count())
        .join(tables.Proposal, col(Review.proposal_id) == tables.Proposal.id)
        .where(
            col(Review.proposal_id).in_(ids),
            Review.digest == tables.Proposal.digest,
            col(Review.accepted),
            col(Review.void).is_(None),
        )
        .group_by(col(Review.proposal_id))
    )
    return dict(session.exec(statement).all())


def _names(session: Session, ids: set[str]) -> dict[str, str]:
    statement = select(tables.Principal.id, tables.Principal.name)
    return dict(session.exec(statement.where(col(tables.Principal.id).in_(ids))).all())
