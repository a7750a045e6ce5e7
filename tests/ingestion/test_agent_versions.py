"""A new version of an agent is watched, and less as people move it on."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import select
from typer.testing import CliRunner

from errata.cli import app
from errata.errors import Conflict, NotFound
from ingestion import agent_versions, audit, policies, tables
from ingestion.agent_versions import Stage
from tests.people import NOW, Api, action, at, together

AUTO = "version: 1\ndefault: {route: auto}\n"


def register(api: Api, version: str = "4", **more: Any) -> tables.AgentVersion:
    with api.database.transaction() as session:
        return agent_versions.register(session, "desk", version, actor="ada", now=NOW, **more)


def move(api: Api, stage: Stage, version: str = "4") -> None:
    with api.database.transaction() as session:
        agent_versions.move(session, "desk", version, stage, actor="ada", now=at(1))


def asked(version: str | None, **fields: Any) -> dict[str, Any]:
    agent = {"id": "desk", **({"version": version} if version else {})}
    return {**action(), "agent": agent, **fields}


@pytest.fixture
def api(api: Api) -> Api:
    with api.database.transaction() as session:
        policies.apply(session, AUTO, actor="test", now=NOW)
    return api


def routings(api: Api) -> list[tables.Routing]:
    with api.database.reading() as session:
        return list(session.exec(select(tables.Routing)))


def test_people_are_asked_about_nine_tenths_of_what_a_learner_does(api: Api) -> None:
    register(api)
    count = 300
    statuses = Counter(api.propose(asked("4"))["status"] for _ in range(count))
    assert 0.8 < statuses["queued"] / count < 0.97  # 5 standard deviations around 0.9
    assert set(statuses) == {"queued", "permitted"}
    assert {one.propensity for one in routings(api)} == {0.9}
    assert all("the agent's version is in the stage learner" in one.reason for one in routings(api))


@pytest.mark.parametrize("version", ["3", None])
def test_a_version_that_nobody_registered_is_as_the_policy_says(
    api: Api, version: str | None
) -> None:
    register(api)
    assert {api.propose(asked(version))["status"] for _ in range(20)} == {"permitted"}


@pytest.mark.parametrize(("stage", "propensity"), [("supervisor", 0.05), ("auditor", 0.0)])
def test_later_stages_ask_less(api: Api, stage: Stage, propensity: float) -> None:
    register(api)
    move(api, stage)
    api.propose(asked("4"))
    assert [one.propensity for one in routings(api)] == [propensity]


def test_some_of_what_an_auditor_does_is_looked_at_afterwards(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(api)
    move(api, "auditor")

    def falls(share: float) -> bool:
        return share == 0.01

    monkeypatch.setattr("ingestion.lots._falls", falls)
    assert api.propose(asked("4"))["status"] == "permitted"
    with api.database.reading() as session:
        assert [task.sort for task in session.exec(select(tables.Task))] == ["audit"]


def test_a_stage_takes_no_look_away(api: Api) -> None:
    rules = "rules:\n  - {name: mail, when: {kind: action}, route: auto, review_share: 0.99}\n"
    with api.database.transaction() as session:
        policies.apply(session, AUTO + rules, actor="test", now=NOW)
    register(api)
    api.propose(asked("4"))
    (routing,) = routings(api)
    assert (routing.propensity, "stage" in routing.reason) == (0.99, False)


def test_what_people_are_asked_anyway_is_not_drawn(api: Api) -> None:
    with api.database.transaction() as session:
        policies.apply(session, "version: 1\ndefault: {route: queue}\n", actor="test", now=NOW)
    register(api)
    api.propose(asked("4"))
    assert [(one.route, one.propensity) for one in routings(api)] == [("queue", 1.0)]


def test_the_same_registration_again_changes_nothing_and_another_is_refused(api: Api) -> None:
    made = register(api, parent="3", data="sha256:" + "0" * 64)
    move(api, "supervisor")
    assert register(api, parent="3", data=made.data).stage == "supervisor"
    with pytest.raises(Conflict, match="is registered; give the new one a name"):
        register(api, parent="2", data=made.data)
    with pytest.raises(NotFound, match="errata agent register desk 9"):
        move(api, "supervisor", "9")


def test_registrations_and_moves_are_in_the_log(api: Api) -> None:
    register(api)
    move(api, "supervisor")
    move(api, "supervisor")
    with api.database.reading() as session:
        told = session.exec(select(tables.Event).where(tables.Event.type.startswith("agent.")))
        assert [(one.type, one.data["stage"], one.actor) for one in told] == [
            ("agent.registered", "learner", "ada"),
            ("agent.staged", "supervisor", "ada"),
        ]
        assert audit.verify(session).faults == []


def test_of_many_who_register_at_once_one_does(api: Api) -> None:
    def step(number: int) -> str:
        try:
            return register(api, parent=str(number)).stage
        except Conflict:
            return "conflict"

    assert together(6, step) == {"learner": 1, "conflict": 5}


def test_versions_are_registered_on_the_command_line(tmp_path: Path) -> None:
    home = ["--home", str(tmp_path / "home")]
    lines = tmp_path / "reviews.jsonl"
    lines.write_text(json.dumps({"proposal": action(), "reviews": [{"verdict": "approve"}]}))

    def run(*words: str) -> Any:
        return CliRunner().invoke(app, [*words, *home])

    run("import", "reviews", str(lines))
    assert "no version is registered" in run("agent", "list").output
    made = run("agent", "register", "desk", "4", "--parent", "3", "--json")
    assert json.loads(made.stdout)[0]["stage"] == "learner"
    assert "desk 4: supervisor since" in run("agent", "stage", "desk", "4", "supervisor").output
    assert ", made from 3" in run("agent", "list", "desk").output
    assert "is no bundle" in str(
        run("agent", "register", "desk", "5", "--data", str(tmp_path)).exception
    )
