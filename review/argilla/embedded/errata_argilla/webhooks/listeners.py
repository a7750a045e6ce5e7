"""Who listens. In: Argilla's table of webhooks. Out: the enabled webhooks that want an event."""

import time
from uuid import UUID

from argilla_server.models import Webhook
from sqlalchemy import event as sql_event
from sqlalchemy import select
from sqlalchemy.orm import Session

LISTENERS_SECONDS = 1.0
"""How long another process may not notice that a webhook was added or changed."""


class Listeners:
    """Which enabled webhook wants which events; remembered for a moment."""

    def __init__(self) -> None:
        self._known: dict[UUID, frozenset[str]] = {}
        self._until = 0.0

    def of(self, session: Session, event: str) -> list[UUID]:
        """Return the webhooks that listen for an event."""
        if time.monotonic() >= self._until:
            enabled = select(Webhook.id, Webhook.events).where(Webhook.enabled)
            rows = session.execute(enabled).all()
            self._known = {id_: frozenset(events) for id_, events in rows}
            self._until = time.monotonic() + LISTENERS_SECONDS
        return [id_ for id_, events in self._known.items() if event in events]

    def watch(self) -> None:
        """Notice webhooks that this process changes itself, the moment they are committed."""

        @sql_event.listens_for(Session, "after_flush")
        def mark(session: Session, _context: object) -> None:
            changed = [*session.new, *session.dirty, *session.deleted]
            if any(isinstance(row, Webhook) for row in changed):
                session.info["webhooks_changed"] = True

        @sql_event.listens_for(Session, "after_commit")
        def forget(session: Session) -> None:
            if session.info.pop("webhooks_changed", False):
                self._until = 0.0
