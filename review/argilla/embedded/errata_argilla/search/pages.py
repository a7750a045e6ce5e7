"""Pages of records. In: a condition and an order. Out: the ids of one page, and how many there are."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from argilla_server.models import Record
from argilla_server.search_engine.base import SearchResponseItem, SearchResponses
from sqlalchemy import ColumnElement, func, select
from sqlalchemy.ext.asyncio import AsyncSession


async def ordered(
    session: AsyncSession,
    where: Sequence[ColumnElement[bool]],
    order: Sequence[ColumnElement[Any]],
    offset: int,
    limit: int,
) -> SearchResponses:
    """Take a page of an order."""
    page = select(Record.id).where(*where).order_by(*order).offset(offset).limit(limit)
    ids = list(await session.scalars(page))
    total = await session.scalar(select(func.count()).select_from(Record).where(*where))
    return _page(ids, total)


async def circular(
    session: AsyncSession,
    where: Sequence[ColumnElement[bool]],
    start: UUID,
    offset: int,
    limit: int,
) -> SearchResponses:
    """Take a page of the records in a circle by id, from a start on."""
    here, past = Record.id >= start, Record.id < start
    counts = select(func.count(), func.count().filter(here)).select_from(Record).where(*where)
    total, until_end = (await session.execute(counts)).one()
    ids = select(Record.id).where(*where).order_by(Record.id)
    found: list[UUID] = []
    if offset < until_end:
        found += await session.scalars(ids.where(here).offset(offset).limit(limit))
    if len(found) < limit:
        rest = ids.where(past).offset(max(0, offset - until_end)).limit(limit - len(found))
        found += await session.scalars(rest)
    return _page(found, total)


def _page(ids: Sequence[UUID], total: int | None) -> SearchResponses:
    items = [SearchResponseItem(record_id=id_, score=1.0) for id_ in ids]
    return SearchResponses(items=items, total=total)
