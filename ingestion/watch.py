"""Watching over what was allowed to run: runs that say nothing, permits that nobody uses.

In: used permits without a receipt, issued ones whose time is over. Out: `unknown` with an alarm,
`expired`, with one where people had approved. Nothing is ever run again because of it. Any number of workers may watch.
"""

from datetime import datetime, timedelta

from sqlalchemy import ColumnElement
from sqlmodel import Session, col, select

from ingestion import alarms, dependencies, events, revocations, store, tables

SILENT, UNUSED = "executing", "permitted"


def _silent(limit_s: float, now: datetime) -> tuple[ColumnElement[bool], ...]:
    return (
        col(tables.Proposal.status) == SILENT,
        col(tables.Permit.status) == "used",
        col(tables.Permit.used_at) <= now - timedelta(seconds=limit_s),
    )


def _unused(now: datetime) -> tuple[ColumnElement[bool], ...]:
    return (
        col(tables.Proposal.status) == UNUSED,
        col(tables.Permit.status) == "issued",
        col(tables.Permit.expires_at) <= now,
    )


def is_due(session: Session, *, limit_s: float, now: datetime) -> bool:
    """Whether there is anything to do; reads only, so that looking takes no lock."""
    for conditions in (_silent(limit_s, now), _unused(now)):
        statement = select(tables.Proposal.id).join(tables.Permit).where(*conditions)
        if session.exec(statement.limit(1)).first() is not None:
            return True
    return False


def look(session: Session, *, limit_s: float, now: datetime, most: int = 100) -> int:
    """Do what is due; rows that another worker has in hand are left to it.

    Args:
        session: A transaction.
        limit_s: Seconds after its start at which a run without a receipt is in doubt.
        now: When.
        most: At most so many of each.

    Returns:
        How many runs and permits were dealt with.
    """
    silent = _taken(session, _silent(limit_s, now), most)
    unused = _taken(session, _unused(now), most)
    for row, permit in silent:
        _doubt(session, row, permit, now)
    for row, permit in unused:
        if revocations.change(session, permit, "expired"):
            _give_up(session, row, permit, now)
    return len(silent) + len(unused)


def _taken(
    session: Session, conditions: tuple[ColumnElement[bool], ...], most: int
) -> list[tuple[tables.Proposal, tables.Permit]]:
    statement = (
        select(tables.Proposal, tables.Permit)
        .join(tables.Permit)
        .where(*conditions)
        .order_by(col(tables.Permit.expires_at))
        .limit(most)
        .with_for_update(of=tables.Proposal, skip_locked=True)
    )
    return list(session.exec(statement).all())


def _doubt(session: Session, row: tables.Proposal, permit: tables.Permit, now: datetime) -> None:
    """Nobody knows whether it ran; a receipt may still say so, a second run never happens."""
    store.move(session, row, "unknown", actor="worker", now=now)
    alarms.sound(
        session,
        "unknown",
        agent_id=row.agent_id,
        proposal_id=row.id,
        digest=permit.digest,
        actor="worker",
        now=now,
    )


def _give_up(session: Session, row: tables.Proposal, permit: tables.Permit, now: datetime) -> None:
    """Nobody used the permit in time; where people had said yes and it could be used, they should know."""
    events.append(
        session, "permit.expired", actor="worker", now=now, proposal_id=row.id, permit=permit.id
    )
    by = session.get_one(tables.Decision, row.id).by
    if by == "people" and not dependencies.is_waiting(session, row):
        alarms.sound(
            session,
            "approved_not_executed",
            agent_id=row.agent_id,
            proposal_id=row.id,
            actor="worker",
            now=now,
        )
