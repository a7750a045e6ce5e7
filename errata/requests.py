"""The transaction that a request is.

In: the database in use. Out: `Db` and `Reading`, by which a route asks for its session.
"""

from collections.abc import AsyncGenerator
from contextlib import AbstractContextManager, asynccontextmanager
from typing import Annotated

from anyio import CancelScope, CapacityLimiter, to_thread
from fastapi import Depends
from sqlmodel import Session

from errata.db import current


async def request_transaction() -> AsyncGenerator[Session]:
    """A request's transaction, committed before the answer is sent.

    It begins at the first statement, in the thread that runs the route; see `ingestion.access`.
    """
    async with _ended_in_thread(current().transaction()) as session:
        yield session


async def request_reading() -> AsyncGenerator[Session]:
    """A request's consistent view."""
    async with _ended_in_thread(current().reading()) as session:
        yield session


@asynccontextmanager
async def _ended_in_thread(
    transaction: AbstractContextManager[Session],
) -> AsyncGenerator[Session]:
    """A transaction whose beginning needs no thread, since it does not touch the database yet.

    The end has a thread beside the pool: the pool's may all be waiting for the lock that this end
    gives up. Nor can a caller who hangs up keep the end from happening.
    """
    session = transaction.__enter__()
    error: BaseException | None = None
    try:
        yield session
    except BaseException as raised:
        error = raised
    ended = (type(error), error, error.__traceback__) if error else (None, None, None)
    with CancelScope(shield=True):
        await to_thread.run_sync(transaction.__exit__, *ended, limiter=CapacityLimiter(1))
    if error is not None:
        raise error


# scope="function": with the default scope the answer leaves before the commit, and a caller
# could be told 201 for something that was then rolled back.
Db = Annotated[Session, Depends(request_transaction, scope="function")]
Reading = Annotated[Session, Depends(request_reading, scope="function")]
