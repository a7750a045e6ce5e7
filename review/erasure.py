"""Forgetting what people and agents wrote, while history stays.

In: ids of proposals. Out: their texts are gone, here and from Argilla; rows, digests and the log
stay, and the log still verifies.
"""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import delete, update
from sqlmodel import Session, col

from errata.errors import Conflict, NotFound
from ingestion import events, runs, store, tasks
from ingestion.tables import Feedback, Note
from ingestion.tickets import OPEN
from review.tables import ArgillaRecord, ReviewPayload


def erase(session: Session, proposal_ids: Sequence[str], *, actor: str, now: datetime) -> int:
    """Erase the texts of decided proposals.

    Their Argilla records are removed when they are decided; those that only tell of an answer that
    did not count are removed now.

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
        tasks.drop(session, row, actor=actor, now=now)
    reviews = session.exec(
        delete(ReviewPayload).where(col(ReviewPayload.proposal_id).in_(proposal_ids))
    ).rowcount
    session.exec(
        update(ArgillaRecord)
        .where(col(ArgillaRecord.proposal_id).in_(proposal_ids))
        .values(note=None, error=None, not_before=now)
    )
    session.exec(
        update(ArgillaRecord)
        .where(
            col(ArgillaRecord.proposal_id).in_(proposal_ids),
            col(ArgillaRecord.leaves_at).is_not(None),
        )
        .values(leaves_at=now)
    )
    return reviews + store.erase(session, proposal_ids, actor=actor, now=now).texts


def erase_runs(session: Session, run_ids: Sequence[str], *, actor: str, now: datetime) -> int:
    """Erase the goals, notes and reasons of runs; their proposals are erased for themselves.

    Returns:
        How many texts were erased.

    Raises:
        NotFound: There is no such run.
    """
    for run_id in run_ids:
        runs.load(session, run_id)
        events.append(session, "payload.erased", actor=actor, now=now, run=run_id)
    return session.exec(delete(Note).where(col(Note.run_id).in_(run_ids))).rowcount


def erase_feedback(session: Session, ids: Sequence[str], *, actor: str, now: datetime) -> int:
    """Erase the words of feedback; its thumbs stay.

    Returns:
        How many texts were erased.

    Raises:
        NotFound: There is no such feedback.
    """
    for id_ in ids:
        if session.get(Feedback, id_) is None:
            raise NotFound(f"no feedback {id_!r}")
        events.append(session, "payload.erased", actor=actor, now=now, feedback=id_)
    words = delete(Note).where(col(Note.owner) == "feedback", col(Note.id).in_(ids))
    return session.exec(words).rowcount
