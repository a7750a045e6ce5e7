"""Orders as SQL. In: Argilla's sort list, or a person. Out: ORDER BY terms.

Every order ends in the record's age and id, so that pages never overlap. Records without the
value come last in both directions. Where a record has several values its smallest counts going up
and its largest going down; several people's numeric answers count with their mean.
"""

import hashlib
from typing import Any
from uuid import UUID

from argilla_server.enums import SortOrder
from argilla_server.errors.future import UnprocessableEntityError
from argilla_server.models import Record, Response, Suggestion
from argilla_server.search_engine.base import (
    Order,
    RecordFilterScope,
    ResponseFilterScope,
    SuggestionFilterScope,
)
from sqlalchemy import ColumnElement, Text, and_, cast, collate, func, select, true

from errata_argilla.search.scopes import Dataset, answers_of, values_of

_COLUMNS = {
    "id": Record.id,
    "external_id": Record.external_id,
    "status": cast(Record.status, Text),
    "inserted_at": Record.inserted_at,
    "updated_at": Record.updated_at,
}


def sorted_by(orders: list[Order], dataset: Dataset) -> list[ColumnElement[Any]]:
    """Compile a sort list; what it leaves equal, all if it is empty, comes as it was pushed."""
    return [*(_directed(order, dataset) for order in orders), Record.inserted_at, Record.id]


def start_for(person: UUID) -> UUID:
    """Return the record id at which a person begins who asks for no order.

    People who start together should not work on the same record. Record ids are random, so going
    through them in a circle, each person from a place of their own, is an order that looks random
    and that no write disturbs; and an index on the id finds the page without sorting.
    """
    return UUID(bytes=hashlib.sha256(person.bytes).digest()[:16])


def _directed(order: Order, dataset: Dataset) -> ColumnElement[Any]:
    descending = order.order == SortOrder.desc
    term = _term(order, dataset, func.max if descending else func.min)
    return (term.desc() if descending else term.asc()).nulls_last()


def _term(order: Order, dataset: Dataset, pick: Any) -> ColumnElement[Any]:
    match order.scope:
        case RecordFilterScope(property=name) if name in _COLUMNS:
            return _COLUMNS[name]
        case SuggestionFilterScope(question=name, property="agent" | "type" as part):
            column = Suggestion.agent if part == "agent" else cast(Suggestion.type, Text)
            theirs = and_(
                Suggestion.record_id == Record.id,
                Suggestion.question_id == dataset.question(name).id,
            )
            return _bytewise(select(column).where(theirs).scalar_subquery(), dataset)
        case ResponseFilterScope(question=None, property="status") as scope:
            status = select(pick(cast(Response.status, Text))).where(answers_of(scope))
            return _bytewise(status.scalar_subquery(), dataset)
        case RecordFilterScope(property=name):
            raise UnprocessableEntityError(f"records cannot be sorted by {name!r}")
        case scope:
            return _from_json(scope, dataset, pick)


def _from_json(scope: Any, dataset: Dataset, pick: Any) -> ColumnElement[Any]:
    values = values_of(scope, dataset)
    rows = values.elements.rows
    value = values.elements.written if values.numeric else values.elements.text
    if values.numeric and isinstance(scope, ResponseFilterScope):
        pick = func.avg
    query = select(pick(value)).select_from(rows)
    if values.table is not None:
        query = select(pick(value)).select_from(values.table).join(rows, true())
    term = query.where(values.where).scalar_subquery()
    return term if values.numeric else _bytewise(term, dataset)


def _bytewise(term: ColumnElement[Any], dataset: Dataset) -> ColumnElement[Any]:
    """Compare text byte by byte, whatever language the PostgreSQL database was made for."""
    return collate(term, "C" if dataset.dialect == "postgresql" else "BINARY")
