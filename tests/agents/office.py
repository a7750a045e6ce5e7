"""The people and the server that the conformance tests' agents deal with, on a clock of their own.

In: a database. Out: an address, what reviewers say over HTTP, time that can be moved.
"""

import threading
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2

from errata.app import create_app
from errata.db import Database
from errata.protocol import Role
from ingestion import access, alarms, keys, policies, watch
from review import deadlines, reasking
from tests.people import RING, Person
from tests.waiting import PATIENCE_S, Serving

POLICY = """\
version: 1
default: {route: queue, quorum: 1, expires_in: 24h, on_timeout: reject}
red_lines:
  - {action: "drop_*"}
rules:
  - name: look-ups
    when: {action: look_up}
    route: auto
  - name: large transfers
    when: {action: transfer, args.amount: {gt: 1000}}
    route: queue
    quorum: 2
"""
STRICT = POLICY.replace('- {action: "drop_*"}', "- {action: transfer}")
"""Under this policy no one can approve a transfer."""
LAX = """\
version: 1
default: {route: auto}
"""
LIMIT_S = 900.0
PEOPLE: tuple[tuple[Role, str], ...] = (("agent", "desk"), ("reviewer", "ann"), ("reviewer", "ben"))


class Office:
    """A server, its people and its clock."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self._passed = timedelta()
        with database.transaction() as session:
            policies.apply(session, POLICY, actor="test", now=self.now)
            made = {
                name: keys.create(session, role, name, actor="test", now=self.now)
                for role, name in PEOPLE
            }
        self.people = {name: Person(one.principal, one.secret) for name, one in made.items()}
        self.url = ""

    @property
    def now(self) -> datetime:
        return datetime.now(UTC) + self._passed

    def let_pass(self, *, is_worked: bool = True, **time: float) -> None:
        """Move the clock, and let the worker do what is due."""
        self._passed += timedelta(**time)
        if not is_worked:
            return
        with self.database.transaction() as session:
            deadlines.expire(session, now=self.now)
            watch.look(session, limit_s=LIMIT_S, now=self.now)

    def apply(self, policy: str) -> None:
        """Make another policy active; open work is asked again under it."""
        with self.database.transaction() as session:
            reasking.apply(session, policy, actor="test", now=self.now)
            reasking.sweep(session, now=self.now)

    @contextmanager
    def open(self) -> Generator[None]:
        """Serve."""
        self._start(0)
        try:
            yield
        finally:
            self._running.stop()

    def restart(self) -> None:
        """Stop the server, which ends every connection, and start another at the same address."""
        self._running.stop()
        self._start(self._running.port)

    def _start(self, port: int) -> None:
        app = create_app(self.database, ring=RING)

        async def now() -> datetime:
            return self.now

        app.dependency_overrides[access._now] = now  # pyright: ignore[reportPrivateUsage]
        self._running = Serving(app, port)
        self.url = self._running.url

    def ticket(self, id_: str) -> dict[str, Any]:
        """A proposal as ann sees it."""
        return self._get(f"/v1/proposals/{id_}")

    def _get(self, path: str) -> dict[str, Any]:
        headers = self.people["ann"].headers
        return httpx2.get(f"{self.url}{path}", headers=headers, timeout=PATIENCE_S).json()

    def say(self, id_: str, verdict: str, by: str = "ann", **more: Any) -> httpx2.Response:
        """Review a proposal, as it stands."""
        said = {"proposal_id": id_, "digest": self.ticket(id_)["digest"], "verdict": verdict}
        return httpx2.post(
            f"{self.url}/v1/proposals/{id_}/reviews",
            json={**said, **more},
            headers=self.people[by].headers,
            timeout=PATIENCE_S,
        )

    def count(self) -> int:
        """How many proposals there are."""
        return len(self.ids())

    def ids(self) -> list[str]:
        """All proposals, in the order in which they came."""
        page = self._get("/v1/events?after=0")
        return [e["proposal_id"] for e in page["events"] if e["type"] == "proposal.received"]

    def alarms(self) -> list[str]:
        """The alarms that stand."""
        with self.database.reading() as session:
            return [one.kind for one in alarms.listed(session)]

    def say_at_once(self, id_: str, said: list[tuple[str, str]]) -> list[int]:
        """Reviews of one proposal that all come in the same moment: verdict, by whom; statuses."""
        barrier = threading.Barrier(len(said))

        def one(verdict: str, by: str) -> int:
            barrier.wait()
            return self.say(id_, verdict, by).status_code

        with ThreadPoolExecutor(len(said)) as pool:
            return list(pool.map(one, *zip(*said, strict=True)))
