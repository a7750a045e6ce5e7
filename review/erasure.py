"""Forgetting what people and agents wrote, while history stays.

In: ids of proposals. Out: their texts are gone, here and from Argilla; rows, digests and the log
stay, and the log still verifies.
"""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import delete, update
from sqlmodel import Session, col

from errata.errors import Conflict
from ingestion import store
from ingestion.tickets import OPEN
from review.tables import ArgillaRecord, ReviewPayload


def erase(session: Session, proposal_ids: Sequence[str], *, actor: str, now: datetime) -> int:
    """Erase the texts of decided proposals.

    Their Argilla records are removed when they are decided; nothing is left there.

    Returns:
        How many texts were erased.

    Raises:
        NotFound: There is no such proposal.
        Conflict: One is still open; cancel it first, or wait.
    """
    for proposal_id in proposal_ids:
        row = store.load(session, proposal_id)
        if row.status in OPEN and row.source == "live":
            raise Conflict(f"proposal {proposal_id} is open; only decided ones can be erased")
    reviews = session.exec(
        delete(ReviewPayload).where(col(ReviewPayload.proposal_id).in_(proposal_ids))
    ).rowcount
    session.exec(
        update(ArgillaRecord)
        .where(col(ArgillaRecord.proposal_id).in_(proposal_ids))
        .values(note=None, error=None)
    )
    return reviews + store.erase(session, proposal_ids, actor=actor, now=now).texts
