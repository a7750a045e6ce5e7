"""Lay down history: proposals, decisions and receipts that came from a file.

In: values read by `ingestion.sources`. Out: rows with source `import`, never routed, queued or
permitted, under the ids and times of the file.
"""

from collections.abc import Sequence
from datetime import datetime

from sqlmodel import Session

from errata import protocol
from errata.errors import Conflict, Malformed
from ingestion import decisions, drafts, events, store, tables
from ingestion.sources.reviews import Exclude


def known(session: Session, id_: str, content_hash: str) -> bool:
    """Whether this very content has been imported before.

    Raises:
        Conflict: The id is taken by something else.
    """
    row = session.get(tables.Proposal, id_)
    if row is None:
        return False
    if row.source != "import" or row.content_hash != content_hash:
        raise Conflict(f"the id {id_!r} is taken by other content", field="id")
    return True


def proposal(
    session: Session,
    proposal: protocol.Proposal,
    *,
    id_: str,
    content_hash: str,
    digest: str,
    policy_version: str,
    status: protocol.Status,
    exclude: Exclude | None,
    now: datetime,
) -> tables.Proposal:
    """Store a proposal as history.

    Args:
        session: A transaction.
        proposal: What was asked.
        id_: Its id, also when the proposal itself has none.
        content_hash: Fingerprint by which a repeated import is known.
        digest: What was asked, as a digest.
        policy_version: The policy that it was decided under, or that of no policy.
        status: Where the file leaves it.
        exclude: Why it counts in no figure; without one, a mode other than live says so.
        now: The time of the import; `created_at` too where the file states none.
    """
    columns = drafts.columns(
        proposal,
        id_=id_,
        content_hash=content_hash,
        digest=digest,
        policy_version=policy_version,
        now=now,
    )
    row = tables.Proposal(**columns)
    row.source = "import"
    row.status = status
    row.exclude = exclude or row.exclude
    row.tool_schema = decisions.tool_schema(None, proposal)
    session.add(row)
    session.flush()
    store.keep(session, "proposal", row.id, row.id, proposal)
    session.flush()
    events.append(
        session,
        "proposal.imported",
        actor="import",
        now=now,
        proposal_id=row.id,
        digest=row.digest,
        content=content_hash,
    )
    return row


def receipts(
    session: Session,
    row: tables.Proposal,
    decision: protocol.Decision,
    receipts: Sequence[protocol.Receipt],
    *,
    now: datetime,
) -> None:
    """Store what came of a decision, with the used permit that it belongs to.

    Raises:
        Malformed: More than one receipt: a proposal has one permit, and a permit one use.
        Conflict: The permit's id is taken.
    """
    if len(receipts) > 1:
        raise Malformed("a proposal has one receipt at most", field="receipts[1]")
    for receipt in receipts:
        if session.get(tables.Permit, receipt.permit_id) is not None:
            raise Conflict(
                f"the permit {receipt.permit_id!r} is known", field="receipts[0].permit_id"
            )
        session.add(_used_permit(row, decision, receipt))
        session.flush()
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


def _used_permit(
    row: tables.Proposal, decision: protocol.Decision, receipt: protocol.Receipt
) -> tables.Permit:
    return tables.Permit(
        id=receipt.permit_id,
        proposal_id=row.id,
        digest=decision.digest,
        tool_schema=row.tool_schema,
        policy_version=row.policy_version,
        not_before=receipt.started_at,
        expires_at=receipt.started_at,
        status="used",
        fence=0,
        used_at=receipt.started_at,
    )
