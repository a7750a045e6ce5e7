"""The words of every record, kept beside it. In: records as they are written. Out: one table.

The words go into the table in the transaction that writes the record, so they are never ahead of
it nor behind. Triggers make a row for each new record and empty it when its text changes; then
the words are filled in from here. A row that stays empty, because somebody else's program wrote
the record or its text is too long for the index, means: read the record itself.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

from argilla_server.models import Field, Record
from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    MetaData,
    Table,
    Text,
    Uuid,
    bindparam,
    event,
    inspect,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import TSVECTOR
from sqlalchemy.orm import Session

from errata_argilla.search import words

BATCH = 1000
"""Records that `catch_up` reads in one transaction."""

LONGEST_LINE = 300_000
"""Characters that fit PostgreSQL's index, which takes 1 MB of words with their places."""

BOOK = Table(
    "errata_words",
    MetaData(),
    Column("number", BigInteger, primary_key=True),
    Column("record_id", Uuid, nullable=False),
    Column("line", Text),
    Column("sought", TSVECTOR),  # on PostgreSQL alone; SQLite's index is a table of its own
)


class Written(NamedTuple):
    """A record whose words are to be written down."""

    id: UUID
    dataset_id: UUID
    fields: dict[str, Any]


def create(connection: Connection) -> None:
    """Create the table, its index and its triggers where they are missing."""
    schema = Path(__file__).with_name(f"{connection.dialect.name}.sql").read_text(encoding="utf-8")
    for statement in schema.split("\n\n"):
        connection.exec_driver_sql(statement)


def keep() -> None:
    """Write down the words of each record that Argilla writes in this process."""

    @event.listens_for(Session, "after_flush")
    def write(session: Session, _context: object) -> None:
        changed = [
            Written(row.id, row.dataset_id, row.fields)
            for row in (*session.new, *session.dirty)
            if isinstance(row, Record) and inspect(row).attrs.fields.history.has_changes()
        ]
        if changed:
            _write(session.connection(), changed)


def catch_up(connection: Connection, after: int) -> int | None:
    """Write down words that nobody wrote down.

    Args:
        connection: A transaction of its own.
        after: The number of the last row that an earlier call looked at, or 0.

    Returns:
        The number of the last row this call looked at; None when there are no more.
    """
    columns = select(BOOK.c.number, Record.id, Record.dataset_id, Record.fields)
    unread = columns.join(BOOK, BOOK.c.record_id == Record.id).where(BOOK.c.line.is_(None))
    found = connection.execute(
        unread.where(BOOK.c.number > after).order_by(BOOK.c.number).limit(BATCH)
    ).all()
    if not found:
        return None
    _write(connection, [Written(*row) for _, *row in found])
    return found[-1][0]


def _write(connection: Connection, records: Sequence[Written]) -> None:
    fields = _fields(connection, {record.dataset_id for record in records})
    rows = []
    for record in records:
        line = _line(record, fields.get(record.dataset_id, ()))
        row = {"of": record.id, "line": line}
        if connection.dialect.name == "postgresql":
            row = {"of": record.id, "line": None, "sought": None}
            if len(line) < LONGEST_LINE:
                row |= {"line": line, "sought": _vector(line)}
        rows.append(row)
    values = {name: bindparam(name) for name in rows[0] if name != "of"}
    connection.execute(
        update(BOOK).where(BOOK.c.record_id == bindparam("of")).values(**values), rows
    )


def _fields(
    connection: Connection, datasets: Iterable[UUID]
) -> dict[UUID, list[tuple[UUID, str, str]]]:
    query = select(Field.dataset_id, Field.id, Field.name, Field.settings)
    found: dict[UUID, list[tuple[UUID, str, str]]] = {}
    for dataset, id_, name, settings in connection.execute(
        query.where(Field.dataset_id.in_(datasets)).order_by(Field.inserted_at)
    ):
        found.setdefault(dataset, []).append((id_, name, settings.get("type", "text")))
    return found


def _line(record: Written, fields: Iterable[tuple[UUID, str, str]]) -> str:
    read = ((id_, words.read(kind, record.fields.get(name))) for id_, name, kind in fields)
    return words.write_down(record.dataset_id, read)


def _vector(line: str) -> str:
    """Count a line's words as PostgreSQL writes a tsvector; a word's weight is how often it stands.

    Places are given as 1, 2, 3 ... for each word: the ranking counts them, and phrases are
    checked in the line.
    """
    counted = Counter(line.split(" "))
    return " ".join(
        f"'{word}':{','.join(map(str, range(1, min(count, 250) + 1)))}"
        for word, count in counted.items()
        if word
    )
