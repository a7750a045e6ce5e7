"""Reading and writing proposals: rows to values and back, and the compare-and-set of a status.

In: wire values and rows. Out: rows, payloads, values.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import delete, insert, update
from sqlalchemy.orm.attributes import set_committed_value
from sqlmodel import Session, col, select

from errata import protocol
from errata.errors import Conflict, NotFound
from ingestion import events, parked, tables


def load(session: Session, proposal_id: str) -> tables.Proposal:
    """The row of a proposal.

    Raises:
        NotFound: There is none.
    """
    row = session.get(tables.Proposal, proposal_id)
    if row is None:
        raise NotFound(f"no proposal {proposal_id!r}")
    return row


def hold(session: Session, proposal_id: str) -> tables.Proposal:
    """The row of a proposal, as it stands, locked until the transaction ends.

    Whoever changes a proposal takes this lock first and the log's last, so that two who change
    the same one queue up instead of failing or waiting for each other.

    Raises:
        NotFound: There is none.
    """
    row = session.get(tables.Proposal, proposal_id, with_for_update=True)
    if row is None:
        raise NotFound(f"no proposal {proposal_id!r}")
    return row


def keep(session: Session, owner: str, id_: str, proposal_id: str, value: protocol.Value) -> None:
    """Store the erasable text of a proposal, decision or receipt."""
    body = value.model_dump(mode="json", exclude_unset=True)
    row = {"owner": owner, "id": id_, "proposal_id": proposal_id, "body": body}
    session.flush()  # the proposal's row before what refers to it
    session.connection().execute(insert(tables.Payload), [row])


def text(session: Session, owner: str, id_: str) -> dict[str, Any] | None:
    """The erasable text, or None when it has been erased."""
    row = session.get(tables.Payload, (owner, id_))
    return None if row is None else row.body


def proposal(session: Session, proposal_id: str) -> protocol.Proposal | None:
    """The proposal as sent, or None when it has been erased."""
    body = text(session, "proposal", proposal_id)
    return None if body is None else protocol.Proposal.model_validate(body)


def decision(session: Session, proposal_id: str) -> protocol.Decision | None:
    """The decision, without its text when that has been erased; None while undecided."""
    row = session.get(tables.Decision, proposal_id)
    if row is None:
        return None
    return decision_value(row, text(session, "decision", proposal_id))


def decision_value(row: tables.Decision, body: dict[str, Any] | None) -> protocol.Decision:
    """A decision from its row and its text."""
    if body is not None:
        return protocol.Decision.model_validate(body)
    return protocol.Decision(
        proposal_id=row.proposal_id,
        outcome=row.outcome,  # pyright: ignore[reportArgumentType] - checked by pydantic
        by=row.by,  # pyright: ignore[reportArgumentType]
        effective=protocol.Effective(),
        digest=row.digest,
        policy_version=row.policy_version,
        reason="erased",
        reviews=protocol.Tally(needed=row.needed, got=row.got),
        decided_at=row.decided_at,
    )


def permit(session: Session, proposal_id: str) -> protocol.Permit | None:
    """The permit of a proposal, if it got one."""
    statement = select(tables.Permit).where(tables.Permit.proposal_id == proposal_id)
    row = session.exec(statement).first()
    return None if row is None else permit_value(row)


def permit_value(row: tables.Permit) -> protocol.Permit:
    """A permit from its row."""
    return protocol.Permit.model_validate(
        row.model_dump(exclude={"used_at", "used_by", "used_key"})
    )


def receipt(session: Session, proposal_id: str) -> protocol.Receipt | None:
    """What came of the run, without its text when that has been erased; None while untold."""
    statement = select(tables.Receipt).where(tables.Receipt.proposal_id == proposal_id)
    row = session.exec(statement).first()
    if row is None:
        return None
    body = text(session, "receipt", row.permit_id)
    if body is not None:
        return protocol.Receipt.model_validate(body)
    return protocol.Receipt.model_validate(row.model_dump(exclude={"proposal_id", "received_at"}))


def move(
    session: Session,
    row: tables.Proposal,
    status: protocol.Status,
    *,
    actor: str,
    now: datetime,
    **changes: Any,
) -> None:
    """Change a proposal's status by compare-and-set and note it in the log.

    Raises:
        Conflict: Somebody else changed the proposal since the row was read.
    """
    statement = (
        update(tables.Proposal)
        .where(col(tables.Proposal.id) == row.id, col(tables.Proposal.version) == row.version)
        .values(status=status, version=row.version + 1, **changes)
        .execution_options(synchronize_session=False)
    )
    if session.exec(statement).rowcount != 1:
        raise Conflict(f"proposal {row.id} was changed by somebody else at the same time")
    for name, value in {"status": status, "version": row.version + 1, **changes}.items():
        set_committed_value(row, name, value)
    events.append(
        session,
        "proposal.moved",
        actor=actor,
        now=now,
        proposal_id=row.id,
        status=status,
        digest=row.digest,
    )


def ask_again(session: Session, row: tables.Proposal, *, actor: str, now: datetime) -> None:
    """Begin a further round of asking: the same digest, shown anew.

    Raises:
        Conflict: Somebody else changed the proposal since the row was read.
    """
    move(session, row, "queued", actor=actor, now=now, round=row.round + 1)


class Erased(NamedTuple):
    """How many texts were erased."""

    texts: int


def erase(session: Session, proposal_ids: Sequence[str], *, actor: str, now: datetime) -> Erased:
    """Erase what was written in these proposals, decisions and receipts; the log stays whole.

    Saved states that wait for one of them go too, since they hold the same. The stages after this one erase their own texts.
    """
    texts = session.exec(
        delete(tables.Payload).where(col(tables.Payload.proposal_id).in_(proposal_ids))
    ).rowcount
    texts += session.exec(
        delete(tables.Note).where(col(tables.Note.proposal_id).in_(proposal_ids))
    ).rowcount
    texts += parked.forget(session, proposal_ids, actor=actor, now=now)
    session.exec(
        delete(tables.Idempotency).where(col(tables.Idempotency.proposal_id).in_(proposal_ids))
    )
    for proposal_id in proposal_ids:
        events.append(session, "payload.erased", actor=actor, now=now, proposal_id=proposal_id)
    return Erased(texts)
