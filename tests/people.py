"""The people of the tests, and what they do over HTTP.

In: a database, the application. Out: keys of every role, proposals as JSON, calls.
"""

import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from fastapi.testclient import TestClient
from sqlmodel import Session

from errata.db import Database
from errata.errors import ErrataError
from errata.protocol import Proposal, Role
from ingestion import keys, policies, sealing, tables

STATE_KEY = sealing.new_key()
RING = sealing.ring(STATE_KEY)
"""What seals the saved states of the tests."""
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
"""The time at which tests that pass a clock take place."""

POLICY = """\
version: 1
default: {route: queue, quorum: 1, expires_in: 24h, on_timeout: reject}
red_lines:
  - {action: "drop_*"}
tools:
  transfer:
    schema:
      type: object
      properties: {amount: {type: number, minimum: 0}, to: {type: string}}
      required: [amount]
rules:
  - name: small transfers
    when: {action: transfer, args.amount: {gte: 0, lt: 100}}
    route: auto
  - name: taken back
    when: {kind: action, action: short_lived}
    route: queue
    expires_in: 1m
    on_timeout: cancel
"""


def at(seconds: float) -> datetime:
    """A time after `NOW`."""
    return NOW + timedelta(seconds=seconds)


class Person(NamedTuple):
    """A principal and its key."""

    principal: tables.Principal
    secret: str

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.secret}"}


class People(NamedTuple):
    """One of each role, and a second agent and reviewer."""

    agent: Person
    other_agent: Person
    ann: Person
    ben: Person
    supervisor: Person
    admin: Person
    analyst: Person


_PEOPLE: tuple[tuple[Role, str], ...] = (
    ("agent", "desk"),
    ("agent", "rival"),
    ("reviewer", "ann"),
    ("reviewer", "ben"),
    ("supervisor", "sue"),
    ("admin", "ada"),
    ("analyst", "lyn"),
)


def settle_in(session: Session) -> People:
    """Make the policy active and everybody known."""
    policies.apply(session, POLICY, actor="test", now=NOW)
    made = [keys.create(session, role, name, actor="test", now=NOW) for role, name in _PEOPLE]
    return People(*(Person(one.principal, one.secret) for one in made))


class Api:
    """The application as its callers use it."""

    def __init__(self, client: TestClient, people: People, database: Database) -> None:
        self.client = client
        self.people = people
        self.database = database

    def propose(self, body: dict[str, Any] | None = None, key: str | None = None) -> dict[str, Any]:
        """Propose as the agent, with an idempotency key if given; the ticket."""
        headers = {"Idempotency-Key": key} if key else {}
        response = self.client.post(
            "/v1/proposals",
            json=body or action(),
            headers={**self.people.agent.headers, **headers},
        )
        assert response.is_success, response.text
        return response.json()

    def review(
        self, ticket: dict[str, Any], verdict: str, by: Person | None = None, **more: Any
    ) -> Any:
        """Review as ann; the raw response."""
        return self.client.post(
            f"/v1/proposals/{ticket['id']}/reviews",
            json={
                "proposal_id": ticket["id"],
                "digest": ticket["digest"],
                "verdict": verdict,
                **more,
            },
            headers=(by or self.people.ann).headers,
        )

    def approved(self, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """A ticket that ann approved."""
        response = self.review(self.propose(body), "approve")
        assert response.status_code == 201, response.text
        return response.json()

    def show(self, ticket_id: str, by: Person | None = None) -> dict[str, Any]:
        """The ticket as it stands."""
        response = self.client.get(
            f"/v1/proposals/{ticket_id}", headers=(by or self.people.agent).headers
        )
        assert response.status_code == 200, response.text
        return response.json()

    def consume(
        self, permit: dict[str, Any], by: Person | None = None, key: str | None = None
    ) -> Any:
        """Use a permit; the raw response."""
        headers = {"Idempotency-Key": key} if key else {}
        return self.client.post(
            f"/v1/permits/{permit['id']}/consume",
            json={"digest": permit["digest"]},
            headers={**(by or self.people.agent).headers, **headers},
        )


def action(name: str = "refund", **arguments: Any) -> dict[str, Any]:
    """An action proposal as JSON; queued by the tests' policy."""
    return {
        "hap": "1",
        "kind": "action",
        "agent": {"id": "desk"},
        "action": {"name": name, "arguments": arguments or {"amount": 30.0, "to": "bob"}},
    }


def proposal(**fields: Any) -> Proposal:
    """A proposal; a draft unless told otherwise."""
    given = {"hap": "1", "kind": "draft", "agent": {"id": "desk"}, "content": "Dear Bob, …"}
    return Proposal.model_validate({**given, **fields})


def together(count: int, step: Callable[[int], str]) -> Counter[str]:
    """Run a step in threads that all start at once; what each came to."""
    barrier = threading.Barrier(count)

    def run(number: int) -> str:
        barrier.wait()
        try:
            return step(number)
        except ErrataError as error:
            return error.code

    with ThreadPoolExecutor(count) as pool:
        return Counter(pool.map(run, range(count)))
