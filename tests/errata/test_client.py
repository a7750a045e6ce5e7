"""The SDK against the real application: a tool's body runs only under its own permit."""

import asyncio
import inspect
import json
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import httpx2
import pytest
from sqlmodel import select

from errata import AsyncClient, Client, Proposal, Refused, StillOpen, errors
from errata.app import create_app
from errata.db import Database
from errata.protocol import Receipt
from errata.supervisor import free_port
from ingestion import policies, store, tables
from tests.people import NOW, People, action, proposal
from tests.waiting import PATIENCE_S, Serving, until

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


@contextmanager
def reviewing(server: str, people: People, verdict: str, **more: Any) -> Generator[list[str]]:
    """Ann, who says the same to everything that waits; the ids she has seen."""
    over = threading.Event()
    seen: list[str] = []

    def review(ann: httpx2.Client) -> None:
        for one in ann.get("/v1/queue").json()["waiting"]:
            ticket = ann.get(f"/v1/proposals/{one['id']}").json()
            given = {"proposal_id": one["id"], "digest": ticket["digest"], "verdict": verdict}
            answer = ann.post(f"/v1/proposals/{one['id']}/reviews", json={**given, **more})
            assert answer.status_code == 201, answer.text
            seen.append(one["id"])

    def work() -> None:
        with httpx2.Client(base_url=server, headers=people.ann.headers, timeout=PATIENCE_S) as ann:
            while not over.wait(0.02):
                review(ann)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()


@pytest.fixture
def agent(server: str, people: People) -> Iterator[Client]:
    with Client(server, people.agent.secret) as client:
        yield client


def receipts(database: Database) -> list[dict[str, Any]]:
    with database.reading() as session:
        ids = session.exec(select(tables.Receipt.permit_id)).all()
        return [store.text(session, "receipt", id_) or {} for id_ in ids]


def test_an_approved_call_runs_once_and_is_reported(
    agent: Client, server: str, people: People, database: Database
) -> None:
    ran: list[Any] = []

    @agent.gate("desk", timeout=PATIENCE_S)
    def refund(amount: float, to: str = "bob") -> dict[str, Any]:
        """Pay money back."""
        ran.append((amount, to))
        return {"paid": amount}

    with reviewing(server, people, "approve") as seen:
        assert refund(30.0) == {"paid": 30.0}
    assert ran == [(30.0, "bob")]
    assert agent.get(seen[0]).status == "executed"
    (told,) = receipts(database)
    assert (told["status"], told["result"]) == ("executed", {"paid": 30.0})


def test_the_async_gate_does_the_same(server: str, people: People, database: Database) -> None:
    ran: list[int] = []

    async def main() -> str:
        async with AsyncClient(server, people.agent.secret) as client:

            @client.gate("desk", timeout=PATIENCE_S)
            async def refund(amount: int) -> str:
                ran.append(amount)
                return "paid"

            return await refund(30)

    with reviewing(server, people, "approve"):
        assert asyncio.run(main()) == "paid"
    assert ran == [30]
    assert [one["status"] for one in receipts(database)] == ["executed"]


def test_a_rejected_call_does_not_run_and_brings_the_decision(
    agent: Client, server: str, people: People, database: Database
) -> None:
    @agent.gate("desk", timeout=PATIENCE_S)
    def refund(amount: float) -> None:
        pytest.fail("it ran")

    rationale = {"code": "policy", "text": "not for us"}
    with (
        reviewing(server, people, "reject", rationale=rationale),
        pytest.raises(Refused) as refused,
    ):
        refund(30.0)
    assert refused.value.decision.outcome == "reject"
    assert "not for us" in refused.value.detail
    assert receipts(database) == []


def test_the_async_gate_refuses_too(server: str, people: People) -> None:
    async def main() -> None:
        async with AsyncClient(server, people.agent.secret) as client:

            @client.gate("desk", timeout=PATIENCE_S)
            async def refund(amount: float) -> None:
                pytest.fail("it ran")

            await refund(30.0)

    with reviewing(server, people, "reject"), pytest.raises(Refused):
        asyncio.run(main())


def test_a_persons_version_arrives_in_the_functions_own_types(
    agent: Client, server: str, people: People
) -> None:
    ran: list[Any] = []

    @agent.gate("desk", timeout=PATIENCE_S)
    def book(amount: Decimal, on: datetime, notes: list[str]) -> None:
        ran.append((amount, on, notes))

    version = {
        "name": "book",
        "arguments": {"amount": "12.50", "on": "2026-03-02T09:00:00Z", "notes": ["edited"]},
    }
    with reviewing(server, people, "edit", action=version):
        book(Decimal("99.90"), NOW, [])
    assert ran == [(Decimal("12.50"), datetime(2026, 3, 2, 9, tzinfo=UTC), ["edited"])]


def test_arguments_that_change_while_people_think_do_not_run(
    agent: Client, server: str, people: People
) -> None:
    items = ["one"]
    ran: list[list[str]] = []

    @agent.gate("desk", timeout=PATIENCE_S)
    def order(items: list[str]) -> None:
        ran.append(items)

    def call() -> None:
        order(items)

    thread = threading.Thread(target=call)
    thread.start()
    _until(server, people, 1)
    items.append("another that nobody saw")
    with reviewing(server, people, "approve"):
        thread.join()
    assert ran == [["one"]]


def _until(server: str, people: People, count: int) -> None:
    with httpx2.Client(base_url=server, headers=people.ann.headers, timeout=PATIENCE_S) as ann:
        until(lambda: len(ann.get("/v1/queue").json()["waiting"]) >= count, f"{count} in the queue")


class Liar(httpx2.BaseTransport):
    """Somebody between agent and server who changes what was approved."""

    def __init__(self) -> None:
        self._real = httpx2.HTTPTransport()

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        response = self._real.handle_request(request)
        response.read()
        body = json.loads(response.content)
        if "decision" in body:
            body["decision"]["effective"]["action"]["arguments"]["to"] = "eve"
        return httpx2.Response(response.status_code, json=body)

    def close(self) -> None:
        self._real.close()


def test_arguments_that_were_changed_on_the_way_do_not_run(
    server: str, people: People, database: Database
) -> None:
    with Client(server, people.agent.secret, transport=Liar()) as client:

        @client.gate("desk", timeout=PATIENCE_S)
        def transfer(amount: float, to: str) -> None:
            pytest.fail("it ran")

        with pytest.raises(errors.DigestMismatch):
            transfer(5.0, "bob")
        ticket = client.propose(Proposal.model_validate(action("transfer", amount=6, to="bob")))
        with pytest.raises(errors.DigestMismatch):
            client.run(ticket, lambda _: pytest.fail("it ran"))
    with database.reading() as session:
        assert set(session.exec(select(tables.Permit.status))) == {"issued"}


def test_a_body_that_fails_is_reported_as_failed_and_raises_its_own_error(
    agent: Client, server: str, people: People, database: Database
) -> None:
    @agent.gate("desk", timeout=PATIENCE_S)
    def refund(amount: float) -> None:
        raise ZeroDivisionError("the till is empty")

    with reviewing(server, people, "approve") as seen, pytest.raises(ZeroDivisionError):
        refund(30.0)
    assert agent.get(seen[0]).status == "failed"
    (told,) = receipts(database)
    assert told["error"] == "ZeroDivisionError: the till is empty"


def test_a_body_that_cannot_say_whether_it_took_effect_is_reported_as_unknown(
    agent: Client, server: str, people: People
) -> None:
    @agent.gate("desk", timeout=PATIENCE_S)
    def refund(amount: float) -> None:
        raise errors.OutcomeUnknown("the bank was lost while it paid")

    with reviewing(server, people, "approve") as seen, pytest.raises(errors.OutcomeUnknown):
        refund(30.0)
    assert agent.get(seen[0]).status == "unknown"


def test_a_result_that_is_no_json_stays_with_the_caller(
    agent: Client, server: str, people: People, database: Database
) -> None:
    handle = object()

    @agent.gate("desk", timeout=PATIENCE_S)
    def opened(path: str) -> object:
        return handle

    with reviewing(server, people, "approve"):
        assert opened("a") is handle
    (told,) = receipts(database)
    assert told["status"] == "executed"
    assert told.get("result") is None


def test_the_gate_looks_like_the_tool_and_leaves_no_way_round(agent: Client) -> None:
    def refund(amount: float, to: str = "bob") -> None:
        """Pay money back."""

    gated = agent.gate("desk")(refund)
    assert (gated.__name__, gated.__doc__) == ("refund", "Pay money back.")
    assert inspect.signature(gated) == inspect.signature(refund)
    assert inspect.unwrap(gated) is gated
    assert not hasattr(gated, "__wrapped__")


def test_a_tool_whose_arguments_have_no_names_cannot_be_gated(agent: Client) -> None:
    def pay(*amounts: float) -> None: ...

    def note(**more: str) -> None: ...

    def give(amount: float, /) -> None: ...

    for tool in (pay, note, give):
        with pytest.raises(TypeError, match="named parameters only"):
            agent.gate("desk")(tool)


def test_a_call_that_cannot_be_proposed_runs_nothing(agent: Client, database: Database) -> None:
    @agent.gate("desk")
    def refund(amount: float) -> None:
        pytest.fail("it ran")

    with pytest.raises(errors.Malformed, match="NaN"):
        refund(float("nan"))
    with pytest.raises(TypeError):
        refund("1", "2")  # pyright: ignore[reportCallIssue]
    with database.reading() as session:
        assert session.exec(select(tables.Proposal)).all() == []


def test_waiting_ends_with_its_time_and_can_be_taken_up_again(
    agent: Client, server: str, people: People
) -> None:
    ticket = agent.propose(proposal())
    with pytest.raises(StillOpen):
        agent.wait(ticket, timeout=0.2)
    with pytest.raises(StillOpen):
        agent.run(ticket, lambda _: None)
    with reviewing(server, people, "approve"):
        decided = agent.wait(ticket.id, timeout=PATIENCE_S)
    assert agent.run(decided, lambda version: version.content) == "Dear Bob, …"


def test_the_async_client_proposes_waits_runs_and_cancels(server: str, people: People) -> None:
    async def main() -> list[Any]:
        async with AsyncClient(server, people.agent.secret) as client:
            first = await client.propose(kind="draft", agent={"id": "desk"}, content="hello")
            assert (await client.get(first)).status == "queued"
            with pytest.raises(StillOpen):
                await client.wait(first, timeout=0.1)
            cancelled = await client.cancel(first)
            at_once = await client.propose(
                Proposal.model_validate(action("transfer", amount=5, to="bob"))
            )

            async def tool(version: Any) -> float:
                return version.action.arguments["amount"]

            with pytest.raises(Refused):
                await client.run(cancelled, tool)
            return [
                cancelled.decision and cancelled.decision.outcome,
                await client.run(at_once, tool),
            ]

    assert asyncio.run(main()) == ["cancelled", 5]


def test_errors_arrive_as_what_the_server_raised(agent: Client, people: People) -> None:
    with pytest.raises(errors.NotFound):
        agent.get("nothing")
    with pytest.raises(errors.Malformed):
        agent.propose(kind="draft", agent={"id": "desk"})
    ticket = agent.propose(Proposal.model_validate(action("transfer", amount=5, to="bob")))
    agent.run(ticket, lambda _: None)
    with pytest.raises(errors.PermitUsed):
        agent.run(ticket, lambda _: None)
    with pytest.raises(errors.AlreadyDecided):
        agent.cancel(ticket)
    assert ticket.permit is not None
    told = Receipt(permit_id=ticket.permit.id, status="failed", started_at=NOW, finished_at=NOW)
    with pytest.raises(errors.Conflict):
        agent.report(told)
    with Client(agent.url, "errata_wrong") as stranger, pytest.raises(errors.Unauthorized):
        stranger.get(ticket)


def test_a_permit_that_is_not_valid_yet_says_when_it_will_be(
    agent: Client, database: Database
) -> None:
    ticket = agent.propose(Proposal.model_validate(action("transfer", amount=5, to="bob")))
    with database.transaction() as session:
        permit = session.exec(select(tables.Permit)).one()
        permit.not_before = permit.expires_at
        permit.expires_at = permit.expires_at.replace(year=permit.expires_at.year + 1)
        session.add(permit)
    with pytest.raises(errors.TooEarly) as early:
        agent.run(ticket, lambda _: pytest.fail("it ran"))
    assert 86_000 < early.value.retry_after_s <= 86_400


def test_a_server_that_comes_back_is_found_again_and_nothing_is_proposed_twice(
    database: Database, people: People
) -> None:
    port = free_port()
    started: list[Serving] = []

    def start_late() -> None:
        time.sleep(0.5)
        started.append(Serving(create_app(database), port))

    thread = threading.Thread(target=start_late)
    thread.start()
    with Client(f"http://127.0.0.1:{port}", people.agent.secret) as client:
        ticket = client.propose(proposal())
        assert client.get(ticket).status == "queued"
    thread.join()
    started[0].stop()
    with database.reading() as session:
        assert len(session.exec(select(tables.Proposal)).all()) == 1


def test_a_lost_answer_is_asked_for_again_with_the_same_key(
    server: str, people: People, database: Database
) -> None:
    class Lossy(httpx2.BaseTransport):
        """Every first answer to a post is lost on the way back."""

        def __init__(self) -> None:
            self._real = httpx2.HTTPTransport()
            self._lost: set[str] = set()

        def handle_request(self, request: httpx2.Request) -> httpx2.Response:
            response = self._real.handle_request(request)
            response.read()
            if request.method == "POST" and request.url.path not in self._lost:
                self._lost.add(request.url.path)
                raise httpx2.ReadError("lost")
            return response

        def close(self) -> None:
            self._real.close()

    ran: list[float] = []
    with Client(server, people.agent.secret, transport=Lossy()) as client:

        @client.gate("desk", timeout=PATIENCE_S)
        def transfer(amount: float, to: str) -> None:
            ran.append(amount)

        transfer(5.0, "bob")
    assert ran == [5.0]
    assert [one["status"] for one in receipts(database)] == ["executed"]
    with database.reading() as session:
        assert len(session.exec(select(tables.Proposal)).all()) == 1


def test_a_server_that_stays_away_is_unavailable(database: Database) -> None:
    client = Client("http://127.0.0.1:9", "errata_any", patience=0.2)
    with client, pytest.raises(errors.Unavailable, match="did not answer within"):
        client.get("any")

    async def main() -> None:
        async with AsyncClient("http://127.0.0.1:9", "errata_any", patience=0.2) as other:
            await other.get("any")

    with pytest.raises(errors.Unavailable):
        asyncio.run(main())


def test_the_key_comes_from_the_environment_and_is_shown_nowhere(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ERRATA_KEY", raising=False)
    with pytest.raises(errors.Unauthorized, match="no key"):
        Client()
    monkeypatch.setenv("ERRATA_KEY", "errata_secret")
    monkeypatch.setenv("ERRATA_URL", "http://127.0.0.1:8/")
    with Client() as client:
        assert repr(client) == "Client(url='http://127.0.0.1:8')"


RATED = """\
version: 1
rates: [{agent: "*", proposals: 1, per: 2s}]
rules:
  - {name: mail, when: {action: send_email}, route: auto, undo_window: 1s}
"""


def test_over_its_rate_the_client_comes_back_when_it_is_told_to(
    server: str, people: People, database: Database
) -> None:
    with database.transaction() as session:
        policies.apply(session, RATED, actor="test", now=NOW)
    with Client(server, people.agent.secret) as patient:
        first, second = patient.propose(proposal()), patient.propose(proposal())
    with database.reading() as session:
        came = [store.load(session, one.id).received_at for one in (first, second)]
    assert (came[1] - came[0]).total_seconds() >= 2

    async def main() -> str:
        async with AsyncClient(server, people.agent.secret) as other:
            return (await other.propose(proposal())).status

    assert asyncio.run(main()) == "queued"
    with database.transaction() as session:
        policies.apply(session, RATED.replace("2s", "1h"), actor="test", now=NOW)
    hurried = Client(server, people.agent.secret, patience=0.5)
    with hurried, pytest.raises(errors.TooMany) as refused:
        hurried.propose(proposal())
    assert refused.value.retry_after_s >= 1


def test_a_gated_call_waits_until_it_cannot_be_undone_any_more(
    agent: Client, people: People, database: Database
) -> None:
    with database.transaction() as session:
        policies.apply(session, RATED, actor="test", now=NOW)
    ran: list[datetime] = []

    @agent.gate("desk", timeout=PATIENCE_S)
    def send_email(text: str) -> None:
        ran.append(datetime.now(UTC))

    send_email("Hello")
    with database.reading() as session:
        assert ran[0] >= session.exec(select(tables.Permit.not_before)).one()

    async def main() -> None:
        async with AsyncClient(agent.url, people.agent.secret) as other:

            @other.gate("desk", timeout=PATIENCE_S)
            async def send_email(text: str) -> None:
                ran.append(datetime.now(UTC))

            await send_email("Hello again")

    asyncio.run(main())
    assert len(ran) == 2
