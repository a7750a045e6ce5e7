"""Routes that show and take reviews.

In: HTTP requests. Out: tickets with their reviews, reviews taken in, the queue.
"""

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from sqlmodel import Session
from starlette.concurrency import run_in_threadpool

from errata import protocol
from errata.db import Db, Reading, current
from errata.errors import Forbidden, Malformed
from ingestion import bodies, keys, store, tables, tickets
from ingestion.access import Bearer, Caller, Now
from ingestion.bell import Bell
from review import queue

router = APIRouter(prefix="/v1")

LONGEST_WAIT = 60.0
"""Seconds for which one long poll is held."""


def _look(proposal_id: str, bearer: str | None) -> protocol.Ticket:
    """The ticket with its reviews, in a transaction of its own: none is held while waiting."""
    with current().reading() as session:
        caller = keys.authenticate(session, bearer)
        row = store.load(session, proposal_id)
        _check_visible(row, caller)
        return full_ticket(session, row)


def full_ticket(session: Session, row: tables.Proposal) -> protocol.Ticket:
    """A ticket with the reviews that were accepted."""
    reviews = queue.stated(session, row.id)
    return tickets.ticket(session, row).model_copy(update={"reviews": reviews})


def _check_visible(row: tables.Proposal, caller: tables.Principal) -> None:
    if "agent" in caller.roles and row.proposed_by != caller.id:
        raise Forbidden("this proposal was made with another agent's key")


def wire(ticket: protocol.Ticket) -> dict[str, Any]:
    """A ticket as it goes out; `reviews` is always there."""
    return {"reviews": [], **ticket.wire()}


@router.get("/proposals/{proposal_id}", response_model=None)
async def show(
    proposal_id: str,
    request: Request,
    bearer: Bearer,
    wait: Annotated[float, Query(ge=0)] = 0,
) -> dict[str, Any]:
    """A proposal as it stands; with `wait`, as soon as it is decided."""
    bell: Bell = request.app.state.bell
    loop = asyncio.get_running_loop()
    end = loop.time() + min(wait, LONGEST_WAIT)
    async with bell.listening(proposal_id) as woken:
        while True:
            woken.clear()
            ticket = await run_in_threadpool(_look, proposal_id, bearer)
            left = end - loop.time()
            if ticket.decision is not None or left <= 0:
                return wire(ticket)
            try:
                await asyncio.wait_for(woken.wait(), left)
            except TimeoutError:
                return wire(ticket)


@router.post("/proposals/{proposal_id}/reviews", status_code=201, response_model=None)
def review(
    proposal_id: str, caller: Caller, body: bodies.Single, session: Db, now: Now
) -> dict[str, Any]:
    """Say what one person thinks of a proposal."""
    keys.require(caller, "reviewer", "supervisor")
    given = bodies.parse(body.raw, protocol.Review)
    if given.proposal_id != proposal_id:
        raise Malformed("proposal_id differs from the address", field="proposal_id")
    queue.submit(session, given, queue.Voice(caller, "api"), now=now)
    return wire(full_ticket(session, store.load(session, proposal_id)))


@router.get("/queue")
def waiting(session: Reading, caller: Caller) -> dict[str, Any]:
    """What waits for people, the urgent first."""
    keys.require(caller, "reviewer", "supervisor", "admin", "analyst")
    return {"waiting": [one._asdict() for one in queue.waiting(session)]}
