"""Putting stored proposals to another policy: what people would have been spared, and missed."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from errata.cli import app
from errata.db import Database
from ingestion import intake, simulation, store, tables
from ingestion.policy_file import parse
from ingestion.simulation import Simulation
from tests.people import NOW, POLICY, Api, action, at, proposal

LOOSER = """\
version: 1
rules:
  - {name: small transfers, when: {action: transfer, args.amount: {gte: 0, lt: 1000}}, route: auto}
  - {name: no mail, when: {action: mail}, route: block}
  - {name: refunds, when: {action: refund}, route: takeover}
"""


def transfer(amount: float) -> dict[str, Any]:
    return action("transfer", amount=amount)


def simulate(database: Database, text: str = LOOSER, **more: Any) -> Simulation:
    with database.reading() as session:
        return simulation.simulate(session, parse(text).policy, **more)


def work_day(api: Api) -> dict[str, str]:
    """Nine proposals and what became of them, by a name for each."""
    made = {
        "ran": api.propose(transfer(50.0)),
        "approved": api.propose(transfer(200.0)),
        "edited": api.propose(transfer(300.0)),
        "rejected": api.propose(transfer(400.0)),
        "open": api.propose(transfer(500.0)),
        "large": api.propose(transfer(5000.0)),
        "mail": api.propose(action("mail")),
        "refund": api.propose(action("refund")),
        "dropped": api.propose(action("drop_all")),
    }
    small = {"name": "transfer", "arguments": {"amount": 30.0}}
    answers = [
        api.review(made["approved"], "approve"),
        api.review(made["edited"], "edit", action=small),
        api.review(made["rejected"], "reject"),
        api.review(made["large"], "reject"),
    ]
    assert [one.status_code for one in answers] == [201] * 4
    return {name: ticket["id"] for name, ticket in made.items()}


def test_prompts_saved_and_corrections_missed_are_counted(api: Api) -> None:
    ids = work_day(api)
    found = simulate(api.database)
    assert (found.proposals, found.erased) == (9, 0)
    assert found.routes["auto"] == {"auto": 1, "queue": 0, "takeover": 0, "block": 0}
    assert found.routes["queue"] == {"auto": 4, "queue": 1, "takeover": 1, "block": 1}
    assert found.routes["block"] == {"auto": 0, "queue": 1, "takeover": 0, "block": 0}
    assert found.prompts_saved == 4
    assert found.corrections_missed == [ids["edited"], ids["rejected"]]
    assert found.newly_blocked == [ids["mail"]]
    assert found.prompts_added == 1  # the red line is gone
    assert {one.id for one in found.changes} == set(ids.values()) - {ids["ran"], ids["large"]}


def test_a_stricter_policy_adds_prompts(api: Api) -> None:
    ids = work_day(api)
    found = simulate(api.database, "version: 1\n")
    assert found.prompts_saved == 0
    assert found.prompts_added == 2
    assert {one.id for one in found.changes} == {ids["ran"], ids["dropped"]}
    assert {one.rule for one in found.changes} == {"default"}


def test_the_same_policy_changes_nothing(api: Api) -> None:
    work_day(api)
    found = simulate(api.database, POLICY)
    assert (found.proposals, found.changes) == (9, [])


def test_a_further_round_counts_by_the_route_that_the_agents_version_took(api: Api) -> None:
    ticket = api.propose(transfer(500.0))
    with api.database.transaction() as session:
        row = store.hold(session, ticket["id"])
        first = session.get_one(tables.Proposal, row.id)
        session.add(_routing(first, route="block"))
    assert simulate(api.database).routes["queue"]["auto"] == 1


def _routing(row: tables.Proposal, route: str) -> tables.Routing:
    return tables.Routing(
        id="f" * 32,
        proposal_id=row.id,
        round=1,
        route=route,
        rule="later",
        reason="",
        policy_version=row.policy_version,
        propensity=1.0,
        needed=1,
        terms={},
        at=NOW,
    )


def test_erased_proposals_are_counted_apart(api: Api) -> None:
    ids = work_day(api)
    with api.database.transaction() as session:
        store.erase(session, [ids["edited"]], actor="test", now=NOW)
    found = simulate(api.database)
    assert (found.proposals, found.erased) == (8, 1)
    assert found.corrections_missed == [ids["rejected"]]


def test_what_was_no_live_work_is_left_out(api: Api) -> None:
    kept = api.propose({**transfer(200.0), "mode": "test"})
    with api.database.transaction() as session:
        row = session.get_one(tables.Proposal, api.propose(transfer(200.0))["id"])
        row.source = "import"
        session.add(row)
    assert kept["id"]
    assert simulate(api.database).proposals == 0


def test_only_proposals_since_a_time_are_replayed(api: Api) -> None:
    caller = api.people.agent.principal
    with api.database.transaction() as session:
        for day in range(3):
            intake.take(session, proposal(content=f"day {day}"), caller, now=at(day * 86400))
    assert simulate(api.database, since=NOW + timedelta(days=1)).proposals == 2


def test_more_proposals_than_a_batch_are_all_replayed(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(simulation, "BATCH", 2)
    ids = work_day(api)
    assert simulate(api.database).proposals == len(ids)


def test_the_command_prints_the_summary(api: Api, tmp_path: Path) -> None:
    ids = work_day(api)
    file = tmp_path / "looser.yaml"
    file.write_text(LOOSER)
    url = api.database.engine.url.render_as_string(hide_password=False)
    call = ["policy", "simulate", str(file), "--home", str(tmp_path)]
    done = CliRunner().invoke(app, [*call, "--json"], env={"ERRATA_DATABASE_URL": url})
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["prompts_saved"] == 4
    assert found["corrections_missed"] == [ids["edited"], ids["rejected"]]
    change = next(one for one in found["changes"] if one["id"] == ids["mail"])
    assert change == {"id": ids["mail"], "then": "queue", "now": "block", "rule": "no mail"}
    plain = CliRunner().invoke(app, call, env={"ERRATA_DATABASE_URL": url})
    assert "prompts saved: 4" in plain.stdout
    assert ids["rejected"] in plain.stdout
    none = [*call, "--since", "2999-01-01"]
    assert "0 proposals" in CliRunner().invoke(app, none, env={"ERRATA_DATABASE_URL": url}).stdout
