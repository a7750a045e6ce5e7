"""The four programs start, refuse what is unsafe, and stop."""

import json
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from conftest import EMBEDDED, OWNER, PASSWORD, Server, databases, installed
from redis import Redis


@pytest.fixture(params=databases())
def empty(request, tmp_path):
    with installed(request.param, tmp_path) as installation:
        yield installation


@pytest.mark.parametrize(
    "changes",
    [
        {"ARGILLA_AUTH_SECRET_KEY": ""},
        {"ARGILLA_AUTH_SECRET_KEY": "short"},
        {"ERRATA_ARGILLA_PASSWORD": ""},
        {"ERRATA_ARGILLA_PASSWORD": "12345678"},
        {"ERRATA_ARGILLA_API_KEY": "argilla.apikey"},
        {"ERRATA_ARGILLA_WORKSPACE": ""},
    ],
)
def test_nothing_is_made_without_secrets_of_ones_own(tmp_path, changes):
    server = Server(tmp_path, f"sqlite+aiosqlite:///{tmp_path}/argilla.db")
    assert server.bootstrap(**changes) == 1
    assert next(iter(changes)).split("_")[-1].lower() in server.log("bootstrap").lower()
    assert not (tmp_path / "argilla.db").exists()


def test_a_refused_password_is_not_written_anywhere(tmp_path):
    server = Server(tmp_path, f"sqlite+aiosqlite:///{tmp_path}/argilla.db")
    assert server.bootstrap(ERRATA_ARGILLA_PASSWORD="tiny!") == 1
    assert "tiny!" not in server.log("bootstrap")


def test_bootstrap_twice_makes_nothing_twice_and_a_new_key_works(empty):
    assert empty.bootstrap() == 0, empty.log("bootstrap")
    first_key = empty.owner_key
    empty.owner_key = "another-key-0123456789"
    assert empty.bootstrap() == 0, empty.log("bootstrap")
    empty.start()
    client = empty.client()
    assert (client.me["role"], len(client.call("GET", "users")["items"])) == ("owner", 1)
    assert [w["name"] for w in client.call("GET", "me/workspaces")["items"]] == ["review"]
    assert client.sign_in(OWNER).me["id"] == client.me["id"]
    assert empty.stop() == 0
    for secret in (empty.secret, empty.owner_key, first_key, PASSWORD):
        assert secret not in empty.log("bootstrap") + empty.log("serve")


def test_a_database_error_does_not_quote_the_data(blank):
    code = (
        "from sqlalchemy import text\n"
        "from errata_argilla import discretion\n"
        "from argilla_server.database import sync_engine\n"
        "discretion.keep()\n"
        "sync_engine.connect().execute(text('SELECT :said FROM nowhere'), {'said': 'private'})\n"
    )
    command = [sys.executable, "-c", code]
    failed = subprocess.run(command, env=blank.environment, capture_output=True, text=True)
    assert "no such table: nowhere" in failed.stderr
    assert "private" not in failed.stderr.replace(code.strip().splitlines()[-1], "")


def test_no_program_leaves_argillas_pages_behind(own, tmp_path):
    (tmp_path / "tmp").mkdir()
    elsewhere = {"TMPDIR": str(tmp_path / "tmp")}
    own.stop(signal.SIGKILL)
    (left,) = own.home.glob("scratch/*/*/statics")
    assert own.bootstrap(**elsewhere) == 0
    second = Server(own.home, own.database, owner_key=own.owner_key, secret=own.secret)
    second.start(**elsewhere)
    try:
        assert not left.exists()
        own.start(**elsewhere)
        assert len(list(own.home.glob("scratch/*/*/statics"))) == 2
        for server in (own, second):
            assert httpx.get(f"{server.url}/sign-in").status_code == 200
    finally:
        second.stop()
    assert own.stop() == 0
    assert [*own.home.glob("scratch/*"), *tmp_path.glob("tmp/*")] == []


def redis_status(server):
    code = "import os,redis; print(redis.from_url(os.environ['ARGILLA_REDIS_URL']).ping())"
    command = [sys.executable, "-c", code]
    return subprocess.run(command, env=server.environment, capture_output=True).returncode


def start_redis(server):
    process = server.launch(
        "redis", "--dir", str(server.home / "redis"), "--port", str(server.redis_port)
    )
    for _ in range(100):
        if redis_status(server) == 0:
            return process
        time.sleep(0.05)
    raise AssertionError(server.log("redis"))


def test_the_worker_does_jobs_in_its_own_process_and_outlives_redis(own):
    redis = start_redis(own)
    worker = own.launch("worker")
    owner = own.client()
    try:
        for lowered in (1, 2):
            dataset = owner.dataset(min_submitted=2)
            (record,) = owner.push(dataset, {"text": "x"})
            owner.person().answer(record)
            # Argilla recomputes record states in a job whenever a dataset is changed.
            distribution = {"strategy": "overlap", "min_submitted": lowered}
            force(own, dataset, distribution)
            owner.call("PATCH", f"datasets/{dataset}", {"guidelines": "changed"})
            wanted = "completed" if lowered == 1 else "pending"
            assert settles(owner, record, wanted), own.log("worker")
            redis.send_signal(signal.SIGKILL)
            redis.wait()
            redis = start_redis(own)
        children = subprocess.run(["ps", "--ppid", str(worker.pid)], capture_output=True).stdout
        assert len(children.splitlines()) == 1, children
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(10) == 0, own.log("worker")
    finally:
        for process in (redis, worker):
            if process.poll() is None:
                process.terminate()
                process.wait(10)


@pytest.fixture
def job(own):
    """A job queued by the server: this record must become completed, once there is a worker."""
    redis = start_redis(own)
    owner = own.client()
    dataset = owner.dataset(min_submitted=2)
    (record,) = owner.push(dataset, {"text": "x"})
    owner.person().answer(record)
    force(own, dataset, {"strategy": "overlap", "min_submitted": 1})
    owner.call("PATCH", f"datasets/{dataset}", {"guidelines": "changed"})
    job = Job(own, redis, record)
    yield job
    job.end()


class Job:
    def __init__(self, own, redis, record):
        self.own, self.redis, self.record = own, redis, record
        self.books = Redis.from_url(own.environment["ARGILLA_REDIS_URL"])
        self.worker = None

    def begin(self):
        """Launch a worker and wait until it has the job in hand."""
        self.worker = self.own.launch("worker")
        assert eventually(lambda: self.books.zcard("rq:wip:default")), self.own.log("worker")

    def is_done(self):
        self.worker = self.own.launch("worker")
        return settles(self.own.client(), self.record, "completed")

    def end(self):
        for process in filter(None, (self.worker, self.redis)):
            process.kill()
            process.wait()


def test_a_queued_job_outlives_redis(job):
    job.redis.kill()
    job.redis.wait()
    job.redis = start_redis(job.own)
    assert job.is_done(), job.own.log("worker")


def test_a_job_is_done_although_its_worker_was_killed_in_it(job):
    with writing(job.own):
        job.begin()
        job.worker.kill()
        job.worker.wait()
    assert job.own.client().call("GET", f"records/{job.record}")["status"] == "pending"
    assert job.is_done(), job.own.log("worker")


def test_a_job_that_a_worker_took_and_did_not_begin_is_done_by_the_next(job):
    assert job.books.lpop("rq:queue:default")
    assert job.is_done(), job.own.log("worker")


def test_a_job_in_hand_is_left_to_its_worker(job):
    with writing(job.own):
        job.begin()
        second = job.own.launch("worker")
        try:
            assert eventually(lambda: job.books.pubsub_channels("rq:pubsub:*")[1:])
            assert job.books.zcount("rq:wip:default", time.time(), "+inf") == 1
            assert job.books.llen("rq:queue:default") == 0
        finally:
            second.kill()
            second.wait()
    assert settles(job.own.client(), job.record, "completed")


@contextmanager
def writing(server):
    """Hold the database, so that whoever wants to write must wait."""
    sqlite = "sqlite" in server.database
    with server.rows() as cursor:
        cursor.execute("BEGIN IMMEDIATE" if sqlite else "LOCK TABLE records IN SHARE MODE")
        yield


def force(server, dataset, distribution):
    """Change the distribution behind Argilla's back: its API refuses once there are answers."""
    code = (
        "import json, sys, uuid\n"
        "from sqlalchemy import update\n"
        "from argilla_server.database import SyncSessionLocal\n"
        "from argilla_server.models import Dataset\n"
        "session = SyncSessionLocal()\n"
        "row = update(Dataset).where(Dataset.id == uuid.UUID(sys.argv[1]))\n"
        "session.execute(row.values(distribution=json.loads(sys.argv[2])))\n"
        "session.commit()\n"
    )
    command = [sys.executable, "-c", code, dataset, json.dumps(distribution)]
    subprocess.run(command, env=server.environment, check=True, cwd=EMBEDDED)


def settles(owner, record, status):
    return eventually(lambda: owner.call("GET", f"records/{record}")["status"] == status)


def eventually(happened):
    for _ in range(300):
        if happened():
            return True
        time.sleep(0.1)
    return False


def test_redis_refuses_whoever_lacks_the_password(tmp_path):
    own = Server(tmp_path, "")
    process = start_redis(own)
    try:
        stranger = Server(own.home, own.database, redis_port=own.redis_port)
        assert redis_status(stranger) != 0
        assert own.secret not in command_line(process.pid)
    finally:
        process.terminate()
        assert process.wait(10) == 0


def test_redis_listens_on_a_private_socket_alone(tmp_path):
    own = Server(tmp_path, "")
    path = own.home / "r.sock"
    process = own.launch("redis", "--dir", str(own.home / "redis"), "--unix-socket", str(path))
    for _ in range(100):
        if path.exists():
            break
        time.sleep(0.05)
    assert oct(path.stat().st_mode & 0o777) == oct(0o700)
    process.terminate()
    assert process.wait(10) == 0


def command_line(pid):
    return Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8")
