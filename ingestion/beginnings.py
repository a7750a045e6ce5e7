"""Using a permit in the request that asks for it, where the agent knows the digest before.

In: the digest and a key, a proposal that is about to be written or was before. Out: whether the
caller is to run it now.
"""

from datetime import datetime
from typing import Any, NamedTuple

from sqlmodel import Session, select

from errata import protocol
from errata.db import is_alone
from errata.errors import ErrataError
from ingestion import events, halts, permits, policies, runs, tables


class Begin(NamedTuple):
    """What an agent sends that knows the digest of its permit before it has it."""

    digest: str
    key: str
    """As the idempotency key of `consume`."""


def again(
    session: Session,
    ticket: protocol.Ticket,
    wish: Begin,
    caller: tables.Principal,
    *,
    now: datetime,
) -> protocol.Ticket:
    """Use the permit of a proposal that was there before.

    Args:
        session: A transaction.
        ticket: Of the proposal.
        wish: The digest that the agent has computed on what it is about to run.
        caller: Whose key it is.
        now: When.

    Returns:
        The ticket, `begun` where the permit is this caller's to run by now. Where it cannot be
        used, it is as it was: the agent finds out why when it consumes it.
    """
    permit = ticket.permit
    if permit is None or wish.digest != permit.digest:
        return ticket
    try:
        used = permits.consume(session, permit.id, wish.digest, caller, key=wish.key, now=now)
    except ErrataError:
        return ticket  # every check comes before the first change
    status = "executing" if permit.status == "issued" else ticket.status
    return ticket.model_copy(update={"permit": used, "status": status, "begun": True})


def may(
    session: Session,
    wish: Begin,
    proposal: protocol.Proposal,
    permit: dict[str, Any],
    now: datetime,
) -> bool:
    """Whether a permit may be used that is about to be written, so that nobody else can see it.

    What others may have changed since the policy spoke is looked at once more: by now the log is
    locked, since the permit has a fence. Where nobody can have, it is not.

    Args:
        session: A transaction.
        wish: What the agent is about to run.
        proposal: What the permit is for.
        permit: Its columns.
        now: When.
    """
    if wish.digest != permit["digest"] or proposal.depends_on or now < permit["not_before"]:
        return False
    if is_alone(session):
        return True
    if halts.is_active(session) or runs.is_interrupted(session, proposal.run_id):
        return False
    in_force = policies.active(session)
    return in_force is not None and in_force.version == permit["policy_version"]


def used(wish: Begin, actor: str, now: datetime) -> dict[str, Any]:
    """The columns of a permit that say who used it."""
    return {"status": "used", "used_at": now, "used_by": actor, "used_key": wish.key}


def note(session: Session, permit: protocol.Permit, actor: str, now: datetime) -> None:
    """Write into the log that a new permit was used."""
    events.append(
        session,
        "permit.used",
        actor=actor,
        now=now,
        proposal_id=permit.proposal_id,
        permit=permit.id,
        digest=permit.digest,
        status="executing",
    )


def is_begun(session: Session, proposal_id: str, wish: Begin) -> bool:
    """Whether a proposal's permit was used with this very wish."""
    statement = select(tables.Permit.id).where(
        tables.Permit.proposal_id == proposal_id,
        tables.Permit.digest == wish.digest,
        tables.Permit.used_key == wish.key,
    )
    return session.exec(statement).first() is not None
