"""The class Argilla calls. In: Argilla's search-engine contract. Out: answers from its tables.

Argilla makes an instance per request, commits first and tells the engine afterwards; so the
database is always what the engine would have been told, and there is no state to keep.
"""

from collections.abc import Callable, Iterable
from contextlib import AbstractAsyncContextManager
from typing import Any
from uuid import UUID

from argilla_server.database import AsyncSessionLocal
from argilla_server.enums import SimilarityOrder
from argilla_server.models import (
    Dataset,
    MetadataProperty,
    Record,
    Response,
    Suggestion,
    User,
    VectorSettings,
)
from argilla_server.search_engine.base import (
    Filter,
    MetadataMetrics,
    Order,
    SearchEngine,
    SearchResponseItem,
    SearchResponses,
    TextQuery,
)
from sqlalchemy import ColumnElement, func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from errata_argilla.environment import SEARCH_ENGINE
from errata_argilla.search import counts, filters, orders, scopes, vectors
from errata_argilla.search import text as texts


class SqlSearchEngine(SearchEngine):
    """Argilla's search engine without an index."""

    sessions: Callable[[], AbstractAsyncContextManager[AsyncSession]] = AsyncSessionLocal

    @classmethod
    async def new_instance(cls) -> "SqlSearchEngine":
        return cls()

    async def close(self) -> None:
        """Nothing is held between calls."""

    async def ping(self) -> bool:
        async with self.sessions() as session:
            return await session.scalar(text("SELECT 1")) == 1

    async def info(self) -> dict[str, str]:
        async with self.sessions() as session:
            return {"name": SEARCH_ENGINE, "database": session.get_bind().dialect.name}

    async def search(
        self,
        dataset: Dataset,
        query: TextQuery | str | None = None,
        filter: Filter | None = None,
        sort: list[Order] | None = None,
        offset: int = 0,
        limit: int = 100,
        user_id: UUID | None = None,
    ) -> SearchResponses:
        """Find records; `total` counts all that match, whatever the page."""
        async with self.sessions() as session:
            known = await scopes.describe(session, dataset.id)
            where = [Record.dataset_id == dataset.id, filters.condition(filter, known)]
            order = _order(sort, user_id, known, by_score=query is not None)
            if query is None:
                return await _page(session, where, order, offset, limit)
            found = await texts.matches(session, known, query, where, order)
        if not sort:
            found.sort(key=lambda item: -item.score)
        return SearchResponses(items=found[offset : offset + limit], total=len(found))

    async def get_dataset_progress(self, dataset: Dataset) -> dict[str, int]:
        if dataset.is_draft:
            return {}
        async with self.sessions() as session:
            return await counts.records_by_status(session, dataset.id)

    async def get_dataset_user_progress(self, dataset: Dataset, user: User) -> dict[str, int]:
        if dataset.is_draft:
            return {}
        async with self.sessions() as session:
            return await counts.answers_by_status(session, dataset.id, user.id)

    async def compute_metrics_for(self, metadata_property: MetadataProperty) -> MetadataMetrics:
        async with self.sessions() as session:
            return await counts.metadata(session, metadata_property)

    async def similarity_search(
        self,
        dataset: Dataset,
        vector_settings: VectorSettings,
        value: list[float] | None = None,
        record: Record | None = None,
        query: TextQuery | str | None = None,
        filter: Filter | None = None,
        max_results: int = 100,
        order: SimilarityOrder = SimilarityOrder.most_similar,
        threshold: float | None = None,
    ) -> SearchResponses:
        """Find the records whose vectors lie nearest to, or farthest from, a vector."""
        if bool(value) == bool(record):
            raise ValueError(
                "Must provide either vector value or record to compute the similarity search"
            )
        target = value or record.vector_value_by_vector_settings(vector_settings)
        if not target:
            raise ValueError("Cannot find a vector value to apply with provided info")
        if order == SimilarityOrder.least_similar:
            target = [-part for part in target]
        async with self.sessions() as session:
            known = await scopes.describe(session, dataset.id)
            where = [Record.dataset_id == dataset.id, filters.condition(filter, known)]
            among = None
            if query is not None:
                held = await texts.matches(session, known, query, where, orders.by_age())
                among = {item.record_id for item in held}
            if record is not None:
                where.append(Record.id != record.id)
            found = await vectors.nearest(session, vector_settings.id, target, where, among)
        nearest = found[:max_results]
        if threshold is not None:
            nearest = [item for item in nearest if item.score >= threshold]
        return SearchResponses(items=nearest, total=len(nearest))

    # What would feed an index: Argilla has already committed all of it when it calls.

    async def create_index(self, dataset: Dataset) -> None: ...

    async def delete_index(self, dataset: Dataset) -> None: ...

    async def configure_metadata_property(
        self, dataset: Dataset, metadata_property: MetadataProperty
    ) -> None: ...

    async def configure_index_vectors(self, vector_settings: VectorSettings) -> None: ...

    async def index_records(self, dataset: Dataset, records: Iterable[Record]) -> None: ...

    async def partial_record_update(self, record: Record, **update: object) -> None: ...

    async def delete_records(self, dataset: Dataset, records: Iterable[Record]) -> None: ...

    async def update_record_response(self, response: Response) -> None: ...

    async def delete_record_response(self, response: Response) -> None: ...

    async def update_record_suggestion(self, suggestion: Suggestion) -> None: ...

    async def delete_record_suggestion(self, suggestion: Suggestion) -> None: ...


def _order(
    sort: list[Order] | None, user_id: UUID | None, known: scopes.Dataset, by_score: bool
) -> list[ColumnElement[Any]]:
    if sort:
        return orders.sorted_by(sort, known)
    # What was searched for comes best first, whoever searches.
    return orders.by_age() if by_score or not user_id else orders.shuffled_for(user_id, known)


async def _page(
    session: AsyncSession,
    where: list[ColumnElement[bool]],
    order: list[ColumnElement[Any]],
    offset: int,
    limit: int,
) -> SearchResponses:
    page = select(Record.id).where(*where).order_by(*order).offset(offset).limit(limit)
    items = [SearchResponseItem(record_id=id_, score=1.0) for id_ in await session.scalars(page)]
    total = await session.scalar(select(func.count()).select_from(Record).where(*where))
    return SearchResponses(items=items, total=total)


def register() -> None:
    """Make the engine known to Argilla in this process: each process has to."""
    SearchEngine.register(SEARCH_ENGINE)(SqlSearchEngine)
