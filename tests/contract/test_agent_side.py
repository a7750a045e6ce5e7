"""What an agent sees: the shipped in-memory server and the real one keep the same contract."""

import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
import uvicorn

from errata import Client, Effective, Refused, db, errors, run_digest
from errata.app import create_app
from errata.db import Database
from errata.protocol import Action, Point, Proposal, Review
from errata.testing import APPROVE, REJECT, FakeServer, Reviewer, Said
from ingestion import keys, policies, runs, store, tables
from ingestion.policy_file import STARTING_POLICY
from review import queue, settling, votes

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
    server = uvicorn.Server(
        uvicorn.Config(create_app(database), port=0, log_level="error", ws="none")
    )
    over = threading.Event()
    threads = [threading.Thread(target=server.run)]

    def open_client(reviewer: Reviewer) -> Client:
        threads.append(threading.Thread(target=_review, args=(database, ann, reviewer, over)))
        threads[-1].start()
        port = server.servers[0].sockets[0].getsockname()[1]
        return Client(f"http://127.0.0.1:{port}", agent.secret, patience=5)

    threads[0].start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield open_client
    finally:
        over.set()
        server.should_exit = True
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
        ticket = client.wait(client.propose(action()), timeout=5)
        client.run(ticket, ran.append)
        with pytest.raises(errors.PermitUsed):
            client.run(ticket, ran.append)
    assert [one.action for one in ran] == [Action(name="refund", arguments={"amount": 30.0})]


def test_an_edited_action_runs_in_the_persons_version(open_client: Open) -> None:
    version = Effective(action=Action(name="refund", arguments={"amount": 5}))
    ran: list[Effective] = []
    with open_client(lambda _: Said("edit", version)) as client:
        client.run(client.wait(client.propose(action()), timeout=5), ran.append)
    assert ran == [version]


def test_other_bytes_than_the_approved_ones_do_not_use_the_permit(open_client: Open) -> None:
    with open_client(lambda _: APPROVE) as client:
        ticket = client.wait(client.propose(action()), timeout=5)
        assert ticket.permit is not None
        forged = Effective(action=Action(name="refund", arguments={"amount": 9999}))
        with pytest.raises(errors.DigestMismatch):
            client.consume(ticket.permit, run_digest(action(), forged, ticket.permit))
        client.run(ticket, lambda _: "still usable")


def test_a_rejected_action_has_no_permit_and_says_so(open_client: Open) -> None:
    with open_client(lambda _: REJECT) as client:
        ticket = client.wait(client.propose(action()), timeout=5)
        with pytest.raises(Refused) as refused:
            client.run(ticket, lambda _: pytest.fail("it ran"))
    assert refused.value.decision.outcome == "reject"


def test_the_gate_passes_the_approved_arguments_and_nothing_else(open_client: Open) -> None:
    paid: list[float] = []
    version = Effective(action=Action(name="refund", arguments={"amount": 5}))
    with open_client(lambda _: Said("edit", version)) as client:

        @client.gate(agent="desk", timeout=5)
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
        client.run(client.wait(client.propose(proposal), timeout=5), ran.append)
    assert ran == [Effective(candidate="b", content="two")]


def test_a_question_is_answered_without_a_permit(open_client: Open) -> None:
    question = Proposal.model_validate(
        {"hap": "1", "kind": "question", "agent": {"id": "desk"}, "message": "When?"}
    )
    with open_client(lambda _: Said("respond", Effective(response="today"))) as client:
        ticket = client.wait(client.propose(question), timeout=5)
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
        client.run(client.wait(client.propose(click), timeout=5), ran.append)
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
        ticket = client.wait(client.propose(proposal), timeout=5)
        interrupt(run.id, mode, "Wrong customer")
        with pytest.raises(errors.Interrupted, match="Wrong customer") as caught:
            run.step("next")
        assert (caught.value.mode, caught.value.reason) == (mode, "Wrong customer")
        with pytest.raises(errors.Interrupted):
            client.run(ticket, lambda _: pytest.fail("it ran"))
        with pytest.raises(errors.Interrupted):
            run.end()
