"""The decided work with everything said about it, for the stages that learn and count.

In: the rows of ingestion and review. Out: episodes, streamed in the order of their decisions.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import NamedTuple, cast

from sqlmodel import Session, col, select

from errata import protocol
from ingestion import store, tables
from review.tables import Review, ReviewPayload


class Heard(NamedTuple):
    """A review: its row, and its text unless erased."""

    row: Review
    review: protocol.Review | None


class Episode(NamedTuple):
    """One decided proposal."""

    row: tables.Proposal
    proposal: protocol.Proposal | None
    """None when erased."""
    decision_row: tables.Decision
    decision: protocol.Decision
    reviews: tuple[Heard, ...]
    """Accepted reviews, oldest first; those with `row.counted` made the decision."""
    executed: bool
    """Whether a receipt says that it ran."""


def read(session: Session, *, since: datetime | None = None, batch: int = 500) -> Iterator[Episode]:
    """Stream decided proposals.

    Args:
        session: A reading transaction.
        since: Only decisions at or after this time.
        batch: Episodes held in memory at a time.

    Yields:
        Episodes in the order of (decided_at, id).
    """
    statement = (
        select(tables.Decision, tables.Proposal)
        .join(tables.Proposal)
        .order_by(col(tables.Decision.decided_at), col(tables.Decision.proposal_id))
    )
    if since is not None:
        statement = statement.where(col(tables.Decision.decided_at) >= since)
    rows = session.exec(statement.execution_options(yield_per=batch))
    for page in rows.partitions(batch):
        yield from _assemble(session, [(decision, proposal) for decision, proposal in page])


def one(session: Session, proposal_id: str) -> Episode | None:
    """One decided proposal; None while undecided or where there is none."""
    statement = (
        select(tables.Decision, tables.Proposal)
        .join(tables.Proposal)
        .where(tables.Decision.proposal_id == proposal_id)
    )
    page = [(decision, proposal) for decision, proposal in session.exec(statement)]
    return next(_assemble(session, page), None)


def _assemble(
    session: Session, page: list[tuple[tables.Decision, tables.Proposal]]
) -> Iterator[Episode]:
    ids = [proposal.id for _, proposal in page]
    texts = {
        (row.owner, row.id): row.body
        for row in session.exec(
            select(tables.Payload).where(col(tables.Payload.proposal_id).in_(ids))
        )
    }
    heard = _reviews(session, ids)
    receipts = session.exec(
        select(tables.Receipt.proposal_id).where(
            col(tables.Receipt.proposal_id).in_(ids), tables.Receipt.status == "executed"
        )
    )
    ran = set(receipts)
    for decision_row, row in page:
        body = texts.get(("proposal", row.id))
        yield Episode(
            row=row,
            proposal=None if body is None else protocol.Proposal.model_validate(body),
            decision_row=decision_row,
            decision=store.decision_value(decision_row, texts.get(("decision", row.id))),
            reviews=tuple(heard.get(row.id, ())),
            executed=row.id in ran,
        )


def _reviews(session: Session, ids: Iterable[str]) -> dict[str, list[Heard]]:
    statement = (
        select(Review, ReviewPayload)
        .join(ReviewPayload, isouter=True)
        .where(col(Review.proposal_id).in_(list(ids)), col(Review.accepted))
        .order_by(col(Review.received_at), col(Review.id))
    )
    found: dict[str, list[Heard]] = {}
    for row, text in cast(Iterable[tuple[Review, ReviewPayload | None]], session.exec(statement)):
        review = None if text is None else protocol.Review.model_validate(text.body)
        found.setdefault(row.proposal_id, []).append(Heard(row, review))
    return found
