"""From a proposal to the page in Argilla that shows it.

In: a proposal's id. Out: a redirect. Nothing is told that the id does not tell: an unknown id leads
to Argilla's home, as does one that is not there yet, and Argilla asks for a log-in.
"""

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse
from sqlmodel import Session, col, select

from errata.db import Reading
from errata.errors import NotFound
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
    # Dots and tildes separate the parts of Argilla's filters.
    plain = not set(proposal_id) & {".", "~"}
    return f"{page}&metadata=proposal_id.{proposal_id}" if plain else page
