"""Votes over the API, on both databases: who counts, what an edit does, what is taken back."""

from collections import Counter
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlmodel import col, func, select

from errata import protocol
from errata.db import Database
from errata.errors import ErrataError
from ingestion import intake, keys, policies, store, tables
from review import deadlines, settling, votes
from review.tables import Review
from tests.people import NOW, Api, Person, action, at, together

POLICY = """\
version: 1
default: {route: queue, quorum: 1, expires_in: 24h, on_timeout: reject}
red_lines: [{action: "drop_*"}]
tools:
  wire: {edits_to: [wire_later]}
rules:
  - {name: small, when: {action: transfer, args.amount: {gte: 0, lt: 100}}, route: auto}
  - name: medium
    when: {action: transfer, args.amount: {lte: 1000}}
    route: queue
    quorum: {needed: 1, from: [junior, senior]}
  - name: large
    when: {action: transfer}
    route: queue
    quorum: {needed: 2, roles: [senior, security]}
    rationale: required
    expires_in: 2h
    on_timeout: escalate
    escalate_to: [director]
  - {name: two, when: {kind: [draft, candidates, question, click]}, route: queue, quorum: 2}
  - {name: wires, when: {action: ["wire", "wire_later"]}, route: queue, quorum: 2}
  - {name: sure, when: {action: "get_*"}, confidence: {auto: 0.9, approve: 0.6}}
  - {name: twice, when: {action: twice}, route: queue, dual_share: 1.0,
     quorum: {needed: 2, tie_break: [director]}}
  - {name: delegated, when: {action: delegated}, route: queue, expires_in: 1h,
     on_timeout: delegate, delegate_to: [junior], quorum: {needed: 1, from: [senior]}}
  - {name: only seniors escalate, when: {action: escalated}, route: queue, expires_in: 1h,
     on_timeout: escalate, escalate_to: [security, director], quorum: {needed: 1, from: [senior]}}
trusted_confidence: [desk]
"""
WHY = {"rationale": {"code": "checked"}}

PEOPLE = {
    "jim": "junior",
    "jan": "junior",
    "sam": "senior",
    "sid": "senior",
    "sec": "security",
    "both": "senior,security",
    "dir": "director",
    "late": "senior@2020-01-01",
}


class Office:
    """People in groups under the money agent's policy."""

    def __init__(self, api: Api) -> None:
        self.api = api
        with api.database.transaction() as session:
            policies.apply(session, POLICY, actor="test", now=NOW)
            self.people = {
                name: Person(made.principal, made.secret)
                for name, groups in PEOPLE.items()
                for made in [
                    keys.create(
                        session,
                        "reviewer",
                        name,
                        groups=dict(keys.group(one) for one in groups.split(",")),
                        actor="test",
                        now=NOW,
                    )
                ]
            }

    def say(self, ticket: dict[str, Any], who: str, verdict: str, **more: Any) -> Any:
        """One review; the raw response."""
        return self.api.review(ticket, verdict, by=self.people[who], **more)

    def votes(self, ticket: dict[str, Any], *who: str, **more: Any) -> dict[str, Any]:
        """Approvals one after the other; the last ticket."""
        said = [self.say(ticket, one, "approve", **more) for one in who]
        assert [one.status_code for one in said] == [201] * len(said), said[-1].text
        return said[-1].json()


@pytest.fixture
def office(api: Api) -> Office:
    return Office(api)


def transfer(amount: float) -> dict[str, Any]:
    return action("transfer", amount=amount, to="bob")


def outcome(ticket: dict[str, Any]) -> str | None:
    return ticket.get("decision", {}).get("outcome")


# --- the documents' money agent: $100 alone, $1,000 with one person, more with two ---


def test_the_money_agent_of_the_documents(office: Office) -> None:
    assert outcome(office.api.propose(transfer(99.99))) == "approve"
    medium = office.api.propose(transfer(100))
    assert medium["status"] == "queued"
    assert outcome(office.votes(medium, "jim")) == "approve"
    large = office.api.propose(transfer(1000.01))
    assert outcome(office.votes(large, "sam", **WHY)) is None
    done = office.votes(large, "sec", **WHY)
    assert outcome(done) == "approve"
    assert done["decision"]["reviews"] == {"needed": 2, "got": 2}
    assert done["permit"]["digest"] == large["digest"]
    assert outcome(office.api.propose(transfer(-5))) is None, "a negative amount runs by itself"


@pytest.mark.parametrize(
    ("confidence", "trusted", "expected"),
    [
        (0.95, True, "approve"),
        (0.9, True, "approve"),
        (0.89, True, None),
        (0.6, True, None),
        (0.59, True, "takeover"),
        (0.99, False, None),
        (None, True, None),
    ],
)
def test_the_confidence_table_of_the_documents(
    office: Office, confidence: float | None, trusted: bool, expected: str | None
) -> None:
    asked = action("get_weather", city="Rome")
    if not trusted:
        asked["agent"] = {"id": "stranger"}
    if confidence is not None:
        asked["confidence"] = {"value": confidence, "method": "logprob"}
    ticket = office.api.propose(asked)
    assert outcome(ticket) == expected
    assert ("permit" in ticket) == (expected == "approve")


# --- who counts ---


@pytest.mark.parametrize("who", ["ann", "sec", "late"])
def test_whoever_is_in_none_of_the_groups_neither_votes_nor_vetoes(
    office: Office, who: str
) -> None:
    asked = office.api.propose(transfer(500))
    office.people["ann"] = office.api.people.ann
    for verdict in ("approve", "reject"):
        said = office.say(asked, who, verdict)
        assert (said.status_code, said.json()["error"]) == (403, "not_eligible")
    assert office.api.show(asked["id"])["status"] == "queued"


def test_two_of_one_role_do_not_stand_for_two_roles(office: Office) -> None:
    asked = office.api.propose(transfer(5000))
    assert outcome(office.votes(asked, "sam", "sid", "jim", **WHY)) is None
    assert outcome(office.votes(asked, "both", **WHY)) == "approve"


def test_a_single_eligible_reject_decides(office: Office) -> None:
    asked = office.api.propose(transfer(5000))
    office.votes(asked, "sam", **WHY)
    assert outcome(office.say(asked, "jim", "reject", **WHY).json()) == "reject"


def test_who_asked_for_it_does_not_vote(office: Office) -> None:
    asked = office.api.propose({**transfer(5000), "requested_by": "sam"})
    assert office.say(asked, "sam", "approve", **WHY).status_code == 403
    assert outcome(office.votes(asked, "sid", "sec", **WHY)) == "approve"


def test_a_reason_is_asked_for_where_the_policy_wants_one(office: Office) -> None:
    asked = office.api.propose(transfer(5000))
    for verdict in ("approve", "reject"):
        said = office.say(asked, "sam", verdict)
        assert (said.status_code, said.json()["field"]) == (422, "rationale")


def test_a_person_who_is_disabled_takes_the_vote_along(office: Office) -> None:
    asked = office.api.propose({**action("x"), "kind": "draft", "content": "Hi", "action": None})
    office.votes(asked, "jim")
    with office.api.database.transaction() as session:
        jim = session.get_one(tables.Principal, office.people["jim"].principal.id)
        jim.disabled_at = datetime.now(UTC)
        session.add(jim)
    assert outcome(office.votes(asked, "jan")) is None
    assert outcome(office.votes(asked, "sam")) == "approve"


def test_a_vote_can_be_taken_back_until_the_decision(office: Office) -> None:
    asked = office.api.propose(transfer(5000))
    path = f"/v1/proposals/{asked['id']}/reviews"
    headers = office.people["sam"].headers
    assert office.api.client.delete(path, headers=headers).status_code == 404
    office.votes(asked, "sam", **WHY)
    assert office.api.client.delete(path, headers=headers).status_code == 200
    assert outcome(office.votes(asked, "sec", **WHY)) is None
    assert outcome(office.votes(asked, "sid", **WHY)) == "approve"
    late = office.api.client.delete(path, headers=office.people["sid"].headers)
    assert (late.status_code, late.json()["error"]) == (409, "already_decided")


# --- an edit ---


def edited(amount: float, name: str = "transfer") -> dict[str, Any]:
    return {"name": name, "arguments": {"amount": amount, "to": "bob"}}


def test_an_edit_enters_the_policy_anew_and_resets_the_votes(office: Office) -> None:
    asked = office.api.propose(transfer(5000))
    office.votes(asked, "sam", **WHY)
    after = office.say(asked, "sec", "edit", action=edited(4000), **WHY).json()
    assert outcome(after) is None
    assert after["digest"] != asked["digest"]
    stale = office.say(asked, "sid", "approve", **WHY)
    assert (stale.status_code, stale.json()["error"]) == (409, "digest_mismatch")
    done = office.votes(after, "sid", **WHY)
    assert outcome(done) == "edit"
    assert done["decision"]["effective"]["action"] == edited(4000)
    assert done["decision"]["digest"] == done["permit"]["digest"] == after["digest"]
    assert {one["reviewer"]: one.get("void") for one in done["reviews"]} == {
        "sam": "edited", "sec": None, "sid": None,
    }  # fmt: skip


def test_the_editors_vote_is_the_first_and_only_counts_where_they_may_vote(office: Office) -> None:
    asked = office.api.propose(transfer(5000))
    small = office.say(asked, "both", "edit", action=edited(500), **WHY).json()
    assert outcome(small) == "edit", "a senior alone may approve 500"
    asked = office.api.propose(transfer(5000))
    small = office.say(asked, "sec", "edit", action=edited(500), **WHY).json()
    assert outcome(small) is None, "security alone may not"
    assert outcome(office.votes(small, "jim")) == "edit"


def test_an_edit_back_to_the_proposal_does_not_wake_old_votes(office: Office) -> None:
    draft = {"hap": "1", "kind": "draft", "agent": {"id": "desk"}, "content": "one"}
    asked = office.api.propose(draft)
    office.votes(asked, "jim")
    there = office.say(asked, "jan", "edit", content="two").json()
    back = office.say(there, "sam", "edit", content="one").json()
    assert back["digest"] == asked["digest"]
    assert outcome(back) is None, "jim's approval of before counts again"
    assert outcome(office.votes(back, "jim")) == "approve"


def test_nobody_edits_to_what_the_policy_blocks_or_to_another_tool(office: Office) -> None:
    asked = office.api.propose(action("wire", amount=1))
    for name, status in (("drop_all", 422), ("transfer", 422)):
        assert office.say(asked, "jim", "edit", action=edited(1, name)).status_code == status
    after = office.say(asked, "jim", "edit", action=edited(1, "wire_later")).json()
    assert outcome(after) is None
    assert outcome(office.votes(after, "jan")) == "edit"


def test_an_edited_candidate_and_an_edited_answer_need_the_quorum_too(office: Office) -> None:
    two = [{"id": "a", "content": "A"}, {"id": "b", "content": "B"}]
    asked = office.api.propose(
        {"hap": "1", "kind": "candidates", "agent": {"id": "desk"}, "candidates": two}
    )
    after = office.say(asked, "jim", "edit", candidate="a", content="A!").json()
    assert outcome(after) is None
    done = office.votes(after, "jan")
    assert outcome(done) == "edit"
    assert done["decision"]["effective"] == {"candidate": "a", "content": "A!"}


def test_different_choices_do_not_add_up(office: Office) -> None:
    flights = [{"id": "a", "label": "5 pm"}, {"id": "b", "label": "6 pm"}]
    asked = office.api.propose(
        {"hap": "1", "kind": "question", "agent": {"id": "desk"}, "message": "Which flight?",
         "options": flights}
    )  # fmt: skip
    assert outcome(office.say(asked, "jim", "respond", response="a").json()) is None
    assert outcome(office.say(asked, "jan", "respond", response="b").json()) is None
    done = office.say(asked, "sam", "respond", response="b").json()
    assert done["decision"]["effective"] == {"response": "b"}
    assert done["decision"]["reviews"] == {"needed": 2, "got": 2}


# --- two blind reviews ---


def test_blind_reviewers_do_not_see_each_other_and_the_senior_breaks_the_tie(
    office: Office,
) -> None:
    asked = office.api.propose(action("twice", amount=1))
    first = office.say(asked, "jim", "edit", action=edited(2, "twice")).json()
    assert outcome(first) is None
    assert first["digest"] == asked["digest"], "the second sees the agent's version"
    for who, seen in (("jan", []), ("jim", ["jim"])):
        shown = office.api.show(asked["id"], by=office.people[who])
        assert [one["reviewer"] for one in shown["reviews"]] == seen
    assert outcome(office.say(asked, "jan", "edit", action=edited(3, "twice")).json()) is None
    done = office.say(asked, "dir", "edit", action=edited(3.0, "twice")).json()
    assert done["decision"]["effective"]["action"] == edited(3, "twice")
    assert done["decision"]["reviews"]["got"] == 2


def test_blind_reviewers_who_differ_wait_for_the_tie_breaker(office: Office) -> None:
    asked = office.api.propose(action("twice", amount=1))
    office.say(asked, "jim", "edit", action=edited(2, "twice"))
    office.say(asked, "jan", "approve")
    done = office.say(asked, "dir", "edit", action=edited(9, "twice")).json()
    assert done["decision"]["effective"]["action"] == edited(9, "twice")
    assert "breaking the tie" in done["decision"]["reason"]


# --- time ---


def overdue(office: Office, ticket: dict[str, Any], seconds: float) -> dict[str, Any]:
    with office.api.database.transaction() as session:
        received = store.load(session, ticket["id"]).received_at
        deadlines.expire(session, now=received + (at(seconds) - NOW))
    return office.api.show(ticket["id"])


def test_escalation_goes_along_the_chain_and_lowers_nothing(office: Office) -> None:
    asked = office.api.propose(action("escalated"))
    assert office.say(asked, "sec", "approve").status_code == 403
    assert outcome(overdue(office, asked, 3601)) is None
    assert office.say(asked, "dir", "approve").status_code == 403, "the chain goes step by step"
    assert outcome(overdue(office, asked, 7203)) is None
    assert outcome(overdue(office, asked, 10_900)) == "expired", "the chain has an end"
    again = office.api.propose(action("escalated"))
    overdue(office, again, 3601)
    assert outcome(office.votes(again, "sec")) == "approve"


def test_two_who_are_needed_are_needed_after_an_escalation_too(office: Office) -> None:
    asked = office.api.propose(transfer(5000))
    office.votes(asked, "sam", **WHY)
    overdue(office, asked, 7201)
    assert outcome(office.votes(asked, "dir", **WHY)) is None
    done = office.votes(asked, "sec", **WHY)
    assert outcome(done) == "approve"


def test_delegation_puts_others_in_place_of_those_who_did_not_answer(office: Office) -> None:
    asked = office.api.propose(action("delegated"))
    assert office.say(asked, "jim", "approve").status_code == 403
    overdue(office, asked, 3601)
    assert office.say(asked, "sam", "approve").status_code == 403
    assert outcome(office.votes(asked, "jim")) == "approve"


def test_a_supervisor_escalates_by_hand(office: Office) -> None:
    asked = office.api.propose(action("escalated"))
    path = f"/v1/proposals/{asked['id']}/escalate"
    sue = office.api.people.supervisor.headers
    assert office.api.client.post(path, headers=sue).status_code == 200
    assert outcome(office.votes(asked, "sec")) == "approve"
    plain = office.api.propose()
    none = office.api.client.post(f"/v1/proposals/{plain['id']}/escalate", headers=sue)
    assert (none.status_code, none.json()["error"]) == (409, "conflict")


# --- at once ---


def test_fifty_reviews_at_once_make_one_decision(office: Office, database: Database) -> None:
    asked = office.api.propose()
    with database.transaction() as session:
        voices = [
            votes.Voice(
                keys.create(session, "reviewer", f"r{n}", actor="test", now=NOW).principal, "api"
            )
            for n in range(50)
        ]
    review = protocol.Review(proposal_id=asked["id"], digest=asked["digest"], verdict="approve")

    def say(number: int) -> str:
        with database.transaction() as session:
            taken = settling.submit(session, review, voices[number], now=datetime.now(UTC))
            return "decided" if taken.decision else "open"

    assert together(50, say) == Counter({"already_decided": 49, "decided": 1})
    with database.reading() as session:
        assert session.exec(select(func.count()).select_from(tables.Decision)).one() == 1


@given(
    st.lists(
        st.tuples(
            st.integers(0, 4), st.sampled_from(["approve", "edit", "reject", "withdraw", "stale"])
        ),
        max_size=14,
    ),
    st.integers(1, 3),
)
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_whatever_is_said_in_whatever_order_it_is_decided_once_and_by_enough(
    sqlite_database: Database, said: list[tuple[int, str]], needed: int
) -> None:
    mark = datetime.now(UTC).timestamp()
    policy = f"version: 1\ndefault: {{quorum: {needed}}}\n# {mark}"
    with sqlite_database.transaction() as session:
        policies.apply(session, policy, actor="test", now=NOW)
        agent = keys.create(session, "agent", f"agent {mark}", actor="test", now=NOW).principal
        people = [
            keys.create(session, "reviewer", f"{n} {mark}", actor="test", now=NOW).principal
            for n in range(5)
        ]
        draft = protocol.Proposal.model_validate(
            {"hap": "1", "kind": "draft", "agent": {"id": "desk"}, "content": "0"}
        )
        row = intake.take(session, draft, agent, now=NOW).row
    model = Model(needed)
    for number, word in said:
        with sqlite_database.transaction() as session:
            fields = model.fields(row.id, store.load(session, row.id).digest, word)
            try:
                if word == "withdraw":
                    votes.withdraw(session, row.id, people[number], now=at(1))
                else:
                    review = protocol.Review.model_validate(fields)
                    voice = votes.Voice(people[number], "api")
                    settling.submit(session, review, voice, now=at(1))
            except ErrataError:
                assert model.outcome is not None or word in {"stale", "withdraw"}
                continue
        model.hear(number, word)
        with sqlite_database.reading() as session:
            decision = store.decision(session, row.id)
            assert (decision.outcome if decision else None) == model.outcome
    with sqlite_database.reading() as session:
        counted = session.exec(
            select(Review.reviewer_id).where(Review.proposal_id == row.id, col(Review.counted))
        ).all()
        assert len(counted) == len(set(counted))
        if model.outcome in {"approve", "edit"}:
            assert len(counted) >= needed


class Model:
    """Who stands behind what is asked now, by the plain words of the protocol."""

    def __init__(self, needed: int) -> None:
        self.needed = needed
        self.behind: set[int] = set()
        self.versions = 0
        self.outcome: str | None = None

    def fields(self, id_: str, digest: str, word: str) -> dict[str, Any]:
        """The review that says this."""
        said: dict[str, Any] = {"proposal_id": id_, "digest": digest, "verdict": word}
        if word == "edit":
            self.versions += 1
            said["content"] = f"version {self.versions}"
        if word == "stale":
            said |= {"digest": "sha256:" + "0" * 64, "verdict": "approve"}
        return said

    def hear(self, number: int, word: str) -> None:
        """What was taken."""
        assert self.outcome is None, "it was decided, and something was taken all the same"
        if word == "approve":
            self.behind.add(number)
        elif word == "edit":
            self.behind = {number}
        elif word == "withdraw":
            self.behind.discard(number)
        else:
            self.outcome = "reject"
        if self.outcome is None and len(self.behind) >= self.needed:
            self.outcome = "edit" if self.versions else "approve"
