"""Errors that do not quote data. In: Argilla's database engines. Out: the same, discreet.

SQLAlchemy writes a failing statement's values into the error; Argilla logs the error and sends it
to the client. Those values are what people wrote, and on a user's row the API key.
"""

from argilla_server.database import async_engine, sync_engine


def keep() -> None:
    """Leave values out of database errors from now on."""
    for engine in (async_engine.sync_engine, sync_engine):
        engine.hide_parameters = True
