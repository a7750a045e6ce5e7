"""The database: migrations that make what the tables say, transactions, times."""

import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import text
from sqlalchemy.exc import OperationalError, StatementError
from sqlmodel import SQLModel, select

from errata import db
from errata.db import Database
from errata.errors import Unavailable
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


# --- turns of the writers of one process ---


@pytest.fixture
def file_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    monkeypatch.setattr(db, "LONGEST_WAIT_S", 0.3)
    database = Database(f"sqlite:///{tmp_path / 'turns.db'}")
    with database.transaction() as session:
        session.connection().exec_driver_sql("CREATE TABLE t (n INTEGER)")
    yield database
    database.close()


def write(database: Database, number: int = 1) -> None:
    with database.transaction() as session:
        session.connection().exec_driver_sql(f"INSERT INTO t VALUES ({number})")


def test_whoever_waits_too_long_for_a_turn_is_told_so_and_the_turn_goes_on(
    file_database: Database,
) -> None:
    with file_database.transaction() as session:
        session.connection().exec_driver_sql("INSERT INTO t VALUES (1)")
        with pytest.raises(Unavailable, match="busy"):
            write(file_database)
        with file_database.reading() as reader:  # who only reads waits for nobody
            assert reader.connection().exec_driver_sql("SELECT count(*) FROM t").scalar() == 0
    write(file_database)


def test_a_transaction_that_fails_gives_its_turn_up(file_database: Database) -> None:
    for _ in range(3):
        with pytest.raises(OperationalError), file_database.transaction() as session:
            session.connection().exec_driver_sql("INSERT INTO nowhere VALUES (1)")
        write(file_database)


def test_a_begin_that_another_process_keeps_waiting_gives_its_turn_up(
    file_database: Database, tmp_path: Path
) -> None:
    other = sqlite3.connect(tmp_path / "turns.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(OperationalError, match="locked"):
        write(file_database)
    other.execute("ROLLBACK")
    other.close()
    write(file_database)


def test_many_writers_all_get_their_turn(
    file_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(db, "LONGEST_WAIT_S", 60)  # whatever else this machine does
    with ThreadPoolExecutor(16) as pool:
        for done in [pool.submit(write, file_database, number) for number in range(200)]:
            done.result()
    with file_database.reading() as session:
        found = session.connection().exec_driver_sql("SELECT count(DISTINCT n) FROM t").scalar()
    assert found == 200
