"""The routes of what runs: permits are used, receipts come back.

In: digests and receipts. Out: permits; which receipts were not taken, and why.
"""

from datetime import datetime
from typing import Any

from fastapi import APIRouter
from pydantic import Field

from errata import protocol
from errata.errors import ErrataError, Malformed
from errata.requests import Db
from ingestion import access, alarms, bodies, keys, permits
from ingestion.access import Caller, IdempotencyKey, Now
from ingestion.tables import Principal

router = APIRouter(prefix="/v1")


class Consumption(protocol.Value):
    """What an agent sends to use a permit."""

    digest: protocol.Digest


@router.post(
    "/permits/{permit_id}/consume",
    response_model=None,
    openapi_extra=bodies.described(Consumption),
)
def consume(
    permit_id: str,
    caller: Caller,
    body: bodies.Single,
    session: Db,
    now: Now,
    idempotency_key: IdempotencyKey = None,
) -> dict[str, Any]:
    """Use a permit once, for exactly the approved bytes."""
    digest = bodies.parse(body.raw, Consumption).digest
    return permits.consume(session, permit_id, digest, caller, key=idempotency_key, now=now).wire()


@router.post(
    "/permits/{permit_id}/receipt",
    status_code=201,
    response_model=None,
    openapi_extra=bodies.described(protocol.Receipt),
)
def report(
    permit_id: str, caller: Caller, body: bodies.Single, session: Db, now: Now
) -> dict[str, Any]:
    """Say what came of a run."""
    receipt = bodies.parse(body.raw, protocol.Receipt)
    if receipt.permit_id != permit_id:
        raise Malformed("permit_id differs from the address", field="permit_id")
    return permits.report(session, receipt, caller, now=now).wire()


class Receipts(protocol.Value):
    """What came of several runs."""

    receipts: tuple[protocol.Receipt, ...] = Field(min_length=1, max_length=1000)


@router.post(
    "/receipts",
    status_code=201,
    response_model=None,
    openapi_extra=bodies.described(Receipts),
)
def report_all(caller: Caller, body: bodies.Single, now: Now) -> dict[str, Any]:
    """Say what came of several runs; what is wrong with one receipt costs only that one."""
    keys.require(caller, "agent")
    told = bodies.parse(body.raw, Receipts).receipts
    try:
        access.commit(lambda session: permits.report_all(session, told, caller, now=now))
    except ErrataError as error:
        _must_come_again(error)
        return {"refused": [no for no in (_alone(one, caller, now) for one in told) if no]}
    return {"refused": []}


def _alone(told: protocol.Receipt, caller: Principal, now: datetime) -> dict[str, Any] | None:
    """Take one receipt; why not."""
    try:
        access.commit(lambda session: permits.report(session, told, caller, now=now))
    except ErrataError as error:
        _must_come_again(error)
        if isinstance(error, alarms.NeverUsed):
            alarms.raise_for(error)
        return {"permit_id": told.permit_id, **error.wire()}
    return None


def _must_come_again(error: ErrataError) -> None:
    """Refuse the whole request where it is not a receipt that is wrong: it is sent once more then."""
    if error.status >= 500:
        raise error
