"""The failures that users report of what happens once something may run; see `test_failure_modes`."""

import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlmodel import Session, func, select

from errata import Client, errors
from errata.db import Database
from ingestion import alarms, policies, store, tables, watch
from review import audit, reasking
from tests.errata import dying
from tests.people import POLICY, Api, People, action
from tests.waiting import PROCESS_S

PATIENCE_S = 900.0


def raised(session: Session) -> Counter[str]:
    return Counter(one.kind for one in alarms.listed(session))


# --- 3: died after the effect, before anything was noted ---


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_failure_mode_03_killed_at_any_line_it_ran_once_or_is_in_doubt_and_never_runs_again(
    server: str, database: Database, people: People, tmp_path: Path
) -> None:
    ledger = tmp_path / "ledger"
    ledger.touch()
    command = [sys.executable, dying.__file__, server, people.agent.secret, str(ledger)]
    died = int(subprocess.run(command, check=True, capture_output=True, timeout=PROCESS_S).stdout)
    ids = [f"run-{number}" for number in range(died + 1)]
    assert died > 10, "there are more lines than that between the permit and the receipt"
    later = datetime.now(UTC) + timedelta(seconds=PATIENCE_S + 60)
    with database.transaction() as session:
        watch.look(session, limit_s=PATIENCE_S, now=later)

    def stood() -> dict[str, str]:
        with database.reading() as session:
            return {id_: store.load(session, id_).status for id_ in ids}

    before, effects = stood(), Counter(ledger.read_text().split())
    doubtful = [id_ for id_ in ids if before[id_] == "unknown"]
    assert set(before.values()) == {"permitted", "unknown", "executed"}
    assert {effects[id_] for id_ in doubtful} == {0, 1}, "killed before the effect, and after it"
    with database.reading() as session:
        assert raised(session) == {"unknown": len(doubtful)}

    with Client(server, people.agent.secret) as client:  # the agent is started again
        for id_ in ids:
            try:
                client.run(client.get(id_), lambda _, id_=id_: effects.update([id_]))
            except errors.PermitUsed:
                assert before[id_] != "permitted"
    assert max(effects.values()) == 1, "something ran twice"
    after = stood()
    assert {after[id_] for id_ in doubtful} == {"unknown"}
    assert all(after[id_] == "executed" for id_ in ids if id_ not in doubtful)
    assert all(effects[id_] == 1 for id_ in ids if id_ not in doubtful)
    with database.reading() as session:
        assert audit.verify(session).faults == []


# --- 9: approved, and nobody left to run it ---


def test_failure_mode_09_an_approval_that_nobody_carries_out_ends_in_an_alarm(api: Api) -> None:
    asked = api.approved()  # and here the agent is gone
    api.approved({**action(amount=6), "depends_on": [api.propose()["id"]]})  # could not have run
    small = api.propose(action("transfer", amount=5, to="bob"))
    assert small["decision"]["by"] == "policy"
    ends = datetime.fromisoformat(asked["permit"]["expires_at"])
    for late in (timedelta(), timedelta(hours=1)):
        with api.database.transaction() as session:
            watch.look(session, limit_s=PATIENCE_S, now=ends + timedelta(minutes=1) + late)
    shown = api.show(asked["id"])
    assert shown["status"] not in {"executing", "executed"}
    assert shown["permit"]["status"] == "expired"
    with api.database.reading() as session:
        (alarm,) = alarms.listed(session)
        assert (alarm.kind, alarm.proposal_id) == ("approved_not_executed", asked["id"])
        assert audit.verify(session).faults == []
    refused = api.consume(asked["permit"])
    assert (refused.status_code, refused.json()["error"]) == (410, "expired")


# --- 10: the policy moved on while people were asked ---


def test_failure_mode_10_under_another_policy_an_approval_is_asked_anew_and_a_reject_stays(
    api: Api,
) -> None:
    approving, rejected, decided = (api.propose(action(amount=n)) for n in (31, 32, 33))
    with api.database.transaction() as session:
        policies.apply(
            session, POLICY.replace("quorum: 1", "quorum: 2"), actor="test", now=datetime.now(UTC)
        )
        reasking.sweep(session, now=datetime.now(UTC))
    asked = api.show(approving["id"])
    assert asked["digest"] != approving["digest"]
    stale = api.review(approving, "approve")
    assert (stale.status_code, stale.json()["error"]) == (409, "digest_mismatch")
    api.review(asked, "approve")
    said_no = api.review(api.show(rejected["id"]), "reject", guidance="No").json()
    assert said_no["decision"]["outcome"] == "reject"
    api.review(api.show(decided["id"]), "approve")
    done = api.review(api.show(decided["id"]), "approve", by=api.people.ben).json()
    assert done["decision"]["outcome"] == "approve"
    with api.database.transaction() as session:
        rules = "rules: [{name: none, when: {action: refund}, route: block}]"
        reasking.apply(session, f"version: 1\n{rules}", actor="test", now=datetime.now(UTC))
    assert api.show(approving["id"])["decision"]["outcome"] == "blocked"
    assert api.show(rejected["id"])["decision"] == said_no["decision"], "decided, and it stays"
    assert api.consume(done["permit"]).json()["error"] == "revoked"


# --- 22: an agent floods the people who review ---


def test_failure_mode_22_a_flood_is_refused_and_raised_and_people_see_what_came_before(
    api: Api,
) -> None:
    rates = "rates: [{agent: '*', proposals: 5, per: 1h}]\n"
    with api.database.transaction() as session:
        reasking.apply(session, POLICY + rates, actor="test", now=datetime.now(UTC))
    sent = [
        api.client.post("/v1/proposals", json=action(amount=n), headers=api.people.agent.headers)
        for n in range(50)
    ]
    assert Counter(one.status_code for one in sent) == {202: 5, 429: 45}
    assert all(int(one.headers["Retry-After"]) >= 1 for one in sent[5:])
    other = {**action(), "agent": {"id": "rival"}}
    headers = api.people.other_agent.headers
    assert api.client.post("/v1/proposals", json=other, headers=headers).status_code == 202
    waiting = api.client.get("/v1/queue", headers=api.people.ann.headers).json()["waiting"]
    assert len(waiting) == 6
    with api.database.reading() as session:
        assert raised(session) == {"flood": 1}
        assert session.exec(select(func.count()).select_from(tables.Proposal)).one() == 6
