"""Saved states over the API, on both databases: sealed, given to one, erased."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlmodel import col, select

from errata.app import create_app
from errata.db import Database
from errata.errors import Conflict, Gone
from errata.states import Parking
from ingestion import parked, sealing, states, tables
from review import audit, erasure
from tests.people import NOW, RING, STATE_KEY, Api, People, Person, action, at, together

SECRET = "IBAN DE89 3704 0044 0532 0130 00"
CONTENT = {"messages": [{"role": "user", "content": SECRET}], "ns": 2**60, "no": None, "x": [1.5]}


def body(*proposals: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "agent": {"id": "desk", "version": "7"},
        "framework": {"name": "some-framework", "version": "1.2.3"},
        "tools": {"refund": "sha256:" + "0" * 64, "look_up": None},
        "proposals": [one["id"] for one in proposals],
        "content": CONTENT,
        **more,
    }


class Desk:
    """An agent that stops and goes on."""

    def __init__(self, api: Api) -> None:
        self.api = api

    def post(self, path: str, json: Any, by: Person | None = None, key: str | None = None) -> Any:
        headers = {"Idempotency-Key": key} if key else {}
        headers |= (by or self.api.people.agent).headers
        return self.api.client.post(f"/v1/states{path}", json=json, headers=headers)

    def park(self, *proposals: dict[str, Any], **more: Any) -> str:
        answer = self.post("", body(*proposals, **more))
        assert answer.status_code == 201, answer.text
        return answer.json()["id"]

    def resume(self, id_: str, **more: Any) -> Any:
        return self.post(f"/{id_}/resume", more)

    def listed(self, query: str = "", by: Person | None = None) -> list[str]:
        headers = (by or self.api.people.agent).headers
        answer = self.api.client.get(f"/v1/states{query}", headers=headers)
        assert answer.status_code == 200, answer.text
        assert SECRET not in answer.text
        return [one["id"] for one in answer.json()["states"]]


@pytest.fixture
def desk(api: Api) -> Desk:
    return Desk(api)


def parking(*proposals: dict[str, Any], **more: Any) -> Parking:
    return Parking.model_validate(body(*proposals, **more))


def row_of(database: Database, id_: str) -> tables.SavedState:
    with database.reading() as session:
        return session.get_one(tables.SavedState, id_)


def logged(database: Database) -> list[tables.Event]:
    with database.reading() as session:
        of_states = col(tables.Event.type).startswith("state.")
        statement = select(tables.Event).where(of_states).order_by(col(tables.Event.seq))
        return list(session.exec(statement))


# --- what is kept ---


def test_nothing_of_a_parked_state_can_be_read_in_the_files(
    sqlite_api: Api, sqlite_database: Database, tmp_path: Path
) -> None:
    desk = Desk(sqlite_api)
    id_ = desk.park(sqlite_api.propose())
    kept = [path for path in tmp_path.iterdir() if path.name.startswith("errata.db")]
    assert "errata.db-wal" in {path.name for path in kept}
    raw = b"".join(path.read_bytes() for path in kept)
    assert id_.encode() in raw, "the search finds what is there"
    assert SECRET.encode() not in raw
    assert b"messages" not in raw
    assert desk.resume(id_).json()["content"] == CONTENT


def test_a_resumed_state_comes_back_as_it_was_parked(desk: Desk, api: Api) -> None:
    one, two = api.propose(), api.propose()
    answer = desk.post("", body(two, one)).json()
    saved = desk.resume(answer["id"]).json()
    assert json.dumps(saved["content"]) == json.dumps(CONTENT)
    assert saved["agent"] == {"id": "desk", "version": "7"}
    assert saved["framework"] == {"name": "some-framework", "version": "1.2.3"}
    assert saved["tools"] == {"refund": "sha256:" + "0" * 64, "look_up": None}
    assert saved["proposals"] == [two["id"], one["id"]]
    assert saved["expires_at"] == answer["expires_at"]


def test_the_log_tells_of_each_step_without_what_was_kept(
    desk: Desk, api: Api, database: Database
) -> None:
    id_ = desk.park(api.propose())
    lease = desk.resume(id_).json()["lease"]
    assert desk.post(f"/{id_}/done", {"lease": lease}).status_code == 200
    events = logged(database)
    assert [one.type for one in events] == ["state.parked", "state.resumed", "state.done"]
    assert {one.data["state"] for one in events} == {id_}
    assert events[0].data["key"] == RING.fingerprints[0]
    assert all(lease not in str(one.data) and SECRET not in str(one.data) for one in events)
    assert row_of(database, id_).sealed is None
    with database.reading() as session:
        assert audit.verify(session).faults == []


@pytest.mark.parametrize(
    "change",
    [
        {"agent_id": "other"},
        {"agent_version": "8"},
        {"framework_version": "9"},
        {"tools": {"refund": None}},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_state_whose_row_was_changed_is_not_opened(
    desk: Desk, api: Api, database: Database, change: dict[str, Any]
) -> None:
    id_ = desk.park(api.propose())
    with database.transaction() as session:
        row = session.get_one(tables.SavedState, id_)
        for name, value in change.items():
            setattr(row, name, value)
    answer = desk.resume(id_)
    assert (answer.status_code, answer.json()["error"]) == (410, "tampered")
    assert row_of(database, id_).status == "parked"


def test_a_content_that_was_moved_to_another_row_is_not_opened(
    desk: Desk, api: Api, database: Database
) -> None:
    ticket = api.propose()
    one, two = desk.park(ticket), desk.park(ticket)
    with database.transaction() as session:
        session.get_one(tables.SavedState, two).sealed = session.get_one(
            tables.SavedState, one
        ).sealed
    assert desk.resume(two).json()["error"] == "tampered"
    assert desk.resume(one).status_code == 200


def test_a_state_given_to_another_owner_in_the_database_is_not_opened(
    desk: Desk, api: Api, database: Database
) -> None:
    id_, rival = desk.park(api.propose()), api.people.other_agent
    with database.transaction() as session:
        session.get_one(tables.SavedState, id_).owner_id = rival.principal.id
    assert desk.post(f"/{id_}/resume", {}, rival).json()["error"] == "tampered"


# --- keys ---


def test_states_outlive_a_rotation_of_the_key(api: Api, database: Database) -> None:
    id_ = Desk(api).park(api.propose())
    new = sealing.new_key()
    with TestClient(create_app(database, ring=sealing.ring(new))) as client:
        lost = Desk(Api(client, api.people, database)).resume(id_)
    assert (lost.status_code, lost.json()["error"]) == (409, "key_missing")
    assert RING.fingerprints[0] in lost.json()["detail"]
    assert "ERRATA_STATE_KEYS" in lost.json()["detail"]
    assert row_of(database, id_).status == "parked", "nothing is lost by it"
    both = sealing.ring(new, STATE_KEY)
    with TestClient(create_app(database, ring=both)) as client:
        desk = Desk(Api(client, api.people, database))
        assert desk.resume(id_).json()["content"] == CONTENT
        assert row_of(database, desk.park(api.propose())).key == both.fingerprints[0]


def test_without_a_key_nothing_is_kept(api: Api, database: Database) -> None:
    ticket = api.propose()
    with TestClient(create_app(database)) as client:
        answer = Desk(Api(client, api.people, database)).post("", body(ticket))
    assert (answer.status_code, answer.json()["error"]) == (409, "key_missing")
    assert "set ERRATA_STATE_KEYS" in answer.json()["detail"]


# --- who gets it, and when ---


def test_a_state_is_ready_when_all_is_decided(desk: Desk, api: Api) -> None:
    one, two = api.propose(), api.propose()
    id_ = desk.park(one, two)
    assert (desk.listed("?ready=true"), desk.listed("?ready=false")) == ([], [id_])
    api.review(one, "approve")
    assert desk.listed("?ready=true") == []
    api.review(two, "reject")
    assert (desk.listed("?ready=true"), desk.listed("?ready=false")) == ([id_], [])
    assert desk.listed("?ready=true&agent=desk") == desk.listed() == [id_]
    assert desk.listed("?agent=other") == []
    assert desk.listed(by=api.people.other_agent) == []


def test_the_oldest_come_first_and_only_so_many(desk: Desk, api: Api) -> None:
    ticket = api.propose()
    ids = [desk.park(ticket) for _ in range(3)]
    assert desk.listed("?limit=2") == ids[:2]


def test_of_processes_that_resume_at_once_one_gets_it(
    database: Database, people: People, desk: Desk, api: Api
) -> None:
    id_ = desk.park(api.propose())

    def resume(_: int) -> str:
        with database.transaction() as session:
            states.resume(session, RING, id_, people.agent.principal, lease_s=300, now=NOW)
        return "got it"

    assert together(4, resume) == {"got it": 1, "taken": 3}


def test_while_one_holds_a_state_the_others_are_told_when_to_come(desk: Desk, api: Api) -> None:
    id_ = desk.park(api.approved())
    assert desk.resume(id_, lease_s=100).status_code == 200
    answer = desk.resume(id_)
    assert (answer.status_code, answer.json()["error"]) == (409, "taken")
    assert 90 <= int(answer.headers["Retry-After"]) <= 100
    assert desk.listed("?ready=true") == []


def test_the_same_request_to_resume_gets_the_same_lease(desk: Desk, api: Api) -> None:
    id_ = desk.park(api.propose())
    first, second = (desk.post(f"/{id_}/resume", {}, key="k").json() for _ in range(2))
    assert first == second
    assert desk.post(f"/{id_}/resume", {}, key="other").status_code == 409


def test_when_a_lease_is_over_the_next_process_gets_the_state(
    database: Database, people: People, desk: Desk, api: Api
) -> None:
    id_, owner = desk.park(api.propose()), people.agent.principal

    def resume(seconds: float) -> str:
        with database.transaction() as session:
            row = states.resume(session, RING, id_, owner, lease_s=300, now=at(seconds)).row
            assert row.taken_by is not None
            return row.taken_by

    died = resume(0)
    with pytest.raises(Conflict):
        resume(299)
    later = resume(300)
    assert later != died
    with pytest.raises(Conflict, match="another process"), database.transaction() as session:
        states.finish(session, id_, died, owner, now=at(301))
    with database.transaction() as session:
        states.finish(session, id_, later, owner, now=at(900))
        states.finish(session, id_, later, owner, now=at(901))
    assert row_of(database, id_).sealed is None
    with pytest.raises(Conflict, match="is done"):
        resume(1000)


def test_a_state_is_nobody_elses(desk: Desk, api: Api) -> None:
    id_, rival = desk.park(api.propose()), api.people.other_agent
    lease = desk.resume(id_).json()["lease"]
    unknown = desk.post("/nothing/resume", {}, rival).json()
    for answer in (
        desk.post(f"/{id_}/resume", {}, rival),
        desk.post(f"/{id_}/done", {"lease": lease}, rival),
        desk.post("", body(api_propose(api, rival), replaces=id_, lease=lease), rival),
    ):
        assert answer.status_code == 404
        assert answer.json() == json.loads(json.dumps(unknown).replace("nothing", id_))
    assert desk.post(f"/{id_}/resume", {}, api.people.admin).status_code == 403


def api_propose(api: Api, by: Person) -> dict[str, Any]:
    return api.client.post("/v1/proposals", json=action(), headers=by.headers).json()


# --- a state in the place of another ---


def test_a_run_that_stops_again_ends_the_state_before_in_the_same_step(
    desk: Desk, api: Api, database: Database
) -> None:
    ticket = api.approved()
    first = desk.park(ticket)
    lease = desk.resume(first).json()["lease"]
    refused = desk.post("", body(ticket, replaces=first, lease="another"))
    assert (refused.status_code, refused.json()["field"]) == (409, "lease")
    assert row_of(database, first).status == "resumed"
    second = desk.park(ticket, replaces=first, lease=lease)
    assert desk.listed() == [second]
    assert row_of(database, first).sealed is None
    again = desk.post("", body(ticket, replaces=first, lease=lease))
    assert (again.status_code, again.json()["field"]) == (409, "replaces"), (
        "one state, one follower"
    )


def test_the_same_request_to_park_keeps_one_state(desk: Desk, api: Api) -> None:
    ticket = api.propose()
    first, second = (desk.post("", body(ticket), key="k") for _ in range(2))
    assert first.json() == second.json()
    other = desk.post("", body(ticket, content={"other": 1}), key="k")
    assert (other.status_code, other.json()["error"]) == (409, "idempotency_conflict")
    newer = desk.post("", body(ticket, agent={"id": "desk", "version": "8"}), key="k")
    assert newer.json()["error"] == "idempotency_conflict"
    assert len(desk.listed()) == 1


# --- what is refused ---


@pytest.mark.parametrize(
    ("change", "status", "field"),
    [
        pytest.param({"content": {"a": "x" * (8 * 1024 * 1024)}}, 413, "content.a", id="large"),
        ({"content": "text"}, 422, "content"),
        ({"content": None}, 422, "content"),
        ({"pickle": "gASV"}, 422, "pickle"),
        ({"proposals": []}, 422, "proposals"),
        ({"proposals": ["unknown"]}, 422, "proposals[0]"),
        ({"agent": {}}, 422, "agent.id"),
        ({"framework": {"name": "a"}}, 422, "framework.version"),
        ({"tools": {"refund": "md5:1"}}, 422, "tools.refund"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, 422, "expires_at"),
        ({"expires_at": "9999-01-01T00:00:00Z"}, 422, "expires_at"),
        ({"replaces": "a"}, 422, "lease"),
        ({"replaces": "a", "lease": "b"}, 404, None),
    ],
    ids=str,
)
def test_a_request_that_does_not_fit_is_refused_with_its_field(
    desk: Desk, api: Api, change: dict[str, Any], status: int, field: str | None
) -> None:
    answer = desk.post("", {**body(api.propose()), **change})
    assert (answer.status_code, answer.json().get("field")) == (status, field), answer.text
    assert SECRET not in answer.text
    assert desk.listed() == []


def test_content_that_is_no_json_is_refused(desk: Desk, api: Api) -> None:
    stated = json.dumps(body(api.propose(), content={"x": "HERE"}))
    headers = api.people.agent.headers
    deep = "[" * 100_000 + "]" * 100_000
    for wrong in ("NaN", "1e999", '"\\ud800"', deep, '{"a": 1, "a": 2}', "{"):
        raw = stated.replace('"HERE"', wrong)
        answer = api.client.post("/v1/states", content=raw, headers=headers)
        assert (answer.status_code, answer.json()["error"]) == (422, "malformed"), wrong


def test_a_deep_content_comes_back(desk: Desk, api: Api) -> None:
    deep: list[Any] = []
    for _ in range(300):
        deep = [deep]
    assert desk.resume(desk.park(api.propose(), content=deep)).json()["content"] == deep


def test_what_another_key_proposed_cannot_be_waited_for(desk: Desk, api: Api) -> None:
    answer = desk.post("", body(api_propose(api, api.people.other_agent)))
    unknown = desk.post("", body({"id": "unknown"}))
    assert (answer.status_code, unknown.status_code) == (422, 422)
    assert answer.json()["detail"].endswith("is none that this key has made")
    assert unknown.json()["detail"].endswith("is none that this key has made")


def test_only_an_agents_key_parks_and_only_for_its_agents(desk: Desk, api: Api) -> None:
    ticket = api.propose()
    assert desk.post("", body(ticket), api.people.ann).status_code == 403
    with api.database.transaction() as session:
        session.get_one(tables.Principal, api.people.agent.principal.id).agents = ["desk-*"]
    answer = desk.post("", body(ticket))
    assert (answer.status_code, answer.json()["field"]) == (403, "agent.id")


@pytest.mark.parametrize("lease", [0, -1, 86_401, "soon"])
def test_a_lease_is_neither_endless_nor_empty(desk: Desk, api: Api, lease: Any) -> None:
    answer = desk.resume(desk.park(api.propose()), lease_s=lease)
    assert (answer.status_code, answer.json()["field"]) == (422, "lease_s")


# --- what is forgotten ---


def test_a_state_whose_time_is_over_is_gone_and_then_erased(
    database: Database, people: People, desk: Desk, api: Api
) -> None:
    ticket, owner = api.propose(), people.agent.principal
    with database.transaction() as session:
        end = at(60).isoformat()
        id_ = states.park(session, RING, parking(ticket, expires_at=end), owner, now=NOW).id
    with pytest.raises(Gone, match="expired at"), database.transaction() as session:
        states.resume(session, RING, id_, owner, lease_s=1, now=at(60))
    with database.transaction() as session:
        assert not parked.is_due(session, now=at(59))
        assert parked.expire(session, now=at(59)) == 0
        assert parked.is_due(session, now=at(60))
        assert parked.expire(session, now=at(60)) == 1
        assert parked.listed(session, owner, parked.Listing(), now=NOW) == []
    assert (row_of(database, id_).status, row_of(database, id_).sealed) == ("erased", None)
    assert [one.type for one in logged(database)] == ["state.parked", "state.erased"]
    with pytest.raises(Gone, match="expired at"), database.transaction() as session:
        states.resume(session, RING, id_, owner, lease_s=1, now=at(61))


def test_what_says_nothing_of_its_end_is_kept_for_thirty_days(
    database: Database, people: People, api: Api
) -> None:
    with database.transaction() as session:
        wanted = parking(api.propose())
        row = states.park(session, RING, wanted, people.agent.principal, now=NOW)
    assert row.expires_at == NOW + timedelta(days=30)


def test_erasing_a_proposal_erases_the_states_that_wait_or_have_waited_for_it(
    desk: Desk, api: Api, database: Database
) -> None:
    one, two = api.approved(), api.approved()
    waiting, other = desk.park(one, two), desk.park(two)
    before = desk.park(one)
    lease = desk.resume(before).json()["lease"]
    after = desk.park(two, replaces=before, lease=lease)
    with database.transaction() as session:
        erasure.erase(session, [one["id"]], actor="cli", now=NOW)
    assert {id_: row_of(database, id_).status for id_ in (waiting, other, before, after)} == {
        waiting: "erased",
        other: "parked",
        before: "done",
        after: "erased",
    }
    assert row_of(database, waiting).sealed is None
    assert row_of(database, after).sealed is None
    answer = desk.resume(waiting)
    assert (answer.status_code, answer.json()["error"]) == (410, "gone")
    assert desk.resume(other).json()["content"] == CONTENT
    with database.reading() as session:
        assert audit.verify(session).faults == []
