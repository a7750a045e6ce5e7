"""Takes events where Argilla announces them. In: Argilla's events. Out: rows in the outbox.

Everything Argilla announces passes `Event.notify`, after its own commit. There is one such place,
and one more for speed: an event costs several queries to build, so an event that no enabled
webhook listens for is not built at all.
"""

import json
import logging
import sys
import time
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any
from uuid import UUID

from argilla_server.database import AsyncSessionLocal
from argilla_server.models import Webhook
from argilla_server.webhooks.v1 import datasets, records, responses
from argilla_server.webhooks.v1.commons import _build_payload
from argilla_server.webhooks.v1.event import Event
from fastapi.encoders import jsonable_encoder
from sqlalchemy import event as sql_event
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from errata_argilla.webhooks import outbox
from errata_argilla.webhooks.outbox import Announcement, Delivery

_LOGGER = logging.getLogger("errata_argilla")

LISTENERS_SECONDS = 1.0
"""How long another process may not notice that a webhook was added or changed."""


class Listeners:
    """Which enabled webhook wants which events; remembered for a moment."""

    def __init__(self) -> None:
        self._known: dict[UUID, frozenset[str]] = {}
        self._until = 0.0

    async def of(self, session: AsyncSession, event: str) -> list[UUID]:
        """Return the webhooks that listen for an event."""
        if time.monotonic() >= self._until:
            enabled = select(Webhook.id, Webhook.events).where(Webhook.enabled)
            rows = (await session.execute(enabled)).all()
            self._known = {id_: frozenset(events) for id_, events in rows}
            self._until = time.monotonic() + LISTENERS_SECONDS
        return [id_ for id_, events in self._known.items() if event in events]

    def forget(self) -> None:
        """Look again next time."""
        self._until = 0.0


class Unheard:
    """An event that nobody listens for."""

    async def notify(self, _session: AsyncSession) -> list[Any]:
        return []


def install(send: Callable[[Delivery], None] | None, wake: Callable[[], None]) -> None:
    """Send all of Argilla's events through the outbox.

    Args:
        send: Sends a delivery from this process; None where another process does it.
        wake: Tells the dispatcher of this process that there is more in the outbox.
    """
    listeners = Listeners()

    async def notify(self: Event, _session: AsyncSession) -> list[Any]:
        # The answer is committed: trouble here must not tell the labeler that it was lost.
        try:
            await _write_down(self, listeners, send, wake)
        except Exception:
            _LOGGER.exception("event %s could not be written down", self.event)
        return []

    Event.notify = notify
    _skip_unheard(listeners)
    _watch(listeners)


async def _write_down(
    event: Event,
    listeners: Listeners,
    send: Callable[[Delivery], None] | None,
    wake: Callable[[], None],
) -> None:
    async with AsyncSessionLocal() as session, session.begin():
        webhooks = await listeners.of(session, event.event)
        if not webhooks:
            return
        payload = _build_payload(event.event, event.timestamp, jsonable_encoder(event.data))
        urgent = event.event.startswith("response.")
        now = time.time()
        # Answers go out from here without another look at the table, so they are claimed at once.
        claimed = urgent and send is not None
        due_at = now + outbox.LEASE_SECONDS if claimed else now
        announcement = Announcement(str(event.event), json.dumps(payload), urgent)
        deliveries = await outbox.put(session, announcement, webhooks, now, due_at)
    if claimed:
        for delivery in deliveries:
            send(delivery)
    else:
        wake()


def _skip_unheard(listeners: Listeners) -> None:
    for module, name in (
        (datasets, "build_dataset_event"),
        (records, "build_record_event"),
        (responses, "build_response_event"),
    ):
        original = getattr(module, name)
        _replace_everywhere(original, _only_heard(original, listeners))


def _only_heard(
    build: Callable[..., Awaitable[Event]], listeners: Listeners
) -> Callable[..., Awaitable[Event | Unheard]]:
    @wraps(build)
    async def build_heard(session: AsyncSession, event: str, subject: Any) -> Event | Unheard:
        if await listeners.of(session, event):
            return await build(session, event, subject)
        return Unheard()

    return build_heard


def _replace_everywhere(original: object, replacement: object) -> None:
    """Rebind a function also where Argilla's modules have imported it by name."""
    for module in list(sys.modules.values()):
        if getattr(module, "__name__", "").startswith("argilla_server"):
            for name, value in list(vars(module).items()):
                if value is original:
                    setattr(module, name, replacement)


def _watch(listeners: Listeners) -> None:
    """Notice webhooks that this process changes itself, the moment they are committed."""

    @sql_event.listens_for(Session, "after_flush")
    def mark(session: Session, _context: object) -> None:
        changed = [*session.new, *session.dirty, *session.deleted]
        if any(isinstance(row, Webhook) for row in changed):
            session.info["webhooks_changed"] = True

    @sql_event.listens_for(Session, "after_commit")
    def forget(session: Session) -> None:
        if session.info.pop("webhooks_changed", False):
            listeners.forget()
