"""Pages of records. In: what is wanted and an order. Out: the ids of one page, and the total."""

from collections.abc import Sequence
from typing import Any, NamedTuple
from uuid import UUID

from argilla_server.models import Record
from argilla_server.search_engine.base import SearchResponseItem, SearchResponses
from sqlalchemy import ColumnElement, Select, func, not_, select
from sqlalchemy.ext.asyncio import AsyncSession

HEAD = 20
"""A page lies at the head of a queue if the queue is so many times as long as its way to the end
of the page. Reading to a page further down takes as long as sorting."""


class Wanted(NamedTuple):
    """Which records are wanted."""

    where: Sequence[ColumnElement[bool]]
    """What must hold."""
    but: ColumnElement[bool] | None = None
    """What must not. Few records are left out of a queue, and they are counted sooner."""

    @property
    def whole(self) -> list[ColumnElement[bool]]:
        """Both, as conditions that must hold."""
        return [*self.where] if self.but is None else [*self.where, not_(self.but)]

    def count(self, *counts: ColumnElement[int]) -> Select[Any]:
        """Select counts of the records that are wanted."""
        columns = [each.label(f"count{place}") for place, each in enumerate(counts)]
        query = select(*columns).select_from(Record).where(*self.where)
        if self.but is None:
            return query
        # One statement, so that both are counted at the same moment.
        every, left_out = query.subquery(), query.where(self.but).subquery()
        return select(*(a - b for a, b in zip(every.c, left_out.c, strict=True)))


async def ordered(
    session: AsyncSession,
    wanted: Wanted,
    order: Sequence[ColumnElement[Any]],
    head: Select[Any] | None,
    offset: int,
    limit: int,
) -> SearchResponses:
    """Take a page of an order.

    Args:
        session: Where to ask.
        wanted: The records that are in the order.
        order: What to sort them by.
        head: What finds those that come first without sorting; see `numbers`.
        offset: How many to pass over.
        limit: How many to take.
    """
    total = await session.scalar(wanted.count(func.count()))
    sort = select(Record.id).order_by(*order)
    near = head is not None and (offset + limit) * HEAD <= total
    for query in (head, sort) if near else (sort,):
        page = query.where(*wanted.whole).offset(offset).limit(limit)
        ids = list(await session.scalars(page))
        if len(ids) == limit:
            break
    return _page(ids, total)


async def circular(
    session: AsyncSession,
    wanted: Wanted,
    start: UUID,
    offset: int,
    limit: int,
) -> SearchResponses:
    """Take a page of the records in a circle by id, from a start on."""
    here, past = Record.id >= start, Record.id < start
    counts = wanted.count(func.count(), func.count().filter(here))
    total, until_end = (await session.execute(counts)).one()
    ids = select(Record.id).where(*wanted.whole).order_by(Record.id)
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
