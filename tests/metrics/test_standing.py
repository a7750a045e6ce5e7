import io
import json
from collections.abc import Generator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from sqlalchemy import insert
from sqlmodel import Session
from typer.testing import CliRunner

from errata.cli import app
from errata.db import Database
from errata.digest import NO_POLICY, fingerprint
from ingestion import agent_versions
from ingestion.agent_versions import Stage
from ingestion.tables import Decision, Payload, Proposal, Routing, Task
from metrics import boards, calibration, evidence, standing
from metrics.readiness import Criterion
from metrics.standing import Version
from review.history import DERIVED
from review.tables import Review

STAGED = datetime(2026, 3, 2, tzinfo=UTC)
NOW = datetime(2026, 4, 20, tzinfo=UTC)
WIDE = {"COLUMNS": "200"}


@pytest.fixture
def session(database: Database) -> Generator[Session]:
    with Session(database.engine, info={"database": database}) as opened:
        yield opened


def register(session: Session, version: str = "1", stage: Stage = "learner") -> None:
    """A version of the agent desk that came to its stage on `STAGED`."""
    agent_versions.register(session, "desk", version, actor="test", now=STAGED)
    agent_versions.move(session, "desk", version, stage, actor="test", now=STAGED)


def add(
    session: Session,
    name: str,
    verdicts: list[str],
    *,
    lot: str | None = "review",
    by: str = "people",
    reviewers: tuple[str, ...] = ("ann",),
    start: datetime = STAGED,
    body: dict[str, Any] | None = None,
    **proposal: Any,
) -> None:
    """Decided work, one an hour from `start`, each piece reviewed by all reviewers alike."""
    moments = [start + timedelta(hours=n) for n in range(len(verdicts))]
    ids = [f"{name}-{n:05}" for n in range(len(verdicts))]
    same = {"digest": NO_POLICY, "policy_version": NO_POLICY}
    rows: dict[Any, list[dict[str, Any]]] = {
        Proposal: [
            {"id": id_, "kind": "action", "mode": "live", "source": "live", "agent_id": "desk"}
            | {"agent_version": "1", "risk_level": "low", "action_name": "refund", **same}
            | {"status": "decided", "content_hash": fingerprint(id_), "urgency": "normal"}
            | {"version": 0, "round": 0, "created_at": at, "received_at": at, **proposal}
            for id_, at in zip(ids, moments, strict=True)
        ],
        Decision: [
            {"proposal_id": id_, "outcome": verdict, "by": by, "needed": 1, "got": 1, **same}
            | {"decided_at": at + timedelta(minutes=5)}
            for id_, at, verdict in zip(ids, moments, verdicts, strict=True)
        ],
        Routing: [
            {"id": f"r-{id_}", "proposal_id": id_, "round": 0, "route": "queue", "rule": "default"}
            | {"reason": "default", "policy_version": NO_POLICY, "propensity": 0.9, "needed": 1}
            | {"terms": {}, "lot": lot, "at": at}
            for id_, at in zip(ids, moments, strict=True)
        ],
        Review: [
            {"id": f"{id_}-{who}", "proposal_id": id_, "round": 0, "digest": NO_POLICY}
            | {"verdict": verdict, "reviewer": who, "surface": "api", "accepted": True}
            | {"counted": True, "received_at": at + timedelta(minutes=5)}
            | {"opened_at": at + timedelta(minutes=4)}
            for id_, at, verdict in zip(ids, moments, verdicts, strict=True)
            for who in (reviewers if by != "policy" else ())
        ],
        Payload: [
            {"owner": "proposal", "id": id_, "proposal_id": id_, "body": body or {}} for id_ in ids
        ],
    }
    for table, values in rows.items():
        if values:
            session.connection().execute(insert(table), values)


def add_audits(session: Session, wrong: int, right: int) -> None:
    """Work that ran by itself, was drawn for an audit and has its answer."""
    verdicts = ["reject"] * wrong + ["approve"] * right
    add(session, "ran", ["approve"] * len(verdicts), lot="audit", by="policy")
    for n, verdict in enumerate(verdicts):
        id_, at = f"ran-{n:05}", STAGED + timedelta(days=1, minutes=n)
        session.add(Task(id=f"t-{id_}", proposal_id=id_, sort="audit", status="done", opened_at=at))
        session.add(
            Review(id=f"a-{id_}", proposal_id=id_, round=0, digest=NO_POLICY, verdict=verdict,
                   reviewer="cho", surface="task", accepted=True, received_at=at)
        )  # fmt: skip
    session.flush()


def add_planted(session: Session, verdicts: list[str], reviewer: str = "ann") -> None:
    add(session, f"planted-{reviewer}", verdicts, exclude="honeypot", agent_version=None,
        reviewers=(reviewer,))  # fmt: skip


def judge(session: Session) -> Version:
    session.flush()
    [found] = standing.versions(session, NOW)
    return found


def criterion(found: Version, name: str) -> Criterion:
    return next(one for one in found.readiness.criteria if one.name == name)


def test_a_version_with_300_clean_random_reviews_and_careful_reviewers_is_ready(
    session: Session,
) -> None:
    register(session)
    add(session, "work", ["approve"] * 300)
    add_planted(session, ["reject"] * 40)
    found = judge(session)
    assert (found.state, found.readiness.next) == ("ready", "supervisor")
    told = criterion(found, "strict approval, risk low")
    assert (told.value, told.n, told.met) == (1.0, 300, True)
    assert criterion(found, "no fall of approval").met
    assert criterion(found, "reviewers' catch").n == 40


def test_a_version_with_20_reviews_is_not_ready_and_says_how_many_are_missing(
    session: Session,
) -> None:
    register(session)
    add(session, "work", ["approve"] * 20)
    found = judge(session)
    assert found.state == "not yet"
    told = criterion(found, "strict approval, risk low")
    more = evidence.wanted(evidence.Count(20, 20), 0.95)
    assert more > 0
    assert told.met is None
    assert (
        f"20 of 20 reviewed actions of risk low were approved unchanged; at best {more} more"
        in (told.words)
    )


def test_a_supervisor_with_audited_errors_must_step_down(session: Session) -> None:
    register(session, stage="supervisor")
    add_audits(session, wrong=30, right=30)
    found = judge(session)
    assert found.state == "must step down"
    assert found.readiness.words == "must step down to learner"
    told = criterion(found, "errors of autonomous actions")
    assert (told.value, told.n, told.met) == (0.5, 60, False)
    assert criterion(found, "no fall of audited work").met is False


def test_only_what_a_lot_picked_since_the_stage_began_proves_anything(session: Session) -> None:
    register(session)
    add(session, "before", ["reject"] * 50, start=STAGED - timedelta(days=9))
    add(session, "queued by the policy", ["reject"] * 50, lot=None)
    add(session, "of another", ["reject"] * 50, agent_version="2")
    add(session, "a test", ["reject"] * 50, mode="test")
    add(session, "ran", ["approve"] * 50, by="policy", lot=None)
    add(session, "drawn", ["approve"] * 8 + ["edit", "reject"], risk_level="high")
    add(session, "expired", ["expired"] * 5)
    told = [one for one in judge(session).readiness.criteria if "strict" in one.name]
    assert [(one.name, one.value, one.n) for one in told] == [
        ("strict approval, risk high", 0.8, 10)
    ]


def test_the_alarm_runs_over_the_drawn_reviews_in_the_order_of_decisions(session: Session) -> None:
    register(session)
    add(session, "bad", ["reject"] * 20, start=STAGED + timedelta(days=10))
    add(session, "good", ["approve"] * 100)
    told = criterion(judge(session), "no fall of approval")
    assert told.met is False
    # Each adds log(.15 / .05); the seventh is the first to bring the sum over log(1000).
    assert told.words == "approval has fallen: worse since decision 101, seen at 107 of 120"


def test_confidence_is_asked_for_only_where_it_is_stated(session: Session) -> None:
    register(session)
    add(session, "silent", ["approve"] * 30)
    assert not criterion(judge(session), "calibration").needed
    add(session, "sure", ["approve", "reject"] * 100,
        body={"confidence": {"value": 0.95, "method": "self_report"}})  # fmt: skip
    told = criterion(judge(session), "calibration")
    assert (told.met, told.n) == (False, 200)
    assert told.value == pytest.approx(0.45)


def test_other_work_than_before_is_told(session: Session) -> None:
    register(session)
    add(session, "early", ["approve"] * 150)
    add(session, "late", ["approve"] * 150, action_name="wipe", start=STAGED + timedelta(days=20))
    told = criterion(judge(session), "same work")
    assert told.met is False
    assert "the work has changed" in told.words


def test_a_reviewer_who_misses_planted_work_is_flagged_and_holds_the_version_back(
    session: Session,
) -> None:
    register(session)
    add(session, "work", ["approve"] * 300, reviewers=("ann", "ben"))
    add_planted(session, ["reject"] * 40)
    add_planted(session, ["approve"] * 12, "ben")
    assert "flagged: ben" in criterion(judge(session), "reviewers' catch").words
    found = standing.people(session, NOW)
    assert list(zip(found.planted["reviewer"], found.planted["state"], strict=True)) == [
        ("ben", "flagged"),
        ("ann", "cleared"),
    ]
    assert list(found.people["planted"]) == ["cleared", "flagged"]


def test_planted_work_of_last_year_and_right_imports_say_nothing(session: Session) -> None:
    add(session, "old", ["approve"] * 5, exclude="honeypot", start=STAGED - timedelta(days=200))
    add(session, "right", ["approve"] * 4, exclude="honeypot", by="import", reviewers=("ben",))
    add(session, "voted", ["approve"] * 3, exclude="honeypot", by="import", reviewers=("cho",))
    session.connection().execute(
        insert(Payload),
        [
            {"owner": "decision", "id": id_, "proposal_id": id_, "body": {"reason": reason}}
            for kind, n, reason in (("right", 4, "known"), ("voted", 3, f"{DERIVED}approve"))
            for id_ in (f"{kind}-{number:05}" for number in range(n))
        ],
    )
    planted = standing.people(session, NOW).planted
    assert list(zip(planted["reviewer"], planted["n"], planted["caught"], strict=True)) == [
        ("cho", 3, 0)
    ]


def test_blind_pairs_turns_and_times_come_from_the_reviews(session: Session) -> None:
    add(session, "blind", ["approve"] * 3, lot="dual", reviewers=("ann", "ben"))
    add(session, "alone", ["edit"] * 2, lot=None,
        body={"action": {"name": "refund", "arguments": {"note": "x" * 4000}}})  # fmt: skip
    found = standing.people(session, NOW, per_hour=60.0)
    assert (found.disagreement.value, found.disagreement.n) == (0.0, 3)
    [agent] = found.agents.to_dict("records")
    assert (agent["agent"], agent["n"], agent["top"], agent["top_share"]) == (
        "desk",
        8,
        "ann",
        5 / 8,
    )
    rows = found.people.set_index("reviewer")
    # A minute each, for 1 an hour and minute; a thousand tokens need more than that.
    assert (rows.loc["ann", "seconds"], rows.loc["ann", "cost"]) == (60, 5)
    assert (rows.loc["ann", "timed"], rows.loc["ann", "hasty"]) == (2, 1.0)


def test_a_single_reviewer_has_no_peers_and_a_reason(session: Session) -> None:
    add(session, "work", ["approve"] * 30)
    wire = standing.people(session, NOW).wire()
    [ann] = json.loads(json.dumps(wire, allow_nan=False))["people"]
    assert ann["expected"] is None
    assert ann["rubber_stamp"] is None
    assert ann["reason"] == "no peer reviewed the same agent's actions"
    assert wire["disagreement"]["reason"] == "no item was seen blind by two people"


def test_the_trend_of_an_agent_leaves_out_the_week_that_is_not_over(session: Session) -> None:
    monday = datetime(2026, 1, 5, tzinfo=UTC)
    rates = np.geomspace(20, 4, 14).round().astype(int)
    for week, wrong in enumerate(rates):
        verdicts = ["reject"] * wrong + ["approve"] * (40 - wrong)
        add(session, f"w{week}", verdicts, start=monday + timedelta(weeks=week))
    add(session, "now", ["reject"] * 10, start=monday + timedelta(weeks=14), agent_id="other")
    desk, other = standing.courses(session, monday + timedelta(weeks=14, days=3))
    assert (desk.agent, list(desk.weeks["interventions"])) == ("desk", list(rates))
    assert desk.trend.direction == "falling"
    # From 20 to 4 in 13 steps.
    assert desk.trend.per_week == pytest.approx((4 / 20) ** (1 / 13) - 1, abs=0.02)
    assert (other.agent, len(other.weeks), other.trend.slope) == ("other", 0, None)
    assert [one.agent for one in standing.courses(session, NOW, "other")] == ["other"]


def test_calibration_is_told_of_agents_that_state_a_confidence(session: Session) -> None:
    add(session, "sure", ["approve"] * 9 + ["edit"], body={"confidence": {"value": 0.9}})
    add(session, "silent", ["approve"] * 9, agent_id="silent", body={"confidence": None})
    [found] = standing.confidences(session)
    assert (found.agent, found.ece.n) == ("desk", 10)
    assert found.ece.value == pytest.approx(0, abs=1e-9)
    assert found.brier.value == pytest.approx(0.09)
    expected = calibration.table([0.9] * 10, [1] * 9 + [0])
    assert found.table.equals(expected)


def test_an_empty_database_has_words_and_finite_json(session: Session) -> None:
    assert standing.versions(session, NOW) == []
    assert standing.courses(session, NOW) == []
    assert standing.confidences(session) == []
    people = standing.people(session, NOW)
    assert people.reason == "nobody has reviewed live or planted work"
    assert json.dumps(people.wire(), allow_nan=False)
    register(session)
    found = judge(session)
    assert found.state == "not yet"
    assert json.dumps(found.wire(), allow_nan=False)
    assert (
        "no action that could be left to the agent was reviewed"
        in found.wire()["criteria"][0]["words"]
    )


def test_every_table_can_be_printed(session: Session) -> None:
    register(session)
    said = {"confidence": {"value": 0.7}}
    add(session, "work", ["approve"] * 25, lot="dual", reviewers=("ann", "ben"), body=said)
    add(session, "drawn", ["approve"] * 25, body=said, risk_level="critical")
    add_planted(session, ["reject"] * 3)
    out = io.StringIO()
    console = Console(file=out, width=200)
    for table in (
        *boards.versions(standing.versions(session, NOW)),
        *boards.reviewers(standing.people(session, NOW)),
        *boards.courses(standing.courses(session, NOW)),
        *boards.confidences(standing.confidences(session)),
    ):
        console.print(table)
    page = out.getvalue()
    assert "desk 1: learner since 2026-03-02, not yet" in page
    assert "stays with people: risk critical" in page
    assert "differ: 0.000 (n 25" in page
    assert "1 weeks have tasks; a trend is told from 12 on" in page
    assert "nan" not in page.lower()


@pytest.mark.parametrize("command", ["readiness", "reviewers", "trend", "calibration"])
def test_a_command_answers_in_json_and_in_words_also_of_nothing(
    command: str, sqlite_database: Database, tmp_path: Path
) -> None:
    run, home = CliRunner(), ["--home", str(tmp_path)]
    asked = run.invoke(app, [command, *home], env=WIDE)
    assert asked.exit_code == 0
    empty = {
        "readiness": "no version is registered; run `errata agent register`",
        "reviewers": "nobody has reviewed live or planted work",
        "trend": "nothing was decided yet",
        "calibration": "no reviewed proposal states a confidence",
    }[command]
    assert asked.stdout.strip() == empty
    told = json.loads(run.invoke(app, [command, *home, "--json"]).stdout)
    assert told["reason"] == empty
    with sqlite_database.transaction() as session:
        register(session)
        add(session, "work", ["approve"] * 5, body={"confidence": {"value": 0.5}})
    shown = run.invoke(app, [command, *home], env=WIDE)
    assert shown.exit_code == 0
    assert "desk" in shown.stdout
    wire = run.invoke(app, [command, *home, "--json"]).stdout
    assert "desk" in wire
    assert json.loads(wire, parse_constant=pytest.fail).get("reason") is None
    assert f"errata {command}" in run.invoke(app, [command, "--help"], env=WIDE).stdout
