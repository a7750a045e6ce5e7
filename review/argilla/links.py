"""Pages in Argilla: of one proposal, and of what waits, the urgent first or assigned to somebody.

In: a proposal's id, or the rows of what waits. Out: a redirect, links. Nothing is told that the id
does not tell: an unknown id leads to Argilla's home, as does one that is not there yet, and Argilla
asks for a log-in.
"""

from collections import defaultdict
from datetime import datetime
from typing import NamedTuple
from urllib.parse import quote

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse
from sqlmodel import Session, col, select

from errata.errors import NotFound
from errata.requests import Reading
from ingestion import tables
from ingestion.tickets import OPEN
from review.tables import ArgillaDataset, ArgillaRecord

router = APIRouter(prefix="/v1")


@router.get("/proposals/{proposal_id}/review", status_code=302)
def open_review(proposal_id: str, request: Request, session: Reading) -> RedirectResponse:
    """Open a proposal in Argilla."""
    base: str | None = request.app.state.argilla_url
    if base is None:
        raise NotFound("this server has no Argilla")
    return RedirectResponse(base + _page(session, proposal_id), status_code=302)


def _page(session: Session, proposal_id: str) -> str:
    dataset = session.exec(
        select(ArgillaDataset.id)
        .join(ArgillaRecord, col(ArgillaRecord.dataset) == ArgillaDataset.name)
        .where(ArgillaRecord.proposal_id == proposal_id, col(ArgillaRecord.removed_at).is_(None))
    ).first()
    if dataset is None:
        return "/"
    page = f"/dataset/{dataset}/annotation-mode?page=1&status=pending"
    return page + (_filter("proposal_id", proposal_id) or "")


URGENT_FIRST = "&sort=metadata.priority.desc~record.inserted_at.asc"


def _filter(name: str, value: str) -> str | None:
    """Argilla's filter by a metadata value; None for a value that its grammar cannot hold."""
    # Dots and tildes separate the parts of Argilla's filters.
    return None if set(value) & {".", "~"} else f"&metadata={name}.{quote(value, safe='')}"


class Waiting(NamedTuple):
    """What waits in one dataset."""

    kind: str
    dataset: str | None
    """None: not in Argilla yet."""
    proposals: int
    """How many."""
    oldest: datetime
    urgent_first: str | None
    """The page with the urgent first and then the oldest, below Argilla's address."""
    assigned: str | None
    """The same, with what is assigned to one labeler alone."""


def waiting(session: Session, labeler: str | None = None) -> list[Waiting]:
    """What waits for people, by dataset, with its pages in Argilla.

    Args:
        session: A transaction.
        labeler: Whose assigned work `assigned` leads to; None: it is None.
    """
    here = (
        (col(ArgillaRecord.proposal_id) == tables.Proposal.id)
        & (col(ArgillaRecord.round) == tables.Proposal.round)
        & col(ArgillaRecord.leaves_at).is_(None)
        & col(ArgillaRecord.removed_at).is_(None)
    )
    statement = (
        select(
            tables.Proposal.kind,
            tables.Proposal.received_at,
            ArgillaDataset.name,
            ArgillaDataset.id,
        )
        .select_from(tables.Proposal)
        .outerjoin(ArgillaRecord, here)
        .outerjoin(ArgillaDataset, col(ArgillaDataset.name) == ArgillaRecord.dataset)
        .where(col(tables.Proposal.status).in_(OPEN), tables.Proposal.source == "live")
    )
    found: dict[tuple[str, str | None, str | None], list[datetime]] = defaultdict(list)
    for kind, received_at, name, dataset in session.exec(statement):
        found[kind, name, dataset].append(received_at)
    rows = [_waiting(*place, times, labeler) for place, times in found.items()]
    return sorted(rows, key=lambda row: (row.kind, row.dataset or ""))


def _waiting(
    kind: str, name: str | None, dataset: str | None, times: list[datetime], labeler: str | None
) -> Waiting:
    page = mine = None
    if dataset is not None:
        page = f"/dataset/{dataset}/annotation-mode?page=1&status=pending{URGENT_FIRST}"
        own = _filter("assignee", labeler) if labeler is not None else None
        mine = page + own if own is not None else None
    return Waiting(kind, name, len(times), min(times), page, mine)
