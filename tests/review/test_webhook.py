"""Argilla's webhook: a signed hint, whose word is not taken for anything but an id."""

import base64
import json
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlmodel import select
from standardwebhooks import Webhook

from errata.app import create_app
from errata.db import Database
from ingestion import intake, tables
from review.argilla import outbox
from review.argilla.fake import FakeArgilla
from review.argilla.rest import Dataset
from review.tables import ArgillaWebhook
from tests.people import People, proposal, settle_in

SECRET = base64.b64encode(b"a secret of thirty-two bytes, ok").decode()


class Hook:
    """An application with a fake Argilla, and what Argilla would send."""

    def __init__(self, database: Database, people: People, client: TestClient) -> None:
        self.database = database
        self.people = people
        self.client = client
        self.argilla = FakeArgilla()

    def ask(self) -> str:
        now = datetime.now(UTC)
        with self.database.transaction() as session:
            agent = self.people.agent.principal
            row = intake.take(session, proposal(), agent, now=now).row
            outbox.enroll(session, now=now)
            outbox.keep_dataset(session, "draft", Dataset("draft", {}))
        outbox.push(self.database, self.argilla, lambda _: None, lambda: datetime.now(UTC))
        return row.id

    def event(self, id_: str, **more: Any) -> bytes:
        record = {"id": self.argilla.find(f"{id_}:0").server_id}
        return json.dumps({"type": "response.created", "data": {"record": record, **more}}).encode()

    def send(self, raw: bytes, secret: str = SECRET, age: timedelta = timedelta()) -> Any:
        moment = datetime.now(UTC) - age
        id_ = uuid.uuid4().hex
        headers = {
            "webhook-id": id_,
            "webhook-timestamp": str(int(moment.timestamp())),
            "webhook-signature": Webhook(secret).sign(id_, moment, raw.decode()),
        }
        return self.client.post("/v1/webhooks/argilla", content=raw, headers=headers)

    def outcomes(self) -> list[str]:
        with self.database.reading() as session:
            return list(session.exec(select(tables.Decision.outcome)))


@pytest.fixture
def hook(sqlite_database: Database) -> Iterator[Hook]:
    with sqlite_database.transaction() as session:
        people = settle_in(session)
        session.add(ArgillaWebhook(url="here", id="1", secret=SECRET))
    app = create_app(sqlite_database)
    with TestClient(app) as client:
        hook = Hook(sqlite_database, people, client)
        app.state.argilla = hook.argilla
        yield hook


def test_a_signed_hint_brings_the_answer_at_once(hook: Hook) -> None:
    id_ = hook.ask()
    hook.argilla.answer(f"{id_}:0", "ann", {"decision": "approve"})
    answer = hook.send(hook.event(id_))
    assert (answer.status_code, answer.json()) == (202, {"taken": "1"})
    assert hook.outcomes() == ["approve"]


def test_the_same_hint_again_changes_nothing(hook: Hook) -> None:
    id_ = hook.ask()
    hook.argilla.answer(f"{id_}:0", "ann", {"decision": "reject"})
    assert [hook.send(hook.event(id_)).json()["taken"] for _ in range(4)] == ["1", "0", "0", "0"]
    assert hook.outcomes() == ["reject"]


def test_what_the_event_says_is_not_believed(hook: Hook) -> None:
    id_ = hook.ask()
    lie = {"values": {"decision": {"value": "approve"}}, "status": "submitted"}
    assert hook.send(hook.event(id_, response=lie)).json() == {"taken": "0"}
    assert hook.outcomes() == []


@pytest.mark.parametrize("age", [timedelta(minutes=6), timedelta(minutes=-6)])
def test_an_old_or_future_signature_is_refused(hook: Hook, age: timedelta) -> None:
    id_ = hook.ask()
    hook.argilla.answer(f"{id_}:0", "ann", {"decision": "approve"})
    assert hook.send(hook.event(id_), age=age).status_code == 401
    assert hook.outcomes() == []


def test_without_argillas_signature_nothing_is_heard(hook: Hook) -> None:
    id_ = hook.ask()
    hook.argilla.answer(f"{id_}:0", "ann", {"decision": "approve"})
    raw = hook.event(id_)
    other = base64.b64encode(b"another secret of thirty-two byt").decode()
    assert hook.send(raw, secret=other).status_code == 401
    assert hook.client.post("/v1/webhooks/argilla", content=raw).status_code == 401
    assert hook.outcomes() == []


@pytest.mark.parametrize(
    "raw", [b"{}", b'{"data": 1}', b'{"data": {"record": 1}}', b'{"data": {"record": {"id": "x"}}}']
)
def test_an_event_about_nothing_of_ours_is_no_error(hook: Hook, raw: bytes) -> None:
    assert hook.send(raw).json() == {"taken": "0"}


def test_a_server_without_argilla_says_so(hook: Hook) -> None:
    hook.client.app.state.argilla = None  # pyright: ignore[reportAttributeAccessIssue, reportFunctionMemberAccess]
    assert hook.send(b"{}").status_code == 404


def test_the_way_to_the_page_in_argilla(hook: Hook) -> None:
    id_ = hook.ask()
    path = f"/v1/proposals/{id_}/review"
    assert hook.client.get(path, follow_redirects=False).status_code == 404
    hook.client.app.state.argilla_url = "http://argilla"  # pyright: ignore[reportAttributeAccessIssue, reportFunctionMemberAccess]
    led = hook.client.get(path, follow_redirects=False)
    assert led.status_code == 302
    assert led.headers["location"].startswith("http://argilla/dataset/draft/annotation-mode")
    assert led.headers["location"].endswith(f"proposal_id.{id_}")
    nowhere = hook.client.get("/v1/proposals/none/review", follow_redirects=False)
    assert nowhere.headers["location"] == "http://argilla/"
