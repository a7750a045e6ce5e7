"""Queues in the order of a number. In: a filter and an order. Out: a query that need not sort.

The numbers in each record's metadata are kept beside it, by triggers in its own transaction,
together with what a queue asks for besides. An index on them begins with the record that comes
first, so the head of a queue is read off it, however long the queue is.
"""

from typing import Any

from argilla_server.enums import RecordStatus, SortOrder
from argilla_server.models import Record
from argilla_server.search_engine.base import (
    AndFilter,
    Filter,
    MetadataFilterScope,
    Order,
    RecordFilterScope,
    TermsFilter,
)
from sqlalchemy import Column, Float, MetaData, Select, Table, Text, Uuid, select

from errata_argilla.search.scopes import NUMBERS, Dataset

TABLE = Table(
    "errata_numbers",
    MetaData(),
    Column("record_id", Uuid, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("dataset_id", Uuid, nullable=False),
    Column("status", Record.status.type, nullable=False),
    Column("inserted_at", Record.inserted_at.type, nullable=False),
    Column("least", Float, nullable=False),
    Column("most", Float, nullable=False),
)
"""One row for each name in a record's metadata that has a number, or several."""

_BY_AGE = Order(scope=RecordFilterScope(property="inserted_at"), order=SortOrder.asc)


def in_order(found: Filter | None, sort: list[Order], dataset: Dataset) -> Select[Any] | None:
    """Select the records that have the number an order begins with, in that order.

    Returns:
        A query on `records`, to be narrowed by the whole filter; records without the number are
        missing. None if the index does not have this order: it holds the records of one status,
        and equal numbers by age.
    """
    status = _status(found)
    match sort:
        case [Order(scope=MetadataFilterScope(metadata_property=name), order=direction), *rest]:
            numeric = dataset.metadata_property(name).type in NUMBERS
        case _:
            return None
    if status is None or not numeric or rest not in ([], [_BY_AGE]):
        return None
    number = TABLE.c.most.desc() if direction == SortOrder.desc else TABLE.c.least
    return (
        select(Record.id)
        .join(TABLE, TABLE.c.record_id == Record.id)
        .where(TABLE.c.dataset_id == dataset.id, TABLE.c.name == name, TABLE.c.status == status)
        .order_by(number, TABLE.c.inserted_at, TABLE.c.record_id)
    )


def _status(found: Filter | None) -> RecordStatus | None:
    """Return the one status that a filter lets through."""
    match found:
        case AndFilter(filters=parts):
            return next(filter(None, map(_status, parts)), None)
        case TermsFilter(scope=RecordFilterScope(property="status"), values=[value]):
            return next((status for status in RecordStatus if status.value == value), None)
        case _:
            return None
