"""What the tests share: no network, a migrated database, the application with keys for everyone.

In: the SQLite template made once, a PostgreSQL where one answers. Out: fixtures. What takes
`database` runs on SQLite and on PostgreSQL.
"""

import functools
import os
import shutil
import socket
import uuid
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import httpcore2
import hypothesis
import psycopg
import pytest
from fastapi.testclient import TestClient
from psycopg import sql
from sqlalchemy import make_url, text
from sqlmodel import SQLModel
from xdist.remote import Producer

from errata.app import create_app
from errata.db import Database
from ingestion import events
from tests.people import RING, Api, People, settle_in
from tests.sharing import Sharing
from tests.waiting import serving

POSTGRES = os.environ.get("ERRATA_TEST_POSTGRES", "postgresql://postgres@127.0.0.1:5432/postgres")
_LOOPBACK = ("127.", "::1", "localhost")
_connect, _connect_ex = socket.socket.connect, socket.socket.connect_ex


def _refuse_network(address: Any) -> None:
    if isinstance(address, tuple) and not str(address[0]).startswith(_LOOPBACK):
        raise RuntimeError(f"a test opened a connection to {address[0]!r}")


def _guarded_connect(self: socket.socket, address: Any) -> None:
    _refuse_network(address)
    _connect(self, address)


def _guarded_connect_ex(self: socket.socket, address: Any) -> int:
    _refuse_network(address)
    return _connect_ex(self, address)


def pytest_configure(config: pytest.Config) -> None:
    """Only this machine can be reached, from the first import on; no example has a time limit."""
    hypothesis.settings.register_profile(
        "tests", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
    )
    hypothesis.settings.load_profile("tests")
    # Each HTTP client would read the certificates of the whole world, which takes longer than all
    # else that most tests do with it.
    httpcore2.default_ssl_context = functools.cache(httpcore2.default_ssl_context)
    socket.socket.connect = _guarded_connect
    socket.socket.connect_ex = _guarded_connect_ex


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Sharing:
    """Say what stays together where processes share the tests out."""
    return Sharing(config, log)


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated and empty SQLite file, to be copied."""
    path = tmp_path_factory.mktemp("template") / "errata.db"
    database = Database(f"sqlite:///{path}")
    database.migrate()
    with database.engine.connect() as connection:
        connection.execute(text("SELECT 1"))
    database.close()
    return path


@pytest.fixture(scope="session")
def postgres_url() -> Generator[str]:
    """A migrated PostgreSQL database of this run's own."""
    try:
        admin = psycopg.connect(POSTGRES, autocommit=True, connect_timeout=30)
    except psycopg.OperationalError:
        pytest.skip("no PostgreSQL answers at ERRATA_TEST_POSTGRES")
    name = f"errata_test_{uuid.uuid4().hex[:12]}"
    with admin:
        admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        # Tests make and drop rows by the thousand; nothing of it must survive a crash.
        admin.execute(
            sql.SQL("ALTER DATABASE {} SET synchronous_commit = off").format(sql.Identifier(name))
        )
        # A server need not live in UTC: times must come back the same all the same.
        admin.execute(
            sql.SQL("ALTER DATABASE {} SET timezone = 'Asia/Kolkata'").format(sql.Identifier(name))
        )
        url = make_url(POSTGRES).set(database=name).render_as_string(hide_password=False)
        database = Database(url)
        database.migrate()
        database.close()
        yield url
        admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
    admin.close()


def _empty(database: Database) -> None:
    """Delete row by row: with so few rows that is quicker than TRUNCATE, which makes new files."""
    tables = reversed(SQLModel.metadata.sorted_tables)
    with database.engine.begin() as connection:
        connection.execute(text(";".join(f'DELETE FROM "{table.name}"' for table in tables)))
        connection.execute(
            text("INSERT INTO chainhead (id, seq, hash) VALUES (1, 0, :hash)"),
            {"hash": events.GENESIS},
        )


@pytest.fixture
def sqlite_database(sqlite_template: Path, tmp_path: Path) -> Iterator[Database]:
    """A migrated SQLite file."""
    path = tmp_path / "errata.db"
    shutil.copy(sqlite_template, path)
    database = Database(f"sqlite:///{path}")
    yield database
    database.close()


@pytest.fixture
def postgres_database(postgres_url: str) -> Iterator[Database]:
    """A migrated and empty PostgreSQL database."""
    database = Database(postgres_url)
    _empty(database)
    yield database
    database.close()


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def database(request: pytest.FixtureRequest) -> Database:
    """A migrated and empty database, of each kind that we support."""
    return request.getfixturevalue(f"{request.param}_database")


@pytest.fixture
def people(database: Database) -> People:
    """The people of a database in which the tests' policy is active."""
    with database.transaction() as session:
        return settle_in(session)


@pytest.fixture
def client(database: Database, people: People) -> Iterator[TestClient]:
    """The application over the database."""
    with TestClient(create_app(database, ring=RING)) as opened:
        yield opened


@pytest.fixture
def api(client: TestClient, people: People, database: Database) -> Api:
    """The application with its people."""
    return Api(client, people, database)


@pytest.fixture
def sqlite_api(sqlite_database: Database) -> Iterator[Api]:
    with sqlite_database.transaction() as session:
        people = settle_in(session)
    with TestClient(create_app(sqlite_database, ring=RING)) as client:
        yield Api(client, people, sqlite_database)


@pytest.fixture
def server(database: Database, people: People) -> Iterator[str]:
    """The application behind uvicorn on a port of its own; its address."""
    with serving(create_app(database, ring=RING)) as url:
        yield url
