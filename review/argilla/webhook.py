"""Argilla's webhook: a hint that an answer came, which saves the wait for the next poll.

In: signed events. Out: the answers of the record that the event names, read from Argilla itself;
what the event says is not taken for true, since events come late, twice and out of order.
"""

from datetime import UTC, datetime
from typing import Any, Protocol, cast

from fastapi import APIRouter, Request
from sqlmodel import select
from standardwebhooks import Webhook, WebhookVerificationError
from starlette.concurrency import run_in_threadpool

from errata.db import current
from errata.errors import NotFound, Unauthorized
from ingestion import bodies
from review.argilla import inbox
from review.argilla.surface import Pushed
from review.tables import ArgillaWebhook

router = APIRouter(prefix="/v1")


class Records(Protocol):
    """What is needed of Argilla here."""

    def record(self, server_id: str) -> Pushed | None:
        """One record with its answers; None when it is gone."""
        ...


@router.post("/webhooks/argilla", status_code=202)
async def hear(request: Request) -> dict[str, str]:
    """Take the hint. Without Argilla's signature it is refused.

    A signature holds for five minutes, by the Standard Webhooks scheme.
    """
    raw = await bodies.read(request, bodies.READ_LIMIT)
    surface: Records | None = request.app.state.argilla
    if surface is None:
        raise NotFound("this server has no Argilla")
    taken = await run_in_threadpool(_take, surface, raw, dict(request.headers))
    return {"taken": str(taken)}


def _take(surface: Records, raw: bytes, headers: dict[str, str]) -> int:
    event = _verified(raw, headers)
    server_id = _record_id(event)
    found = surface.record(server_id) if server_id is not None else None
    if found is None:
        return 0
    return inbox.take(current(), found, lambda: datetime.now(UTC))


def _verified(raw: bytes, headers: dict[str, str]) -> dict[str, Any]:
    with current().reading() as session:
        secrets = session.exec(select(ArgillaWebhook.secret)).all()
    for secret in secrets:
        try:
            return cast(dict[str, Any], Webhook(secret).verify(raw, headers))
        except WebhookVerificationError:
            continue
    raise Unauthorized("the signature is not Argilla's")


def _record_id(event: dict[str, Any]) -> str | None:
    data = event.get("data")
    record = cast(dict[str, Any], data).get("record") if isinstance(data, dict) else None
    found = cast(dict[str, Any], record).get("id") if isinstance(record, dict) else None
    return found if isinstance(found, str) else None
