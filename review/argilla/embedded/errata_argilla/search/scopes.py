"""What a filter or an order speaks about. In: Argilla's scopes. Out: the JSON values behind them.

A scope names a metadata property, a suggestion, an answer or a column of the record. The first
three live in JSON, and whether they compare as numbers depends on the dataset's settings.
"""

from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID

from argilla_server.errors.future import UnprocessableEntityError
from argilla_server.models import Field, MetadataProperty, Question, Record, Response, Suggestion
from argilla_server.search_engine.base import (
    MetadataFilterScope,
    ResponseFilterScope,
    SuggestionFilterScope,
)
from sqlalchemy import ColumnElement, and_, select, true
from sqlalchemy.ext.asyncio import AsyncSession

from errata_argilla.search.elements import Elements, explode

NUMBERS = frozenset({"integer", "float", "rating"})
"""Types of metadata properties and questions whose values are numbers."""


class Setting(NamedTuple):
    """A field, question or metadata property of the dataset."""

    id: UUID
    type: str


@dataclass(frozen=True)
class Dataset:
    """What compiling a search needs to know."""

    id: UUID
    dialect: str
    metadata: dict[str, Setting]
    questions: dict[str, Setting]
    fields: dict[str, Setting]

    @property
    def texts(self) -> dict[str, str]:
        """The fields that hold words, with their types."""
        return {name: each.type for name, each in self.fields.items() if each.type != "image"}

    def field(self, name: str) -> str:
        """Return the type of a field, or refuse the search."""
        return _find(self.fields, name, "field").type

    def metadata_property(self, name: str) -> Setting:
        """Return a metadata property, or refuse the search."""
        return _find(self.metadata, name, "metadata property")

    def question(self, name: str) -> Setting:
        """Return a question, or refuse the search."""
        return _find(self.questions, name, "question")


class Values(NamedTuple):
    """The JSON values a scope stands for, and the table row they lie in."""

    elements: Elements
    table: type[Suggestion] | type[Response] | None
    """The table beside `records` that holds the document, if it is not `records` itself."""
    where: ColumnElement[bool]
    """Which of its rows are meant."""
    numeric: bool


async def describe(session: AsyncSession, dataset_id: UUID) -> Dataset:
    """Read the names and types a search of this dataset may use."""
    return Dataset(
        id=dataset_id,
        dialect=session.get_bind().dialect.name,
        metadata=await _settings(session, MetadataProperty, dataset_id),
        questions=await _settings(session, Question, dataset_id),
        fields=await _settings(session, Field, dataset_id),
    )


def values_of(
    scope: MetadataFilterScope | SuggestionFilterScope | ResponseFilterScope, dataset: Dataset
) -> Values:
    """Locate the JSON values of a scope for the record of the enclosing query."""
    match scope:
        case MetadataFilterScope(metadata_property=name):
            setting = dataset.metadata_property(name)
            elements = explode(dataset.dialect, Record.metadata_, name)
            return Values(elements, None, true(), setting.type in NUMBERS)
        case SuggestionFilterScope(question=name, property=part):
            setting = dataset.question(name)
            document = Suggestion.score if part == "score" else Suggestion.value
            where = and_(Suggestion.record_id == Record.id, Suggestion.question_id == setting.id)
            numeric = part == "score" or setting.type in NUMBERS
            return Values(explode(dataset.dialect, document), Suggestion, where, numeric)
        case ResponseFilterScope(question=str(name)):
            setting = dataset.question(name)
            elements = explode(dataset.dialect, Response.values, name, "value")
            return Values(elements, Response, answers_of(scope), setting.type in NUMBERS)
        case other:
            raise UnprocessableEntityError(f"cannot search by {other}")


def answers_of(scope: ResponseFilterScope) -> ColumnElement[bool]:
    """Tell which answers to the record of the enclosing query a scope means."""
    mine = Response.record_id == Record.id
    return and_(mine, Response.user_id == scope.user.id) if scope.user else mine


async def _settings(
    session: AsyncSession,
    table: type[MetadataProperty] | type[Question] | type[Field],
    dataset_id: UUID,
) -> dict[str, Setting]:
    columns = select(table.name, table.id, table.settings).where(table.dataset_id == dataset_id)
    return {
        name: Setting(id_, settings["type"])
        for name, id_, settings in (await session.execute(columns)).all()
    }


def _find(settings: dict[str, Setting], name: str, kind: str) -> Setting:
    if name not in settings:
        raise UnprocessableEntityError(f"the dataset has no {kind} {name!r}")
    return settings[name]
