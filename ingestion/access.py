"""Who is calling: the bearer key of a request turned into a principal.

In: the Authorization header. Out: `Caller`, for every stage's routes.
"""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import Depends, Header

from errata.db import current
from ingestion import keys
from ingestion.tables import Principal


async def _bearer(authorization: Annotated[str | None, Header()] = None) -> str | None:
    scheme, _, secret = (authorization or "").partition(" ")
    return secret.strip() if scheme.lower() == "bearer" else None


# What needs no thread is `async`: FastAPI gives every other dependency one of its own.
Bearer = Annotated[str | None, Depends(_bearer)]


def _caller(bearer: Bearer) -> Principal:
    # In a transaction of its own, over before the route begins. If the route's transaction began
    # here, it would hold SQLite's write lock while it waits for a free thread, and the threads
    # could all be waiting for that lock.
    with current().reading() as session:
        return keys.authenticate(session, bearer)


async def _now() -> datetime:
    return datetime.now(UTC)


Caller = Annotated[Principal, Depends(_caller)]
"""The principal that the request's key belongs to."""
Now = Annotated[datetime, Depends(_now)]
"""The time of the request."""
