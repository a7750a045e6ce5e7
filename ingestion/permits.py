"""Using a permit, and saying what came of it.

In: the digest that an agent computed on what it is about to run; receipts. Out: at most one use
of each permit.
"""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import update
from sqlmodel import Session, col, select

from errata import protocol
from errata.db import is_alone
from errata.errors import (
    Conflict,
    DigestMismatch,
    Forbidden,
    Halted,
    NotFound,
    PermitExpired,
    PermitRevoked,
    PermitUsed,
    TooEarly,
)
from ingestion import (
    alarms,
    dependencies,
    events,
    halts,
    revocations,
    runs,
    store,
    tables,
)

FOREIGN = "this permit was given to another agent's key"


def consume(
    session: Session,
    permit_id: str,
    digest: str,
    caller: tables.Principal,
    *,
    key: str | None = None,
    now: datetime,
) -> protocol.Permit:
    """Take the permit, by compare-and-set, for exactly the approved bytes.

    The proposal is `executing` from this commit on, before the agent runs anything: what happens
    to the agent afterwards can lose a receipt but never cause a second run.

    Args:
        session: A transaction.
        permit_id: The permit.
        digest: Computed by the agent on the arguments that it is about to use.
        caller: Whose key it is.
        key: Idempotency key. A caller who did not get the answer may ask again with it; another
            process, even with the same permit, cannot know it.
        now: When.

    Raises:
        NotFound: No such permit.
        Forbidden: It was given to another agent's key.
        Halted, Interrupted: The fleet is halted, or the run; the permit is not used.
        DigestMismatch: Not the approved bytes; the permit is not used.
        WaitingFor: What it depends on has not been executed; the permit is not used.
        PermitUsed, PermitExpired, PermitRevoked, TooEarly: What they say.
    """
    permit, row = _own(session, permit_id, caller)
    if key is not None and (permit.used_key, permit.digest) == (key, digest):
        return store.permit_value(permit)
    events.hold(session)  # a halt that has been answered is seen here
    _check(session, permit, digest, now)
    runs.check_running(session, row.run_id)
    dependencies.check_met(session, row)
    revocations.check_allowed(session, permit, row)
    statement = (
        update(tables.Permit)
        .where(
            col(tables.Permit.id) == permit_id,
            col(tables.Permit.status) == "issued",
            col(tables.Permit.digest) == digest,
        )
        .values(status="used", used_at=now, used_by=caller.id, used_key=key)
        .execution_options(synchronize_session=False)
    )
    if session.exec(statement).rowcount != 1:
        raise PermitUsed(f"permit {permit_id} has been used")
    session.refresh(permit)
    store.move(session, row, "executing", actor=caller.id, now=now)
    events.append(
        session,
        "permit.used",
        actor=caller.id,
        now=now,
        proposal_id=row.id,
        permit=permit_id,
        digest=digest,
    )
    return store.permit_value(permit)


def _own(
    session: Session, permit_id: str, caller: tables.Principal
) -> tuple[tables.Permit, tables.Proposal]:
    """A permit of the caller's, and its proposal, which is locked."""
    permit = session.get(tables.Permit, permit_id)
    if permit is None:
        raise NotFound(f"no permit {permit_id!r}")
    row = store.hold(session, permit.proposal_id)
    if row.proposed_by != caller.id:
        raise Forbidden(FOREIGN)
    if not is_alone(session):
        session.refresh(permit)  # somebody may have used it before the lock was ours
    return permit, row


def _check(session: Session, permit: tables.Permit, digest: str, now: datetime) -> None:
    match permit.status:
        case "used":
            raise PermitUsed(f"permit {permit.id} has been used")
        case "revoked":
            raise PermitRevoked(f"permit {permit.id} was revoked")
        case _:
            pass
    if permit.status == "expired" or now >= permit.expires_at:
        raise PermitExpired(f"permit {permit.id} expired at {permit.expires_at.isoformat()}")
    if now < permit.not_before:
        wait = (permit.not_before - now).total_seconds()
        raise TooEarly(f"permit {permit.id} is valid in {wait:.1f} s", retry_after_s=wait)
    if digest != permit.digest:
        raise DigestMismatch(
            "the digest is not that of the approved version; the permit is not used"
        )
    if halts.is_active(session):
        raise Halted("the fleet is halted; the permit is not used")


def report(
    session: Session, receipt: protocol.Receipt, caller: tables.Principal, *, now: datetime
) -> protocol.Receipt:
    """Note what came of a run; the same receipt again changes nothing.

    Where nobody knew what came of it, a later receipt may still say so.

    Raises:
        NotFound: No such permit.
        Forbidden: It was given to another agent's key.
        NeverUsed: The permit was never used; an alarm is raised.
        Conflict: Another receipt was given.
    """
    return _report(session, receipt, *_own(session, receipt.permit_id, caller), caller, now)


def report_all(
    session: Session,
    receipts: Sequence[protocol.Receipt],
    caller: tables.Principal,
    *,
    now: datetime,
) -> None:
    """Note what came of several runs; the first that cannot be noted ends it.

    Raises:
        NotFound, Forbidden, NeverUsed, Conflict: See `report`.
    """
    found = _own_all(session, {one.permit_id for one in receipts}, caller)
    for one in receipts:
        _report(session, one, *found[one.permit_id], caller, now)


def _own_all(
    session: Session, permit_ids: set[str], caller: tables.Principal
) -> dict[str, tuple[tables.Permit, tables.Proposal]]:
    """Permits of the caller's, each with its proposal; those are locked in the order of their ids."""
    permit, proposal = tables.Permit, tables.Proposal
    asked = (
        select(proposal)
        .join(permit)
        .where(col(permit.id).in_(permit_ids))
        .order_by(col(proposal.id))
        .with_for_update(of=proposal)
    )
    rows = {row.id: row for row in session.exec(asked)}
    # After the lock: nobody uses or reports one of them meanwhile.
    permits = session.exec(select(permit).where(col(permit.id).in_(permit_ids)))
    found = {one.id: (one, rows[one.proposal_id]) for one in permits}
    for permit_id in permit_ids:
        if permit_id not in found:
            raise NotFound(f"no permit {permit_id!r}")
    if any(row.proposed_by != caller.id for _, row in found.values()):
        raise Forbidden(FOREIGN)
    return found


def _report(
    session: Session,
    receipt: protocol.Receipt,
    permit: tables.Permit,
    row: tables.Proposal,
    caller: tables.Principal,
    now: datetime,
) -> protocol.Receipt:
    if row.status == "executing":  # so there is no receipt yet, and no alarm to settle
        return _finish(session, receipt, row, permit.digest, caller, now)
    known = session.get(tables.Receipt, permit.id)
    if known is not None and known.status == receipt.status:
        return receipt
    if known is not None and known.status != "unknown":
        raise Conflict(f"permit {permit.id} has a receipt that says {known.status!r}")
    if permit.status != "used":
        raise alarms.NeverUsed(
            f"permit {permit.id} was not used: consume it before running anything",
            row.agent_id,
            row.id,
            permit.digest,
        )
    if known is not None:
        _forget(session, known)
    if receipt.status != "unknown":
        alarms.settle(session, row.id, actor=caller.id, now=now)
    return _finish(session, receipt, row, permit.digest, caller, now)


def _finish(
    session: Session,
    receipt: protocol.Receipt,
    row: tables.Proposal,
    digest: str,
    caller: tables.Principal,
    now: datetime,
) -> protocol.Receipt:
    _note(session, receipt, row, now)
    store.move(session, row, receipt.status, actor=caller.id, now=now)
    if receipt.status == "unknown":
        alarms.sound(
            session,
            "unknown",
            agent_id=row.agent_id,
            proposal_id=row.id,
            digest=digest,
            actor=caller.id,
            now=now,
        )
    return receipt


def _forget(session: Session, known: tables.Receipt) -> None:
    """Make room for a receipt that knows more."""
    session.delete(known)
    text = session.get(tables.Payload, ("receipt", known.permit_id))
    if text is not None:
        session.delete(text)
    session.flush()


def _note(session: Session, receipt: protocol.Receipt, row: tables.Proposal, now: datetime) -> None:
    session.add(
        tables.Receipt(
            permit_id=receipt.permit_id,
            proposal_id=row.id,
            status=receipt.status,
            started_at=receipt.started_at,
            finished_at=receipt.finished_at,
            received_at=now,
        )
    )
    store.keep(session, "receipt", receipt.permit_id, row.id, receipt)
