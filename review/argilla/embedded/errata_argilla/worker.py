"""Argilla's background jobs. In: RQ queues in Redis. Out: changes in Argilla's database.

One process, one event loop, one job at a time: RQ's usual worker forks for each job, which costs
more than most of these jobs do. Ends on SIGTERM after the job in hand; outlives its Redis.
"""

import asyncio
import inspect
import logging
import signal
import sys
import time
from types import FrameType
from typing import Any

from argilla_server.jobs import dataset_jobs, hub_jobs  # noqa: F401 - named by the queued jobs
from argilla_server.jobs.queues import DEFAULT_QUEUE, HIGH_QUEUE, REDIS_CONNECTION
from redis.exceptions import RedisError
from rq import SimpleWorker
from rq.job import Job
from rq.worker import StopRequested

from errata_argilla import abandoned, discretion, shortcuts
from errata_argilla.search import engine
from errata_argilla.webhooks import interception

_LOGGER = logging.getLogger("errata_argilla")

RECONNECT_SECONDS = 1.0

_RUNNER = asyncio.Runner()


class LoopJob(Job):
    """A job whose coroutine runs in the one loop of this process.

    Connections in SQLAlchemy's pool belong to the loop that opened them; with a loop per job, as
    RQ has it, the second job on PostgreSQL would be given a connection of a dead loop.
    """

    def _execute(self) -> Any:
        result = self.func(*self.args, **self.kwargs)
        return _RUNNER.run(result) if inspect.iscoroutine(result) else result


class Worker(SimpleWorker):
    """RQ's in-process worker that remembers why it stopped."""

    job_class = LoopJob
    stopped = False

    def request_stop(self, signum: int, frame: FrameType | None) -> None:
        self.stopped = True
        super().request_stop(signum, frame)


def run() -> None:
    """Work until told to stop."""
    signal.signal(signal.SIGTERM, _exit)  # RQ takes over once it has reached its Redis
    discretion.keep()
    engine.register()
    shortcuts.take()
    interception.install(send=None, wake=lambda: None)
    try:
        while not _work():
            time.sleep(RECONNECT_SECONDS)
    except StopRequested:
        pass  # the signal came while we waited for Redis to return
    _RUNNER.close()


def _exit(_signum: int, _frame: FrameType | None) -> None:
    sys.exit(0)


def _work() -> bool:
    """Work until Redis is lost or a signal comes; return whether it was a signal."""
    worker: Worker | None = None
    try:
        # High first: RQ takes from the first queue that has a job.
        worker = Worker([HIGH_QUEUE, DEFAULT_QUEUE], connection=REDIS_CONNECTION, job_class=LoopJob)
        abandoned.requeue(worker)
        # Not INFO: RQ would write each job's arguments, among them Hub tokens.
        worker.work(logging_level="WARNING")
    except RedisError as problem:
        _LOGGER.warning("redis is away: %s", problem)
    return worker is not None and worker.stopped
