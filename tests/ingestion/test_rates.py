"""Rates: what is over is refused with the time to come back, and raised once."""

import json
from typing import Any

import pytest
from sqlmodel import func, select

from errata.db import Database
from errata.errors import TooMany
from ingestion import alarms, intake, policies, tables
from tests.people import NOW, Api, People, action, at, proposal, together

POLICY = """\
version: 1
rates:
  - {agent: "desk*", proposals: 3, per: 60s}
  - {agent: "*", proposals: 5, per: 1h}
"""


@pytest.fixture
def rated(api: Api) -> Api:
    with api.database.transaction() as session:
        policies.apply(session, POLICY, actor="test", now=NOW)
    return api


def propose(api: Api, agent: str = "desk", key: str | None = None, **more: Any) -> Any:
    headers = {"Idempotency-Key": key} if key else {}
    body = {**action(), "agent": {"id": agent}, **more}
    return api.client.post(
        "/v1/proposals", json=body, headers={**api.people.agent.headers, **headers}
    )


def raised(api: Api) -> list[tuple[str, str | None]]:
    with api.database.reading() as session:
        return [(one.kind, one.agent_id) for one in alarms.listed(session)]


def stored(api: Api) -> int:
    with api.database.reading() as session:
        return session.exec(select(func.count()).select_from(tables.Proposal)).one()


def test_what_is_over_the_rate_is_refused_with_the_time_to_come_back(rated: Api) -> None:
    assert [propose(rated).status_code for _ in range(3)] == [202] * 3
    assert raised(rated) == []
    over = propose(rated)
    assert (over.status_code, over.json()["error"]) == (429, "too_many")
    assert 50 <= int(over.headers["Retry-After"]) <= 60
    assert "3 proposals" in over.json()["detail"]
    assert stored(rated) == 3


def test_a_flood_is_raised_once_while_it_is_open(rated: Api) -> None:
    for agent in ("desk", "desk2"):
        for _ in range(6):
            propose(rated, agent)
    assert sorted(raised(rated)) == [("flood", "desk"), ("flood", "desk2")]
    with rated.database.transaction() as session:
        for alarm in alarms.listed(session):
            alarms.close(session, alarm.id, actor="test", now=NOW)
    assert propose(rated).status_code == 429
    assert raised(rated) == [("flood", "desk")]


def test_each_agent_has_the_rate_to_itself_and_every_rate_that_matches_holds(rated: Api) -> None:
    for _ in range(3):
        assert propose(rated).status_code == 202
    assert propose(rated, "desk2").status_code == 202
    codes = [propose(rated, "clerk").status_code for _ in range(6)]
    assert codes == [202] * 5 + [429]


def test_a_repetition_is_not_counted(rated: Api) -> None:
    first = propose(rated, key="k")
    for _ in range(5):
        assert propose(rated, key="k").json() == first.json()
    named = [propose(rated, id="mine").status_code for _ in range(5)]
    assert named == [202] * 5
    assert propose(rated).status_code == 202
    assert propose(rated).status_code == 429
    assert propose(rated, key="k").json() == first.json(), "known ones are answered over the rate"


def test_a_batch_over_the_rate_is_refused_whole_and_raised(rated: Api) -> None:
    lines = "\n".join(json.dumps(action()) for _ in range(4))
    answer = rated.client.post(
        "/v1/proposals/batch", content=lines, headers=rated.people.agent.headers
    )
    assert (answer.status_code, answer.json()["error"]) == (429, "too_many")
    assert int(answer.headers["Retry-After"]) >= 1
    assert (stored(rated), raised(rated)) == (0, [("flood", "desk")])
    assert [propose(rated).status_code for _ in range(3)] == [202] * 3


def test_without_rates_nothing_is_counted(api: Api) -> None:
    assert [propose(api).status_code for _ in range(8)] == [202] * 8


# --- the clock, and at the same time ---


def take(database: Database, people: People, seconds: float) -> None:
    with database.transaction() as session:
        intake.take(session, proposal(), people.agent.principal, now=at(seconds))


def test_the_window_slides(database: Database, people: People) -> None:
    with database.transaction() as session:
        policies.apply(session, POLICY.partition('  - {agent: "*"')[0], actor="test", now=NOW)
    for seconds in (0, 10, 20):
        take(database, people, seconds)
    with pytest.raises(TooMany) as refused:
        take(database, people, 25)
    assert refused.value.retry_after_s == pytest.approx(35)
    with pytest.raises(TooMany):
        take(database, people, 59.999)
    take(database, people, 60)
    with pytest.raises(TooMany) as refused:
        take(database, people, 61)
    assert refused.value.retry_after_s == pytest.approx(9)


def test_of_many_at_once_exactly_the_rate_is_let_in(database: Database, people: People) -> None:
    with database.transaction() as session:
        policies.apply(session, POLICY, actor="test", now=NOW)

    def step(_number: int) -> str:
        take(database, people, 0)
        return "in"

    assert together(12, step) == {"in": 3, "too_many": 9}


def test_many_refusals_at_once_raise_one_alarm(rated: Api) -> None:
    for _ in range(3):
        propose(rated)
    assert together(8, lambda _: str(propose(rated).status_code)) == {"429": 8}
    assert raised(rated) == [("flood", "desk")]


def test_lines_that_are_wrong_take_no_room_from_the_others(rated: Api) -> None:
    wrong = {**action(), "agent": {"id": "desk"}, "expires_at": "2020-01-01T00:00:00Z"}
    lines = [wrong, wrong, *({**action(), "agent": {"id": "desk"}} for _ in range(3))]
    content = "\n".join(map(json.dumps, lines))
    headers = rated.people.agent.headers
    answer = rated.client.post("/v1/proposals/batch", content=content, headers=headers)
    assert (answer.status_code, [one["line"] for one in answer.json()["lines"]]) == (422, [1, 2])
    assert raised(rated) == []
    assert [propose(rated).status_code for _ in range(4)] == [202, 202, 202, 429]
