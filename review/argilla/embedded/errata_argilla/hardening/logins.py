"""Passwords cannot be tried at will. In: a name, a password, an address. Out: a person, or 429.

Failures are counted for a name from one address, for an address, and for a name from everywhere,
each over the last minutes. An attempt counts until it has succeeded, so many at once are no way
around. The counts live in this process.
"""

import asyncio
import time
from collections import OrderedDict, deque
from math import ceil
from typing import NamedTuple

from argilla_server.contexts import accounts
from argilla_server.models import User
from fastapi import HTTPException, status
from sqlalchemy.ext.asyncio import AsyncSession

from errata_argilla.hardening.edge import ADDRESS

WINDOW_SECONDS = 300.0
PER_NAME_AND_ADDRESS = 5
PER_ADDRESS = 30
PER_NAME = 50
"""High, because whoever knows a name could otherwise lock its owner out."""

REMEMBERED = 20_000
"""Keys kept at most; the oldest goes first, so strangers cannot fill the memory."""


class Limit(NamedTuple):
    """How many failures one key may have."""

    key: tuple[str, str]
    most: int


class Failures:
    """Times of recent failures by key."""

    def __init__(self) -> None:
        self._times: OrderedDict[tuple[str, str], deque[float]] = OrderedDict()

    def wait(self, limit: Limit, now: float) -> float:
        """Return the seconds until one more attempt is allowed; 0 if it is now."""
        times = self._times.get(limit.key, deque())
        while times and times[0] <= now - WINDOW_SECONDS:
            times.popleft()
        return times[-limit.most] + WINDOW_SECONDS - now if len(times) >= limit.most else 0.0

    def add(self, limit: Limit, now: float) -> None:
        """Count one attempt."""
        self._times.setdefault(limit.key, deque()).append(now)
        self._times.move_to_end(limit.key)
        while len(self._times) > REMEMBERED:
            self._times.popitem(last=False)

    def remove(self, limit: Limit, now: float) -> None:
        """Take back one attempt: it succeeded."""
        times = self._times.get(limit.key)
        if times and now in times:
            times.remove(now)

    def clear(self, limit: Limit) -> None:
        """Forget a key."""
        self._times.pop(limit.key, None)


def limit() -> None:
    """Count log-ins from now on."""
    failures = Failures()

    async def authenticate(session: AsyncSession, name: str, password: str) -> User | None:
        address, now = ADDRESS.get(), time.monotonic()
        limits = (
            Limit((name, address), PER_NAME_AND_ADDRESS),
            Limit(("", address), PER_ADDRESS),
            Limit((name, ""), PER_NAME),
        )
        wait = max(failures.wait(each, now) for each in limits)
        if wait > 0:
            raise _too_many(wait)
        for each in limits:
            failures.add(each, now)
        user = await _verified(session, name, password)
        if user is not None:
            for each in limits:
                failures.remove(each, now)
            failures.clear(limits[0])
        return user

    accounts.authenticate_user = authenticate


async def _verified(session: AsyncSession, name: str, password: str) -> User | None:
    """Check a password as slowly for an unknown name as for a known one.

    In a thread: hashing takes a good part of a second, in which nobody else would be served.
    """
    user = await accounts.get_user_by_username(session, name)
    known = user.password_hash if user else accounts._DUMMY_HASH
    right = await asyncio.to_thread(accounts.verify_password, password, known)
    return user if right and user else None


def _too_many(wait: float) -> HTTPException:
    seconds = ceil(wait)
    return HTTPException(
        status.HTTP_429_TOO_MANY_REQUESTS,
        detail=f"Too many failed log-ins. Try again in {seconds} seconds.",
        headers={"Retry-After": str(seconds)},
    )
