"""Routes that show and take reviews.

In: HTTP requests. Out: tickets with their reviews, reviews taken in, the queue.
"""

import asyncio
from datetime import datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from sqlmodel import Session
from starlette.concurrency import run_in_threadpool

from errata import protocol
from errata.db import current
from errata.errors import Conflict, Forbidden, Malformed
from errata.requests import Db, Reading
from ingestion import asked, bodies, keys, revocations, store, tables, tickets, waits
from ingestion.access import Bearer, Caller, Now
from ingestion.bell import Bell
from review import afterwards, claims, deadlines, queue, settling, votes

router = APIRouter(prefix="/v1")

LONGEST_WAIT = 60.0
"""Seconds for which one long poll is held."""


def _look(proposal_id: str, bearer: str | None, now: datetime) -> protocol.Ticket:
    """The ticket with its reviews, in a transaction of its own: none is held while waiting."""
    with current().reading() as session:
        caller = keys.authenticate(session, bearer)
        row = store.load(session, proposal_id)
        _check_visible(row, caller)
        ticket = waits.with_wait(session, full_ticket(session, row, now), row, now)
        return _for(session, ticket, row, caller)


def full_ticket(session: Session, row: tables.Proposal, now: datetime) -> protocol.Ticket:
    """A ticket with the reviews that were accepted, and its claim."""
    reviews = votes.stated(session, row.id)
    ticket = tickets.ticket(session, row).model_copy(update={"reviews": reviews})
    return claims.shown(tickets.as_of(ticket, now), row, now)


def _for(
    session: Session, ticket: protocol.Ticket, row: tables.Proposal, caller: tables.Principal
) -> protocol.Ticket:
    """The ticket as this caller may see it: a blind reviewer sees no other's version."""
    if ticket.decision is not None or not asked.terms(session, row).blind:
        return ticket
    own = tuple(one for one in ticket.reviews if one.reviewer == caller.name)
    return ticket.model_copy(update={"reviews": own})


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
    now: Now,
    wait: Annotated[float, Query(ge=0)] = 0,
) -> dict[str, Any]:
    """A proposal as it stands; with `wait`, as soon as it is decided."""
    bell: Bell = request.app.state.bell
    loop = asyncio.get_running_loop()
    begun = loop.time()
    end = begun + min(wait, LONGEST_WAIT)
    async with bell.listening(proposal_id) as woken:
        while True:
            woken.clear()
            at = now + timedelta(seconds=loop.time() - begun)
            ticket = await run_in_threadpool(_look, proposal_id, bearer, at)
            left = end - loop.time()
            if ticket.decision is not None or left <= 0:
                return wire(ticket)
            try:
                await asyncio.wait_for(woken.wait(), left)
            except TimeoutError:
                return wire(ticket)


@router.post(
    "/proposals/{proposal_id}/reviews",
    status_code=201,
    response_model=None,
    openapi_extra=bodies.described(protocol.Review),
)
def review(
    proposal_id: str, caller: Caller, body: bodies.Single, session: Db, now: Now
) -> dict[str, Any]:
    """Say what one person thinks of a proposal."""
    keys.require(caller, "reviewer", "supervisor")
    given = bodies.parse(body.raw, protocol.Review)
    if given.proposal_id != proposal_id:
        raise Malformed("proposal_id differs from the address", field="proposal_id")
    settling.submit(session, given, votes.Voice(caller, "api"), now=now)
    row = store.load(session, proposal_id)
    return wire(_for(session, full_ticket(session, row, now), row, caller))


@router.delete("/proposals/{proposal_id}/reviews", response_model=None)
def withdraw(proposal_id: str, caller: Caller, session: Db, now: Now) -> dict[str, Any]:
    """Take one's own vote back, before the decision."""
    keys.require(caller, "reviewer", "supervisor")
    votes.withdraw(session, proposal_id, caller, now=now)
    row = store.load(session, proposal_id)
    return wire(_for(session, full_ticket(session, row, now), row, caller))


@router.post("/proposals/{proposal_id}/escalate", response_model=None)
def escalate(proposal_id: str, caller: Caller, session: Db, now: Now) -> dict[str, Any]:
    """Let the next group of the policy's chain vote now, not only after the time-out."""
    keys.require(caller, "supervisor")
    row = store.hold(session, proposal_id)
    asked.check_open(session, row, now)
    terms = asked.terms(session, row)
    if not terms.escalate_to:
        raise Conflict("the policy names nobody to escalate this proposal to")
    why = f"escalated by {caller.name}"
    deadlines.escalate(session, row, terms, why, actor=caller.id, now=now)
    return wire(full_ticket(session, row, now))


@router.post("/proposals/{proposal_id}/undo", response_model=None)
def undo(proposal_id: str, caller: Caller, session: Db, now: Now) -> dict[str, Any]:
    """Take an approval back while nothing has run; for supervisors, and those whose vote decided."""
    keys.require(caller, "reviewer", "supervisor")
    row = store.hold(session, proposal_id)
    if "supervisor" not in caller.roles and not votes.has_counted(session, row, caller):
        raise Forbidden("a supervisor undoes this, or a reviewer whose vote decided it")
    revocations.undo(session, row, actor=caller.id, now=now)
    return wire(full_ticket(session, row, now))


@router.post("/proposals/{proposal_id}/claim", response_model=None)
def claim(proposal_id: str, caller: Caller, session: Db, now: Now) -> dict[str, Any]:
    """Say that one is working on it for the next ten minutes; again to renew."""
    keys.require(caller, "reviewer", "supervisor")
    row = claims.claim(session, proposal_id, caller, now=now)
    return wire(_for(session, full_ticket(session, row, now), row, caller))


@router.post("/proposals/{proposal_id}/release", response_model=None)
def release(proposal_id: str, caller: Caller, session: Db, now: Now) -> dict[str, Any]:
    """Say that one is not working on it any more."""
    keys.require(caller, "reviewer", "supervisor")
    row = claims.release(session, proposal_id, caller, now=now)
    return wire(_for(session, full_ticket(session, row, now), row, caller))


@router.get("/queue")
def waiting(session: Reading, caller: Caller, now: Now) -> dict[str, Any]:
    """What waits for people and for whom, the urgent first."""
    keys.require(caller, "reviewer", "supervisor", "admin", "analyst")
    return {
        "waiting": [one.wire() for one in queue.waiting(session, now=now)],
        "tasks": afterwards.waiting(session),
    }


@router.post(
    "/tasks/{task_id}/review",
    status_code=201,
    response_model=None,
    openapi_extra=bodies.described(protocol.Review),
)
def review_task(
    task_id: str, caller: Caller, body: bodies.Single, session: Db, now: Now
) -> dict[str, Any]:
    """Say what one thinks of what ran by itself, or did with a task that was handed over."""
    keys.require(caller, "reviewer", "supervisor")
    given = bodies.parse(body.raw, protocol.Review)
    proposal_id = afterwards.answer(session, task_id, given, votes.Voice(caller, "task"), now=now)
    return wire(full_ticket(session, store.load(session, proposal_id), now))
