"""Asking and using the permit in one request, where the agent knows the digest before."""

import uuid
from typing import Any

import pytest

from errata.digest import action_body, digest
from errata.protocol import Action
from ingestion import audit, policies
from tests.people import NOW, Api, Person, action, together

AUTO = "version: 1\ndefault: {route: auto}\n"
KEY = "k" * 32


def _begin(
    api: Api, body: dict[str, Any], bound: str, key: str = KEY, by: Person | None = None
) -> dict[str, Any]:
    headers = {**(by or api.people.agent).headers, "Errata-Begin": f"{bound} {key}"}
    response = api.client.post("/v1/proposals", json=body, headers=headers)
    assert response.is_success, response.text
    return response.json()


@pytest.fixture
def api(api: Api) -> Api:
    with api.database.transaction() as session:
        policies.apply(session, AUTO, actor="test", now=NOW)
    return api


@pytest.fixture
def bound(api: Api) -> str:
    """The digest that a refund of 30 has under the policy in force."""
    permit = api.propose(action())["permit"]
    given = Action.model_validate(action()["action"])
    computed = digest(
        agent="desk",
        kind="action",
        body=action_body(given),
        tool_schema=permit.get("tool_schema"),
        policy_version=permit["policy_version"],
    )
    assert computed == permit["digest"]
    return computed


def _named(**fields: Any) -> dict[str, Any]:
    return {**action(), "id": uuid.uuid4().hex, **fields}


def test_what_the_policy_lets_run_at_once_is_begun(api: Api, bound: str) -> None:
    ticket = _begin(api, _named(), bound)
    assert (ticket["begun"], ticket["status"], ticket["permit"]["status"]) == (
        True,
        "executing",
        "used",
    )
    assert api.consume(ticket["permit"]).json()["error"] == "used"
    with api.database.reading() as session:
        assert audit.verify(session).faults == []


def test_another_digest_uses_nothing(api: Api, bound: str) -> None:
    ticket = _begin(api, _named(), "sha256:" + "0" * 64)
    assert "begun" not in ticket
    assert (ticket["status"], ticket["permit"]["status"]) == ("permitted", "issued")


@pytest.mark.parametrize("fields", [{"undo_window_s": 30}, {"agent": {"id": "other"}}])
def test_what_is_to_wait_or_differs_is_not_begun(
    api: Api, bound: str, fields: dict[str, Any]
) -> None:
    ticket = _begin(api, _named(**fields), bound)
    assert "begun" not in ticket
    assert ticket["permit"]["status"] == "issued"


def test_what_depends_on_something_is_not_begun_before_it(api: Api, bound: str) -> None:
    first = api.propose(_named())
    ticket = _begin(api, _named(depends_on=[first["id"]]), bound)
    assert "begun" not in ticket


def test_nothing_is_begun_while_the_fleet_is_halted(api: Api, bound: str) -> None:
    api.client.post("/v1/halt", headers=api.people.supervisor.headers)
    ticket = _begin(api, _named(), bound)
    assert "begun" not in ticket
    assert "permit" not in ticket


def test_a_request_sent_again_is_begun_still_and_another_one_is_not(api: Api, bound: str) -> None:
    body = _named()
    first = _begin(api, body, bound)
    again = _begin(api, body, bound)
    other = _begin(api, body, bound, key="o" * 32)
    assert (first["begun"], again["begun"], other.get("begun")) == (True, True, None)
    assert other["status"] == "executing"


def test_an_idempotency_key_repeats_the_answer_but_not_the_right_to_run(
    api: Api, bound: str
) -> None:
    begun = []
    for key in (KEY, KEY, "o" * 32):
        headers = {"Idempotency-Key": "refund-7", "Errata-Begin": f"{bound} {key}"}
        response = api.client.post(
            "/v1/proposals", json=action(), headers={**api.people.agent.headers, **headers}
        )
        begun.append(response.json().get("begun"))
    assert begun == [True, True, None]


def test_of_many_at_once_one_begins(api: Api, bound: str) -> None:
    body = _named()

    def step(number: int) -> str:
        return str(_begin(api, body, bound, key=f"{number:032}").get("begun"))

    assert together(6, step) == {"True": 1, "None": 5}


@pytest.mark.parametrize("word", ["sha256:abc kkkkkkkkkkkkkkkk", "nothing", f"sha256:{'0' * 64}"])
def test_a_word_that_is_none_is_refused_by_name(api: Api, word: str) -> None:
    headers = {**api.people.agent.headers, "Errata-Begin": word}
    response = api.client.post("/v1/proposals", json=_named(), headers=headers)
    assert response.status_code == 422
    assert "errata-begin" in response.json()["detail"].lower()
