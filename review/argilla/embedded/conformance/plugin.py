"""Puts our parts in place of Argilla's before its tests are read. In: pytest's start. Out: patches.

The whole server is built as `serve` builds it, but for two things. Webhooks are left as they were:
Argilla's tests look for events in Redis, and ours are in `tests/test_webhooks.py`. And Argilla's
application is called without our outermost layer, because its tests import it by name.
"""

import argilla_server.cli.database.migrate as migrations
import opensearchpy
from argilla_server.database import database_url_sync
from sqlalchemy import create_engine, text
from sqlalchemy.engine import Connection

from conformance.raw import Raw
from errata_argilla import server
from errata_argilla.looks import table as looks
from errata_argilla.search import wordbook
from errata_argilla.webhooks import outbox

_TABLES = (
    *("errata_words_index", "errata_words", "errata_numbers"),
    *("errata_looks", "errata_webhook_outbox"),
)
_FOLLOWERS = (
    *("errata_record_written", "errata_record_rewritten"),
    *("errata_numbers_written", "errata_numbers_rewritten"),
)

server.build()
opensearchpy.OpenSearch = Raw
opensearchpy.helpers.bulk = lambda client, actions: client.bulk(actions)

_migrate = migrations.migrate_db


def _migrate_all(revision: str) -> None:
    engine = create_engine(database_url_sync())
    with engine.begin() as connection:
        if revision == "base":
            _drop(connection)
    _migrate(revision)
    with engine.begin() as connection:
        if revision == "head":
            for create in (wordbook.create, looks.create, outbox.create):
                create(connection)
    engine.dispose()


def _drop(connection: Connection) -> None:
    sqlite = connection.dialect.name == "sqlite"
    kind, whole = ("TRIGGER", "") if sqlite else ("FUNCTION", "CASCADE")
    for follower in _FOLLOWERS:
        connection.execute(text(f"DROP {kind} IF EXISTS {follower} {whole}"))
    reader = (
        "VIEW IF EXISTS errata_numbers_read" if sqlite else "FUNCTION IF EXISTS errata_numbers_of"
    )
    connection.execute(text(f"DROP {reader}"))
    for index in ("errata_records_by_status", "errata_records_by_age"):
        connection.execute(text(f"DROP INDEX IF EXISTS {index}"))
    for table in _TABLES:
        connection.execute(text(f"DROP TABLE IF EXISTS {table}"))


migrations.migrate_db = _migrate_all
