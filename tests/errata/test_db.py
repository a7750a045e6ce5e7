"""The database: migrations that make what the tables say, transactions, times."""

import threading
from datetime import UTC, datetime, timedelta, timezone

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import text
from sqlalchemy.exc import StatementError
from sqlmodel import SQLModel, select

from errata import db
from errata.db import Database
from ingestion import keys, tables
from review import audit
from tests.people import NOW


def test_the_migrations_make_exactly_the_tables(database: Database) -> None:
    with database.engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "compare_server_default": True}
        )
        assert compare_metadata(context, SQLModel.metadata) == []


def test_migrating_again_changes_nothing(database: Database) -> None:
    with database.transaction() as session:
        keys.create(session, "agent", "desk", actor="test", now=NOW)
    database.migrate()
    with database.reading() as session:
        assert audit.verify(session).faults == []
        assert session.exec(select(tables.Principal.name)).all() == ["desk"]


def test_a_database_in_memory_works_too() -> None:
    database = Database("sqlite://")
    database.migrate()
    with database.transaction() as session:
        keys.create(session, "agent", "desk", actor="test", now=NOW)
    with database.reading() as session:
        assert audit.verify(session).faults == []
    database.close()


def test_an_error_rolls_everything_back(database: Database) -> None:
    def fail() -> None:
        with database.transaction() as session:
            keys.create(session, "agent", "desk", actor="test", now=NOW)
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    with database.reading() as session:
        assert session.exec(select(tables.Principal)).all() == []


def test_times_come_back_in_utc_whatever_the_server_thinks(database: Database) -> None:
    moment = datetime(2026, 3, 1, 14, 30, 0, 123456, tzinfo=timezone(timedelta(hours=2)))
    with database.transaction() as session:
        keys.create(session, "agent", "desk", actor="test", now=moment)
    with database.reading() as session:
        found = session.exec(select(tables.Principal.created_at)).one()
    assert found == moment
    assert found.tzinfo is UTC
    assert found.hour == 12


def test_a_time_without_an_offset_is_refused(database: Database) -> None:
    naive = datetime(2026, 3, 1)  # noqa: DTZ001
    with pytest.raises(StatementError, match="naive time"), database.transaction() as session:
        keys.create(session, "agent", "desk", actor="test", now=naive)


def test_a_reader_sees_one_state_while_others_write(database: Database) -> None:
    with database.reading() as session:
        before = session.exec(select(tables.ChainHead.seq)).one()

        def write() -> None:
            with database.transaction() as other:
                keys.create(other, "agent", "desk", actor="test", now=NOW)

        thread = threading.Thread(target=write)
        thread.start()
        thread.join()
        assert session.exec(select(tables.ChainHead.seq)).one() == before
        assert session.exec(select(tables.Principal)).all() == []
    with database.reading() as session:
        assert session.exec(select(tables.ChainHead.seq)).one() == before + 1


def test_sqlite_keeps_foreign_keys_and_every_commit(sqlite_database: Database) -> None:
    with sqlite_database.engine.connect() as connection:
        assert connection.execute(text("PRAGMA foreign_keys")).scalar() == 1
        assert connection.execute(text("PRAGMA journal_mode")).scalar() == "wal"
        assert connection.execute(text("PRAGMA synchronous")).scalar() == 2  # FULL


def test_without_a_database_nothing_is_open() -> None:
    db.use(None)
    with pytest.raises(RuntimeError, match="no database is open"):
        db.current()
