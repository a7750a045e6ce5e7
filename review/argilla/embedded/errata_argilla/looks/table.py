"""The table of first looks. In: records, a person, a time. Out: rows; the earliest time wins."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from argilla_server.models import Dataset, Record, User, WorkspaceUser
from sqlalchemy import (
    Column,
    Connection,
    DateTime,
    ForeignKey,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Uuid,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession

_METADATA = MetaData()

LOOKS = Table(
    "errata_looks",
    _METADATA,
    Column("record_id", Uuid, ForeignKey(Record.__table__.c.id, ondelete="CASCADE")),
    Column("user_id", Uuid, ForeignKey(User.__table__.c.id, ondelete="CASCADE"), index=True),
    Column("opened_at", DateTime, nullable=False),
    Column("first_action_at", DateTime),
    PrimaryKeyConstraint("record_id", "user_id"),
)

_INSERT = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}


class Look(NamedTuple):
    """One person's first look at one record; times are UTC, as Argilla stores them."""

    record_id: UUID
    user_id: UUID
    opened_at: datetime
    first_action_at: datetime | None


def create(connection: Connection) -> None:
    """Create the table if it is missing."""
    _METADATA.create_all(connection)


async def visible(session: AsyncSession, person: User, records: Sequence[UUID]) -> list[UUID]:
    """Return those of the records that this person may see."""
    query = select(Record.id).where(Record.id.in_(records))
    if not person.is_owner:
        query = (
            query.join(Dataset, Dataset.id == Record.dataset_id)
            .join(WorkspaceUser, WorkspaceUser.workspace_id == Dataset.workspace_id)
            .where(WorkspaceUser.user_id == person.id)
        )
    return list(await session.scalars(query))


async def note(
    session: AsyncSession, person: User, records: Sequence[UUID], now: datetime, acted: bool
) -> None:
    """Keep the time of a first look and, if the person acted, of their first action."""
    row = {"user_id": person.id, "opened_at": now, "first_action_at": now if acted else None}
    rows = [{"record_id": record, **row} for record in records]
    if not rows:
        return
    written = _INSERT[session.get_bind().dialect.name](LOOKS).values(rows)
    if acted:
        written = written.on_conflict_do_update(
            index_elements=[LOOKS.c.record_id, LOOKS.c.user_id],
            set_={"first_action_at": now},
            where=LOOKS.c.first_action_at.is_(None),
        )
    else:
        written = written.on_conflict_do_nothing()
    await session.execute(written)


async def read(session: AsyncSession, records: Sequence[UUID]) -> list[Look]:
    """Return everybody's looks at these records, the earliest first."""
    query = select(LOOKS).where(LOOKS.c.record_id.in_(records))
    query = query.order_by(LOOKS.c.opened_at, LOOKS.c.user_id)
    return [Look(*row) for row in (await session.execute(query)).all()]
