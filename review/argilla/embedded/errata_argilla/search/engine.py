"""The class Argilla calls. In: Argilla's search-engine contract. Out: answers from its tables.

Argilla makes an instance per request, commits first and tells the engine afterwards; so the
database is always what the engine would have been told, and there is no state to keep.
"""

from collections.abc import Callable, Iterable
from contextlib import AbstractAsyncContextManager
from uuid import UUID

from argilla_server.database import AsyncSessionLocal
from argilla_server.enums import SimilarityOrder
from argilla_server.errors.future import UnprocessableEntityError
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
from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from errata_argilla.environment import SEARCH_ENGINE
from errata_argilla.search import counts, filters, orders, scopes


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
        if query is not None:
            raise UnprocessableEntityError("text cannot be searched")
        async with self.sessions() as session:
            known = await scopes.describe(session, dataset.id)
            matches = (Record.dataset_id == dataset.id, filters.condition(filter, known))
            if sort:
                order = orders.sorted_by(sort, known)
            elif user_id:
                order = orders.shuffled_for(user_id, known)
            else:
                order = orders.by_age()
            page = select(Record.id).where(*matches).order_by(*order).offset(offset).limit(limit)
            return SearchResponses(
                items=[
                    SearchResponseItem(record_id=record_id, score=1.0)
                    for record_id in await session.scalars(page)
                ],
                total=await session.scalar(
                    select(func.count()).select_from(Record).where(*matches)
                ),
            )

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
        raise UnprocessableEntityError("records cannot be searched by similarity")

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
