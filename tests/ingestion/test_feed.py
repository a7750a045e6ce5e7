"""Waiting for what happens: long polls, the feed and its stream."""

import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import pytest
from sqlalchemy import QueuePool, text

from errata.db import Database
from ingestion import ending, intake, keys
from tests.people import NOW, Api, People, action, proposal
from tests.waiting import PATIENCE_S, until


def read(api: Api, who: str = "admin", **params: Any) -> dict[str, Any]:
    person = getattr(api.people, who)
    response = api.client.get("/v1/events", params=params, headers=person.headers)
    assert response.status_code == 200, response.text
    return response.json()


def test_the_feed_is_resumed_where_it_was_left(api: Api) -> None:
    begin = read(api)["after"]
    ticket = api.propose()
    first = read(api, after=begin)
    assert [one["type"] for one in first["events"]] == [
        "proposal.received",
    ]
    assert {one["proposal_id"] for one in first["events"]} == {ticket["id"]}
    assert read(api, after=first["after"]) == {"events": [], "after": first["after"]}
    api.review(ticket, "reject")
    rest = read(api, after=first["after"])["events"]
    assert [one["type"] for one in rest] == [
        "review.received",
        "proposal.moved",
        "proposal.decided",
    ]


def test_a_long_feed_comes_in_pages_without_gaps(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingestion.feed.PAGE", 4)
    for _ in range(3):
        api.propose()
    after, seen = 0, []
    while page := read(api, after=after)["events"]:
        seen += [one["seq"] for one in page]
        after = page[-1]["seq"]
    assert seen == list(range(1, seen[-1] + 1))


def test_an_agent_sees_the_events_of_its_own_proposals_only(api: Api) -> None:
    mine = api.propose()
    theirs = api.client.post(
        "/v1/proposals", json=action(), headers=api.people.other_agent.headers
    ).json()
    assert {one["proposal_id"] for one in read(api, "agent")["events"]} == {mine["id"]}
    assert {one["proposal_id"] for one in read(api, "other_agent")["events"]} == {theirs["id"]}
    assert read(api, "agent", proposal=theirs["id"])["events"] == []
    everybody = {one["proposal_id"] for one in read(api, "analyst")["events"]}
    assert everybody == {None, mine["id"], theirs["id"]}


def test_the_feed_of_one_proposal_leaves_the_others_out(api: Api) -> None:
    one, _other = api.propose(), api.propose()
    events = read(api, proposal=one["id"])["events"]
    assert {event["proposal_id"] for event in events} == {one["id"]}


@pytest.mark.parametrize(
    "params", [{"after": -1}, {"after": 2**63}, {"wait": 61}, {"wait": "nan"}, {"after": "x"}]
)
def test_a_question_that_makes_no_sense_is_malformed(api: Api, params: dict[str, Any]) -> None:
    response = api.client.get("/v1/events", params=params, headers=api.people.admin.headers)
    assert (response.status_code, response.json()["error"]) == (422, "malformed")
    assert response.json()["field"] in params


def test_the_feed_needs_a_key(api: Api) -> None:
    for accept in ("application/json", "text/event-stream"):
        response = api.client.get("/v1/events", headers={"Accept": accept})
        assert response.status_code == 401


# --- over a real connection ---


def open_client(server: str, headers: dict[str, str]) -> httpx2.Client:
    return httpx2.Client(base_url=server, headers=headers, timeout=PATIENCE_S)


def propose(server: str, people: People) -> dict[str, Any]:
    with open_client(server, people.agent.headers) as agent:
        return agent.post("/v1/proposals", json=action()).json()


def review(server: str, people: People, ticket: dict[str, Any], verdict: str) -> None:
    given = {"proposal_id": ticket["id"], "digest": ticket["digest"], "verdict": verdict}
    with open_client(server, people.ann.headers) as ann:
        answer = ann.post(f"/v1/proposals/{ticket['id']}/reviews", json=given)
        assert answer.status_code == 201, answer.text


def test_a_long_poll_returns_as_soon_as_somebody_decides(server: str, people: People) -> None:
    ticket = propose(server, people)
    with (
        open_client(server, people.agent.headers) as agent,
        ThreadPoolExecutor(1) as pool,
    ):
        began = time.monotonic()
        polled = pool.submit(agent.get, f"/v1/proposals/{ticket['id']}?wait=60")
        time.sleep(0.3)
        assert not polled.done()
        review(server, people, ticket, "approve")
        answer = polled.result().json()
    assert answer["decision"]["outcome"] == "approve"
    assert time.monotonic() - began < 50


def test_a_long_poll_hears_of_what_another_process_did(
    server: str, people: People, database: Database
) -> None:
    ticket = propose(server, people)
    elsewhere = Database(database.url)
    with open_client(server, people.agent.headers) as agent, ThreadPoolExecutor(1) as pool:
        polled = pool.submit(agent.get, f"/v1/proposals/{ticket['id']}?wait=60")
        time.sleep(0.3)
        with elsewhere.transaction() as session:
            ending.cancel(session, ticket["id"], people.agent.principal, now=NOW)
        assert polled.result().json()["decision"]["outcome"] == "cancelled"
    elsewhere.close()


def test_a_long_poll_ends_when_its_time_is_over(server: str, people: People) -> None:
    ticket = propose(server, people)
    with open_client(server, people.agent.headers) as agent:
        began = time.monotonic()
        answer = agent.get(f"/v1/proposals/{ticket['id']}?wait=0.4")
    assert answer.json()["status"] == "queued"
    assert 0.4 <= time.monotonic() - began < 50


def test_those_who_wait_hold_no_connection_to_the_database(
    server: str, people: People, database: Database
) -> None:
    ticket = propose(server, people)
    with ThreadPoolExecutor(40) as pool, open_client(server, people.agent.headers) as agent:
        newest = agent.get("/v1/events").json()["after"]
        paths = [
            f"/v1/proposals/{ticket['id']}?wait=60",
            f"/v1/events?after={newest}&wait=60",
        ]
        waiting = [pool.submit(agent.get, paths[n % 2]) for n in range(40)]  # the pool has 30
        pool_: QueuePool = database.engine.pool  # pyright: ignore[reportAssignmentType]
        until(lambda: pool_.checkedout() == 0, "nobody holds a connection")
        review(server, people, ticket, "reject")
        answers = [one.result() for one in waiting]
    assert {one.status_code for one in answers} == {200}
    assert all(one.json()["events"] for one in answers[1::2])
    assert all(one.json()["decision"]["outcome"] == "reject" for one in answers[::2])


def test_waiting_goes_on_while_the_database_is_away_for_a_moment(
    server: str, people: People, database: Database
) -> None:
    ticket = propose(server, people)
    with open_client(server, people.agent.headers) as agent, ThreadPoolExecutor(1) as pool:
        polled = pool.submit(agent.get, f"/v1/proposals/{ticket['id']}?wait=60")
        time.sleep(0.2)
        with database.engine.begin() as connection:
            connection.execute(text("ALTER TABLE chainhead RENAME TO away"))
        time.sleep(0.2)
        with database.engine.begin() as connection:
            connection.execute(text("ALTER TABLE away RENAME TO chainhead"))
        review(server, people, ticket, "approve")
        assert polled.result().json()["decision"]["outcome"] == "approve"


def lines(response: httpx2.Response) -> Iterator[str]:
    for line in response.iter_lines():
        if line:
            yield line


def test_the_stream_sends_events_as_they_happen_and_can_be_resumed(
    server: str, people: People
) -> None:
    ticket = propose(server, people)
    stream = {"Accept": "text/event-stream"}
    with (
        open_client(server, people.agent.headers) as agent,
        agent.stream("GET", "/v1/events", headers=stream) as response,
    ):
        assert response.headers["content-type"].startswith("text/event-stream")
        read = lines(response)
        first = [next(read) for _ in range(3)]
        assert [line.partition(": ")[0] for line in first[:3]] == ["id", "event", "data"]
        assert first[1] == "event: proposal.received"
        assert json.loads(first[2].partition(": ")[2])["proposal_id"] == ticket["id"]
        threading.Thread(target=review, args=(server, people, ticket, "reject")).start()
        assert next(line for line in read if line == "event: proposal.decided")
    newest = first[0].partition(": ")[2]
    with (
        open_client(server, people.agent.headers) as agent,
        agent.stream("GET", "/v1/events", headers={**stream, "Last-Event-ID": newest}) as response,
    ):
        read = lines(response)
        assert next(read) == f"id: {int(newest) + 1}"


def test_the_stream_ends_when_its_key_is_revoked(
    server: str, people: People, database: Database
) -> None:
    with (
        open_client(server, people.agent.headers) as agent,
        agent.stream("GET", "/v1/events", headers={"Accept": "text/event-stream"}) as response,
    ):
        with database.transaction() as session:
            for one in keys.list_all(session):
                if one.principal.name == "desk":
                    keys.revoke(session, one.key.id, actor="test", now=NOW)
            intake.take(session, proposal(), people.agent.principal, now=NOW)
        assert list(lines(response)) == []
