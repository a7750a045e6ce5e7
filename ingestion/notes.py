"""The erasable text of what is no proposal: runs, steps, words of supervisors, feedback.

In: what somebody wrote. Out: rows of `Note`, which go with the proposal or run that they are about.
"""

from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import StringConstraints
from sqlmodel import Session, col, select

from errata.protocol import Text
from ingestion.tables import Note

Owner = Literal["run", "step", "word", "feedback"]

Words = Annotated[Text, StringConstraints(min_length=1, max_length=10_000)]
"""What fits into a note."""


def keep(
    session: Session,
    owner: Owner,
    id_: str,
    body: dict[str, Any],
    *,
    run_id: str | None = None,
    proposal_id: str | None = None,
) -> None:
    """Store a note; fields without a value are left out, and of nothing there is no note."""
    said = {name: value for name, value in body.items() if value is not None}
    if said:
        session.flush()  # the rows that it refers to come first
        session.add(Note(owner=owner, id=id_, run_id=run_id, proposal_id=proposal_id, body=said))


def text(session: Session, owner: Owner, id_: str) -> dict[str, Any]:
    """What was written; empty where nothing was, or where it has been erased."""
    return texts(session, owner, [id_]).get(id_, {})


def texts(session: Session, owner: Owner, ids: Iterable[str]) -> dict[str, dict[str, Any]]:
    """What was written, by id."""
    statement = select(Note.id, Note.body).where(Note.owner == owner, col(Note.id).in_(list(ids)))
    return {id_: dict(body) for id_, body in session.exec(statement)}
