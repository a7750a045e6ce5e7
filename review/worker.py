"""The worker: pushes to Argilla, takes answers in, ends what nobody answered in time.

In: the rows of this stage and the one before; Argilla, where there is one. Out: the same, moved
on. Any number of workers may run: rows are claimed.
"""

import logging
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import NamedTuple

from sqlalchemy.exc import OperationalError
from sqlmodel import select

from errata.db import Database
from errata.errors import Unavailable
from ingestion import dependencies, parked, watch
from ingestion.tables import ChainHead
from review import deadlines, reasking
from review.argilla import inbox, outbox
from review.argilla.gateway import Gateway
from review.argilla.rest import Dataset, Rest
from review.tables import ArgillaWebhook

log = logging.getLogger("errata.worker")

TICK_SECONDS = 0.05
EXPIRE_SECONDS = 1.0
RETRY_SECONDS = 1.0
"""How often work that is due again by its clock, not by an event, is looked for."""


class Argilla(NamedTuple):
    """How to reach Argilla."""

    url: str
    api_key: str
    workspace: str
    webhook_url: str | None
    """Where Argilla should call us; None: polling alone brings the answers."""


def now() -> datetime:
    """The time."""
    return datetime.now(UTC)


class Worker:
    """One worker process.

    Args:
        database: Ours.
        argilla: Argilla; None: only time is looked after.
        poll_seconds: How often every answer is reconciled.
        stop: Set to end the loop.
        execution_limit: Seconds after which a run without a receipt is in doubt.
    """

    def __init__(
        self,
        database: Database,
        argilla: Argilla | None,
        poll_seconds: float,
        stop: threading.Event,
        execution_limit: float = 900.0,
    ) -> None:
        self._database = database
        self._argilla = argilla
        self._poll_seconds = poll_seconds
        self._stop = stop
        self._execution_limit = execution_limit
        self._gateway: Gateway | None = None
        self._rest: Rest | None = None
        self._datasets: dict[str, Dataset] = {}
        self._seen = -1

    def run(self) -> None:
        """Work until told to stop; what fails is tried again, whatever it was."""
        jobs = [Job(self._expire, EXPIRE_SECONDS), Job(self._watch, EXPIRE_SECONDS)]
        jobs.append(Job(self._ask_again, EXPIRE_SECONDS))
        jobs.append(Job(self._spread, EXPIRE_SECONDS))
        jobs.append(Job(self._forget, EXPIRE_SECONDS))
        if self._argilla is not None:
            jobs += [
                Job(self._deliver_news, TICK_SECONDS),
                Job(self._deliver, RETRY_SECONDS),
                Job(self._pull, self._poll_seconds),
            ]
        while not self._stop.wait(TICK_SECONDS):
            for job in jobs:
                job.run_when_due()

    def _expire(self) -> None:
        with self._database.reading() as session:
            due = deadlines.overdue(session, now=now())
        if due:
            with self._database.transaction() as session:
                deadlines.expire(session, now=now())

    def _watch(self) -> None:
        limit = self._execution_limit
        with self._database.reading() as session:
            due = watch.is_due(session, limit_s=limit, now=now())
        if due:
            with self._database.transaction() as session:
                watch.look(session, limit_s=limit, now=now())

    def _ask_again(self) -> None:
        with self._database.reading() as session:
            due = reasking.is_due(session, now=now())
        if due:
            with self._database.transaction() as session:
                reasking.sweep(session, now=now())

    def _spread(self) -> None:
        with self._database.reading() as session:
            due = dependencies.is_due(session)
        if due:
            with self._database.transaction() as session:
                dependencies.spread(session, now=now())

    def _forget(self) -> None:
        with self._database.reading() as session:
            due = parked.is_due(session, now=now())
        if due:
            with self._database.transaction() as session:
                parked.expire(session, now=now())

    def _deliver_news(self) -> None:
        """Push and clear as soon as anything happened."""
        with self._database.reading() as session:
            head = session.exec(select(ChainHead.seq)).one()
        if head != self._seen:
            self._deliver()
            self._seen = head

    def _deliver(self) -> None:
        rest = self._connect()
        with self._database.transaction() as session:
            outbox.enroll(session, now=now())
        outbox.push(self._database, rest, self._ensure, now)
        outbox.clear(self._database, rest, now)

    def _pull(self) -> None:
        inbox.pull(self._database, self._connect(), now)

    def _connect(self) -> Rest:
        """Argilla, set up: workspace, webhook, and the datasets that we know of."""
        if self._rest is None:
            assert self._argilla is not None
            gateway = Gateway(self._argilla.url, self._argilla.api_key, self._argilla.workspace)
            gateway.workspace()
            self._gateway = gateway
            if self._argilla.webhook_url is not None:
                self._keep_webhook(gateway, self._argilla.webhook_url)
            with self._database.reading() as session:
                names = set(outbox.datasets(session))
            self._ensure(names)
            self._rest = Rest(self._argilla.url, self._argilla.api_key, self._datasets)
            log.info("connected to Argilla at %s", self._argilla.url)
        return self._rest

    def _keep_webhook(self, gateway: Gateway, url: str) -> None:
        hook = gateway.webhook(url)
        with self._database.transaction() as session:
            row = session.get(ArgillaWebhook, url) or ArgillaWebhook(url=url, id="", secret="")
            row.id, row.secret = hook.id, hook.secret
            session.add(row)

    def _ensure(self, names: set[str]) -> None:
        """Make the datasets that are missing, and remember their ids."""
        assert self._gateway is not None
        for name in sorted(names - self._datasets.keys()):
            self._datasets[name] = self._gateway.dataset(name)
            with self._database.transaction() as session:
                outbox.keep_dataset(session, name, self._datasets[name])


class Job:
    """A step that is repeated; after a failure it waits longer, up to half a minute."""

    def __init__(self, step: Callable[[], None], every: float) -> None:
        self._step = step
        self._every = every
        self._failures = 0
        self._reason = ""
        """Of the last failure."""
        self._due = now()

    def run_when_due(self) -> None:
        """Run the step if its time has come; nothing that it raises ends the worker."""
        if now() < self._due:
            return
        try:
            self._step()
            self._failures, self._reason = 0, ""
        except (Unavailable, OperationalError) as error:
            self._failed(f"{type(error).__name__}: {getattr(error, 'detail', '')}")
        except Exception as error:
            reason = type(error).__name__
            if reason != self._reason:  # of what goes on and on, where it comes from is said once
                log.exception("the step %s failed", self._step.__name__)
            self._failed(reason)
        pause = self._every * 2 ** min(self._failures, 10)
        self._due = datetime.fromtimestamp(
            now().timestamp() + min(pause, max(30.0, self._every)), UTC
        )

    def _failed(self, reason: str) -> None:
        self._failures, self._reason = self._failures + 1, reason
        log.warning("the step %s will be tried again: %s", self._step.__name__, reason)
