"""JSON values as rows. In: a JSON column and a path. Out: one row per element, as text and number.

Metadata, suggestions and answers hold a single value or a list of values, and Argilla's filters
match when any of them does. A single value is a list of one; a missing one is an empty list.
"""

from typing import Any, NamedTuple

from sqlalchemy import Float, FromClause, Text, and_, case, cast, column, func, literal_column, or_
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.sql.elements import ColumnElement

_NUMBER = r"^-?[0-9]{1,99}(\.[0-9]{1,99})?([eE][-+]?[0-9]{1,2})?$"
"""Text that PostgreSQL takes for a number, and that is not too large or too small for it."""


class Elements(NamedTuple):
    """The rows one JSON value makes."""

    rows: FromClause
    text: ColumnElement[str]
    """Every element as text, as it would be written in JSON; a string without its quotes."""
    number: ColumnElement[float]
    """The element where it is a number, else NULL."""
    written: ColumnElement[float]
    """The same, and also where it is text that reads as a number, such as "00003"."""


def explode(dialect: str, document: Any, *path: str) -> Elements:
    """Lay out the value at `path` inside `document`, a JSON column of an enclosing query."""
    match dialect:
        case "sqlite":
            return _explode_sqlite(document, path)
        case "postgresql":
            return _explode_postgresql(document, path)
        case other:
            raise NotImplementedError(f"no search on {other!r}, only on SQLite and PostgreSQL")


def _explode_sqlite(document: Any, path: tuple[str, ...]) -> Elements:
    # A name in double quotes may hold any sign but that quote, which Argilla's names never have.
    location = "$" + "".join(f'."{name}"' for name in path)
    rows = func.json_each(document, location).table_valued("value", "type").alias()
    value, kind = rows.c.value, rows.c.type
    is_number = kind.in_(["integer", "real"])
    reads_as_number = and_(value.op("GLOB")("*[0-9]*"), func.trim(value, "0123456789.-") == "")
    return Elements(
        rows=rows,
        # SQLite gives booleans as 1 and 0.
        text=case((kind.in_(["true", "false"]), kind), else_=cast(value, Text)),
        number=case((is_number, cast(value, Float))),
        written=case((or_(is_number, reads_as_number), cast(value, Float))),
    )


def _explode_postgresql(document: Any, path: tuple[str, ...]) -> Elements:
    value = cast(document, JSONB)
    if path:
        value = func.jsonb_extract_path(value, *path, type_=JSONB)
    values = case(
        (value.is_(None), literal_column("'[]'::jsonb")),
        (func.jsonb_typeof(value) == "array", value),
        else_=func.jsonb_build_array(value, type_=JSONB),
    )
    rows = (
        func.jsonb_array_elements(values, type_=JSONB)
        .table_valued(column("value", JSONB))
        .render_derived()
    )
    element = rows.c.value
    text = cast(element.op("#>>")(literal_column("'{}'")), Text)
    return Elements(
        rows=rows,
        text=text,
        number=case((func.jsonb_typeof(element) == "number", cast(text, Float))),
        # The whole CASE, because PostgreSQL may cast before it looks at another condition.
        written=case((text.op("~")(_NUMBER), cast(text, Float))),
    )
