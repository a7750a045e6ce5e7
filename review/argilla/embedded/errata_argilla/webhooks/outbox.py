"""The table of events not yet delivered. In: events and webhooks. Out: deliveries, each claimed once.

A row is claimed by moving its due time into the future, past the longest a delivery may take. Who
moves it owns it until then; if that process dies, the row falls due again. A delivered row is
deleted, because it holds what people wrote.
"""

import secrets
from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from argilla_server.models import Webhook
from sqlalchemy import (
    Boolean,
    Column,
    Connection,
    Float,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    Uuid,
    delete,
    insert,
    inspect,
    select,
    text,
    update,
)
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

LEASE_SECONDS = 12.0
"""How long a claimed delivery is its claimer's, so also how long one waits after a crash.

Longer than the time-out of a request.
"""

KEEP_SECONDS = 3 * 24 * 3600.0
"""After this an event is given up: by then the receiver has asked Argilla itself."""

_METADATA = MetaData()

OUTBOX = Table(
    "errata_webhook_outbox",
    _METADATA,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("webhook_id", Uuid, nullable=False),
    Column("message_id", String, nullable=False, unique=True),
    Column("event", String, nullable=False),
    Column("response_id", Uuid),
    Column("body", Text, nullable=False),
    Column("urgent", Boolean, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("due_at", Float, nullable=False),
    Index("errata_webhook_outbox_due", "due_at"),
    # Without it SQLite gives the number of a deleted row to the next one.
    sqlite_autoincrement=True,
)


class Delivery(NamedTuple):
    """One event on its way to one webhook."""

    id: int
    webhook_id: UUID
    message_id: str
    event: str
    response_id: UUID | None
    body: str
    """Empty in a note: `notes.rebuild` writes it, unless this process has the announcement."""
    urgent: bool
    attempts: int
    created_at: float
    due_at: float


class Announcement(NamedTuple):
    """An event, ready to be written down."""

    event: str
    body: str
    urgent: bool
    response_id: UUID | None = None


def create(connection: Connection) -> None:
    """Create the table if it is missing, or what it lacks."""
    _METADATA.create_all(connection)
    known = {column["name"] for column in inspect(connection).get_columns(OUTBOX.name)}
    if "response_id" not in known:
        kind = OUTBOX.c.response_id.type.compile(connection.dialect)
        connection.execute(text(f"ALTER TABLE {OUTBOX.name} ADD COLUMN response_id {kind}"))


def put(
    session: Session, event: Announcement, webhooks: Sequence[UUID], now: float, due_at: float
) -> list[Delivery]:
    """Write one row for each webhook; one due later than now is claimed by the caller."""
    rows = [
        {
            "webhook_id": webhook,
            "message_id": f"msg_{secrets.token_urlsafe(16)}",
            "event": event.event,
            "response_id": event.response_id,
            "body": event.body,
            "urgent": event.urgent,
            "attempts": 0,
            "created_at": now,
            "due_at": due_at,
        }
        for webhook in webhooks
    ]
    written = session.execute(insert(OUTBOX).returning(*OUTBOX.c), rows)
    return [Delivery(*row) for row in written.all()]


async def claim(session: AsyncSession, now: float, limit: int) -> list[Delivery]:
    """Take up to `limit` deliveries that are due, answers before everything else."""
    due = select(OUTBOX.c.id).where(OUTBOX.c.due_at <= now)
    # Looking first keeps an idle server from writing to the database twice a second.
    if await session.scalar(due.limit(1)) is None:
        return []
    due = due.order_by(OUTBOX.c.urgent.desc(), OUTBOX.c.id).limit(limit)
    due = due.with_for_update(skip_locked=True)
    taken = update(OUTBOX).where(OUTBOX.c.id.in_(due.scalar_subquery()))
    taken = taken.values(due_at=now + LEASE_SECONDS).returning(*OUTBOX.c)
    rows = [Delivery(*row) for row in (await session.execute(taken)).all()]
    return sorted(rows, key=lambda row: (not row.urgent, row.id))


async def renew(session: AsyncSession, delivery: Delivery, now: float) -> Delivery | None:
    """Extend the caller's claim; None when another process has taken the delivery meanwhile."""
    due_at = now + LEASE_SECONDS
    extended = update(OUTBOX).where(OUTBOX.c.id == delivery.id, OUTBOX.c.due_at == delivery.due_at)
    changed = await session.execute(extended.values(due_at=due_at))
    return delivery._replace(due_at=due_at) if changed.rowcount else None


async def settle(session: AsyncSession, delivery: Delivery) -> None:
    """Forget a delivery: it arrived, or nobody wants it any more."""
    await session.execute(delete(OUTBOX).where(OUTBOX.c.id == delivery.id))


async def postpone(session: AsyncSession, delivery: Delivery, due_at: float, attempts: int) -> None:
    """Put a delivery back as it was sent, to be tried again at `due_at`."""
    again = update(OUTBOX).where(OUTBOX.c.id == delivery.id, OUTBOX.c.due_at == delivery.due_at)
    await session.execute(again.values(due_at=due_at, attempts=attempts, body=delivery.body))


async def listener(session: AsyncSession, webhook_id: UUID) -> Webhook | None:
    """Return the webhook if it still exists and is enabled."""
    webhook = await session.get(Webhook, webhook_id)
    return webhook if webhook is not None and webhook.enabled else None
