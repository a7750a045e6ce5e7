"""Runs over the API, on both databases: progress, interrupts that hold, handing back."""

import threading
import time
from typing import Any

import pytest
from sqlmodel import col, func, select

from errata.db import Database
from errata.errors import ErrataError, Interrupted
from ingestion import permits, runs, tables
from review import audit, erasure
from tests.people import NOW, Api, Person, action, together

SMALL = action("transfer", amount=5, to="bob")
MODES = {"pause": "paused", "takeover": "taken_over", "stop": "stopped"}


class Desk:
    """An agent with a run, and a supervisor who watches it."""

    def __init__(self, api: Api) -> None:
        self.api = api
        answer = self.post("", {"agent": {"id": "desk"}, "goal": "Refund A-1001", "task_id": "t1"})
        assert answer.status_code == 201, answer.text
        self.run = answer.json()

    def post(self, path: str, body: Any, by: Person | None = None) -> Any:
        """As the agent; the raw response."""
        headers = (by or self.api.people.agent).headers
        return self.api.client.post(f"/v1/runs{path}", json=body, headers=headers)

    def tell(self, word: str, body: Any, by: Person | None = None) -> Any:
        """The supervisor's word to the run; the raw response."""
        return self.post(f"/{self.run['id']}/{word}", body, by or self.api.people.supervisor)

    def step(self, name: str, **more: Any) -> Any:
        return self.post(f"/{self.run['id']}/steps", {"name": name, **more})

    def show(self, by: Person | None = None, query: str = "") -> dict[str, Any]:
        headers = (by or self.api.people.analyst).headers
        answer = self.api.client.get(f"/v1/runs/{self.run['id']}{query}", headers=headers)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def interrupt(self, mode: str = "pause") -> None:
        answer = self.tell("interrupt", {"mode": mode, "reason": "Wrong customer"})
        assert answer.status_code == 200, answer.text

    def propose(self, body: dict[str, Any]) -> dict[str, Any]:
        return self.api.propose({**body, "run_id": self.run["id"]})


@pytest.fixture
def desk(api: Api) -> Desk:
    return Desk(api)


def types(database: Database) -> list[str]:
    with database.reading() as session:
        return list(session.exec(select(tables.Event.type).order_by(col(tables.Event.seq))))


# --- progress ---


def test_steps_show_where_a_run_stands(desk: Desk) -> None:
    assert (desk.run["status"], desk.run["goal"]) == ("running", "Refund A-1001")
    ticket = desk.propose(action())
    desk.step("look up the order", progress=0.2)
    told = desk.step("ask for a refund", status="done", note="30 EUR", proposal_id=ticket["id"])
    assert (told.status_code, told.json()["status"]) == (201, "running")
    shown = desk.show()
    assert shown["progress"] == 0.2, "a step without progress leaves it"
    assert [(one["name"], one["status"], one["note"]) for one in shown["steps"]] == [
        ("look up the order", "started", None),
        ("ask for a refund", "done", "30 EUR"),
    ]
    assert shown["steps"][1]["proposal_id"] == ticket["id"]


def test_the_same_step_or_run_again_is_the_same(desk: Desk) -> None:
    for _ in range(2):
        assert desk.step("one", id="s1").json()["version"] == 1
    again = {"id": "r", "agent": "desk"}
    assert [desk.post("", again).json()["id"] for _ in range(2)] == ["r", "r"]
    other = desk.post("", again, desk.api.people.other_agent)
    assert (other.status_code, other.json()["field"]) == (409, "id")
    assert types(desk.api.database).count("run.begun") == 2


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": "x", "progress": 1.1}, "progress"),
        ({"name": ""}, "name"),
        ({"name": "x", "status": "well"}, "status"),
        ({"name": "x", "proposal_id": "unknown"}, "proposal_id"),
        ({"name": "x", "note": "n" * 10_001}, "note"),
    ],
)
def test_a_step_that_does_not_fit_is_refused_by_field(
    desk: Desk, body: dict[str, Any], field: str
) -> None:
    answer = desk.post(f"/{desk.run['id']}/steps", body)
    assert (answer.status_code, answer.json()["field"]) == (422, field)
    assert desk.show()["version"] == 0


def test_runs_are_the_keys_that_began_them(desk: Desk) -> None:
    rival = desk.api.people.other_agent
    path = f"/{desk.run['id']}"
    assert desk.post(f"{path}/steps", {"name": "x"}, rival).status_code == 403
    assert desk.post(f"{path}/end", {}, rival).status_code == 403
    assert desk.api.client.get(f"/v1/runs{path}", headers=rival.headers).status_code == 403
    theirs = desk.post("", {"agent": "rival"}, rival).json()["id"]
    seen = {
        who: [
            one["id"] for one in desk.api.client.get("/v1/runs", headers=by.headers).json()["runs"]
        ]
        for who, by in (("rival", rival), ("ann", desk.api.people.ann))
    }
    assert seen["rival"] == [theirs]
    assert set(seen["ann"]) == {theirs, desk.run["id"]}
    assert desk.post("/nowhere/steps", {"name": "x"}).status_code == 404


def test_runs_are_listed_by_status(desk: Desk) -> None:
    desk.interrupt("stop")
    other = desk.post("", {"agent": "desk"}).json()["id"]
    for status, ids in (("stopped", [desk.run["id"]]), ("running", [other]), ("paused", [])):
        answer = desk.api.client.get(
            f"/v1/runs?status={status}", headers=desk.api.people.supervisor.headers
        )
        assert [one["id"] for one in answer.json()["runs"]] == ids


def test_a_run_that_has_ended_takes_no_step(desk: Desk) -> None:
    path = f"/{desk.run['id']}/end"
    assert desk.post(path, {"status": "done"}).json()["status"] == "done"
    assert desk.post(path, {"status": "done"}).status_code == 200, "the same again"
    assert desk.post(path, {"status": "failed"}).status_code == 409
    assert desk.step("more").status_code == 409
    assert desk.tell("resume", {}).status_code == 409


# --- interrupts ---


@pytest.mark.parametrize("mode", MODES)
def test_an_agent_learns_of_an_interrupt_at_its_next_step(desk: Desk, mode: str) -> None:
    desk.interrupt(mode)
    told = desk.step("next").json()
    assert told["status"] == MODES[mode]
    assert told["interrupt"]["mode"] == mode
    assert (told["interrupt"]["reason"], told["interrupt"]["by"]) == ("Wrong customer", "sue")
    assert desk.tell("resume", {"note": "Use A-1002"}).status_code == 200
    told = desk.step("again").json()
    assert (told["status"], told["note"]) == ("running", "Use A-1002")
    assert "interrupt" not in told


@pytest.mark.parametrize("mode", MODES)
def test_no_permit_of_an_interrupted_run_is_used_until_it_is_handed_back(
    desk: Desk, mode: str
) -> None:
    inside, outside = desk.propose(SMALL), desk.api.propose(SMALL)
    desk.interrupt(mode)
    refused = desk.api.consume(inside["permit"])
    assert (refused.status_code, refused.json()["error"]) == (409, "interrupted")
    assert desk.api.consume(outside["permit"]).status_code == 200
    assert desk.api.show(inside["id"])["permit"]["status"] == "issued"
    desk.tell("resume", {})
    assert desk.api.consume(inside["permit"]).status_code == 200


def test_what_would_run_at_once_goes_to_people_while_its_run_is_interrupted(desk: Desk) -> None:
    desk.interrupt()
    waiting = desk.propose(SMALL)
    assert (waiting["status"], waiting.get("decision")) == ("queued", None)
    assert desk.api.propose(SMALL)["status"] == "permitted", "another run's is not held up"
    desk.tell("resume", {})
    assert desk.propose(SMALL)["status"] == "permitted"


def test_a_run_cannot_end_its_own_interrupt(desk: Desk) -> None:
    ticket = desk.propose(SMALL)
    desk.interrupt("stop")
    ended = desk.post(f"/{desk.run['id']}/end", {})
    assert (ended.status_code, ended.json()["error"]) == (409, "interrupted")
    assert desk.api.consume(ticket["permit"]).status_code == 409


def test_what_an_ended_run_has_left_can_still_be_stopped(desk: Desk) -> None:
    ticket = desk.propose(SMALL)
    desk.post(f"/{desk.run['id']}/end", {})
    desk.interrupt("stop")
    assert desk.api.consume(ticket["permit"]).json()["error"] == "interrupted"


def test_a_run_that_is_not_ours_holds_nothing_up(api: Api) -> None:
    ticket = api.propose({**SMALL, "run_id": "a run of somebody's framework"})
    assert api.consume(ticket["permit"]).status_code == 200


def test_only_those_who_may_interrupt_do(desk: Desk) -> None:
    people = desk.api.people
    body = {"mode": "pause", "reason": "Look at it"}
    for who in (people.agent, people.ann, people.analyst):
        assert desk.tell("interrupt", body, who).status_code == 403
        assert desk.tell("resume", {}, who).status_code == 403
    assert desk.tell("interrupt", body, people.admin).status_code == 200
    without = desk.tell("interrupt", {"mode": "pause"})
    assert (without.status_code, without.json()["field"]) == (422, "reason")
    assert desk.tell("resume", {}, people.admin).status_code == 200
    assert desk.tell("resume", {}).status_code == 409, "it is not interrupted any more"


def test_an_interrupt_that_was_answered_stops_every_use_after_it(desk: Desk) -> None:
    api = desk.api
    tickets = [desk.propose(SMALL) for _ in range(8)]
    answered = threading.Event()
    late: list[str] = []

    def act(number: int) -> str:
        with api.database.transaction() as session:
            caller = session.get_one(tables.Principal, api.people.agent.principal.id)
            if number == 0:
                said = runs.Interrupt(mode="stop", reason="Stop")
                runs.interrupt(session, desk.run["id"], said, caller, now=NOW)
        if number == 0:
            answered.set()
            return "interrupted"
        began_after = answered.is_set()
        permit = tickets[number]["permit"]
        try:
            with api.database.transaction() as session:
                permits.consume(session, permit["id"], permit["digest"], caller, now=NOW)
        except Interrupted:
            return "refused"
        except ErrataError as error:
            return error.code
        if began_after:
            late.append(permit["id"])
        return "used"

    for ticket in tickets:  # their times are the clock's, the test's is another
        with api.database.transaction() as session:
            session.get_one(tables.Permit, ticket["permit"]["id"]).not_before = NOW
    outcome = together(8, act)
    assert outcome["refused"] + outcome["used"] == 7, outcome
    assert late == []
    assert api.consume(tickets[0]["permit"]).status_code == 409


# --- waiting ---


def test_a_long_poll_answers_when_the_run_changes_and_not_before(desk: Desk) -> None:
    assert desk.show(query="?wait=0.2")["version"] == 0
    told: list[dict[str, Any]] = []
    poll = threading.Thread(target=lambda: told.append(desk.show(query="?wait=60&after=0")))
    begun = time.monotonic()
    poll.start()
    desk.api.propose()  # an event of something else
    desk.interrupt()
    poll.join()
    assert (told[0]["status"], told[0]["version"]) == ("paused", 1)
    assert time.monotonic() - begun < 50
    assert desk.show(query="?wait=60&after=0")["version"] == 1, "what has changed is told at once"


# --- the record ---


def test_everything_is_an_event_and_nothing_that_was_written_is_in_the_log(desk: Desk) -> None:
    desk.step("secret step", note="secret note")
    desk.interrupt()
    desk.tell("resume", {"note": "secret advice"})
    desk.post(f"/{desk.run['id']}/end", {})
    about = [one for one in types(desk.api.database) if one.startswith("run.")]
    assert about == ["run.begun", "run.stepped", "run.interrupted", "run.resumed", "run.ended"]
    with desk.api.database.reading() as session:
        data = [str(one) for one in session.exec(select(tables.Event.data))]
        assert audit.verify(session).faults == []
    assert not any("secret" in one or "Wrong customer" in one for one in data)


def test_the_texts_of_a_run_can_be_erased_and_the_run_stays(desk: Desk) -> None:
    desk.step("secret", note="text")
    desk.interrupt()
    with desk.api.database.transaction() as session:
        assert erasure.erase_runs(session, [desk.run["id"]], actor="test", now=NOW) == 3
    shown = desk.show()
    assert (shown["goal"], shown["status"], shown["interrupt"]["reason"]) == (None, "paused", None)
    assert [(one["name"], one["note"]) for one in shown["steps"]] == [(None, None)]
    assert "payload.erased" in types(desk.api.database)


def test_a_note_about_a_proposal_is_erased_with_it(desk: Desk) -> None:
    ticket = desk.propose(SMALL)
    desk.step("about it", note="secret", proposal_id=ticket["id"])
    desk.step("about something else", note="kept")
    with desk.api.database.transaction() as session:
        erasure.erase(session, [ticket["id"]], actor="test", now=NOW)
    assert [one["note"] for one in desk.show()["steps"]] == [None, "kept"]
    with desk.api.database.reading() as session:
        assert session.exec(select(func.count()).select_from(tables.RunStep)).one() == 2
