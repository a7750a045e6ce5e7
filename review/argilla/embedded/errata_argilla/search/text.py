"""Records that hold a text. In: a query and a condition on `records`. Out: ids with scores.

The database selects by filters and by words every match must contain; the rest is decided here,
record by record, so that both databases find the same.
"""

import asyncio
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from argilla_server.models import Record
from argilla_server.search_engine.base import SearchResponseItem, TextQuery
from sqlalchemy import ColumnElement, Row, Text, cast, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from errata_argilla.search import words
from errata_argilla.search.matching import required, score
from errata_argilla.search.query import Query, parse
from errata_argilla.search.scopes import Dataset

BATCH = 500
"""Records looked at between two looks at the other requests."""


async def matches(
    session: AsyncSession,
    known: Dataset,
    wanted: TextQuery | str,
    where: Sequence[ColumnElement[bool]],
    order: Sequence[ColumnElement[Any]],
) -> list[SearchResponseItem]:
    """Find the records that hold the text, in the given order."""
    wanted = TextQuery(q=wanted) if isinstance(wanted, str) else wanted
    fields = {wanted.field: known.field(wanted.field)} if wanted.field else known.texts
    query = parse(wanted.q)
    if query is None:
        return []
    stored = func.lower(cast(Record.fields, Text))
    contains = [stored.contains(part, autoescape=True) for part in sorted(required(query))]
    rows = select(Record.id, Record.fields).where(*where, *contains).order_by(*order)
    found: list[SearchResponseItem] = []
    stream = await session.stream(rows.execution_options(yield_per=BATCH))
    async for batch in stream.partitions(BATCH):
        # In a thread, so that the server answers others meanwhile.
        found += await asyncio.to_thread(_select, batch, fields, query)
    return found


def _select(
    batch: Sequence[Row[tuple[UUID, dict[str, Any]]]], fields: dict[str, str], query: Query
) -> list[SearchResponseItem]:
    found = []
    for record_id, values in batch:
        passages = [
            passage
            for name, kind in fields.items()
            for passage in (words.chat if kind == "chat" else words.passages)(values.get(name))
        ]
        if (points := score(passages, query)) is not None:
            found.append(SearchResponseItem(record_id=record_id, score=points))
    return found
