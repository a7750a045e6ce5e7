"""Events of answers, noted before Argilla announces them.

In: a changed answer, inside its transaction. Out: rows of the outbox that have no body yet.
A note falls due when its lease ends. By then this process has sent the event that Argilla announced
after its commit; or it has died, and whoever finds the note builds the body from the database.
"""

import json
import time
from datetime import UTC, datetime
from uuid import UUID

from argilla_server.models import Response
from argilla_server.webhooks.v1.commons import _build_payload
from argilla_server.webhooks.v1.enums import ResponseEvent
from argilla_server.webhooks.v1.event import Event
from argilla_server.webhooks.v1.responses import build_response_event
from argilla_server.webhooks.v1.schemas import ResponseEventSchema
from fastapi.encoders import jsonable_encoder
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from errata_argilla.webhooks import outbox
from errata_argilla.webhooks.listeners import Listeners
from errata_argilla.webhooks.outbox import Announcement, Delivery

_NOTED = "errata_noted_events"


def write(session: Session, response: Response, event: ResponseEvent, listeners: Listeners) -> None:
    """Note an event for everybody who listens for it, in the transaction that causes it."""
    webhooks = listeners.of(session, event)
    if not webhooks:
        return
    body = ""
    if event == ResponseEvent.deleted:
        # Afterwards there is nothing left to build it from.
        data = ResponseEventSchema.model_validate(response).model_dump()
        body = text_of(Event(event, datetime.now(UTC), data))
    now = time.time()
    announcement = Announcement(str(event), body, urgent=True, response_id=response.id)
    noted: dict[tuple[str, UUID], list[Delivery]] = session.info.setdefault(_NOTED, {})
    noted[str(event), response.id] = outbox.put(
        session, announcement, webhooks, now, now + outbox.LEASE_SECONDS
    )


def take(session: Session, event: Event) -> list[Delivery]:
    """Return the notes of an event that Argilla now announces; they are claimed already."""
    return session.info.get(_NOTED, {}).pop((str(event.event), event.data["id"]), [])


async def rebuild(session: AsyncSession, note: Delivery) -> str | None:
    """Write what a note announces, with the answer as it is now; None if it is gone."""
    response = await session.get(Response, note.response_id)
    if response is None:
        return None
    event = await build_response_event(session, ResponseEvent(note.event), response)
    event.timestamp = datetime.fromtimestamp(note.created_at, UTC)
    return text_of(event)


def text_of(event: Event) -> str:
    """Write the body of an event, as Argilla does."""
    return json.dumps(_build_payload(event.event, event.timestamp, jsonable_encoder(event.data)))
