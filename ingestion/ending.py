"""The end of an open proposal without anybody's answer.

In: the agent that takes it back, a deadline that passed. Out: the decision.
"""

from datetime import datetime

from sqlmodel import Session

from errata import protocol
from errata.errors import Conflict, Forbidden, NotFound
from ingestion import decisions, shadows, store, tables


def cancel(
    session: Session, proposal_id: str, caller: tables.Principal, *, now: datetime
) -> tables.Proposal:
    """Take a proposal back before it is decided.

    Raises:
        NotFound: No such proposal.
        Forbidden: It is another agent's.
        AlreadyDecided: Too late.
    """
    row = store.hold(session, proposal_id)
    if row.proposed_by != caller.id:
        raise Forbidden("only the agent that proposed it may cancel it")
    end(session, row, "cancelled", "cancelled by the agent", actor=caller.id, now=now)
    return row


def end(
    session: Session,
    row: tables.Proposal,
    outcome: protocol.Outcome,
    reason: str,
    *,
    actor: str,
    now: datetime,
) -> protocol.Decision:
    """Decide without anybody's answer: expired or cancelled.

    Raises:
        AlreadyDecided: There is a decision.
        Conflict: It is imported history, which nobody waits for.
        NotFound: The proposal's text has been erased.
    """
    if row.source == "import":
        raise Conflict(f"proposal {row.id} is imported history; it cannot end anew")
    shadows.check_none(row)
    proposal = store.proposal(session, row.id)
    if proposal is None:
        raise NotFound(f"the text of proposal {row.id} has been erased")
    return decisions.record(
        session,
        row,
        proposal,
        decisions.Outcome(
            outcome=outcome,
            by="policy",
            effective=protocol.Effective(),
            reason=reason,
            needed=1,
            got=0,
            at=now,
        ),
        actor=actor,
        now=now,
    )
