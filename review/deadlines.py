"""What happens when nobody answers in time; never an approval.

In: open proposals whose deadline has passed. Out: an end, or other people who are asked.
"""

from datetime import datetime, timedelta

from sqlalchemy import ColumnElement
from sqlmodel import Session, col, select

from ingestion import asked, ending, events, store, tables
from ingestion.ruling import Terms
from ingestion.tickets import OPEN


def _due(now: datetime) -> tuple[ColumnElement[bool], ...]:
    return (
        col(tables.Proposal.status).in_(OPEN),
        col(tables.Proposal.source) == "live",  # history waits for nobody
        col(tables.Proposal.expires_at) <= now,
    )


def overdue(session: Session, *, now: datetime) -> bool:
    """Whether a deadline has passed; reads only, so that looking takes no lock."""
    statement = select(tables.Proposal.id).where(*_due(now))
    return session.exec(statement.limit(1)).first() is not None


def expire(session: Session, *, now: datetime, limit: int = 100) -> int:
    """Do what each proposal's `on_timeout` says once its deadline has passed.

    Returns:
        How many were dealt with.
    """
    statement = (
        select(tables.Proposal)
        .where(*_due(now))
        .order_by(col(tables.Proposal.expires_at))
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    rows = session.exec(statement).all()
    for row in rows:
        _time_out(session, row, now)
    return len(rows)


def _time_out(session: Session, row: tables.Proposal, now: datetime) -> None:
    terms = asked.terms(session, row)
    if row.on_timeout == "escalate" and terms.escalate_to:
        escalate(session, row, terms, "nobody answered in time", actor="worker", now=now)
    elif row.on_timeout == "delegate" and terms.delegate_to:
        changed = terms.model_copy(
            update={"voters": terms.delegate_to, "roles": (), "delegate_to": ()}
        )
        names = ", ".join(terms.delegate_to)
        reason = f"nobody answered in time; delegated to {names}"
        _ask_others(session, row, changed, reason, "worker", now)
    else:
        cancels = row.on_timeout == "cancel"
        word = "cancelled" if cancels else "not approved"
        ended = "cancelled" if cancels else "expired"
        words = f"nobody answered in time; {word}"
        ending.end(session, row, ended, words, actor="worker", now=now)


def escalate(
    session: Session, row: tables.Proposal, terms: Terms, why: str, *, actor: str, now: datetime
) -> None:
    """Let the next group of the chain vote too; what was needed before is needed still.

    Args:
        session: A transaction, in which the row is held.
        row: An open proposal.
        terms: Its terms, with at least one group to escalate to.
        why: For the reason.
        actor: Who does it.
        now: When.
    """
    group, *rest = terms.escalate_to
    voters = (*terms.voters, group) if terms.voters else ()  # empty: everybody may vote already
    changed = terms.model_copy(update={"voters": voters, "escalate_to": tuple(rest)})
    reason = f"{why}; escalated to {group}"
    _ask_others(session, row, changed, reason, actor, now)


def _ask_others(
    session: Session,
    row: tables.Proposal,
    terms: Terms,
    reason: str,
    actor: str,
    now: datetime,
) -> None:
    """Ask anew under other terms, with as much time as before; the digest and its votes stay."""
    before = asked.routing(session, row)
    seconds = terms.expires_in_s or 86400.0
    store.move(
        session,
        row,
        "queued",
        actor=actor,
        now=now,
        round=row.round + 1,
        expires_at=now + timedelta(seconds=seconds),
    )
    session.add(
        tables.Routing(
            id=events.new_id(now),
            proposal_id=row.id,
            round=row.round,
            route="queue",
            rule=before.rule if before is not None else "default",
            reason=reason,
            policy_version=row.policy_version,
            propensity=1.0,
            needed=terms.needed,
            terms=terms.model_dump(mode="json"),
            lot=before.lot if before is not None else None,
            at=now,
        )
    )
    events.append(
        session, "proposal.escalated", actor=actor, now=now, proposal_id=row.id, round=row.round
    )
