"""Twenty agents and four reviewers at work while the API is killed and started again five times.

Nothing is lost, nothing is decided twice, nothing runs twice. `ERRATA_FLEET` sets how many
proposals there are; `make fleet` runs a thousand.
"""

import os
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import psycopg
import pytest
from psycopg import sql
from sqlalchemy import make_url, text

import errata
from errata.db import Database
from errata.protocol import Proposal
from review import audit
from tests.conftest import POSTGRES
from tests.e2e.running import Installation
from tests.waiting import PATIENCE_S, PROCESS_S, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

PROPOSALS = int(os.environ.get("ERRATA_FLEET", "120"))
AGENTS = 20
REVIEWERS = 4
KILLS = 5
POLICY = """\
version: 1
default: {route: queue, quorum: 1, expires_in: 24h, on_timeout: reject}
rules:
  - {name: by itself, when: {action: note}, route: auto}
  - {name: by two, when: {action: wire}, route: queue, quorum: 2}
"""
TOOLS = ("refund", "wire", "note")


@pytest.fixture(params=["sqlite", "postgres"])
def address(request: pytest.FixtureRequest) -> Iterator[str | None]:
    """A database's address; None for the data folder's own SQLite."""
    if request.param == "sqlite":
        yield None
        return
    try:
        admin = psycopg.connect(POSTGRES, autocommit=True, connect_timeout=30)
    except psycopg.OperationalError:
        pytest.skip("no PostgreSQL answers at ERRATA_TEST_POSTGRES")
    name = f"errata_fleet_{uuid.uuid4().hex[:12]}"
    with admin:
        admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        url = make_url(POSTGRES).set(drivername="postgresql+psycopg", database=name)
        yield url.render_as_string(hide_password=False)
        admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


class Fleet:
    """The installation with its agents and reviewers."""

    def __init__(self, home: Installation, keys: list[str]) -> None:
        self.home = home
        self.keys = keys
        self.over = threading.Event()
        self.ran: Counter[str] = Counter()
        self.decided: Counter[str] = Counter()
        self.lock = threading.Lock()

    def work(self, agent: int) -> None:
        """Propose one thing after the other, wait, and do what may be done."""
        credentials = self.home.credentials["api"]
        with errata.Client(credentials["url"], credentials["agent_key"]) as client:
            for number in range(agent, PROPOSALS, AGENTS):
                asked = Proposal.model_validate(
                    {
                        "hap": "1",
                        "id": f"case-{number}",
                        "kind": "action",
                        "agent": {"id": f"agent-{agent}"},
                        "action": {"name": TOOLS[number % 3], "arguments": {"amount": number}},
                    }
                )
                ticket = client.wait(client.propose(asked))
                assert ticket.decision is not None
                with self.lock:
                    self.decided[ticket.id] += 1
                if ticket.permit is not None:
                    client.run(ticket, lambda _, id_=ticket.id: self._run(id_))

    def _run(self, id_: str) -> None:
        with self.lock:
            self.ran[id_] += 1

    def review(self, key: str) -> None:
        """Say something about whatever waits, until the fleet has ended."""
        headers = {"Authorization": f"Bearer {key}"}
        with httpx2.Client(base_url=self.home.api, headers=headers, timeout=PATIENCE_S) as http:
            while not self.over.is_set():
                try:
                    waiting = http.get("/v1/queue").raise_for_status().json()["waiting"]
                    for entry in waiting:
                        self._say(http, entry["id"])
                except httpx2.HTTPError:
                    time.sleep(0.2)  # killed; a person would try again
                time.sleep(0.05)

    def _say(self, http: httpx2.Client, id_: str) -> None:
        ticket = http.get(f"/v1/proposals/{id_}").raise_for_status().json()
        number = int(id_.rpartition("-")[2])
        said: dict[str, Any] = {"proposal_id": id_, "digest": ticket["digest"]}
        if number % 7 == 0:
            said["verdict"] = "reject"
        elif number % 5 == 0 and number % 3 == 0:
            said["verdict"] = "edit"
            said["action"] = {"name": "refund", "arguments": {"amount": -number - 1}}
        else:
            said["verdict"] = "approve"
        http.post(f"/v1/proposals/{id_}/reviews", json=said)


@pytest.fixture
def fleet(tmp_path: Path, address: str | None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Fleet]:
    if address is not None:
        monkeypatch.setenv("ERRATA_DATABASE_URL", address)
    home = Installation(tmp_path / "home")
    home.home.mkdir()
    (home.home / "policy.yaml").write_text(POLICY)
    home.launch("up", "--no-argilla")
    try:
        until(lambda: "api" in home.children() and is_up(home), "the API")
        keys: list[str] = []
        for number in range(REVIEWERS):
            done = home.run("key", "create", "--role", "reviewer", "--name", f"r{number}", "--json")
            assert done.returncode == 0, done.stderr
            keys.append(httpx2.Response(200, text=done.stdout).json()["key"])
        yield Fleet(home, keys)
    finally:
        home.stop()


def is_up(home: Installation) -> bool:
    try:
        return httpx2.get(f"{home.api}/readyz", timeout=2).is_success
    except httpx2.TransportError:
        return False


def test_a_fleet_goes_through_five_kills_of_the_api(fleet: Fleet, address: str | None) -> None:
    with ThreadPoolExecutor(AGENTS + REVIEWERS) as pool:
        reviewers = [pool.submit(fleet.review, key) for key in fleet.keys]
        agents = [pool.submit(fleet.work, number) for number in range(AGENTS)]
        try:
            for kill in range(1, KILLS + 1):
                goal = PROPOSALS * kill // (KILLS + 1)
                until(lambda goal=goal: len(fleet.decided) >= goal, f"{goal} decisions", 600)
                before = fleet.home.children()["api"]
                fleet.home.kill("api")
                until(
                    lambda before=before: fleet.home.children().get("api") not in {before, None},
                    "the API started again",
                )
            for agent in agents:
                agent.result(timeout=600)
        finally:
            fleet.over.set()
        for reviewer in reviewers:
            reviewer.result(timeout=PROCESS_S)
    check(fleet, address or f"sqlite:///{fleet.home.home / 'errata.db'}")


def check(fleet: Fleet, url: str) -> None:
    """What agents have seen is what the database holds; each once."""
    assert fleet.decided == Counter({f"case-{number}": 1 for number in range(PROPOSALS)})
    assert set(fleet.ran.values()) == {1}, "something ran twice"
    database = Database(url)
    with database.reading() as session:
        decisions = dict(
            session.connection().execute(text("SELECT proposal_id, outcome FROM decision")).all()
        )
        used = {
            one
            for (one,) in session.connection().execute(
                text("SELECT proposal_id FROM permit WHERE status = 'used'")
            )
        }
        receipts = {
            one for (one,) in session.connection().execute(text("SELECT proposal_id FROM receipt"))
        }
        assert audit.verify(session).faults == []
    database.close()
    assert len(decisions) == PROPOSALS
    may = {id_ for id_, outcome in decisions.items() if outcome in {"approve", "edit"}}
    assert set(fleet.ran) == may == used == receipts
    for number in range(PROPOSALS):
        expected = "approve" if number % 3 == 2 else "reject" if number % 7 == 0 else None
        if expected is None:
            edits = number % 5 == 0 and TOOLS[number % 3] == "refund"
            expected = "edit" if edits else "approve"
        assert decisions[f"case-{number}"] == expected, number
