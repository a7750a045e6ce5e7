"""Runs of the SDK against the real application: progress, pauses, stops, and asking for help."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from sqlmodel import col, select

from errata import Action, AsyncClient, Client, Interrupted, Refused, StillOpen, errors, retrying
from errata.db import Database
from errata.protocol import Proposal, Ticket
from errata.runs import retrying_async
from ingestion import store, tables
from tests.errata.test_client import reviewing
from tests.people import People, action
from tests.waiting import PATIENCE_S, until

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


@pytest.fixture
def agent(server: str, people: People) -> Iterator[Client]:
    with Client(server, people.agent.secret) as client:
        yield client


@pytest.fixture
def sue(server: str, people: People) -> Iterator[httpx2.Client]:
    with httpx2.Client(
        base_url=server, headers=people.supervisor.headers, timeout=PATIENCE_S
    ) as client:
        yield client


SMALL = action("transfer", amount=5, to="bob")


def propose(agent: Client, body: dict[str, Any], **more: Any) -> Ticket:
    return agent.propose(Proposal.model_validate({**body, **more}))


def tell(sue: httpx2.Client, run: str, word: str, **body: Any) -> None:
    answer = sue.post(f"/v1/runs/{run}/{word}", json=body)
    assert answer.status_code == 200, answer.text


def steps(sue: httpx2.Client, run: str) -> list[Any]:
    return sue.get(f"/v1/runs/{run}").json()["steps"]


def statuses(database: Database) -> list[str]:
    with database.reading() as session:
        return list(session.exec(select(tables.Run.status)))


def meanwhile(work: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=work)
    thread.start()
    return thread


def test_a_run_is_watched_and_ends_with_its_block(
    agent: Client, sue: httpx2.Client, database: Database
) -> None:
    with agent.begin(agent="desk", goal="Refund A-1001", task_id="t1") as run:
        run.step("look up", progress=0.3, note="found it")
        ticket = propose(agent, action(), run_id=run.id)
        run.step("ask", proposal=ticket)
        shown = sue.get(f"/v1/runs/{run.id}").json()
        assert statuses(database) == ["running"]
    assert (shown["goal"], shown["task_id"], shown["progress"]) == ("Refund A-1001", "t1", 0.3)
    assert [one["name"] for one in shown["steps"]] == ["look up", "ask"]
    assert shown["steps"][1]["proposal_id"] == ticket.id
    assert statuses(database) == ["done"]


def test_the_example_of_the_docs_runs(
    server: str, people: People, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ERRATA_URL", server)
    monkeypatch.setenv("ERRATA_KEY", people.agent.secret)
    page = (Path(__file__).parents[2] / "docs" / "runs.md").read_text(encoding="utf-8")
    code = page.split("```python\n")[1].split("```")[0]
    exec(code, {"orders": ["A-1", "A-2"], "look_up": dict.fromkeys(["A-1", "A-2"], 5.0).get})
    assert statuses(database) == ["done"]
    with database.reading() as session:
        asked = session.exec(select(tables.Proposal)).all()
        assert [one.status for one in asked] == ["permitted", "permitted"]
        assert len({one.run_id for one in asked}) == 1


def test_a_run_that_raises_has_failed_and_the_error_stays(
    agent: Client, database: Database
) -> None:
    with pytest.raises(ZeroDivisionError), agent.begin("desk"):
        raise ZeroDivisionError
    assert statuses(database) == ["failed"]


@pytest.mark.parametrize("mode", ["stop", "takeover"])
def test_a_step_of_a_run_that_must_not_go_on_raises_the_reason(
    agent: Client, sue: httpx2.Client, database: Database, mode: str
) -> None:
    def work() -> None:
        with agent.begin("desk") as run:
            run.step("one")
            tell(sue, run.id, "interrupt", mode=mode, reason="Wrong customer")
            run.step("two")
            pytest.fail("it went on")

    with pytest.raises(Interrupted, match="Wrong customer") as caught:
        work()
    assert (caught.value.mode, caught.value.reason) == (mode, "Wrong customer")
    assert statuses(database) == [{"stop": "stopped", "takeover": "taken_over"}[mode]]


def test_a_paused_run_waits_until_it_is_handed_back_and_is_told_why(
    agent: Client, sue: httpx2.Client
) -> None:
    with agent.begin("desk") as run:
        tell(sue, run.id, "interrupt", mode="pause", reason="Wait")
        with pytest.raises(StillOpen):
            run.step("too early", timeout=0.2)
        told: list[str | None] = []
        thread = meanwhile(lambda: told.append(run.step("waits", timeout=PATIENCE_S)))
        until(lambda: len(steps(sue, run.id)) == 2, "the step that waits")
        assert told == []
        tell(sue, run.id, "resume", note="Use A-1002")
        thread.join()
        assert told == ["Use A-1002"]


def test_a_pause_that_becomes_a_stop_raises(agent: Client, sue: httpx2.Client) -> None:
    run = agent.begin("desk")
    tell(sue, run.id, "interrupt", mode="pause", reason="Wait")
    caught: list[Interrupted] = []

    def work() -> None:
        try:
            run.step("waits", timeout=PATIENCE_S)
        except Interrupted as error:
            caught.append(error)

    thread = meanwhile(work)
    until(lambda: steps(sue, run.id), "the step that waits")
    tell(sue, run.id, "interrupt", mode="stop", reason="No")
    thread.join()
    assert [(one.mode, one.reason) for one in caught] == [("stop", "No")]


def test_what_is_approved_in_an_interrupted_run_does_not_run(
    agent: Client, sue: httpx2.Client
) -> None:
    run = agent.begin("desk")
    ticket = propose(agent, SMALL, run_id=run.id)
    tell(sue, run.id, "interrupt", mode="pause", reason="Wait")
    with pytest.raises(Interrupted):
        agent.run(ticket, lambda _: pytest.fail("it ran"))
    tell(sue, run.id, "resume")
    assert agent.run(ticket, lambda _: "ran") == "ran"


def test_the_async_run_does_the_same(
    server: str, people: People, sue: httpx2.Client, database: Database
) -> None:
    async def main() -> str | None:
        async with (
            AsyncClient(server, people.agent.secret) as client,
            client.begin("desk", goal="g") as run,
        ):
            await run.step("one", progress=0.5)
            await asyncio.to_thread(tell, sue, run.id, "interrupt", mode="pause", reason="Wait")
            waiting = asyncio.create_task(run.step("two", timeout=PATIENCE_S))
            await asyncio.to_thread(until, lambda: len(steps(sue, run.id)) == 2, "the second step")
            await asyncio.to_thread(tell, sue, run.id, "resume", note="Go on")
            return await waiting

    async def stopped() -> None:
        async with (
            AsyncClient(server, people.agent.secret) as client,
            client.begin("desk") as run,
        ):
            await asyncio.to_thread(tell, sue, run.id, "interrupt", mode="stop", reason="No")
            await run.step("never")

    assert asyncio.run(main()) == "Go on"
    with pytest.raises(Interrupted):
        asyncio.run(stopped())
    assert sorted(statuses(database)) == ["done", "stopped"]


def test_what_depends_on_something_runs_as_soon_as_that_has_run(agent: Client) -> None:
    first = propose(agent, SMALL)
    second = propose(agent, SMALL, depends_on=[first.id])
    ran: list[str] = []
    thread = meanwhile(lambda: agent.run(second, lambda _: ran.append("second")))
    agent.run(first, lambda _: ran.append("first"))
    thread.join()
    assert ran == ["first", "second"]


# --- asking ---


@pytest.mark.parametrize("options", [["5 pm", "6 pm"], {"5 pm": "Five", "6 pm": "Six"}])
def test_a_question_is_answered_by_an_option(
    agent: Client, server: str, people: People, options: Any
) -> None:
    with reviewing(server, people, "respond", response="6 pm"):
        assert agent.ask("Which flight?", options, agent="desk", timeout=PATIENCE_S) == "6 pm"


def test_a_question_that_nobody_will_answer_is_refused(
    agent: Client, server: str, people: People
) -> None:
    with reviewing(server, people, "reject"), pytest.raises(Refused):
        agent.ask("Which flight?", agent="desk", timeout=PATIENCE_S)


class Flaky:
    """Fails so many times, then gives a result."""

    def __init__(self, failures: int) -> None:
        self.left = failures
        self.calls = 0

    def __call__(self) -> str:
        self.calls += 1
        if self.left > 0:
            self.left -= 1
            raise OSError(f"no answer {self.calls}")
        return "done"

    async def later(self) -> str:
        return self()


def asked(database: Database) -> list[tables.Proposal]:
    with database.reading() as session:
        return list(session.exec(select(tables.Proposal).order_by(col(tables.Proposal.id))))


def test_what_works_in_the_end_bothers_nobody(agent: Client, database: Database) -> None:
    flaky = Flaky(2)
    assert retrying(flaky, 3, client=agent, agent="desk", goal="g", delay=0.01) == "done"
    assert (flaky.calls, asked(database)) == (3, [])


def test_after_the_last_attempt_a_person_is_asked_and_the_answer_returned(
    agent: Client, server: str, people: People, database: Database
) -> None:
    flaky = Flaky(9)
    with reviewing(server, people, "respond", response="skip it"):
        told = retrying(
            flaky,
            3,
            client=agent,
            agent="desk",
            goal="Book",
            delay=0.01,
            timeout=PATIENCE_S,
            task_id="t1",
        )
    assert (told, flaky.calls) == ("skip it", 3)
    (row,) = asked(database)
    assert (row.kind, row.task_id) == ("exception", "t1")
    with database.reading() as session:
        proposal = store.proposal(session, row.id)
    assert proposal is not None
    assert proposal.reasoning is not None
    assert proposal.reasoning.goal == "Book"
    assert len(proposal.reasoning.done) == 3
    assert proposal.reasoning.stuck_on == "OSError: no answer 3"


def test_a_persons_version_is_returned_too(agent: Client, server: str, people: People) -> None:
    version = {"name": "write", "arguments": {"to": "bob"}}
    with reviewing(server, people, "edit", action=version):
        told = retrying(Flaky(1), 1, client=agent, agent="desk", goal="Book", timeout=PATIENCE_S)
    assert told == Action.model_validate(version)


def test_who_gets_no_answer_sees_the_failure_behind_it(
    agent: Client, server: str, people: People
) -> None:
    with reviewing(server, people, "reject"), pytest.raises(Refused) as caught:
        retrying(Flaky(1), 1, client=agent, agent="desk", goal="Book", timeout=PATIENCE_S)
    assert isinstance(caught.value.__cause__, OSError)


def test_a_refusal_is_not_tried_again(agent: Client, database: Database) -> None:
    calls: list[int] = []

    def refused() -> None:
        calls.append(1)
        raise errors.Halted("the fleet is halted")

    with pytest.raises(errors.Halted):
        retrying(refused, 3, client=agent, agent="desk", goal="g", delay=0.01)
    assert (len(calls), asked(database)) == (1, [])
    with pytest.raises(errors.Malformed):
        retrying(Flaky(0), 0, client=agent, agent="desk", goal="g")


def test_the_async_attempts_do_the_same(server: str, people: People) -> None:
    async def main() -> tuple[Any, Any]:
        async with AsyncClient(server, people.agent.secret) as client:
            given: Any = {"client": client, "agent": "desk", "goal": "g", "delay": 0.01}
            worked = await retrying_async(Flaky(1).later, 2, **given)
            return worked, await retrying_async(Flaky(9).later, 2, timeout=PATIENCE_S, **given)

    with reviewing(server, people, "respond", response="skip it"):
        assert asyncio.run(main()) == ("done", "skip it")


def test_pauses_double_and_are_bounded(
    agent: Client, server: str, people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []
    flaky = Flaky(9)
    with reviewing(server, people, "respond", response="x"):
        monkeypatch.setattr("errata.runs.time.sleep", slept.append)
        retrying(flaky, 9, client=agent, agent="desk", goal="g", delay=1, timeout=PATIENCE_S)
    ceilings = [1, 2, 4, 8, 16, 30, 30, 30]
    pauses = slept[:8]
    assert all(top / 2 <= one <= top for one, top in zip(pauses, ceilings, strict=True)), pauses
