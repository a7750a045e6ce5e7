"""The class Argilla calls. In: Argilla's search-engine contract. Out: answers from its tables.

Argilla makes an instance per request, commits first and tells the engine afterwards; so the
database is always what the engine would have been told, and there is no state to keep.
"""

from collections.abc import Callable, Iterable
from contextlib import AbstractAsyncContextManager
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
    SearchResponses,
    TextQuery,
)
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from errata_argilla.environment import SEARCH_ENGINE
from errata_argilla.search import counts, filters, numbers, orders, pages, scopes, vectors, wordbook
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
            wanted = filters.wanted(filter, known)
            order = orders.sorted_by(sort or [], known)
            if query is not None:
                # What was searched for comes best first, whoever searches.
                page = texts.Page(order, not sort, offset, limit)
                return await texts.matches(session, known, query, wanted.whole, page)
            if sort or not user_id:
                head = numbers.in_order(filter, sort or [], known)
                return await pages.ordered(session, wanted, order, head, offset, limit)
            return await pages.circular(session, wanted, orders.start_for(user_id), offset, limit)

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
            where = filters.wanted(filter, known).whole
            among = None
            if query is not None:
                page = texts.Page(orders.sorted_by([], known), by_score=False, offset=0, limit=None)
                held = await texts.matches(session, known, query, where, page)
                among = {item.record_id for item in held.items}
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


def register() -> None:
    """Make the engine known to Argilla in this process: each process has to."""
    SearchEngine.register(SEARCH_ENGINE)(SqlSearchEngine)
    wordbook.keep()
