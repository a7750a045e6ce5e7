"""The failures that users of agent frameworks report, each shown not to happen here.

The numbers are those of the field notes' list; `test_quorum` and `test_votes` go through 14 and
15 in every order.
"""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from sqlmodel import col, select

from errata import protocol
from errata.calls import run_digest
from errata.db import Database
from errata.digest import digest, version_body
from errata.errors import ErrataError
from ingestion import intake, permits, policies, store, tables
from ingestion.policy_file import BadPolicy, parse
from review import api as review_api
from review import audit, deadlines, queue, settling, votes
from tests.people import NOW, Api, People, action, at, proposal, settle_in, together

FUNCTION_SCOPED = [HealthCheck.function_scoped_fixture]


# --- 4: approved one thing, ran another ---

MUTATED = ["agent", "kind", "body", "tool_schema", "policy_version"]


@pytest.mark.parametrize("part", MUTATED)
def test_failure_mode_04_whatever_part_was_changed_does_not_run(api: Api, part: str) -> None:
    ticket = api.approved()
    decision, permit = ticket["decision"], ticket["permit"]
    given: dict[str, Any] = {
        "agent": "desk",
        "kind": "action",
        "body": {"action": decision["effective"]["action"]},
        "tool_schema": permit.get("tool_schema"),
        "policy_version": permit["policy_version"],
    }
    assert digest(**given) == permit["digest"]
    other = {"agent": "rival", "kind": "draft", "body": {"action": {"name": "x", "arguments": {}}}}
    given[part] = other.get(part, "sha256:" + "1" * 64)
    response = api.consume({**permit, "digest": digest(**given)})
    assert (response.status_code, response.json()["error"]) == (409, "digest_mismatch")
    assert api.consume(permit).status_code == 200, "the refused try has used the permit up"


arguments = st.dictionaries(
    st.text("ab", min_size=1, max_size=2), st.integers(0, 3) | st.text("xy", max_size=2), max_size=3
)


@given(approved=arguments, ran=arguments)
@settings(max_examples=40, deadline=None, suppress_health_check=FUNCTION_SCOPED)
def test_failure_mode_04_only_the_approved_arguments_run(
    sqlite_api: Api, approved: dict[str, Any], ran: dict[str, Any]
) -> None:
    asked = {**action(), "action": {"name": "refund", "arguments": approved}}
    ticket = protocol.Ticket.model_validate(sqlite_api.approved(asked))
    assert ticket.permit is not None
    assert ticket.proposal is not None
    version = protocol.Effective(action=protocol.Action(name="refund", arguments=ran))
    computed = run_digest(ticket.proposal, version, ticket.permit)
    response = sqlite_api.consume({"id": ticket.permit.id, "digest": computed})
    assert response.status_code == (200 if approved == ran else 409)


# --- 6: anybody can approve ---


def test_failure_mode_06_an_agent_approves_nothing_and_who_asked_does_not_count(api: Api) -> None:
    asked = api.propose({**action(), "requested_by": "ann"})
    for who, code in (
        (api.people.agent, 403),
        (api.people.other_agent, 403),
        (api.people.ann, 403),
    ):
        assert api.review(asked, "approve", by=who).status_code == code
    assert api.review(asked, "approve", by=api.people.admin).status_code == 403
    assert api.show(asked["id"])["status"] == "queued"
    forged = {"proposal_id": asked["id"], "digest": asked["digest"], "verdict": "approve"}
    response = api.client.post(
        f"/v1/proposals/{asked['id']}/reviews",
        json={**forged, "reviewer": "ben"},
        headers=api.people.ben.headers,
    )
    assert response.status_code == 422, "a body that names its own reviewer was taken"


# --- 8: the decision came before anybody waited for it ---


def test_failure_mode_08_a_decision_before_the_wait_is_found_by_the_wait(api: Api) -> None:
    ticket = api.approved()
    found = api.client.get(
        f"/v1/proposals/{ticket['id']}?wait=30", headers=api.people.agent.headers
    )
    assert found.json()["decision"] == ticket["decision"]


# --- 11: expired, and shown as pending ---


def test_failure_mode_11_what_has_expired_is_listed_nowhere_and_says_so(
    database: Database, people: People
) -> None:
    with database.transaction() as session:
        row = intake.take(session, proposal(), people.agent.principal, now=NOW).row
    assert row.expires_at is not None
    late = row.expires_at
    review = protocol.Review(proposal_id=row.id, digest=row.digest, verdict="approve")
    voice = votes.Voice(people.ann.principal, "api")
    with pytest.raises(ErrataError, match="time to decide"), database.transaction() as session:
        settling.submit(session, review, voice, now=late)  # no timer has come round yet
    with database.transaction() as session:
        assert deadlines.expire(session, now=late) == 1
        assert queue.waiting(session, now=NOW) == []
        decision = store.decision(session, row.id)
        assert store.load(session, row.id).status == "decided"
    assert decision is not None
    assert (decision.outcome, decision.by) == ("expired", "policy")
    assert decision.reason == "nobody answered in time; not approved"
    assert "Do not run it" in (decision.corrective_prompt or "")


# --- 12: waits for ever ---

POLICIES = [
    "version: 1",
    "version: 1\ndefault: {route: queue}",
    "version: 1\ndefault: {expires_in: null}",
    "version: 1\nrules: [{name: all, when: {}, route: queue}]",
    "version: 1\nrules: [{name: all, when: {}, route: queue, expires_in: null}]",
]


@pytest.mark.parametrize("policy", POLICIES)
def test_failure_mode_12_nothing_waits_without_a_deadline(
    sqlite_database: Database, policy: str
) -> None:
    with sqlite_database.transaction() as session:
        people = settle_in(session)
        policies.apply(session, policy, actor="test", now=NOW)
        for expires_at in (None, at(10), NOW + timedelta(days=4000)):
            asked = proposal(expires_at=expires_at)
            row = intake.take(session, asked, people.agent.principal, now=NOW).row
            assert row.expires_at is not None
            assert row.expires_at <= NOW + timedelta(days=1)


# --- 13: silence approves ---


@pytest.mark.parametrize("word", ["approve", "allow", "auto", "edit", "continue"])
def test_failure_mode_13_no_word_of_a_policy_lets_silence_approve(word: str) -> None:
    for text_ in (
        f"version: 1\ndefault: {{on_timeout: {word}}}",
        f"version: 1\nrules: [{{name: a, when: {{}}, route: queue, on_timeout: {word}}}]",
    ):
        with pytest.raises(BadPolicy):
            parse(text_)


TIMEOUTS = [
    "on_timeout: reject",
    "on_timeout: cancel",
    "on_timeout: escalate, escalate_to: [director]",
    "on_timeout: delegate, delegate_to: [director]",
]


@pytest.mark.parametrize("timeout", TIMEOUTS)
def test_failure_mode_13_no_time_out_ends_in_a_permit(
    sqlite_database: Database, timeout: str
) -> None:
    with sqlite_database.transaction() as session:
        people = settle_in(session)
        policy = f"version: 1\ndefault: {{expires_in: 1h, {timeout}}}"
        policies.apply(session, policy, actor="test", now=NOW)
        row = intake.take(session, proposal(), people.agent.principal, now=NOW).row
    for hour in range(1, 5):
        with sqlite_database.transaction() as session:
            deadlines.expire(session, now=at(hour * 3600))
    with sqlite_database.reading() as session:
        decision = store.decision(session, row.id)
        assert decision is not None
        assert decision.outcome in {"expired", "cancelled"}
        assert session.exec(select(tables.Permit)).all() == []


# --- 14 and 15: short of a quorum; two at once ---


def test_failure_mode_14_one_person_is_no_quorum_however_often(api: Api) -> None:
    with api.database.transaction() as session:
        policies.apply(session, "version: 1\ndefault: {quorum: 2}", actor="test", now=NOW)
    asked = api.propose()
    for _ in range(5):
        assert "decision" not in api.review(asked, "approve").json()
    assert "decision" in api.review(asked, "approve", by=api.people.ben).json()


def test_failure_mode_15_of_two_at_once_one_decides_and_the_other_is_told_what(api: Api) -> None:
    asked = api.propose()
    answers: list[Any] = []

    def say(number: int) -> str:
        who = (api.people.ann, api.people.ben)[number]
        response = api.review(asked, ("approve", "reject")[number], by=who)
        answers.append(response.json())
        return str(response.status_code)

    assert together(2, say) == {"201": 1, "409": 1}
    outcome = api.show(asked["id"])["decision"]["outcome"]
    (refused,) = [one for one in answers if "error" in one]
    assert refused["detail"] == f"proposal {asked['id']} has been decided: {outcome}"


# --- 16: an edit loses its types, takes another tool, goes round the policy ---

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(-1e9, 1e9) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip


@given(edited=st.dictionaries(st.text(), json_values, min_size=1, max_size=3))
@settings(max_examples=40, deadline=None, suppress_health_check=FUNCTION_SCOPED)
def test_failure_mode_16_an_edit_keeps_the_types_of_its_values(
    sqlite_api: Api, edited: dict[str, Any]
) -> None:
    asked = sqlite_api.propose()
    mended = {"name": "refund", "arguments": edited}
    response = sqlite_api.review(asked, "edit", action=mended)
    if response.status_code == 422:  # U+0000 and the like: refused, not changed
        return
    found = response.json()["decision"]["effective"]["action"]["arguments"]
    before = version_body(
        proposal(), protocol.Effective(action=protocol.Action(name="refund", arguments=edited))
    )
    after = version_body(
        proposal(), protocol.Effective(action=protocol.Action(name="refund", arguments=found))
    )
    assert before == after
    assert {key: type(value) for key, value in found.items()} == {
        key: type(value) for key, value in edited.items()
    }


def test_failure_mode_16_an_edit_goes_round_neither_schema_nor_policy_nor_tool(api: Api) -> None:
    asked = api.propose(action("transfer", amount=500, to="bob"))
    for mended in (
        {"name": "transfer", "arguments": {"amount": "5", "to": "bob"}},
        {"name": "transfer", "arguments": {"amount": -5, "to": "bob"}},
        {"name": "drop_table", "arguments": {}},
        {"name": "refund", "arguments": {"amount": 5}},
    ):
        assert api.review(asked, "edit", action=mended).status_code in {403, 422}
    with api.database.transaction() as session:
        rules = "rules: [{name: big, when: {args.amount: {gte: 1000}}, route: block}]"
        policies.apply(session, f"version: 1\n{rules}", actor="test", now=NOW)
    asked = api.propose(action("refund", amount=5))
    big = {"name": "refund", "arguments": {"amount": 5000}}
    assert api.review(asked, "edit", action=big).status_code == 403


# --- 20: a person takes longer than any socket lives ---


def test_failure_mode_20_no_socket_is_held_for_a_person(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(review_api, "LONGEST_WAIT", 0.2)
    asked = api.propose()
    headers = api.people.agent.headers
    answer = api.client.get(f"/v1/proposals/{asked['id']}?wait=3240", headers=headers)
    assert answer.status_code == 200
    assert "decision" not in answer.json()
    review = protocol.Review(proposal_id=asked["id"], digest=asked["digest"], verdict="approve")
    with api.database.transaction() as session:  # 54 minutes later
        later = store.load(session, asked["id"]).received_at + timedelta(minutes=54)
        settling.submit(session, review, votes.Voice(api.people.ann.principal, "api"), now=later)
    ticket = api.show(asked["id"])
    assert ticket["decision"]["outcome"] == "approve"
    with api.database.transaction() as session:
        agent = api.people.agent.principal
        permits.consume(session, ticket["permit"]["id"], ticket["digest"], agent, now=later)


# --- 27: who approved? ---


TAMPERED = {
    "another's name": "UPDATE event SET actor = 'nobody' WHERE seq = 3",
    "another outcome": "UPDATE decision SET outcome = 'reject'",
    "a line taken out": "DELETE FROM event WHERE seq = 4",
    "the end cut off": "DELETE FROM event WHERE seq = (SELECT max(seq) FROM event)",
    "a decision removed": "DELETE FROM decision",
}


@pytest.fixture
def decided(sqlite_api: Api) -> Api:
    sqlite_api.approved()
    with sqlite_api.database.reading() as session:
        assert audit.verify(session).faults == []
    return sqlite_api


@pytest.mark.parametrize("how", TAMPERED)
def test_failure_mode_27_whatever_is_changed_afterwards_is_named(decided: Api, how: str) -> None:
    with decided.database.engine.connect() as connection:
        connection.execute(text("PRAGMA foreign_keys = OFF"))
        connection.execute(text(TAMPERED[how]))
        connection.commit()
    with decided.database.reading() as session:
        assert audit.verify(session).faults != []


def test_failure_mode_27_the_log_names_the_person_behind_the_key(decided: Api) -> None:
    with decided.database.reading() as session:
        statement = select(tables.Event.actor).where(
            col(tables.Event.type).in_(("review.received", "proposal.decided"))
        )
        assert set(session.exec(statement)) == {decided.people.ann.principal.id}


# --- 28: another version of the tool after a deployment ---


@pytest.mark.parametrize("name", ["refund", "refund_v2"])
def test_failure_mode_28_another_schema_or_name_is_another_question(api: Api, name: str) -> None:
    def tool(called: str, limit: int) -> dict[str, Any]:
        amount = {"type": "number", "maximum": limit}
        schema = {"type": "object", "properties": {"amount": amount}}
        return {"type": "function", "function": {"name": called, "parameters": schema}}

    before = {**action(amount=30), "tools": [tool("refund", 100)]}
    ticket = protocol.Ticket.model_validate(api.approved(before))
    after = {**action(name, amount=30), "tools": [tool(name, 50)]}
    changed = api.propose(after)
    assert changed["digest"] != ticket.digest
    assert ticket.permit is not None
    stale = api.consume({"id": ticket.permit.id, "digest": changed["digest"]})
    assert (stale.status_code, stale.json()["error"]) == (409, "digest_mismatch")
