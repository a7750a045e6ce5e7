"""A stand-in for the Elasticsearch client of Argilla's tests. In: documents. Out: rows, documents.

The tests write some documents past the engine and read some back. Ours has no documents but the
rows of the database: what is written here becomes rows before the next search, and what is read
is made from the rows after the engine's last call.
"""

from collections.abc import Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID, uuid4

from argilla_server.models import Dataset, Field, Record, Response, Suggestion, User, Vector
from argilla_server.search_engine.base import SearchResponses
from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import selectinload

from errata_argilla.search.engine import SqlSearchEngine

Document = dict[str, Any]


class _Indices:
    """The client's index calls, which have nothing to do here."""

    def create(self, **_: object) -> None: ...

    def refresh(self, **_: object) -> None: ...

    def delete(self, **_: object) -> None: ...


class _Catalogue:
    def indices(self, **_: object) -> list[object]:
        return []


class Raw:
    """The client."""

    def __init__(self, **_: object) -> None:
        self.indices = _Indices()
        self.cat = _Catalogue()
        self.answers: dict[str, list[Document]] = {}
        self.texts: dict[str, Document] = {}
        self.documents: dict[str, Document] = {}

    def bulk(self, actions: Iterable[Document]) -> None:
        """Keep the fields of documents."""
        self.texts |= {str(action["_id"]): action["fields"] for action in actions}

    def update(self, _index: str, id: UUID, body: Document) -> None:
        """Keep the answers of a document."""
        self.answers[str(id)] = body["doc"]["responses"]

    def get(self, index: str, id: UUID) -> Document:  # noqa: ARG002
        """Read one document."""
        known = self.documents.get(str(id), {})
        answers = self.answers.get(str(id), known.get("responses", []))
        return {"_source": {**known, "responses": answers}}

    def search(self, index: str, body: Document | None = None) -> Document:  # noqa: ARG002
        """Read all documents, or those with certain ids."""
        ids = body["query"]["ids"]["values"] if body else list(self.documents)
        found = [self.documents[each] for each in ids if each in self.documents]
        return {"hits": {"hits": [{"_source": document} for document in found]}}


class Tested(SqlSearchEngine):
    """Our engine; what Argilla does to its database around each call is done here."""

    def __init__(self, raw: Raw, session: Callable[[], AsyncSession]) -> None:
        self._raw = raw
        self._session = session

    @asynccontextmanager
    async def sessions(self) -> Any:
        yield self._session()

    async def search(self, dataset: Dataset, *given: Any, **named: Any) -> SearchResponses:
        await self._write(dataset)
        return await super().search(dataset, *given, **named)

    async def similarity_search(
        self, dataset: Dataset, *given: Any, **named: Any
    ) -> SearchResponses:
        await self._write(dataset)
        return await super().similarity_search(dataset, *given, **named)

    async def index_records(self, dataset: Dataset, records: Iterable[Record]) -> None:
        await super().index_records(dataset, records)
        await self._read(dataset.id)

    async def delete_records(self, dataset: Dataset, records: Iterable[Record]) -> None:
        gone = [record.id for record in records]
        await self._session().execute(delete(Record).where(Record.id.in_(gone)))
        await super().delete_records(dataset, records)
        await self._read(dataset.id)

    async def update_record_response(self, response: Response) -> None:
        await super().update_record_response(response)
        await self._read(response.record.dataset_id)

    async def delete_record_response(self, response: Response) -> None:
        await self._session().execute(delete(Response).where(Response.id == response.id))
        await super().delete_record_response(response)
        await self._read(response.record.dataset_id)

    async def _bulk_op_request(self, _actions: Iterable[Document]) -> None:
        """The tests have written the vectors as rows, too."""

    async def _write(self, dataset: Dataset) -> None:
        session = self._session()
        await self._write_texts(session, dataset)
        taken: set[tuple[str, str]] = set()
        for record, answers in self._raw.answers.items():
            await session.execute(delete(Response).where(Response.record_id == UUID(record)))
            for answer in answers:
                person = answer["user_id"]
                if (record, person) in taken:
                    # A document may hold two answers of one person, a table may not.
                    person = await self._somebody(session)
                taken.add((record, person))
                session.add(
                    Response(
                        id=UUID(answer["id"]),
                        record_id=UUID(record),
                        user_id=UUID(person),
                        status=answer["status"],
                        values={"rating": {"value": answer["rating"]}},
                    )
                )
        await session.flush()

    async def _write_texts(self, session: AsyncSession, dataset: Dataset) -> None:
        if not self._raw.texts:
            return
        known = set(await session.scalars(select(Field.name).where(Field.dataset_id == dataset.id)))
        for name in {name for fields in self._raw.texts.values() for name in fields} - known:
            field = Field(name=name, title=name, settings={"type": "text"}, dataset_id=dataset.id)
            session.add(field)
        await session.flush()
        for record, fields in self._raw.texts.items():
            (await session.get_one(Record, UUID(record))).fields = fields
        await session.flush()

    async def _somebody(self, session: AsyncSession) -> str:
        name = uuid4().hex
        person = User(first_name=name, username=name, password_hash=name, api_key=name)
        session.add(person)
        await session.flush()
        return str(person.id)

    async def _read(self, dataset: UUID) -> None:
        """Make a document of each record, as Argilla's index would hold it."""
        query = select(Record).where(Record.dataset_id == dataset).order_by(Record.inserted_at)
        query = query.options(
            selectinload(Record.dataset).selectinload(Dataset.fields),
            selectinload(Record.dataset).selectinload(Dataset.metadata_properties),
            selectinload(Record.suggestions).selectinload(Suggestion.question),
            selectinload(Record.vectors).selectinload(Vector.vector_settings),
            selectinload(Record.responses),
        )
        ours = self._session()
        await ours.flush()
        # Another session on the same connection: the tests' own objects must stay as they are.
        async with AsyncSession(bind=ours.bind) as session:
            found = (await session.scalars(query)).all()
            self._raw.documents = {str(record.id): _document(record) for record in found}


def _document(record: Record) -> Document:
    texts = {field.name for field in record.dataset.fields if not field.is_image}
    known = {found.name for found in record.dataset.metadata_properties}
    metadata = {name: value for name, value in (record.metadata_ or {}).items() if name in known}
    parts = ("type", "agent", "score", "value")
    optional = {
        "metadata": metadata,
        "suggestions": {
            each.question.name: {part: getattr(each, part) for part in parts}
            for each in record.suggestions
        },
        "vectors": {str(each.vector_settings_id): each.value for each in record.vectors},
        "responses": [_answer(each) for each in record.responses],
    }
    return {
        "id": str(record.id),
        "external_id": record.external_id,
        "status": record.status,
        "fields": {name: value for name, value in record.fields.items() if name in texts},
        "inserted_at": record.inserted_at.isoformat(),
        "updated_at": record.updated_at.isoformat(),
        **{name: value for name, value in optional.items() if value},
    }


def _answer(response: Response) -> Document:
    values = {name: value["value"] for name, value in (response.values or {}).items()}
    person = str(response.user_id)
    return {"id": str(response.id), "status": response.status, "user_id": person, **values}
