"""Jobs that a killed worker had in hand. In: RQ's books in Redis. Out: the jobs, queued again.

RQ would find them too, but only when their lease of seven minutes has run out, and then when it
next looks. Argilla's jobs can be done twice: they recompute, or write by external id. A job is
tried as often as RQ says, so one that kills its worker does not do so for ever.
"""

from rq import Queue, Worker
from rq.command import PUBSUB_CHANNEL_TEMPLATE
from rq.job import Job, JobStatus
from rq.registry import StartedJobRegistry

_EXPIRED = 1.0


def requeue(worker: Worker) -> None:
    """Queue again, for this worker or another, what nobody is working on any more."""
    for queue in worker.queues:
        started = queue.started_job_registry
        for job_id in started.get_job_ids():
            job = queue.fetch_job(job_id)
            if job is None or not _works(worker, job.worker_name):
                started.connection.zadd(started.key, {job_id: _EXPIRED}, xx=True)
        started.cleanup()
        _requeue_taken(queue, started)


def _works(worker: Worker, name: str | None) -> bool:
    """A worker listens for commands as long as it lives; Redis notices at once when it dies."""
    channel = PUBSUB_CHANNEL_TEMPLATE % name
    ((_, listeners),) = worker.connection.pubsub_numsub(channel)
    return listeners > 0


def _requeue_taken(queue: Queue, started: StartedJobRegistry) -> None:
    """Find jobs that were taken out of the queue, but not written down as started."""
    waiting = {*queue.get_job_ids(), *started.get_job_ids()}
    for key in queue.connection.scan_iter(f"{Job.redis_job_namespace_prefix}*"):
        job = queue.fetch_job(key.decode().removeprefix(Job.redis_job_namespace_prefix))
        lost = job is not None and job.origin == queue.name and job.id not in waiting
        if lost and job.get_status() == JobStatus.QUEUED:
            queue.push_job_id(job.id)
