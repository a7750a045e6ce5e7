"""The feed of events: long poll and server-sent events, resumable by sequence number.

In: the event log. Out: `GET /v1/events?after=`. An agent's key sees its own proposals' events.
"""

import asyncio
import json
from collections.abc import AsyncGenerator
from typing import Annotated, Any, NamedTuple

from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import StreamingResponse
from sqlmodel import col, select
from starlette.concurrency import run_in_threadpool

from errata.db import current
from errata.errors import Unauthorized
from ingestion import keys, tables
from ingestion.access import Bearer
from ingestion.bell import ANY, Bell

router = APIRouter(prefix="/v1")

PAGE = 500
HEARTBEAT_SECONDS = 15.0
LAST = 2**63 - 1
"""The largest number that databases count to."""


class Page(NamedTuple):
    """Events and the sequence number to ask after next."""

    events: list[dict[str, Any]]
    after: int


class Scope(NamedTuple):
    """What a reader asks for and may see."""

    bearer: str | None
    proposal: str | None


def _read(scope: Scope, after: int) -> Page:
    with current().reading() as session:
        caller = keys.authenticate(session, scope.bearer)
        newest = session.exec(select(tables.ChainHead.seq)).one()
        statement = select(tables.Event).where(
            col(tables.Event.seq) > after, col(tables.Event.seq) <= newest
        )
        if scope.proposal is not None:
            statement = statement.where(tables.Event.proposal_id == scope.proposal)
        if "agent" in caller.roles:
            statement = statement.join(
                tables.Proposal, col(tables.Proposal.id) == tables.Event.proposal_id
            ).where(tables.Proposal.proposed_by == caller.id)
        rows = session.exec(statement.order_by(col(tables.Event.seq)).limit(PAGE)).all()
        last = rows[-1].seq or after if len(rows) == PAGE else max(after, newest)
        return Page([row.model_dump(mode="json") for row in rows], last)


@router.get("/events", response_model=None)
async def events(
    request: Request,
    bearer: Bearer,
    after: Annotated[int, Query(ge=0, le=LAST)] = 0,
    wait: Annotated[float, Query(ge=0, le=60)] = 0,
    proposal: str | None = None,
    accept: Annotated[str, Header()] = "",
    last_event_id: Annotated[int | None, Header(ge=0, le=LAST)] = None,
) -> dict[str, Any] | StreamingResponse:
    """Events after a sequence number; a stream when the client accepts `text/event-stream`."""
    bell: Bell = request.app.state.bell
    scope = Scope(bearer, proposal)
    after = last_event_id if last_event_id is not None else after
    if "text/event-stream" in accept:
        await run_in_threadpool(_read, scope, after)  # refuse a bad key before the stream starts
        return StreamingResponse(_stream(bell, scope, after), media_type="text/event-stream")
    page = await _wait(bell, scope, after, wait)
    return {"events": page.events, "after": page.after}


async def _wait(bell: Bell, scope: Scope, after: int, seconds: float) -> Page:
    """The next events, as soon as there are some or the time is over."""
    end = asyncio.get_running_loop().time() + seconds
    async with bell.listening(scope.proposal or ANY) as woken:
        while True:
            woken.clear()
            page = await run_in_threadpool(_read, scope, after)
            left = end - asyncio.get_running_loop().time()
            if page.events or left <= 0:
                return page
            try:
                await asyncio.wait_for(woken.wait(), left)
            except TimeoutError:
                return page


async def _stream(bell: Bell, scope: Scope, after: int) -> AsyncGenerator[str]:
    while True:
        try:
            page = await _wait(bell, scope, after, HEARTBEAT_SECONDS)
        except Unauthorized:  # the key was revoked meanwhile; the next request says so
            return
        after = page.after
        for event in page.events:
            yield f"id: {event['seq']}\nevent: {event['type']}\ndata: {json.dumps(event)}\n\n"
        if not page.events:
            yield ": still here\n\n"
