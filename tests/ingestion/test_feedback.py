"""Feedback over the API, on both databases: thumbs stay, words can be erased."""

from typing import Any

import pytest
from sqlmodel import func, select

from ingestion import tables
from review import audit, erasure
from tests.people import NOW, Api, Person, action


def give(api: Api, by: Person | Any = None, **body: Any) -> Any:
    """As the agent; the raw response."""
    headers = (by or api.people.agent).headers
    return api.client.post("/v1/feedback", json={"thumb": "up", **body}, headers=headers)


def listed(api: Api, query: str = "") -> list[dict[str, Any]]:
    answer = api.client.get(f"/v1/feedback{query}", headers=api.people.analyst.headers)
    assert answer.status_code == 200, answer.text
    return answer.json()["feedback"]


def begin(api: Api) -> str:
    answer = api.client.post("/v1/runs", json={"agent": "desk"}, headers=api.people.agent.headers)
    return answer.json()["id"]


def test_thumbs_and_comments_are_kept_and_listed_by_what_they_are_about(api: Api) -> None:
    proposal, run = api.propose()["id"], begin(api)
    told = give(api, proposal_id=proposal, thumb="down", comment="Wrong", **{"from": "user 7"})
    assert told.status_code == 201, told.text
    assert give(api, run_id=run).status_code == 201
    assert give(api, api.people.ann, task_id="t1", comment="Nice").status_code == 201
    assert [one["thumb"] for one in listed(api)] == ["up", "up", "down"], "the newest first"
    (about,) = listed(api, f"?proposal={proposal}")
    assert about == told.json()
    assert (about["comment"], about["from"]) == ("Wrong", "user 7")
    assert about["given_by"] == api.people.agent.principal.id
    assert [one["run_id"] for one in listed(api, f"?run={run}")] == [run]
    assert [one["comment"] for one in listed(api, "?task=t1")] == ["Nice"]
    assert listed(api, "?task=t2") == []


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 422),
        ({"proposal_id": "p", "task_id": "t"}, 422),
        ({"task_id": "t", "thumb": "sideways"}, 422),
        ({"task_id": "t", "comment": "c" * 10_001}, 422),
        ({"task_id": "t", "from": "f" * 201}, 422),
        ({"task_id": "t", "stars": 5}, 422),
        ({"proposal_id": "unknown"}, 404),
        ({"run_id": "unknown"}, 404),
    ],
)
def test_what_does_not_fit_is_refused(api: Api, body: dict[str, Any], status: int) -> None:
    assert give(api, **body).status_code == status
    assert listed(api) == []


def test_an_agent_speaks_of_its_own_work_only(api: Api) -> None:
    proposal, run = api.propose()["id"], begin(api)
    rival = api.people.other_agent
    assert give(api, rival, proposal_id=proposal).status_code == 403
    assert give(api, rival, run_id=run).status_code == 403
    assert give(api, api.people.ann, proposal_id=proposal).status_code == 201


def test_words_go_with_what_they_are_about_and_thumbs_stay(api: Api) -> None:
    proposal, run = api.propose(action("transfer", amount=5, to="bob"))["id"], begin(api)
    for about in ({"proposal_id": proposal}, {"run_id": run}, {"task_id": "t1"}):
        assert give(api, comment="secret", **about).status_code == 201
    by_task = listed(api, "?task=t1")[0]["id"]
    with api.database.transaction() as session:
        erasure.erase(session, [proposal], actor="test", now=NOW)
        erasure.erase_runs(session, [run], actor="test", now=NOW)
        assert erasure.erase_feedback(session, [by_task], actor="test", now=NOW) == 1
    assert len(listed(api)) == 3
    assert not any("comment" in one for one in listed(api))
    with api.database.reading() as session:
        assert session.exec(select(func.count()).select_from(tables.Note)).one() == 0
        events = list(session.exec(select(tables.Event)))
        assert audit.verify(session).faults == []
    assert sum(one.type == "feedback.given" for one in events) == 3
    assert "secret" not in str([one.data for one in events])
