"""What an agent sees: the shipped in-memory server and the real one keep the same contract."""

import asyncio
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from errata import (
    AsyncClient,
    Client,
    Effective,
    Framework,
    Refused,
    Ticket,
    db,
    errors,
    run_digest,
)
from errata.app import create_app
from errata.db import Database
from errata.protocol import Action, Agent, Point, Proposal, Review
from errata.testing import APPROVE, REJECT, FakeServer, Reviewer, Said
from ingestion import keys, policies, runs, store, tables
from ingestion.policy_file import STARTING_POLICY
from review import queue, settling, votes
from tests.people import RING
from tests.waiting import PATIENCE_S, serving

Open = Callable[[Reviewer], Client]
Interrupt = Callable[[str, str, str], None]
"""Run, mode, reason."""


@contextmanager
def real_server(folder: Path) -> Generator[Open]:
    """The application behind uvicorn, with a thread that reviews what is queued."""
    database = Database(f"sqlite:///{folder / 'errata.db'}")
    database.migrate()
    now = datetime.now(UTC)
    with database.transaction() as session:
        agent = keys.create(session, "agent", "desk", actor="test", now=now)
        ann = keys.create(session, "reviewer", "ann", actor="test", now=now).principal
        policies.apply(session, STARTING_POLICY, actor="test", now=now)
    over = threading.Event()
    threads: list[threading.Thread] = []

    def open_client(reviewer: Reviewer) -> Client:
        threads.append(threading.Thread(target=_review, args=(database, ann, reviewer, over)))
        threads[-1].start()
        return Client(url, agent.secret)

    with serving(create_app(database, ring=RING)) as url:
        try:
            yield open_client
        finally:
            over.set()
            for thread in threads:
                thread.join()
    database.close()


def _review(
    database: Database, ann: tables.Principal, reviewer: Reviewer, over: threading.Event
) -> None:
    while not over.wait(0.01):
        with database.reading() as session:
            ids = [one.id for one in queue.waiting(session, now=datetime.now(UTC))]
        for id_ in ids:
            with database.transaction() as session:
                row, proposal = store.load(session, id_), store.proposal(session, id_)
                assert proposal is not None
                said = reviewer(proposal)
                if said is not None and row.status == "queued":
                    version = said.version.model_dump(exclude_none=True)
                    review = Review.model_validate(
                        {"proposal_id": id_, "digest": row.digest, "verdict": said.outcome}
                        | version
                    )
                    settling.submit(
                        session, review, votes.Voice(ann, "test"), now=datetime.now(UTC)
                    )


def _interrupt(run_id: str, mode: str, reason: str) -> None:
    """A supervisor's word, to the application that is open."""
    now = datetime.now(UTC)
    said = runs.Interrupt.model_validate({"mode": mode, "reason": reason})
    with db.current().transaction() as session:
        sue = keys.create(session, "supervisor", "sue", actor="test", now=now).principal
        runs.interrupt(session, run_id, said, sue, now=now)


@pytest.fixture(params=["fake", "real"])
def side(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def fakes() -> list[FakeServer]:
    """Those that the test has opened."""
    return []


@pytest.fixture
def interrupt(side: str, fakes: list[FakeServer]) -> Interrupt:
    if side == "real":
        return _interrupt
    return lambda run_id, mode, reason: fakes[-1].interrupt(run_id, mode, reason)


@pytest.fixture
def open_client(side: str, fakes: list[FakeServer], tmp_path: Path) -> Iterator[Open]:
    def open_fake(reviewer: Reviewer) -> Client:
        fakes.append(FakeServer(reviewer))
        return Client(key="any", transport=fakes[-1].transport)

    if side == "fake":
        yield open_fake
        return
    with real_server(tmp_path) as opened:
        yield opened


def action(amount: float = 30.0) -> Proposal:
    return Proposal.model_validate(
        {
            "hap": "1",
            "kind": "action",
            "agent": {"id": "desk"},
            "action": {"name": "refund", "arguments": {"amount": amount}},
        }
    )


def test_an_approved_action_runs_once_as_proposed(open_client: Open) -> None:
    ran: list[Effective] = []
    with open_client(lambda _: APPROVE) as client:
        ticket = client.wait(client.propose(action()), timeout=PATIENCE_S)
        client.run(ticket, ran.append)
        with pytest.raises(errors.PermitUsed):
            client.run(ticket, ran.append)
    assert [one.action for one in ran] == [Action(name="refund", arguments={"amount": 30.0})]


def test_the_same_question_under_its_id_shows_where_it_stands(open_client: Open) -> None:
    named = action().model_copy(update={"id": "refund-7"})
    with open_client(lambda _: APPROVE) as client:
        ticket = client.wait(client.propose(named), timeout=PATIENCE_S)
        client.run(ticket, lambda _: {"paid": True})
        again = client.propose(named)
        with pytest.raises(errors.Conflict) as taken:
            client.propose(named.model_copy(update={"agent": Agent(id="desk", version="2")}))
    assert (again.id, again.status) == ("refund-7", "executed")
    assert again.receipt is not None
    assert again.receipt.result == {"paid": True}
    assert taken.value.field == "id"


def test_an_edited_action_runs_in_the_persons_version(open_client: Open) -> None:
    version = Effective(action=Action(name="refund", arguments={"amount": 5}))
    ran: list[Effective] = []
    with open_client(lambda _: Said("edit", version)) as client:
        client.run(client.wait(client.propose(action()), timeout=PATIENCE_S), ran.append)
    assert ran == [version]


def test_other_bytes_than_the_approved_ones_do_not_use_the_permit(open_client: Open) -> None:
    with open_client(lambda _: APPROVE) as client:
        ticket = client.wait(client.propose(action()), timeout=PATIENCE_S)
        assert ticket.permit is not None
        forged = Effective(action=Action(name="refund", arguments={"amount": 9999}))
        with pytest.raises(errors.DigestMismatch):
            client.consume(ticket.permit, run_digest(action(), forged, ticket.permit))
        client.run(ticket, lambda _: "still usable")


def test_a_rejected_action_has_no_permit_and_says_so(open_client: Open) -> None:
    with open_client(lambda _: REJECT) as client:
        ticket = client.wait(client.propose(action()), timeout=PATIENCE_S)
        with pytest.raises(Refused) as refused:
            client.run(ticket, lambda _: pytest.fail("it ran"))
    assert refused.value.decision.outcome == "reject"


def test_the_gate_passes_the_approved_arguments_and_nothing_else(open_client: Open) -> None:
    paid: list[float] = []
    version = Effective(action=Action(name="refund", arguments={"amount": 5}))
    with open_client(lambda _: Said("edit", version)) as client:

        @client.gate(agent="desk", timeout=PATIENCE_S)
        def refund(amount: float) -> str:
            paid.append(amount)
            return "paid"

        assert refund(30.0) == "paid"
    assert paid == [5.0]


def test_a_chosen_candidate_brings_its_content(open_client: Open) -> None:
    proposal = Proposal.model_validate(
        {
            "hap": "1",
            "kind": "candidates",
            "agent": {"id": "desk"},
            "candidates": [{"id": "a", "content": "one"}, {"id": "b", "content": "two"}],
        }
    )
    ran: list[Effective] = []
    with open_client(lambda _: Said("approve", Effective(candidate="b"))) as client:
        client.run(client.wait(client.propose(proposal), timeout=PATIENCE_S), ran.append)
    assert ran == [Effective(candidate="b", content="two")]


def test_a_question_is_answered_without_a_permit(open_client: Open) -> None:
    question = Proposal.model_validate(
        {"hap": "1", "kind": "question", "agent": {"id": "desk"}, "message": "When?"}
    )
    with open_client(lambda _: Said("respond", Effective(response="today"))) as client:
        ticket = client.wait(client.propose(question), timeout=PATIENCE_S)
    assert ticket.decision is not None
    assert (ticket.decision.effective.response, ticket.permit) == ("today", None)


def test_the_same_idempotency_key_is_the_same_proposal(open_client: Open) -> None:
    with open_client(lambda _: None) as client:
        first = client.propose(action(), idempotency_key="k")
        assert client.propose(action(), idempotency_key="k").id == first.id
        assert client.propose(action()).id != first.id


def test_an_undecided_proposal_can_be_cancelled_and_then_not_again(open_client: Open) -> None:
    with open_client(lambda _: None) as client:
        ticket = client.propose(action())
        with pytest.raises(errors.StillOpen):
            client.wait(ticket, timeout=0.05)
        cancelled = client.cancel(ticket)
        assert cancelled.decision is not None
        assert cancelled.decision.outcome == "cancelled"
        with pytest.raises(errors.AlreadyDecided):
            client.cancel(ticket)


def test_a_click_is_approved_at_its_point(open_client: Open) -> None:
    click = Proposal.model_validate(
        {"hap": "1", "kind": "click", "agent": {"id": "desk"}, "point": {"x": 3, "y": 4}}
    )
    ran: list[Effective] = []
    with open_client(lambda _: APPROVE) as client:
        client.run(client.wait(client.propose(click), timeout=PATIENCE_S), ran.append)
    assert ran == [Effective(point=Point(x=3, y=4))]


def test_an_unknown_proposal_is_not_found(open_client: Open) -> None:
    with open_client(lambda _: None) as client, pytest.raises(errors.NotFound):
        client.get("nobody-asked-this")


def test_a_run_takes_steps_until_it_has_ended(open_client: Open) -> None:
    with open_client(lambda _: APPROVE) as client:
        with client.begin("desk", goal="Refund") as run:
            assert run.step("look up", progress=0.5) is None
            assert run.step("pay", status="done", note="30 EUR") is None
        with pytest.raises(errors.Conflict):
            run.step("more")


@pytest.mark.parametrize("mode", ["stop", "takeover"])
def test_an_interrupted_run_takes_no_further_and_uses_no_permit(
    open_client: Open, interrupt: Interrupt, mode: str
) -> None:
    with open_client(lambda _: APPROVE) as client:
        run = client.begin("desk")
        proposal = action().model_copy(update={"run_id": run.id})
        ticket = client.wait(client.propose(proposal), timeout=PATIENCE_S)
        interrupt(run.id, mode, "Wrong customer")
        with pytest.raises(errors.Interrupted, match="Wrong customer") as caught:
            run.step("next")
        assert (caught.value.mode, caught.value.reason) == (mode, "Wrong customer")
        with pytest.raises(errors.Interrupted):
            client.run(ticket, lambda _: pytest.fail("it ran"))
        with pytest.raises(errors.Interrupted):
            run.end()


SDK = Framework(name="some-framework", version="1.2.3")
STOPPED = {"messages": ["Refund A-1001"], "waiting": None, "at_ns": 1_780_000_000_123_456_789}


def test_a_run_that_stopped_is_resumed_when_all_is_decided(open_client: Open) -> None:
    said: list[Said] = []
    with open_client(lambda _: said[0] if said else None) as client:
        asked = [client.propose(action(amount)) for amount in (1.0, 2.0)]
        kept = client.park(
            STOPPED,
            agent=Agent(id="desk", version="7"),
            framework=SDK,
            proposals=asked,
            tools={"refund": None},
        )
        assert (kept.status, kept.ready, client.parked("desk")) == ("parked", False, [])
        assert [one.id for one in client.parked(ready=False)] == [kept.id]
        said.append(APPROVE)
        for ticket in asked:
            client.wait(ticket, timeout=PATIENCE_S)
        assert [one.id for one in client.parked("desk")] == [kept.id]
        assert client.parked("another") == []

        saved = client.resume(kept)
        assert saved.content == STOPPED
        assert (saved.agent, saved.framework, saved.tools) == (
            Agent(id="desk", version="7"),
            SDK,
            {"refund": None},
        )
        assert list(saved.proposals) == [one.id for one in asked]
        assert client.parked("desk") == [], "it is taken"
        with pytest.raises(errors.Taken) as taken:
            client.resume(kept.id)
        assert taken.value.retry_after_s > 200
        client.finish(saved)
        client.finish(saved)
        assert client.parked(ready=None) == []
        with pytest.raises(errors.Conflict):
            client.resume(kept)


def park(client: Client, ticket: Ticket) -> str:
    return client.park(STOPPED, agent="desk", framework=SDK, proposals=[ticket]).id


def test_a_resumed_run_that_stops_again_leaves_one_state(open_client: Open) -> None:
    with open_client(lambda _: APPROVE) as client:
        ticket = client.wait(client.propose(action()), timeout=PATIENCE_S)
        saved = client.resume(park(client, ticket))
        again = client.park([1], agent="desk", framework=SDK, proposals=[ticket.id], replaces=saved)
        assert [one.id for one in client.parked(ready=None)] == [again.id]
        with pytest.raises(errors.Conflict):
            client.resume(saved.id)
        assert client.resume(again).content == [1]


def test_a_state_whose_process_died_is_given_to_the_next(open_client: Open) -> None:
    with open_client(lambda _: APPROVE) as client:
        first = client.resume(park(client, client.propose(action())), lease_s=0.001)
        second = None
        while second is None:
            try:
                second = client.resume(first.id)
            except errors.Taken:
                time.sleep(0.001)
        assert second.content == first.content
        with pytest.raises(errors.Conflict, match="lease"):
            client.finish(first)
        client.finish(second)


def test_the_same_state_sent_twice_is_kept_once(open_client: Open) -> None:
    with open_client(lambda _: None) as client:
        ticket = client.propose(action())
        kept = [
            client.park(
                STOPPED, agent="desk", framework=SDK, proposals=[ticket], idempotency_key="k"
            )
            for _ in range(2)
        ]
        assert kept[0] == kept[1]
        assert len(client.parked(ready=None)) == 1


def test_a_state_that_is_none_is_not_kept_and_not_found(open_client: Open) -> None:
    with open_client(lambda _: None) as client:
        with pytest.raises(errors.Malformed, match="nobody-asked-this"):
            client.park({}, agent="desk", framework=SDK, proposals=["nobody-asked-this"])
        with pytest.raises(errors.Malformed, match="content"):
            client.park(object(), agent="desk", framework=SDK, proposals=[client.propose(action())])
        with pytest.raises(errors.NotFound):
            client.resume("nothing")


def test_an_agent_in_an_event_loop_parks_and_resumes_too() -> None:
    async def run() -> None:
        transport = FakeServer(lambda _: APPROVE).transport
        async with AsyncClient(key="any", transport=transport) as client:
            ticket = await client.propose(action())
            await client.park(STOPPED, agent="desk", framework=SDK, proposals=[ticket])
            (kept,) = await client.parked("desk")
            saved = await client.resume(kept)
            assert saved.content == STOPPED
            await client.finish(saved)
            assert await client.parked(ready=None) == []

    asyncio.run(run())
