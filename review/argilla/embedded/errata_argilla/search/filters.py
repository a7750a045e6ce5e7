"""Filters as SQL. In: Argilla's filters. Out: a condition on `records`.

Semantics are those Argilla's UI was built on: any value of a list matches; bounds are inclusive;
numbers given as text match the number ("00003" is 3); an empty list of values filters nothing;
`pending` means that this person has not answered.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from argilla_server.enums import RecordStatus, ResponseStatus, ResponseStatusFilter
from argilla_server.errors.future import UnprocessableEntityError
from argilla_server.models import Record, Response, Suggestion
from argilla_server.search_engine.base import (
    AndFilter,
    Filter,
    RangeFilter,
    RecordFilterScope,
    ResponseFilterScope,
    SuggestionFilterScope,
    TermsFilter,
)
from sqlalchemy import ColumnElement, Text, and_, cast, exists, false, not_, or_, select, true

from errata_argilla.search.pages import Wanted
from errata_argilla.search.scopes import Dataset, Values, values_of


def condition(found: Filter | None, dataset: Dataset) -> ColumnElement[bool]:
    """Compile a filter; nothing lets every record through."""
    match found:
        case None:
            return true()
        case AndFilter(filters=parts):
            return and_(true(), *(condition(part, dataset) for part in parts))
        case TermsFilter(values=[]):
            return true()
        case TermsFilter() | RangeFilter():
            return _by_scope(found, dataset)
        case other:
            raise UnprocessableEntityError(f"cannot filter by {other}")


def wanted(found: Filter | None, dataset: Dataset) -> Wanted:
    """Compile a filter for a dataset's records; what this person has answered is set apart."""
    parts = found.filters if isinstance(found, AndFilter) else [found]
    waiting = next(filter(_waits, parts), None)
    where = [condition(part, dataset) for part in parts if part is not waiting]
    answered = None if waiting is None else _answered(waiting.scope, dataset)
    return Wanted([Record.dataset_id == dataset.id, *where], answered)


def _by_scope(found: TermsFilter | RangeFilter, dataset: Dataset) -> ColumnElement[bool]:
    match found.scope:
        case RecordFilterScope(property=name):
            return _record(name, found)
        case ResponseFilterScope(question=None) as scope:
            return _answer_status(scope, found, dataset)
        case SuggestionFilterScope(question=name, property="agent" | "type" as part):
            column = Suggestion.agent if part == "agent" else cast(Suggestion.type, Text)
            theirs = and_(
                Suggestion.record_id == Record.id,
                Suggestion.question_id == dataset.question(name).id,
            )
            return exists(select(Suggestion.id).where(theirs, _compare(column, found, str)))
        case scope:
            values = values_of(scope, dataset)
            query = select(1).select_from(values.elements.rows)
            if values.table is not None:
                query = select(1).select_from(values.table).join(values.elements.rows, true())
            return exists(query.where(values.where, _any(values, found)))


def _any(values: Values, found: TermsFilter | RangeFilter) -> ColumnElement[bool]:
    text = values.elements.text
    number = values.elements.written if values.numeric else values.elements.number
    if isinstance(found, TermsFilter):
        numbers = [known for value in found.values if (known := _number(value)) is not None]
        return or_(text.in_(found.values), number.in_(numbers))
    bounds = [bound for bound in (found.ge, found.le) if bound is not None]
    if all(_number(bound) is not None for bound in bounds):
        return _compare(number, found, float)
    return _compare(text, found, str)


def _record(name: str, found: TermsFilter | RangeFilter) -> ColumnElement[bool]:
    match name:
        case "external_id":
            return _compare(Record.external_id, found, str)
        case "status" if isinstance(found, TermsFilter):
            known = [status for status in RecordStatus if status.value in found.values]
            return Record.status.in_(known)
        case "id" if isinstance(found, TermsFilter):
            return Record.id.in_([id_ for value in found.values if (id_ := _uuid(value))])
        case "inserted_at" | "updated_at":
            return _compare(getattr(Record, name), found, _moment)
        case other:
            raise UnprocessableEntityError(f"records cannot be filtered by {other!r} like this")


def _answer_status(
    scope: ResponseFilterScope, found: Filter, dataset: Dataset
) -> ColumnElement[bool]:
    if scope.property != "status" or not isinstance(found, TermsFilter):
        raise UnprocessableEntityError(
            f"answers cannot be filtered by {scope.property!r} like this"
        )
    statuses = [status for status in ResponseStatus if status.value in found.values]
    chosen = [_answered(scope, dataset, Response.status.in_(statuses))] if statuses else []
    if ResponseStatusFilter.pending in found.values:
        chosen.append(not_(_answered(scope, dataset)))
    return or_(false(), *chosen)


def _waits(found: Filter | None) -> bool:
    match found:
        case TermsFilter(scope=ResponseFilterScope(question=None, property="status")):
            return found.values == [ResponseStatusFilter.pending]
        case _:
            return False


def _answered(
    scope: ResponseFilterScope, dataset: Dataset, *how: ColumnElement[bool]
) -> ColumnElement[bool]:
    theirs = select(Response.record_id).where(*how)
    if scope.user:
        theirs = theirs.where(Response.user_id == scope.user.id)
    # SQLite looks into a set faster than for each record anew; PostgreSQL does so by itself, but
    # gives up on NOT IN where the set is large.
    if dataset.dialect == "postgresql":
        return exists(theirs.where(Response.record_id == Record.id))
    return Record.id.in_(theirs)


def _compare(
    column: Any, found: TermsFilter | RangeFilter, read: Callable[[Any], Any]
) -> ColumnElement[bool]:
    if isinstance(found, TermsFilter):
        return column.in_([read(value) for value in found.values])
    least = true() if found.ge is None else column >= read(found.ge)
    most = true() if found.le is None else column <= read(found.le)
    return and_(least, most)


def _number(value: Any) -> float | None:
    try:
        return float(value)
    except ValueError:
        return None


def _uuid(value: str) -> UUID | None:
    try:
        return UUID(value)
    except ValueError:
        return None


def _moment(value: Any) -> datetime:
    """Read a time of a filter; Argilla stores UTC without saying so."""
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError:
        raise UnprocessableEntityError(f"{value!r} is not a date and time") from None
    return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment
