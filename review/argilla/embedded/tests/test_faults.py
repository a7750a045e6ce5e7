"""No answer is lost or heard twice, whatever dies while it is given."""

import random
import signal
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from queue import Empty
from threading import Event

import httpx
import pytest
from conftest import DECISION, Client, Server
from dying import STATUS
from listener import Listener

SUBMISSIONS = 200
PUSHED, BULK = 1500, 250
EVENTS = ["response.created", "response.updated", "response.deleted"]
VALUES = {name: {"value": value} for name, value in DECISION.items()}
ANSWER = {"status": "submitted", "values": VALUES}


def subscribe(owner: Client, listener: Listener) -> None:
    body = {"url": listener.url, "events": EVENTS, "description": "faults"}
    owner.call("POST", "webhooks", body)


def received(listener: Listener, until: Callable[[dict], bool], seconds: float = 40) -> dict:
    """Collect what comes, until it is enough and quiet: message ids by (event, answer)."""
    heard: dict[tuple[str, str], set[str]] = defaultdict(set)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with suppress(Empty):
            got = listener.next(1)
            heard[got.event["type"], got.event["data"]["id"]].add(got.headers["webhook-id"])
            continue
        if until(heard):
            break
    return heard


def rows(server: Server, query: str) -> list[tuple]:
    with server.rows() as cursor:
        cursor.execute(query)
        return cursor.fetchall()


def assert_agreement(server: Server, dataset: str) -> None:
    """Search, progress and record states say what the rows say."""
    owner = server.client()
    counted = dict(rows(server, "SELECT status, count(*) FROM records GROUP BY status"))
    progress = owner.call("GET", f"datasets/{dataset}/progress")
    for status in ("pending", "completed"):
        scope = {"entity": "record", "property": "status"}
        terms = {"type": "terms", "scope": scope, "values": [status]}
        found = owner.search(dataset, terms, mine=False)
        assert found.total == progress[status] == counted.get(status, 0)
    wrong = (
        "SELECT count(*) FROM records WHERE (status = 'completed') != (0 < (SELECT count(*) FROM"
        " responses WHERE record_id = records.id AND responses.status = 'submitted'))"
    )
    assert rows(server, wrong) == [(0,)]


@pytest.mark.parametrize("point", ["status", "announcement"])
def test_a_server_that_dies_after_a_commit_leaves_a_note_of_it(own, listener, point):
    owner = own.client()
    person = owner.person()
    dataset = owner.dataset()
    new, changed, upserted, deleted = owner.push(dataset, *({"text": f"r{i}"} for i in range(4)))
    before = person.answer(changed, status="discarded")["id"]
    gone = person.answer(deleted)["id"]
    subscribe(owner, listener)
    assert own.stop() == 0
    dying(own, point, 4)
    bulk = {"items": [{"record_id": upserted, **ANSWER}]}
    at_once(
        lambda: person.call("POST", f"records/{new}/responses", ANSWER),
        lambda: person.call("PUT", f"responses/{before}", ANSWER),
        lambda: person.call("POST", "me/responses/bulk", bulk),
        lambda: person.call("DELETE", f"responses/{gone}"),
    )
    assert own.process.wait(10) == STATUS, own.log("serve")
    with pytest.raises(Empty):
        listener.next(0.1)
    own.start()
    answers = dict(rows(own, "SELECT CAST(record_id AS TEXT), CAST(id AS TEXT) FROM responses"))
    answers = {plain(record): plain(answer) for record, answer in answers.items()}
    wanted = {
        ("response.created", answers[plain(new)]),
        ("response.updated", plain(before)),
        ("response.created", answers[plain(upserted)]),
        ("response.deleted", plain(gone)),
    }
    heard = received(listener, lambda heard: len(heard) >= len(wanted))
    assert {(event, plain(answer)) for event, answer in heard} == wanted
    assert {len(ids) for ids in heard.values()} == {1}
    assert rows(own, "SELECT count(*) FROM errata_webhook_outbox") == [(0,)]
    assert_agreement(own, dataset)


def dying(own: Server, point: str, number: int) -> None:
    """Start the server of `dying.py` in place of ours."""
    script = str(Path(__file__).with_name("dying.py"))
    ours = own.command
    own.command = lambda *_: [sys.executable, script, point, str(number), str(own.port)]
    own.start()
    own.command = ours


def at_once(*calls: Callable[[], object]) -> None:
    """Make calls of which none is ever answered."""
    with ThreadPoolExecutor(len(calls)) as pool:
        for future in [pool.submit(call) for call in calls]:
            with pytest.raises(httpx.TransportError):
                future.result()


def plain(identifier: str) -> str:
    return identifier.replace("-", "")


@pytest.mark.slow
def test_two_hundred_answers_arrive_while_redis_and_worker_are_killed(own, listener):
    redis = own.launch("redis", "--dir", str(own.home / "redis"), "--port", str(own.redis_port))
    worker = own.launch("worker")
    try:
        owner = own.client()
        subscribe(owner, listener)
        dataset = owner.dataset()
        records = owner.push(dataset, *({"text": f"r{i}"} for i in range(SUBMISSIONS)))
        person = owner.person()
        for number, record in enumerate(records):
            if number == SUBMISSIONS // 3:
                redis.kill()
            if number == SUBMISSIONS // 2:
                worker.kill()
            person.answer(record)
    finally:
        for process in (redis, worker):
            process.kill()
            process.wait()
    given = {plain(answer) for (answer,) in rows(own, "SELECT CAST(id AS TEXT) FROM responses")}
    assert len(given) == SUBMISSIONS
    heard = received(listener, lambda heard: len(heard) >= SUBMISSIONS)
    assert {(event, plain(answer)) for event, answer in heard} == {
        ("response.created", answer) for answer in given
    }
    assert {len(ids) for ids in heard.values()} == {1}
    assert_agreement(own, dataset)


@pytest.mark.slow
def test_what_was_pushed_and_answered_is_there_once_after_kills(own, listener):
    owner = own.client()
    subscribe(owner, listener)
    dataset = owner.dataset()
    first = owner.push(dataset, *({"external_id": f"a{i}", "text": "first"} for i in range(150)))
    person = owner.person()
    finished = Event()
    with ThreadPoolExecutor(3) as pool:
        pushing = pool.submit(push_until_taken, owner, dataset)
        answering = pool.submit(answer_until_taken, person, first)
        pool.submit(kill_again_and_again, own, finished)
        taken, answered = pushing.result(), answering.result()
        finished.set()
    assert taken > PUSHED / BULK, "no push was interrupted"
    names = rows(own, "SELECT external_id FROM records WHERE external_id LIKE 'p%'")
    assert sorted(names) == sorted((f"p{i}",) for i in range(PUSHED))
    search = owner.search(dataset, query={"text": {"q": "pushed"}}, mine=False, limit=1)
    assert search.total == PUSHED
    given = rows(own, "SELECT CAST(record_id AS TEXT), CAST(id AS TEXT) FROM responses")
    assert {plain(record) for record, _ in given} == {plain(record) for record in answered}
    heard = received(listener, lambda heard: len(heard) >= len(given))
    created = {plain(answer): ids for (event, answer), ids in heard.items() if "created" in event}
    assert set(created) == {plain(answer) for _, answer in given}
    assert {len(ids) for ids in created.values()} == {1}
    assert_agreement(own, dataset)


def push_until_taken(owner: Client, dataset: str) -> int:
    """Push by external id, each part again until it is taken; return the number of tries."""
    tries = 0
    for start in range(0, PUSHED, BULK):
        items = [
            {"external_id": f"p{i}", "fields": {"text": f"pushed {i}"}}
            for i in range(start, start + BULK)
        ]
        tries += insist(owner, "PUT", f"datasets/{dataset}/records/bulk", {"items": items}, 200)
    return tries


def answer_until_taken(person: Client, records: list[str]) -> list[str]:
    """Answer records, each again until it is known to be taken: 409 says that it was."""
    for record in records:
        insist(person, "POST", f"records/{record}/responses", ANSWER, 201, 409)
    return records


def insist(person: Client, method: str, path: str, body: dict, *taken: int) -> int:
    for tries in range(1, 600):
        with suppress(httpx.TransportError):
            status = person.status(method, path, body)
            assert status in taken, (path, status)
            return tries
        time.sleep(0.1)
    raise AssertionError(f"{path} was never taken")


def kill_again_and_again(own: Server, finished: Event) -> None:
    """Kill the server at three unforeseen moments, and start it anew each time."""
    for _ in range(3):
        if not finished.wait(random.uniform(0.2, 1.0)):
            own.stop(signal.SIGKILL)
            own.start()
