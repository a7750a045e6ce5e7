"""Who is calling: the bearer key of a request turned into a principal.

In: the Authorization header. Out: `Caller`, for every stage's routes; `Sender`, for a route that finds
out in its own transaction.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, ClassVar, TypeVar

from fastapi import Depends, Header
from fastapi.concurrency import run_in_threadpool
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session

from errata.db import current
from errata.errors import Unauthorized
from ingestion import keys
from ingestion.tables import Principal

T = TypeVar("T")


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


class Sender:
    """Somebody whose key was valid a moment ago, when it was last used.

    Enough to read what they send. What they may do is found out in the transaction that does it:
    one lookup there is half the cost of one before it, and a key revoked meanwhile does nothing.
    """

    _valid: ClassVar[set[str]] = set()
    """Hashes of keys; one that is not valid any more leaves when it is used."""
    MOST = 10_000

    def __init__(self, secret: str | None) -> None:
        self._secret = secret
        self._hash = keys.hashed(secret or "")

    @property
    def is_known(self) -> bool:
        """Whether the key was valid when it was last used in this process."""
        return self._hash in self._valid

    def principal(self, session: Session) -> Principal:
        """Who holds the key, now.

        Raises:
            Unauthorized: See `keys.authenticate`.
        """
        try:
            principal = keys.authenticate(session, self._secret)
        except Unauthorized:
            self._valid.discard(self._hash)
            raise
        if len(self._valid) >= self.MOST:
            self._valid.clear()
        self._valid.add(self._hash)
        return principal


async def _sender(bearer: Bearer) -> Sender:
    sender = Sender(bearer)
    if not sender.is_known:
        await run_in_threadpool(_look_up, sender)
    return sender


def _look_up(sender: Sender) -> None:
    with current().reading() as session:
        sender.principal(session)


async def _now() -> datetime:
    return datetime.now(UTC)


Caller = Annotated[Principal, Depends(_caller)]
"""The principal that the request's key belongs to."""
Known = Annotated[Sender, Depends(_sender)]
"""The same, found out by the route; it must not act on what it has read before it has."""
Now = Annotated[datetime, Depends(_now)]
"""The time of the request."""
IdempotencyKey = Annotated[str | None, Header(max_length=200)]


def commit(work: Callable[[Session], T]) -> T:
    """Do it in a transaction that is over when this returns, not at the end of the request.

    Until then nobody else writes to an SQLite file, and the end of a request is in another
    thread. Where another request with the same key or id was committed in the same moment, it is
    done once more, and finds what that request got.
    """
    try:
        with current().transaction() as session:
            return work(session)
    except IntegrityError:
        with current().transaction() as session:
            return work(session)
