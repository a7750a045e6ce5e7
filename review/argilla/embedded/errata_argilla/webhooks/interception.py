"""Takes events where Argilla announces them. In: Argilla's events. Out: rows in the outbox.

Everything Argilla announces passes `Event.notify`, after its own commit. Events of answers have
been noted by then, in the answer's own transaction (`notes`), and are sent at once; the others are
written down here. An event costs several queries to build, so one that no enabled webhook listens
for is not built at all.
"""

import logging
import sys
import time
from collections.abc import Awaitable, Callable
from functools import partial, wraps
from typing import Any

from argilla_server.database import AsyncSessionLocal
from argilla_server.webhooks.v1 import datasets, records, responses
from argilla_server.webhooks.v1.event import Event
from sqlalchemy.ext.asyncio import AsyncSession

from errata_argilla import effects
from errata_argilla.webhooks import notes, outbox
from errata_argilla.webhooks.listeners import Listeners
from errata_argilla.webhooks.outbox import Announcement, Delivery

_LOGGER = logging.getLogger("errata_argilla")


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

    async def notify(self: Event, session: AsyncSession) -> list[Any]:
        # The change is committed: trouble here must not tell the client that it was lost.
        try:
            noted = notes.take(session.sync_session, self)
            if not noted:
                await _write_down(self, listeners)
                wake()
            elif send is not None:
                body = notes.text_of(self)
                for delivery in noted:
                    send(delivery._replace(body=body))
        except Exception:
            _LOGGER.exception("event %s could not be written down", self.event)
        return []

    Event.notify = notify
    effects.entail(partial(notes.write, listeners=listeners))
    _skip_unheard(listeners)
    listeners.watch()


async def _write_down(event: Event, listeners: Listeners) -> None:
    async with AsyncSessionLocal() as session, session.begin():
        webhooks = await session.run_sync(listeners.of, event.event)
        if webhooks:
            urgent = event.event.startswith("response.")
            announcement = Announcement(str(event.event), notes.text_of(event), urgent)
            now = time.time()
            await session.run_sync(outbox.put, announcement, webhooks, now, due_at=now)


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
        if await session.run_sync(listeners.of, event):
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
