"""The database: engine, transactions, and column types.

In: a SQLAlchemy URL. Out: sessions. SQLite runs in WAL mode with explicit BEGIN; PostgreSQL as is.
"""

import threading
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib import import_module
from typing import Any

from pydantic_core import to_json
from sqlalchemy import (
    URL,
    Connection,
    DateTime,
    Engine,
    TypeDecorator,
    create_engine,
    event,
    make_url,
)
from sqlalchemy.engine import Dialect
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import ConnectionPoolEntry, StaticPool
from sqlmodel import Session

from errata.errors import Malformed, Unavailable

LONGEST_WAIT_S = 30
"""Seconds for which a writer of SQLite waits for the others."""


class Utc(TypeDecorator[datetime]):
    """A column of aware UTC times, on databases that keep the offset and on those that do not."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("naive time: give it an offset")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.astimezone(UTC)  # PostgreSQL answers in the time zone of its session

    def result_processor(self, dialect: Dialect, coltype: object) -> Any:
        """What reads a value; at once for SQLite, where SQLAlchemy's own way is five calls long."""
        return _read if dialect.name == "sqlite" else super().result_processor(dialect, coltype)


def _read(text: str | None) -> datetime | None:
    """A time as SQLite keeps it, which is text without an offset."""
    return None if text is None else datetime.fromisoformat(f"{text}+00:00")


def open_engine(url: str) -> Engine:
    """Open an engine.

    Args:
        url: A SQLAlchemy URL; `sqlite://` is an in-memory database shared by all sessions.

    Raises:
        Malformed: It is no URL, or one of a database that we do not know.
    """
    parsed = _parse(url)
    if parsed.get_backend_name() != "sqlite":
        parsed = parsed.set(drivername="postgresql+psycopg")
        return create_engine(parsed, pool_size=20, json_serializer=_json)
    memory = parsed.database in {None, "", ":memory:"}
    options: dict[str, Any] = {"poolclass": StaticPool} if memory else {"pool_size": 20}
    engine = create_engine(
        parsed,
        connect_args={"check_same_thread": False, "timeout": LONGEST_WAIT_S},
        json_serializer=_json,
        **options,
    )
    _tune_sqlite(engine, None if memory else _Turn())
    return engine


def _json(value: Any) -> str:
    """JSON of a column; several times faster than the encoder of the standard library."""
    return to_json(value).decode()


def _parse(url: str) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise Malformed("the database URL is none; example: postgresql://host/name") from error
    if parsed.get_backend_name() not in {"sqlite", "postgresql", "postgres"}:
        raise Malformed(f"the database is {parsed.drivername!r}; use sqlite or postgresql")
    return parsed


def _tune_sqlite(engine: Engine, writing: "_Turn | None") -> None:
    @event.listens_for(engine, "connect")
    def set_pragmas(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # we say BEGIN ourselves
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        if connection.get_execution_options().get("reading"):
            connection.exec_driver_sql("BEGIN")
            return
        if writing is not None:
            writing.take(connection)
        # A deferred transaction that reads and then writes fails when another wrote in between;
        # taking the write lock first makes the writers queue instead.
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    @event.listens_for(engine, "checkin")
    def end(_connection: Any, record: ConnectionPoolEntry) -> None:
        if writing is not None:
            writing.give_up(record)


class _Turn:
    """The turn to write, of the connections of one process.

    SQLite's own wait for its lock sleeps, longer each time, and whoever comes meanwhile overtakes:
    of sixteen writers most slept. Writers of other processes still meet there.
    """

    _MARK = "errata.turn"

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def take(self, connection: Connection) -> None:
        if not self._lock.acquire(timeout=LONGEST_WAIT_S):
            raise Unavailable("the database is busy; try again")
        connection.info[self._MARK] = True

    def give_up(self, record: ConnectionPoolEntry) -> None:
        """Let the next one write, if it was this connection's turn."""
        if record.info.pop(self._MARK, False):
            self._lock.release()


class Database:
    """An opened database."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.engine = open_engine(url)
        reading: dict[str, Any] = {"reading": True}
        if self.engine.dialect.name == "postgresql":
            # Or each statement would see the newest commits, and no two the same state.
            reading["isolation_level"] = "REPEATABLE READ"
        self._readers = self.engine.execution_options(**reading)

    @contextmanager
    def transaction(self) -> Generator[Session]:
        """One unit of work: commits at the end, rolls back on an error."""
        with Session(self.engine, expire_on_commit=False) as session, session.begin():
            yield session

    @contextmanager
    def reading(self) -> Generator[Session]:
        """A consistent view that takes no write lock."""
        with Session(self._readers, expire_on_commit=False) as session, session.begin():
            yield session

    def migrate(self) -> None:
        """Bring the schema to the newest version; see `errata.schema.upgrade`."""
        # Loaded when it is needed: a process that only reads does without alembic.
        import_module("errata.schema").upgrade(self)

    def close(self) -> None:
        """Give the connections back."""
        self.engine.dispose()


_database: Database | None = None


def use(database: Database | None) -> None:
    """Set the database that requests and jobs work on."""
    global _database  # the one process-wide handle, set by app and cli
    _database = database


def current() -> Database:
    """The database in use.

    Raises:
        RuntimeError: `use` has not been called.
    """
    if _database is None:
        raise RuntimeError("no database is open: call errata.db.use first")
    return _database


def is_alone(session: Session) -> bool:
    """Whether nobody else can write before this transaction ends: SQLite lets in one at a time."""
    return session.get_bind().dialect.name == "sqlite"
