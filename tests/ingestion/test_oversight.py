"""Bypass detection and alarms: what ran without a permit is raised, listed and closed."""

import json
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import col, select
from typer.testing import CliRunner

from errata import db
from errata.cli import app
from errata.db import Database
from ingestion import alarms, policies, tables
from tests.people import NOW, Api, Person, action, together

SMALL = action("transfer", amount=5, to="bob")
NEVER = "sha256:" + "0" * 64
TIMES = {"started_at": "2026-03-01T12:00:00Z", "finished_at": "2026-03-01T12:00:01Z"}


def ran(api: Api, at: str = "2026-03-01T12:00:00Z", by: Person | None = None, **what: Any) -> Any:
    body = {"agent": {"id": "desk"}, "at": at, **what}
    headers = (by or api.people.agent).headers
    return api.client.post("/v1/executions", json=body, headers=headers)


def listed(api: Api, query: str = "") -> list[dict[str, Any]]:
    answer = api.client.get(f"/v1/alarms{query}", headers=api.people.analyst.headers)
    assert answer.status_code == 200, answer.text
    return answer.json()["alarms"]


def used(api: Api, body: dict[str, Any] | None = None) -> dict[str, Any]:
    ticket = api.propose(body or SMALL)
    assert api.consume(ticket["permit"]).status_code == 200
    return ticket


# --- what ran ---


@pytest.mark.parametrize("told", ["digest", "action"])
def test_what_a_used_permit_covers_is_no_bypass(api: Api, told: str) -> None:
    ticket = used(api)
    what = ticket["permit"]["digest"] if told == "digest" else SMALL["action"]
    answer = ran(api, **{told: what})
    assert answer.status_code == 201
    assert answer.json()["verdict"] == "permitted"
    assert answer.json()["permit_id"] == ticket["permit"]["id"]
    assert answer.json()["proposal_id"] == ticket["id"]
    assert listed(api) == []


def test_a_permit_covers_one_run(api: Api) -> None:
    ticket = used(api)
    digest = ticket["permit"]["digest"]
    first = ran(api, digest=digest).json()
    assert ran(api, digest=digest).json() == first, "the same report is the same run"
    second = ran(api, at="2026-03-01T12:00:05Z", digest=digest).json()
    assert (second["verdict"], second["permit_id"]) == ("bypass", None)
    assert [one["id"] for one in listed(api)] == [second["alarm_id"]]
    other = used(api)
    third = ran(api, at="2026-03-01T12:00:09Z", digest=digest).json()
    assert (third["verdict"], third["permit_id"]) == ("permitted", other["permit"]["id"])


@pytest.mark.parametrize(
    "what",
    [{"digest": NEVER}, {"action": {"name": "transfer", "arguments": {"amount": 6, "to": "bob"}}}],
)
def test_what_no_permit_covers_is_stored_and_raised(api: Api, what: dict[str, Any]) -> None:
    used(api)
    answer = ran(api, **what).json()
    assert answer["verdict"] == "bypass"
    (alarm,) = listed(api)
    assert (alarm["kind"], alarm["agent_id"], alarm["id"]) == ("bypass", "desk", answer["alarm_id"])
    with api.database.reading() as session:
        stored = session.exec(select(tables.Execution)).one()
        assert stored.permit_id is None
        types = list(session.exec(select(tables.Event.type)))
    assert types.count("execution.reported") == types.count("alarm.raised") == 1


def test_a_permit_that_was_not_used_and_another_agents_cover_nothing(api: Api) -> None:
    unused = api.propose(SMALL)
    assert ran(api, digest=unused["permit"]["digest"]).json()["verdict"] == "bypass"
    other = used(api, {**SMALL, "agent": {"id": "clerk"}})
    found = ran(api, at="2026-03-01T12:00:02Z", digest=other["permit"]["digest"]).json()
    assert found["verdict"] == "bypass"


def test_an_action_is_found_under_the_policy_that_allowed_it(api: Api) -> None:
    ticket = used(api)
    with api.database.transaction() as session:
        policies.apply(session, "version: 1\n", actor="test", now=NOW)
    assert ran(api, action=SMALL["action"]).json()["permit_id"] == ticket["permit"]["id"]


def test_a_key_speaks_only_for_its_agents_and_names_one_thing(api: Api) -> None:
    both = ran(api, digest=NEVER, action=SMALL["action"])
    assert (both.status_code, both.json()["field"]) == (422, "digest")
    assert ran(api).status_code == 422
    assert ran(api, digest=NEVER, by=api.people.ann).status_code == 403


def test_two_reports_at_once_do_not_share_a_permit(api: Api) -> None:
    digest = used(api)["permit"]["digest"]

    def tell(number: int) -> str:
        return ran(api, at=f"2026-03-01T12:00:0{number}Z", digest=digest).json()["verdict"]

    assert together(6, tell) == {"permitted": 1, "bypass": 5}
    assert len(listed(api)) == 1


def test_a_receipt_for_a_permit_that_was_never_used_is_raised(api: Api) -> None:
    ticket = api.propose(SMALL)
    told = {"permit_id": ticket["permit"]["id"], "status": "executed", **TIMES}
    path = f"/v1/permits/{ticket['permit']['id']}/receipt"
    for _ in range(2):
        answer = api.client.post(path, json=told, headers=api.people.agent.headers)
        assert (answer.status_code, answer.json()["error"]) == (409, "conflict")
    (alarm,) = listed(api)
    assert (alarm["kind"], alarm["proposal_id"]) == ("bypass", ticket["id"])
    assert alarm["digest"] == ticket["permit"]["digest"]
    assert api.show(ticket["id"])["status"] == "permitted"


# --- alarms ---


def close(api: Api, alarm_id: str, by: Person | None = None) -> Any:
    headers = (by or api.people.supervisor).headers
    return api.client.post(f"/v1/alarms/{alarm_id}/close", headers=headers)


def test_a_closed_alarm_is_listed_only_when_asked_for_and_closed_once(api: Api) -> None:
    alarm_id = ran(api, digest=NEVER).json()["alarm_id"]
    assert close(api, alarm_id, api.people.ann).status_code == 403
    closed = close(api, alarm_id).json()
    assert closed["closed_by"] == api.people.supervisor.principal.id
    assert listed(api) == []
    assert [one["id"] for one in listed(api, "?closed=true")] == [alarm_id]
    assert close(api, alarm_id).status_code == 409
    assert close(api, "none").status_code == 404
    again = ran(api, at="2026-03-02T12:00:00Z", digest=NEVER).json()["alarm_id"]
    assert again != alarm_id, "what happens after it was closed is raised anew"


def test_an_alarm_is_closed_once_by_many_at_once(api: Api) -> None:
    alarm_id = ran(api, digest=NEVER).json()["alarm_id"]
    came = together(6, lambda _: str(close(api, alarm_id).status_code))
    assert came == {"200": 1, "409": 5}
    with api.database.reading() as session:
        types = list(session.exec(select(tables.Event.type).order_by(col(tables.Event.seq))))
        assert alarms.listed(session) == []
    assert types.count("alarm.closed") == 1


# --- at the command line ---


def call(database: Database, *words: str) -> str:
    """What the command prints."""
    url = database.engine.url.render_as_string(hide_password=False)
    done = CliRunner().invoke(app, list(words), env={"ERRATA_DATABASE_URL": url})
    db.use(database)  # the command had its own
    assert done.exit_code == 0, done.output
    return done.stdout


def test_the_command_lists_open_alarms(api: Api) -> None:
    assert "No alarm is open" in call(api.database, "alarms")
    alarm_id = ran(api, digest=NEVER).json()["alarm_id"]
    (stated,) = json.loads(call(api.database, "alarms", "--json"))
    assert (stated["id"], stated["kind"], stated["agent_id"]) == (alarm_id, "bypass", "desk")
    assert alarm_id in call(api.database, "alarms")


def test_applying_a_policy_says_what_it_did_to_open_work(api: Api, tmp_path: Path) -> None:
    api.propose()
    api.propose(SMALL)
    file = tmp_path / "policy.yaml"
    file.write_text("version: 1\nred_lines: [{action: transfer}]\n")
    said = call(api.database, "policy", "apply", str(file))
    assert "1 are asked again, 0 the policy decided" in said
    assert "1 are revoked" in said
    assert "revoked" not in call(api.database, "policy", "apply", str(file))
