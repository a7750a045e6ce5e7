"""Records that hold a text. In: a query and a condition on `records`. Out: ids with scores.

The database's index finds them, in pages. Where it cannot tell exactly, or has not been told of a
record, the words themselves are looked at, record by record, and all that fit are found at once.
"""

import asyncio
from collections.abc import Sequence
from typing import Any, NamedTuple
from uuid import UUID

from argilla_server.models import Record
from argilla_server.search_engine.base import SearchResponseItem, SearchResponses, TextQuery
from sqlalchemy import (
    ColumnElement,
    Float,
    Row,
    Select,
    case,
    cast,
    column,
    exists,
    func,
    literal_column,
    or_,
    select,
    table,
)
from sqlalchemy.dialects.postgresql import TSQUERY
from sqlalchemy.ext.asyncio import AsyncSession

from errata_argilla.search import lookup, words
from errata_argilla.search.lookup import Lookup
from errata_argilla.search.matching import score
from errata_argilla.search.query import Query, parse
from errata_argilla.search.scopes import Dataset
from errata_argilla.search.wordbook import BOOK

BATCH = 500
"""Records looked at between two looks at the other requests."""

_SQLITE = table("errata_words_index", column("rowid"), column("rank", Float))


class Page(NamedTuple):
    """Which of the found records are wanted, and in which order."""

    order: Sequence[ColumnElement[Any]]
    by_score: bool
    offset: int
    limit: int | None


async def matches(
    session: AsyncSession,
    known: Dataset,
    wanted: TextQuery | str,
    where: Sequence[ColumnElement[bool]],
    page: Page,
) -> SearchResponses:
    """Find the records that hold the text; `total` counts all, whatever the page."""
    wanted = TextQuery(q=wanted) if isinstance(wanted, str) else wanted
    fields = {wanted.field: known.field(wanted.field)} if wanted.field else known.texts
    query = parse(wanted.q)
    if query is None:
        return SearchResponses(items=[], total=0)
    everywhere = len(fields) == len(known.texts)
    said = lookup.compile(query, known.id, known.dialect, everywhere)
    unread = await session.scalar(_unread(known))
    if said.exact and not unread:
        return await _from_index(session, known, said, where, page)
    reader = _Reader(query, {known.fields[name].id: name for name in fields}, known)
    found = await reader.read(session, _candidates(known, said, unread).where(*where), page.order)
    if page.by_score:
        found.sort(key=lambda item: -item.score)
    end = None if page.limit is None else page.offset + page.limit
    return SearchResponses(items=found[page.offset : end], total=len(found))


def _unread(known: Dataset) -> Select[tuple[bool]]:
    rows = select(BOOK.c.number).join(Record, Record.id == BOOK.c.record_id)
    return select(exists(rows.where(BOOK.c.line.is_(None), Record.dataset_id == known.id)))


async def _from_index(
    session: AsyncSession,
    known: Dataset,
    said: Lookup,
    where: Sequence[ColumnElement[bool]],
    page: Page,
) -> SearchResponses:
    if known.dialect == "sqlite":
        points = -_SQLITE.c.rank
        # The sum keeps SQLite from asking the index anew for each record.
        rows = (
            select(Record.id).select_from(_SQLITE).join(BOOK, BOOK.c.number == _SQLITE.c.rowid + 0)
        )
    else:
        # 1: long texts count for less, by the logarithm of their length.
        points = func.ts_rank(BOOK.c.sought, cast(said.expression, TSQUERY), 1)
        rows = select(Record.id).select_from(BOOK)
    rows = rows.join(Record, Record.id == BOOK.c.record_id)
    rows = rows.where(_fits(known.dialect, said), *where)
    order = [points.desc(), *page.order] if page.by_score else page.order
    total = func.count().over()
    wanted = rows.add_columns(points, total).order_by(*order).offset(page.offset).limit(page.limit)
    found = (await session.execute(wanted)).all()
    items = [SearchResponseItem(record_id=id_, score=each) for id_, each, _ in found]
    if found:
        return SearchResponses(items=items, total=found[0][-1])
    # Nothing on this page does not mean nothing on the others.
    counted = await session.scalar(rows.with_only_columns(func.count()))
    return SearchResponses(items=[], total=counted)


def _fits(dialect: str, said: Lookup) -> ColumnElement[bool]:
    if dialect == "sqlite":
        return literal_column(_SQLITE.name).op("MATCH")(said.expression)
    return BOOK.c.sought.op("@@")(cast(said.expression, TSQUERY))


def _candidates(known: Dataset, said: Lookup, unread: bool) -> Select[Any]:
    """Select what the index finds, and what it has not been told of."""
    fits = _fits(known.dialect, said)
    if known.dialect == "sqlite":
        fits = BOOK.c.number.in_(select(_SQLITE.c.rowid).where(fits))
    if unread:
        fits = or_(fits, BOOK.c.line.is_(None))
    fields = case((BOOK.c.line.is_(None), Record.fields))
    return (
        select(Record.id, BOOK.c.line, fields).join(BOOK, BOOK.c.record_id == Record.id).where(fits)
    )


class _Reader:
    """Looks at records one by one."""

    def __init__(self, query: Query, fields: dict[UUID, str], known: Dataset) -> None:
        self._query = query
        self._fields = fields
        self._known = known

    async def read(
        self, session: AsyncSession, rows: Select[Any], order: Sequence[ColumnElement[Any]]
    ) -> list[SearchResponseItem]:
        found: list[SearchResponseItem] = []
        stream = await session.stream(rows.order_by(*order).execution_options(yield_per=BATCH))
        async for batch in stream.partitions(BATCH):
            # In a thread, so that the server answers others meanwhile.
            found += await asyncio.to_thread(self._select, batch)
        return found

    def _select(self, batch: Sequence[Row[Any]]) -> list[SearchResponseItem]:
        found = []
        for record_id, line, values in batch:
            passages = (
                self._passages(values) if line is None else words.read_again(line, self._fields)
            )
            if (points := score(passages, self._query)) is not None:
                found.append(SearchResponseItem(record_id=record_id, score=points))
        return found

    def _passages(self, values: dict[str, Any]) -> list[words.Passage]:
        return [
            passage
            for name in self._fields.values()
            for passage in words.read(self._known.texts[name], values.get(name))
        ]
