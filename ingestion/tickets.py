"""The one shape in which proposals are answered.

In: a proposal's row. Out: a ticket, without the reviews that a later stage adds.
"""

from datetime import datetime
from typing import TypedDict

from sqlmodel import Session

from errata import protocol
from ingestion import store, tables

OPEN: frozenset[str] = frozenset({"proposed", "queued", "in_review"})
"""Statuses in which nobody has decided."""
RUN: frozenset[str] = frozenset({"executed", "failed", "unknown", "undone"})
"""Statuses after a run."""


def ticket(session: Session, row: tables.Proposal) -> protocol.Ticket:
    """What the platform knows of a stored proposal; of a new one its draft tells."""
    return protocol.Ticket(
        id=row.id,
        status=row.status,  # pyright: ignore[reportArgumentType] - checked by pydantic
        digest=row.digest,
        proposal=store.proposal(session, row.id),
        decision=store.decision(session, row.id),
        permit=store.permit(session, row.id),
        receipt=store.receipt(session, row.id) if row.status in RUN else None,
    )


def as_of(ticket: protocol.Ticket, now: datetime) -> protocol.Ticket:
    """A ticket whose permit says that its time is over, before the worker has noted it."""
    permit = ticket.permit
    if permit is None or permit.status != "issued" or now < permit.expires_at:
        return ticket
    return ticket.model_copy(update={"permit": permit.model_copy(update={"status": "expired"})})


class Links(TypedDict):
    """The places to go on from; all are on this server."""

    poll_url: str
    review_url: str
    events_url: str


def links(proposal_id: str) -> Links:
    """Where to wait for a proposal's decision, to review it, to follow it."""
    return {
        "poll_url": f"/v1/proposals/{proposal_id}?wait=30",
        "review_url": f"/v1/proposals/{proposal_id}/review",
        "events_url": f"/v1/events?proposal={proposal_id}",
    }
