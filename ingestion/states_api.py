"""Routes of saved states: park, list, resume, say that it is done.

In: HTTP requests. Out: states as they go over the wire.
"""

import json
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from sqlmodel import Session

from errata.requests import Db, Reading
from errata.states import Finishing, Parking, Resuming
from ingestion import bodies, keys, parked, sealing, states
from ingestion.access import Caller, IdempotencyKey, Now

router = APIRouter(prefix="/v1/states")


async def _ring(request: Request) -> sealing.Ring:
    return request.app.state.ring


Ring = Annotated[sealing.Ring, Depends(_ring)]


@router.post("", status_code=201, openapi_extra=bodies.described(Parking))
def park(
    caller: Caller,
    body: bodies.Single,
    session: Db,
    ring: Ring,
    now: Now,
    idempotency_key: IdempotencyKey = None,
) -> dict[str, Any]:
    """Keep where an agent stopped, until what it waits for is decided."""
    keys.require(caller, "agent")
    parking = _parking(body.raw)
    row = states.park(session, ring, parking, caller, key=idempotency_key, now=now)
    return parked.shown(session, row).wire()


@router.get("")
def listed(
    session: Reading,
    caller: Caller,
    now: Now,
    ready: bool | None = None,
    agent: Annotated[str | None, Query(max_length=200)] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> dict[str, Any]:
    """One's own states, the oldest first; with `ready=true` those that can be resumed now."""
    keys.require(caller, "agent")
    wanted = parked.Listing(agent, ready, limit)
    return {"states": [one.wire() for one in parked.listed(session, caller, wanted, now=now)]}


@router.post("/{state_id}/resume", response_model=None, openapi_extra=bodies.described(Resuming))
def resume(
    state_id: str,
    caller: Caller,
    body: bodies.Single,
    session: Db,
    ring: Ring,
    now: Now,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Take a state, for a time: its content, and the lease that says so."""
    keys.require(caller, "agent")
    asked = bodies.parse(body.raw or b"{}", Resuming)
    resumed = states.resume(
        session,
        ring,
        state_id,
        caller,
        lease_s=asked.lease_s,
        key=idempotency_key,
        now=now,
    )
    return bodies.answer(200, _resumed(session, resumed))


@router.post("/{state_id}/done", openapi_extra=bodies.described(Finishing))
def done(
    state_id: str, caller: Caller, body: bodies.Single, session: Db, now: Now
) -> dict[str, Any]:
    """Say that the run is over: the content is erased."""
    keys.require(caller, "agent")
    said = bodies.parse(body.raw, Finishing)
    row = states.finish(session, state_id, said.lease, caller, now=now)
    return parked.shown(session, row).wire()


def _parking(raw: bytes) -> Parking:
    """The body. The content may hold what only canonical JSON cannot, such as large integers."""
    value = bodies.load(raw)
    if isinstance(value, dict):
        bodies.check({name: part for name, part in value.items() if name != "content"})
    return bodies.validate(value, Parking)


def _resumed(session: Session, resumed: states.Resumed) -> str:
    """The answer; the content goes into it as it was sealed, not read once more."""
    row, content = resumed
    told = json.dumps({**parked.shown(session, row).wire(), "lease": row.taken_by})
    return f'{told[:-1]}, "content": {content.decode()}}}'
