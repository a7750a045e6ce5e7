"""What a new policy does to open work: it is asked again, ended, or taken back.

In: a policy that becomes active. Out: open proposals under it, with their votes void; permits that
it blocks are revoked. The policy is part of every digest, so no word that was given under the one
before counts for what is asked now.
"""

from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement
from sqlmodel import Session, col, select

from errata import protocol
from errata.errors import Malformed
from ingestion import arguments, asked, decisions, lots, policies, revocations, store, tables, tasks
from ingestion.policies import InForce
from ingestion.policy import NO_TOOL
from ingestion.policy_file import parse
from ingestion.ruling import Ruling, risk_level, rule
from ingestion.tickets import OPEN
from review import votes


class Applied(NamedTuple):
    """A policy that is active, and what it did."""

    in_force: InForce
    asked_again: int
    ended: int
    """Open proposals that it decided itself: blocked, or handed over."""
    revoked: int
    """Unused permits for what it blocks."""


def apply(session: Session, text: str, *, actor: str, now: datetime) -> Applied:
    """Make a policy active and bring all open work under it, in one transaction.

    The locks of the proposals come before the log's, so that a review in this moment either
    decides before or is refused as about something else than what is asked.

    Raises:
        BadPolicy: The text has mistakes.
    """
    versioned = parse(text)
    in_force = InForce(versioned.policy, versioned.version)
    rows = session.exec(
        select(tables.Proposal)
        .where(*_outdated(in_force, now))
        .order_by(col(tables.Proposal.id))
        .with_for_update()
    ).all()
    again = sum(_ask_again(session, row, in_force, now) for row in rows)
    revoked = revocations.revoke_blocked(session, in_force, now=now)
    policies.apply(session, text, actor=actor, now=now)
    return Applied(in_force, again, len(rows) - again, revoked)


def is_due(session: Session, *, now: datetime) -> bool:
    """Whether anything open is of another policy; reads only, so that looking takes no lock."""
    in_force = policies.active(session)
    if in_force is None:
        return False
    statement = select(tables.Proposal.id).where(*_outdated(in_force, now))
    return session.exec(statement.limit(1)).first() is not None


def sweep(session: Session, *, now: datetime, most: int = 100) -> int:
    """Bring what was taken in while the policy changed under the one in force.

    Returns:
        How many were dealt with.
    """
    in_force = policies.in_force(session)
    rows = session.exec(
        select(tables.Proposal)
        .where(*_outdated(in_force, now))
        .limit(most)
        .with_for_update(skip_locked=True)
    ).all()
    for row in rows:
        _ask_again(session, row, in_force, now)
    return len(rows)


def _outdated(in_force: InForce, now: datetime) -> tuple[ColumnElement[bool], ...]:
    has_text = select(tables.Payload.id).where(
        tables.Payload.owner == "proposal", tables.Payload.id == tables.Proposal.id
    )
    return (
        col(tables.Proposal.status).in_(OPEN),
        col(tables.Proposal.source) == "live",
        col(tables.Proposal.policy_version) != in_force.version,
        (col(tables.Proposal.expires_at).is_(None)) | (col(tables.Proposal.expires_at) > now),
        has_text.exists(),
    )


def _ask_again(session: Session, row: tables.Proposal, in_force: InForce, now: datetime) -> bool:
    """Bring one proposal, which is held, under a policy; whether people are still asked.

    A person's version that stood is not asked about any more: it was a vote of before, and its
    editor can give it again. What the policy would let run at once stays with people: nobody has
    looked at what would run, the agent was told to wait, and a policy that is made looser for what
    comes must not set a backlog running in one stroke.
    """
    proposal = store.proposal(session, row.id)
    assert proposal is not None  # selected by it
    votes.void_by_policy(session, row.id)
    ruling = _ruling(in_force, proposal)
    schema = decisions.tool_schema(in_force, proposal)
    tool = in_force.policy.tool(proposal.action.name) if proposal.action else NO_TOOL
    changes: dict[str, Any] = {
        "digest": decisions.asked_digest(proposal, schema, in_force.version),
        "tool_schema": schema,
        "policy_version": in_force.version,
        "risk_level": risk_level(tool, proposal),
        "on_timeout": ruling.on_timeout,
        "round": row.round + 1,
    }
    if ruling.route in {"block", "takeover"}:
        for name, value in changes.items():
            setattr(row, name, value)
        session.add(row)
        session.flush()
        asked.route(session, row, ruling, now=now)
        _end(session, row, proposal, ruling, now)
        return False
    drawn = lots.draw(_kept_with_people(ruling))
    # Less time counts from now, or some would be over at once; more time is not bought.
    limit = now + ruling.expires_in
    changes["expires_at"] = min(row.expires_at or limit, limit)
    store.move(session, row, "queued", actor="policy", now=now, **changes)
    asked.route(session, row, drawn.ruling, now=now, lot=drawn.lot)
    return True


def _ruling(in_force: InForce, proposal: protocol.Proposal) -> Ruling:
    """What the policy says; arguments that do not fit its schema could not be proposed under it."""
    ruling = rule(in_force.policy, proposal)
    try:
        arguments.check_all(in_force, proposal)
    except Malformed as error:
        return ruling._replace(route="block", reason=f"under the new policy: {error.detail}")
    return ruling


def _kept_with_people(ruling: Ruling) -> Ruling:
    if ruling.route != "auto":
        return ruling
    reason = f"{ruling.reason}; people were asked already and still are"
    return ruling._replace(route="queue", reason=reason, propensity=1.0)


def _end(
    session: Session,
    row: tables.Proposal,
    proposal: protocol.Proposal,
    ruling: Ruling,
    now: datetime,
) -> None:
    blocks = ruling.route == "block"
    outcome = decisions.Outcome(
        outcome="blocked" if blocks else "takeover",
        by="policy",
        effective=protocol.Effective(),
        reason=ruling.reason,
        needed=0,
        got=0,
        at=now,
    )
    decisions.record(session, row, proposal, outcome, actor="policy", now=now)
    if not blocks:
        tasks.open_task(session, row, "handover", now=now)
