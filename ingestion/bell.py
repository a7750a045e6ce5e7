"""Waking those who wait for a proposal or a run, without a thread or a transaction each.

In: the event log. Out: a wake-up for every waiter whose proposal or run had an event. One task per
process reads the log while anybody waits, so that a decision taken by another process is heard
too.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

from sqlmodel import col, select
from starlette.concurrency import run_in_threadpool

from errata.db import Database
from ingestion.tables import Event

log = logging.getLogger("errata")

HEAD = "SELECT seq FROM chainhead WHERE id = 1"
ANY = "*"
"""Waits for an event about any proposal."""


class Bell:
    """The waiters of one process."""

    def __init__(self, database: Callable[[], Database], interval: float = 0.02) -> None:
        self._database = database
        self._interval = interval
        self._waiters: dict[str, set[asyncio.Event]] = {}
        self._seen = 0
        self._stopped = False
        self._listens = asyncio.Event()
        self._watch: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def listening(self, id_: str = ANY) -> AsyncGenerator[asyncio.Event]:
        """Be woken from now on; look after entering, so that nothing falls between.

        Yields:
            An event that is set when the proposal or run had one; clear it before looking again.
        """
        woken = asyncio.Event()
        self._waiters.setdefault(id_, set()).add(woken)
        try:
            if self._watch is None or self._watch.done():
                self._listens = asyncio.Event()
                self._watch = asyncio.create_task(self._run(self._listens))
            await self._listens.wait()
            yield woken
        finally:
            self._waiters[id_].discard(woken)
            if not self._waiters[id_]:
                del self._waiters[id_]

    async def stop(self) -> None:
        """End the task; not by cancelling it, or its thread would outlive it on a connection."""
        self._stopped = True
        if self._watch is not None:
            await self._watch

    async def _run(self, listens: asyncio.Event) -> None:
        try:
            self._seen = await run_in_threadpool(self._newest)
        except Exception as error:  # then some are woken for nothing, but none is forgotten
            log.warning("the log could not be read: %s", type(error).__name__)
        finally:
            listens.set()
        idle = 0
        # Two seconds without a waiter end the task.
        while not self._stopped and (self._waiters or idle < 100):
            await asyncio.sleep(self._interval)
            idle = 0 if self._waiters else idle + 1
            try:
                news = await run_in_threadpool(self._news)
            except Exception as error:  # whatever it was: those who wait must not be forgotten
                log.warning("the log could not be read: %s", type(error).__name__)
                continue
            for id_ in news:
                for woken in self._waiters.get(id_, ()):
                    woken.set()

    def _newest(self) -> int:
        """The log's length. Asked fifty times a second, so without a session around it."""
        connection = self._database().engine.raw_connection()
        try:
            cursor = connection.cursor()
            cursor.execute(HEAD)
            row = cursor.fetchone()
            assert row is not None
            return int(row[0])
        finally:
            connection.close()  # gives it back to the pool, which ends the transaction

    def _news(self) -> set[str]:
        """Proposals and runs that had an event since the last look."""
        head = self._newest()
        if head == self._seen:
            return set()
        with self._database().reading() as session:
            statement = select(Event.proposal_id, col(Event.data)["run"].as_string()).where(
                col(Event.seq) > self._seen, col(Event.seq) <= head
            )
            found = {one for row in session.exec(statement) for one in row if one is not None}
        self._seen = head
        return found | {ANY}
