"""Who is calling: the bearer key of a request turned into a principal.

In: the Authorization header. Out: `Caller` and `Reader`, for every stage's routes.
"""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import Depends, Header

from errata.db import Db, Reading
from ingestion import keys
from ingestion.tables import Principal


def _bearer(authorization: Annotated[str | None, Header()] = None) -> str | None:
    scheme, _, secret = (authorization or "").partition(" ")
    return secret.strip() if scheme.lower() == "bearer" else None


Bearer = Annotated[str | None, Depends(_bearer)]


def _caller(session: Db, bearer: Bearer) -> Principal:
    return keys.authenticate(session, bearer)


def _reader(session: Reading, bearer: Bearer) -> Principal:
    return keys.authenticate(session, bearer)


def _now() -> datetime:
    return datetime.now(UTC)


Caller = Annotated[Principal, Depends(_caller, scope="function")]
"""The principal, read in the request's writing transaction."""
Reader = Annotated[Principal, Depends(_reader, scope="function")]
"""The principal, read in the request's reading transaction."""
Now = Annotated[datetime, Depends(_now)]
"""The time of the request."""
