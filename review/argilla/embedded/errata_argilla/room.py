"""A disk without room. In: errors of Argilla's databases. Out: status 507 and one sentence.

Without this the client is told the name of a database error, and the statement that failed.
"""

import sqlite3
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any

from argilla_server.api.routes import api_v1
from argilla_server.database import async_engine, sync_engine
from argilla_server.use_cases.responses.upsert_responses_in_bulk import UpsertResponsesInBulkUseCase
from fastapi import Request
from fastapi.responses import JSONResponse
from sqlalchemy import ExceptionContext
from sqlalchemy import event as sql_event
from sqlalchemy.exc import SQLAlchemyError

_SQLITE = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR}
_POSTGRESQL = "53100"


class NoRoom(SQLAlchemyError):
    """The database cannot grow; nothing of the statement was kept."""

    status = 507
    sentence = "The disk of the server is full, so this was not saved; try again when there is room"

    def __init__(self) -> None:
        super().__init__(self.sentence)


def tell() -> None:
    """Say plainly when the database finds no room."""
    for engine in (async_engine.sync_engine, sync_engine):
        sql_event.listen(engine, "handle_error", _recognise, retval=True)
    api_v1.add_exception_handler(NoRoom, _answer)
    # Argilla puts the error of each answer into a response with status 200.
    UpsertResponsesInBulkUseCase.execute = _all_or_error(UpsertResponsesInBulkUseCase.execute)


def _recognise(context: ExceptionContext) -> NoRoom | None:
    code = getattr(context.original_exception, "sqlite_errorcode", 0) & 0xFF
    state = getattr(context.original_exception, "sqlstate", None)
    return NoRoom() if code in _SQLITE or state == _POSTGRESQL else None


async def _answer(_request: Request, error: NoRoom) -> JSONResponse:
    return JSONResponse({"detail": error.sentence}, error.status)


def _all_or_error(
    execute: Callable[..., Awaitable[list[Any]]],
) -> Callable[..., Awaitable[list[Any]]]:
    """Refuse the whole request; what it saved already is taken as well when it is repeated."""

    @wraps(execute)
    async def execute_all(*given: Any, **named: Any) -> list[Any]:
        items = await execute(*given, **named)
        if any(item.error and item.error.detail == NoRoom.sentence for item in items):
            raise NoRoom
        return items

    return execute_all
