"""Records that lie near a vector. In: a vector and a condition on `records`. Out: ids with scores.

Every vector is compared: exact, and quick enough for what one machine reviews. The score is
Elasticsearch's for cosine similarity, from 0 for the opposite to 1 for the same direction.
"""

import asyncio
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import numpy as np
from argilla_server.models import Record, Vector
from argilla_server.search_engine.base import SearchResponseItem
from sqlalchemy import ColumnElement, Row, select
from sqlalchemy.ext.asyncio import AsyncSession


async def nearest(
    session: AsyncSession,
    settings_id: UUID,
    target: Sequence[float],
    where: Sequence[ColumnElement[bool]],
    among: set[UUID] | None,
) -> list[SearchResponseItem]:
    """Return all records that have a vector, the nearest first."""
    rows = (
        select(Record.id, Vector.value)
        .join(Vector, Vector.record_id == Record.id)
        .where(Vector.vector_settings_id == settings_id, *where)
        .order_by(Record.id)
    )
    found = (await session.execute(rows)).all()
    if among is not None:
        found = [row for row in found if row[0] in among]
    return await asyncio.to_thread(_rank, found, target) if found else []


def _rank(
    rows: Sequence[Row[tuple[UUID, list[Any]]]], target: Sequence[float]
) -> list[SearchResponseItem]:
    matrix = np.array([value for _, value in rows], dtype=np.float64)
    goal = np.asarray(target, dtype=np.float64)
    lengths = np.linalg.norm(matrix, axis=1) * np.linalg.norm(goal)
    # A vector of zeros has no direction; it counts as lying across.
    cosines = np.divide(matrix @ goal, lengths, out=np.zeros(len(rows)), where=lengths > 0)
    scores = (1 + cosines) / 2
    return [
        SearchResponseItem(record_id=rows[place][0], score=float(scores[place]))
        for place in np.argsort(-scores, kind="stable")
    ]
