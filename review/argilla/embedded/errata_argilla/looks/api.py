"""`/api/v1/errata/looks`. In: reports of the review page. Out: the table's rows, to the owner.

The server's clock counts, which is also the clock of Argilla's answers; a report carries no time.
Who could not see a record can say nothing about it, and nobody hears whether a record exists.
"""

import time
from collections import OrderedDict
from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

from argilla_server.api.routes import api_v1
from argilla_server.database import get_async_db
from argilla_server.errors import ForbiddenOperationError
from argilla_server.models import User
from argilla_server.security import auth
from fastapi import APIRouter, Depends, HTTPException, Query, Security, status
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.ext.asyncio import AsyncSession

from errata_argilla.looks import table

MOST_RECORDS = 100
"""Records in one request; Argilla's bulk view shows as many at most."""

PER_MINUTE = 120
"""Reports one person may send: each record makes two, and nobody decides one every second."""

REMEMBERED = 10_000
"""People whose reports are counted; the one longest silent is forgotten."""

Person = Annotated[User, Security(auth.get_current_user)]
Database = Annotated[AsyncSession, Depends(get_async_db)]


class Report(BaseModel):
    """What a page reports: these records are on the screen, or were just touched."""

    model_config = ConfigDict(extra="forbid")

    record_ids: list[UUID] = Field(min_length=1, max_length=MOST_RECORDS)
    acted: bool = False


class Shown(BaseModel):
    """One person's first look at one record."""

    record_id: UUID
    user_id: UUID
    opened_at: datetime
    first_action_at: datetime | None


class Looks(BaseModel):
    """What the owner reads."""

    items: list[Shown]


class Allowance:
    """Reports left to each person: `PER_MINUTE` at once, and as many again in a minute."""

    def __init__(self) -> None:
        self._left: OrderedDict[UUID, tuple[float, float]] = OrderedDict()

    def take(self, person: UUID, now: float) -> bool:
        """Use one up; false if there is none."""
        left, since = self._left.pop(person, (float(PER_MINUTE), now))
        left = min(PER_MINUTE, left + (now - since) * PER_MINUTE / 60)
        allowed = left >= 1
        self._left[person] = (left - allowed, now)
        if len(self._left) > REMEMBERED:
            self._left.popitem(last=False)
        return allowed


def offer() -> None:
    """Add the two routes to Argilla's API."""
    router, allowance = APIRouter(), Allowance()

    @router.post("/errata/looks", status_code=status.HTTP_204_NO_CONTENT)
    async def report(session: Database, person: Person, body: Report) -> None:
        if not allowance.take(person.id, time.monotonic()):
            raise HTTPException(status.HTTP_429_TOO_MANY_REQUESTS, "Too many reports")
        seen = await table.visible(session, person, list(dict.fromkeys(body.record_ids)))
        await table.note(session, person, seen, datetime.now(UTC).replace(tzinfo=None), body.acted)
        await session.commit()

    @router.get("/errata/looks")
    async def read(
        session: Database,
        person: Person,
        record_id: Annotated[list[UUID], Query(min_length=1, max_length=MOST_RECORDS)],
    ) -> Looks:
        if not person.is_owner:
            raise ForbiddenOperationError("Only an owner may read when people looked")
        return Looks(items=[_shown(look) for look in await table.read(session, record_id)])

    api_v1.include_router(router)


def _shown(look: table.Look) -> Shown:
    first = look.first_action_at
    return Shown(
        record_id=look.record_id,
        user_id=look.user_id,
        opened_at=look.opened_at.replace(tzinfo=UTC),
        first_action_at=first and first.replace(tzinfo=UTC),
    )
