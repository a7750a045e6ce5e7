"""What is being asked now: the agent's proposal or a person's version of it, and on what terms.

In: a proposal's row. Out: the standing version, the terms of the newest routing; a further round.
"""

from datetime import datetime
from typing import Any

from sqlmodel import Session, col, select

from errata import protocol
from errata.errors import AlreadyDecided, Conflict
from ingestion import events, shadows, store, tables
from ingestion.lots import Lot
from ingestion.ruling import Ruling, Terms
from ingestion.tickets import OPEN


def is_late(row: tables.Proposal, now: datetime) -> bool:
    """Whether the deadline has passed."""
    return row.expires_at is not None and row.expires_at <= now


def check_open(session: Session, row: tables.Proposal, now: datetime) -> None:
    """Refuse what nobody is asked any more.

    Raises:
        Conflict: It is imported history, or a shadow.
        AlreadyDecided: Too late, also where the deadline has passed and nobody has noted it yet.
    """
    if row.source == "import":
        raise Conflict(f"proposal {row.id} is imported history and takes no reviews")
    shadows.check_none(row)
    if row.status not in OPEN:
        decided = session.get(tables.Decision, row.id)
        outcome = f": {decided.outcome}" if decided is not None else ""
        raise AlreadyDecided(f"proposal {row.id} has been decided{outcome}")
    if is_late(row, now):
        raise AlreadyDecided(f"the time to decide on proposal {row.id} is over")


def standing(session: Session, row: tables.Proposal) -> protocol.Effective | None:
    """The person's version that is being asked, or None where it is the agent's own."""
    return standing_at(session, row, row.digest)


def standing_at(session: Session, row: tables.Proposal, digest: str) -> protocol.Effective | None:
    """The person's version that was asked under a digest, or None where it was the agent's own."""
    statement = select(tables.Payload.body).where(
        tables.Payload.owner == "asked", tables.Payload.id == f"{row.id} {digest}"
    )
    body = session.exec(statement).first()
    return None if body is None else protocol.Effective.model_validate(body)


def keep_standing(session: Session, row: tables.Proposal, version: protocol.Effective) -> None:
    """Keep a person's version as what is asked; the row already has its digest."""
    if standing(session, row) is None:
        store.keep(session, "asked", f"{row.id} {row.digest}", row.id, version)


def terms(session: Session, row: tables.Proposal) -> Terms:
    """On what terms people decide now; those of a row from before there were any ask one person."""
    newest = routing(session, row)
    return Terms() if newest is None else Terms.model_validate(newest.terms)


def routing(session: Session, row: tables.Proposal) -> tables.Routing | None:
    """The newest routing of a proposal; None for imported history."""
    statement = (
        select(tables.Routing)
        .where(tables.Routing.proposal_id == row.id)
        .order_by(col(tables.Routing.round).desc(), col(tables.Routing.id).desc())
    )
    return session.exec(statement).first()


def first_routing(session: Session, row: tables.Proposal) -> tables.Routing | None:
    """The routing of the proposal as the agent sent it; None for imported history."""
    statement = (
        select(tables.Routing)
        .where(tables.Routing.proposal_id == row.id)
        .order_by(col(tables.Routing.round), col(tables.Routing.id))
    )
    return session.exec(statement).first()


def route(
    session: Session,
    row: tables.Proposal,
    ruling: Ruling,
    *,
    now: datetime,
    lot: Lot | None = None,
    actor: str = "policy",
) -> None:
    """Write down where the policy sends a proposal, why, and on what terms people decide."""
    values = routing_values(row.id, row.round, row.policy_version, ruling, lot, now)
    session.add(tables.Routing(**values))
    note(session, row.id, values, actor=actor, now=now)


def routing_values(
    proposal_id: str,
    round_: int,
    policy_version: str,
    ruling: Ruling,
    lot: Lot | None,
    now: datetime,
) -> dict[str, Any]:
    """A routing as columns of `Routing`."""
    return {
        "id": events.new_id(now),
        "proposal_id": proposal_id,
        "round": round_,
        "route": ruling.route,
        "rule": ruling.rule,
        "reason": ruling.reason,
        "policy_version": policy_version,
        "propensity": ruling.propensity,
        "needed": ruling.terms.needed,
        "terms": ruling.terms.model_dump(mode="json"),
        "lot": lot,
        "at": now,
    }


def note(
    session: Session, proposal_id: str, routing: dict[str, Any], *, actor: str, now: datetime
) -> None:
    """Write a routing into the log."""
    events.append(
        session,
        "proposal.routed",
        actor=actor,
        now=now,
        proposal_id=proposal_id,
        **{name: routing[name] for name in ("route", "propensity", "policy_version", "round")},
    )
