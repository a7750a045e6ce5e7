"""Taking an approval back before it is used.

In: a person's word, a new policy, the clock. Out: a permit that cannot be used, and a proposal
that says so. What has begun to run cannot be taken back.
"""

from datetime import datetime
from typing import Literal

from sqlalchemy import update
from sqlmodel import Session, col, select

from errata.errors import Conflict, PermitExpired, PermitRevoked, PermitUsed
from ingestion import events, policies, store, tables, tasks
from ingestion.policies import InForce
from ingestion.ruling import judge

Why = Literal["undone", "policy", "dependency"]


def undo(session: Session, row: tables.Proposal, *, actor: str, now: datetime) -> None:
    """Take an approval back; asked again, it stays taken back.

    Args:
        session: A transaction, in which the row is held.
        row: The proposal.
        actor: The person whose word it is.
        now: When.

    Raises:
        Conflict: Nothing of it may run, so there is nothing to undo.
        PermitUsed: It has run already, or runs.
        PermitExpired, PermitRevoked: It cannot run any more as it is.
    """
    permit = _permit(session, row)
    if permit is None:
        raise Conflict(f"proposal {row.id} has no permit: there is nothing to undo")
    if permit.status == "revoked" and row.status == "undone":
        return
    _check_unused(permit, now)
    revoke(session, row, permit, "undone", actor=actor, now=now)


def _check_unused(permit: tables.Permit, now: datetime) -> None:
    if permit.status == "used":
        raise PermitUsed("it has run already, or is running: it is too late to undo it")
    if permit.status == "revoked":
        raise PermitRevoked("its permit was revoked: nothing will run")
    if permit.status == "expired" or now >= permit.expires_at:
        raise PermitExpired("its permit has expired: nothing will run")


def _permit(session: Session, row: tables.Proposal) -> tables.Permit | None:
    statement = select(tables.Permit).where(tables.Permit.proposal_id == row.id)
    return session.exec(statement.execution_options(populate_existing=True)).first()


def revoke(
    session: Session,
    row: tables.Proposal,
    permit: tables.Permit,
    why: Why,
    *,
    actor: str,
    now: datetime,
) -> None:
    """Revoke an unused permit, by compare-and-set; its proposal is undone.

    Raises:
        PermitUsed: Somebody was quicker.
    """
    if not change(session, permit, "revoked"):
        raise PermitUsed(f"permit {permit.id} has been used")
    store.move(session, row, "undone", actor=actor, now=now)
    tasks.drop(session, row, actor=actor, now=now)
    events.append(
        session,
        "permit.revoked",
        actor=actor,
        now=now,
        proposal_id=row.id,
        permit=permit.id,
        why=why,
    )


def change(session: Session, permit: tables.Permit, status: Literal["revoked", "expired"]) -> bool:
    """Change an unused permit's status by compare-and-set; False where it is not unused."""
    statement = (
        update(tables.Permit)
        .where(col(tables.Permit.id) == permit.id, col(tables.Permit.status) == "issued")
        .values(status=status)
        .execution_options(synchronize_session=False)
    )
    changed = session.exec(statement).rowcount == 1
    session.refresh(permit)
    return changed


def revoke_blocked(session: Session, in_force: InForce, *, now: datetime) -> int:
    """Revoke the unused permits for what a policy that is about to be active blocks.

    Takes the locks of their proposals, in the order of their ids.

    Returns:
        How many were revoked.
    """
    statement = (
        select(tables.Proposal, tables.Permit)
        .join(tables.Permit)
        .where(
            tables.Proposal.status == "permitted",
            tables.Permit.status == "issued",
            tables.Permit.policy_version != in_force.version,
            col(tables.Permit.expires_at) > now,
        )
        .order_by(col(tables.Proposal.id))
        .with_for_update(of=tables.Proposal)
    )
    revoked = 0
    for row, permit in session.exec(statement).all():
        if is_blocked(session, row, in_force):
            revoke(session, row, permit, "policy", actor="policy", now=now)
            revoked += 1
    return revoked


def is_blocked(session: Session, row: tables.Proposal, in_force: InForce) -> bool:
    """Whether a policy blocks what a decision allows to run.

    What was erased cannot be shown to be allowed, so it counts as blocked.
    """
    proposal, decision = store.proposal(session, row.id), store.decision(session, row.id)
    if proposal is None or decision is None:
        return True
    action = decision.effective.action
    people = decision.by == "people"
    return judge(in_force.policy, proposal, action, by_agent=not people).route == "block"


def check_allowed(session: Session, permit: tables.Permit, row: tables.Proposal) -> None:
    """Refuse what the policy in force blocks, though the one that it was approved under did not.

    A permit that was being issued while the policy changed is stopped here.

    Raises:
        PermitRevoked: It is blocked now.
    """
    in_force = policies.in_force(session)
    if permit.policy_version == in_force.version:
        return
    if is_blocked(session, row, in_force):
        raise PermitRevoked("the policy that is in force now blocks this; nothing may run")
