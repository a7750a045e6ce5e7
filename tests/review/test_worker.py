"""The worker: it goes on whatever fails, and looks after time without Argilla too."""

import threading
from datetime import UTC, datetime, timedelta

import pytest
from sqlmodel import select

from errata.db import Database
from errata.errors import Unavailable
from errata.states import Parking
from ingestion import intake, permits, policies, states, store, tables
from review import worker
from review.worker import Argilla, Job, Worker
from tests.people import RING, People, proposal
from tests.waiting import until


def test_what_nobody_answers_in_time_ends_without_argilla(
    database: Database, people: People
) -> None:
    long_ago = datetime.now(UTC) - timedelta(days=2)
    with database.transaction() as session:
        intake.take(session, proposal(), people.agent.principal, now=long_ago)
    stop = threading.Event()
    thread = threading.Thread(target=Worker(database, None, 1, stop).run)
    thread.start()

    def outcome() -> str | None:
        with database.reading() as session:
            return session.exec(select(tables.Decision.outcome)).first()

    ended = until(outcome, "a decision")
    stop.set()
    thread.join()
    assert ended == "expired"


def test_a_state_that_nobody_resumed_in_time_is_erased(database: Database, people: People) -> None:
    long_ago, agent = datetime.now(UTC) - timedelta(days=31), people.agent.principal
    stated = {"agent": "desk", "framework": {"name": "a", "version": "1"}, "content": {}}
    with database.transaction() as session:
        asked = intake.take(session, proposal(), agent, now=long_ago).row.id
        parking = Parking.model_validate({**stated, "proposals": [asked]})
        id_ = states.park(session, RING, parking, agent, now=long_ago).id
    stop = threading.Event()
    thread = threading.Thread(target=Worker(database, None, 1, stop).run)
    thread.start()

    def forgotten() -> tables.SavedState | None:
        with database.reading() as session:
            kept = session.get_one(tables.SavedState, id_)
        return None if kept.status == "parked" else kept

    kept = until(forgotten, "the state is forgotten")
    stop.set()
    thread.join()
    assert kept is not None
    assert (kept.status, kept.sealed) == ("erased", None)


def test_the_worker_watches_over_runs_and_asks_again_under_another_policy(
    database: Database, people: People
) -> None:
    hour_ago = datetime.now(UTC) - timedelta(hours=1)
    agent = people.agent.principal
    small = {"name": "transfer", "arguments": {"amount": 5}}
    with database.transaction() as session:
        silent = intake.take(
            session, proposal(kind="action", content=None, action=small), agent, now=hour_ago
        ).row
        permit = store.permit(session, silent.id)
        assert permit is not None
        permits.consume(session, permit.id, permit.digest, agent, now=hour_ago)
        waiting = intake.take(session, proposal(), agent, now=hour_ago).row
        policies.apply(session, "version: 1\n", actor="test", now=hour_ago)
    stop = threading.Event()
    thread = threading.Thread(target=Worker(database, None, 1, stop, execution_limit=60).run)
    thread.start()

    def seen() -> tuple[str, int]:
        with database.reading() as session:
            return store.load(session, silent.id).status, store.load(session, waiting.id).round

    until(lambda: seen() == ("unknown", 1), "the run is unknown, the question asked anew")
    stop.set()
    thread.join()


def test_an_argilla_that_is_not_there_stops_nothing_else(
    sqlite_database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    stop = threading.Event()
    nowhere = Argilla("http://127.0.0.1:9", "key", "errata", None)
    thread = threading.Thread(target=Worker(sqlite_database, nowhere, 0.05, stop).run)
    thread.start()
    until(lambda: "will be tried again" in caplog.text, "a step that failed")
    assert thread.is_alive()
    stop.set()
    thread.join()


@pytest.mark.parametrize("error", [Unavailable("away"), ValueError("a fault of ours")])
def test_a_step_that_fails_waits_longer_each_time_and_recovers(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    clock = [datetime(2026, 1, 1, tzinfo=UTC)]
    monkeypatch.setattr(worker, "now", lambda: clock[0])
    runs: list[float] = []
    failing = [True]

    def step() -> None:
        runs.append((clock[0] - datetime(2026, 1, 1, tzinfo=UTC)).total_seconds())
        if failing[0]:
            raise error

    job = Job(step, every=1)
    for _ in range(200):
        job.run_when_due()
        clock[0] += timedelta(seconds=1)
    assert runs == [0, 2, 6, 14, 30, 60, 90, 120, 150, 180]
    failing[0] = False
    for _ in range(30):
        job.run_when_due()
        clock[0] += timedelta(seconds=1)
    assert runs[-3:] == [227, 228, 229]


def test_a_fault_that_goes_on_is_traced_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    clock = [datetime(2026, 1, 1, tzinfo=UTC)]
    monkeypatch.setattr(worker, "now", lambda: clock[0])
    faults: list[Exception | None] = [ValueError(), ValueError(), KeyError(), None, KeyError()]

    def step() -> None:
        fault = faults.pop(0)
        if fault is not None:
            raise fault

    job = Job(step, every=1)
    while faults:
        job.run_when_due()
        clock[0] += timedelta(minutes=1)
    traced = [one.exc_info[0] for one in caplog.records if one.exc_info]
    assert traced == [ValueError, KeyError, KeyError]
    assert sum("will be tried again" in one.message for one in caplog.records) == 4
