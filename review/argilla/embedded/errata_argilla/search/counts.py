"""Counts and extremes. In: a dataset, a person or a metadata property. Out: Argilla's metrics."""

from math import inf
from typing import Any
from uuid import UUID

import numpy as np
from argilla_server.enums import MetadataPropertyType
from argilla_server.models import MetadataProperty, Record, Response
from argilla_server.search_engine.base import (
    FloatMetadataMetrics,
    IntegerMetadataMetrics,
    MetadataMetrics,
    TermsMetrics,
)
from sqlalchemy import func, select, true
from sqlalchemy.ext.asyncio import AsyncSession

from errata_argilla.search.elements import explode


async def records_by_status(session: AsyncSession, dataset_id: UUID) -> dict[str, int]:
    """Count the records of a dataset: `total`, and each status that occurs."""
    counts = (
        select(Record.status, func.count())
        .where(Record.dataset_id == dataset_id)
        .group_by(Record.status)
    )
    return _with_total((await session.execute(counts)).all())


async def answers_by_status(
    session: AsyncSession, dataset_id: UUID, person: UUID
) -> dict[str, int]:
    """Count one person's answers in a dataset: `total`, and each status that occurs."""
    counts = (
        select(Response.status, func.count())
        .join(Record, Record.id == Response.record_id)
        .where(Record.dataset_id == dataset_id, Response.user_id == person)
        .group_by(Response.status)
    )
    return _with_total((await session.execute(counts)).all())


async def metadata(session: AsyncSession, found: MetadataProperty) -> MetadataMetrics:
    """Describe the values a metadata property has in its dataset."""
    elements = explode(session.get_bind().dialect.name, Record.metadata_, found.name)
    rows = select(Record.id).join(elements.rows, true())
    rows = rows.where(Record.dataset_id == found.dataset_id, elements.text.is_not(None))
    if found.type == MetadataPropertyType.terms:
        count = func.count().label("count")
        terms = rows.with_only_columns(elements.text, count).group_by(elements.text)
        found_terms = (await session.execute(terms.order_by(count.desc(), elements.text))).all()
        return TermsMetrics(
            total=sum(count for _, count in found_terms),
            values=[TermsMetrics.TermCount(term=term, count=count) for term, count in found_terms],
        )
    extremes = rows.with_only_columns(func.min(elements.written), func.max(elements.written))
    least, most = (await session.execute(extremes)).one()
    if found.type == MetadataPropertyType.integer:
        return IntegerMetadataMetrics(min=_integer(least), max=_integer(most))
    return FloatMetadataMetrics(min=_outward(least, -inf), max=_outward(most, inf))


def _with_total(rows: Any) -> dict[str, int]:
    counts = {status.value: count for status, count in rows}
    return {"total": sum(counts.values()), **counts}


def _outward(value: float | None, direction: float) -> float | None:
    """Round to 32 bits, as Argilla's clients are used to, but never past the value."""
    if value is None:
        return None
    rounded = np.float32(value)
    if (rounded - value) * direction < 0:
        rounded = np.nextafter(rounded, np.float32(direction))
    return float(rounded)


def _integer(value: float | None) -> int | None:
    return None if value is None else int(value)
