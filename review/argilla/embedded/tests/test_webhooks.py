"""Events reach a receiver at once, and also after trouble."""

import signal
import statistics
import time
from queue import Empty

import pytest
from conftest import Server, free_port
from listener import Listener

GOAL_SECONDS = 0.1


@pytest.fixture
def webhook(owner, listener):
    """Register the listener for answers; the webhook goes with the test."""
    made = []

    def register(*events, url=None):
        body = {"url": url or listener.url, "events": list(events), "description": "test"}
        made.append(owner.call("POST", "webhooks", body))
        return made[-1]

    yield register
    for found in made:
        owner.call("DELETE", f"webhooks/{found['id']}")


def test_an_answer_arrives_signed_with_what_was_said(owner, listener, webhook):
    secret = webhook("response.created", "response.updated")["secret"]
    (record,) = owner.push(owner.dataset(), {"text": "x", "external_id": "p:1"})
    answer = owner.person().answer(record, decision="reject")
    event = listener.next().verified_by(secret)
    assert (event["type"], event["version"]) == ("response.created", 1)
    assert event["data"]["id"] == answer["id"]
    assert event["data"]["values"] == {"decision": {"value": "reject"}}
    assert event["data"]["record"]["external_id"] == "p:1"


def test_an_answer_arrives_while_the_labeler_still_waits_for_the_page(owner, listener, webhook):
    webhook("response.created")
    records = owner.push(owner.dataset(), *({"text": f"r{i}"} for i in range(15)))
    person = owner.person()
    waits = []
    for record in records:
        start = time.monotonic()
        person.answer(record)
        waits.append(listener.next().at - start)
    assert statistics.median(waits) < GOAL_SECONDS, sorted(waits)


def test_a_refused_event_is_tried_again_under_the_same_id(owner, listener, webhook):
    webhook("response.created")
    listener.answers = [500, 302]
    (record,) = owner.push(owner.dataset(), {"text": "x"})
    owner.person().answer(record)
    tries = [listener.next() for _ in range(3)]
    assert len({each.headers["webhook-id"] for each in tries}) == 1
    with pytest.raises(Empty):
        listener.next(1.5)


def test_an_answer_overtakes_hundreds_of_other_events(owner, listener, webhook):
    webhook("record.created", "response.created")
    listener.delay = 0.1
    person, dataset = owner.person(), owner.dataset()
    records = owner.push(dataset, *({"text": f"r{i}"} for i in range(200)))
    start = time.monotonic()
    person.answer(records[0])
    kinds = []
    while not kinds or kinds[-1] != "response.created":
        received = listener.next()
        kinds.append(received.event["type"])
    assert received.at - start < 10 * GOAL_SECONDS
    assert len(kinds) < len(records), "the record events were already gone"


def test_one_webhook_does_not_wait_for_another(owner, listener, webhook):
    with Listener() as slow:
        slow.delay = 3
        webhook("response.created", url=slow.url)
        webhook("response.created")
        records = owner.push(owner.dataset(), *({"text": f"r{i}"} for i in range(8)))
        person = owner.person()
        start = time.monotonic()
        for record in records:
            person.answer(record)
            listener.next()
        assert time.monotonic() - start < slow.delay


def test_nothing_is_sent_for_a_disabled_or_uninterested_webhook(owner, listener, webhook):
    other = webhook("record.deleted")
    disabled = webhook("response.created")
    owner.call("PATCH", f"webhooks/{disabled['id']}", {"enabled": False})
    (record,) = owner.push(owner.dataset(), {"text": "x"})
    owner.person().answer(record)
    with pytest.raises(Empty):
        listener.next(1.5)
    owner.call("DELETE", f"records/{record}")
    assert listener.next().verified_by(other["secret"])["type"] == "record.deleted"


def test_an_answer_is_delivered_after_the_server_was_stopped_or_killed(own):
    owner, port = own.client(), free_port()
    body = {"url": f"http://127.0.0.1:{port}", "events": ["response.created"], "description": "x"}
    owner.call("POST", "webhooks", body)
    records = owner.push(owner.dataset(), {"text": "x"}, {"text": "y"})
    said = [owner.person().answer(record)["id"] for record in records]
    assert own.stop(signal.SIGKILL) == -signal.SIGKILL
    own.start()
    assert own.stop() == 0
    second = Server(own.home, own.database, owner_key=own.owner_key, secret=own.secret)
    with Listener(port) as listener:
        own.start()
        second.start()
        try:
            arrived = {listener.next(30).event["data"]["id"] for _ in said}
            assert arrived == set(said)
            with pytest.raises(Empty):
                listener.next(2)
        finally:
            second.stop()


def test_an_outbox_of_an_earlier_version_is_completed_by_bootstrap(own, listener):
    assert own.stop() == 0
    with own.rows() as cursor:
        cursor.execute("ALTER TABLE errata_webhook_outbox DROP COLUMN response_id")
    assert own.bootstrap() == 0, own.log("bootstrap")
    own.start()
    owner = own.client()
    body = {"url": listener.url, "events": ["response.created"], "description": "x"}
    owner.call("POST", "webhooks", body)
    (record,) = owner.push(owner.dataset(), {"text": "x"})
    said = owner.answer(record)["id"]
    assert listener.next().event["data"]["id"] == said
