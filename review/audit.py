"""The check that nobody changed who said what.

In: the log, the reviews. Out: every fault of the whole record, by name.
"""

from collections.abc import Iterator

from sqlmodel import Session, col, select

from ingestion import audit
from ingestion.audit import Audit
from ingestion.tables import Event
from review.tables import Review

TAKEN = {"review.received": True, "review.refused": False}


class Reviews:
    """Whether each review was taken, and whose it is."""

    def __init__(self) -> None:
        self._logged: dict[str, tuple[bool, str]] = {}

    def note(self, entry: Event) -> None:
        if entry.type in TAKEN:
            self._logged[entry.data["review"]] = TAKEN[entry.type], entry.actor

    def faults(self, session: Session) -> Iterator[str]:
        statement = select(Review.id, Review.accepted, Review.reviewer_id).where(
            col(Review.surface) != "import"  # the log has an imported line as a whole
        )
        for id_, accepted, reviewer_id in session.exec(statement):
            logged = self._logged.pop(id_, None)
            if logged is None:
                yield f"review {id_} is not in the log"
            elif logged != (accepted, reviewer_id or "worker"):
                yield f"review {id_} differs from the log"
        for id_ in self._logged:
            yield f"review {id_} is gone"


def verify(session: Session, batch: int = 1000) -> Audit:
    """Check the log, and that decisions, permits and reviews are those it tells of.

    Args:
        session: A reading transaction.
        batch: Events held in memory at a time.
    """
    return audit.verify(session, [Reviews()], batch)
