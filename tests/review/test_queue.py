"""Taking in what people say: who may, what fits, and that it decides once."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlmodel import col, func, select

from errata import protocol
from errata.db import Database
from errata.errors import AlreadyDecided, Conflict, ErrataError, Malformed
from ingestion import drafts, ending, intake, keys, policies, store, tables
from review import deadlines, queue, settling, votes
from review.tables import Review
from tests.people import NOW, POLICY, Api, People, action, at, proposal, settle_in, together

MEND = {"name": "refund", "arguments": {"amount": 20, "to": "bob"}}


def error(response: Any) -> tuple[int, str, str | None]:
    body = response.json()
    return response.status_code, body["error"], body.get("field")


# --- what each verdict comes to ---


def test_an_approval_gives_a_permit_for_exactly_what_was_asked(api: Api) -> None:
    asked = api.propose()
    ticket = api.review(asked, "approve").json()
    assert (ticket["status"], ticket["decision"]["outcome"]) == ("permitted", "approve")
    assert ticket["permit"]["digest"] == ticket["decision"]["digest"] == asked["digest"]
    assert ticket["decision"]["effective"] == {"action": action()["action"]}
    assert ticket["decision"]["by"] == "people"
    assert ticket["decision"]["reviews"] == {"needed": 1, "got": 1}
    assert [one["reviewer"] for one in ticket["reviews"]] == ["ann"]


def test_an_edit_gives_a_permit_for_the_persons_version_only(api: Api) -> None:
    asked = api.propose()
    ticket = api.review(asked, "edit", action=MEND).json()
    assert ticket["decision"]["outcome"] == "edit"
    assert ticket["decision"]["effective"] == {"action": MEND}
    assert ticket["permit"]["digest"] == ticket["decision"]["digest"] != asked["digest"]
    assert api.consume({**ticket["permit"], "digest": asked["digest"]}).status_code == 409
    assert api.consume(ticket["permit"]).status_code == 200


@pytest.mark.parametrize("verdict", ["reject", "regenerate", "takeover"])
def test_what_does_not_approve_gives_no_permit(api: Api, verdict: str) -> None:
    said: dict[str, Any] = {
        "rationale": {"code": "tone", "text": "too short"},
        "guidance": "be kind",
    }
    ticket = api.review(api.propose(), verdict, **said).json()
    assert (ticket["status"], ticket["decision"]["outcome"]) == ("decided", verdict)
    assert "permit" not in ticket
    assert ticket["decision"]["reason"] == f"{verdict} by ann: tone (too short); be kind"


def test_an_edit_that_changes_nothing_is_an_approval(api: Api) -> None:
    same = {"name": "refund", "arguments": {"to": "bob", "amount": 30}}  # 30 for 30.0
    ticket = api.review(api.propose(), "edit", action=same).json()
    assert ticket["decision"]["outcome"] == "approve"
    with api.database.reading() as session:
        assert session.exec(select(tables.Decision.unchanged)).one() is True


def test_the_share_of_changed_tokens_is_kept_with_an_edit(api: Api) -> None:
    draft = {"hap": "1", "kind": "draft", "agent": {"id": "desk"}, "content": "one two three four"}
    api.review(api.propose(draft), "edit", content="one two 3 four")
    with api.database.reading() as session:
        row = session.exec(select(tables.Decision)).one()
    assert (row.unchanged, row.edit_distance) == (False, 0.25)


# --- what does not fit ---


@pytest.mark.parametrize(
    ("verdict", "more", "field"),
    [
        ("respond", {"response": "a"}, "verdict"),
        ("approve", {"action": MEND}, "verdict"),
        ("approve", {"rationale": {"text": "no code"}}, "rationale.code"),
        ("approve", {"ratings": {"tone": "high"}}, "ratings.tone"),
        ("shrug", {}, "verdict"),
    ],
)
def test_a_review_that_does_not_fit_is_refused_and_decides_nothing(
    api: Api, verdict: str, more: dict[str, Any], field: str
) -> None:
    asked = api.propose()
    assert error(api.review(asked, verdict, **more)) == (422, "malformed", field)
    assert api.show(asked["id"])["status"] == "queued"
    assert api.show(asked["id"])["reviews"] == []


def test_a_question_is_answered_without_a_permit(api: Api) -> None:
    question = {"hap": "1", "kind": "question", "agent": {"id": "desk"}, "message": "Which?"}
    ticket = api.review(api.propose(question), "respond", response={"any": [None]}).json()
    assert ticket["decision"]["effective"] == {"response": {"any": [None]}}
    assert "permit" not in ticket


def test_what_was_shown_must_be_what_is_asked(api: Api) -> None:
    asked = api.propose()
    stale = api.review({**asked, "digest": "sha256:" + "0" * 64}, "approve")
    assert error(stale) == (409, "digest_mismatch", None)
    assert api.show(asked["id"])["status"] == "queued"


def test_the_address_and_the_body_name_the_same_proposal(api: Api) -> None:
    one, other = api.propose(), api.propose()
    response = api.client.post(
        f"/v1/proposals/{one['id']}/reviews",
        json={"proposal_id": other["id"], "digest": one["digest"], "verdict": "approve"},
        headers=api.people.ann.headers,
    )
    assert error(response) == (422, "malformed", "proposal_id")


def test_an_edited_action_must_fit_the_tools_schema(api: Api) -> None:
    asked = api.propose(action("transfer", amount=500, to="bob"))
    bad = {"name": "transfer", "arguments": {"amount": -1}}
    assert error(api.review(asked, "edit", action=bad)) == (
        422,
        "malformed",
        "action.arguments.amount",
    )
    good = {"name": "transfer", "arguments": {"amount": 400}}
    assert api.review(asked, "edit", action=good).status_code == 201


def test_nobody_can_approve_what_a_newer_policy_forbids(api: Api) -> None:
    asked = api.propose()
    with api.database.transaction() as session:
        policies.apply(session, POLICY.replace("drop_*", "refund"), actor="test", now=at(1))
    assert error(api.review(asked, "approve")) == (403, "forbidden", "action")
    assert api.review(asked, "reject").status_code == 201


def candidates(**more: Any) -> dict[str, Any]:
    items = [{"id": one, "content": f"text {one}"} for one in ("a", "b", "c")]
    return {
        "hap": "1",
        "kind": "candidates",
        "agent": {"id": "desk"},
        "candidates": items,
        **more,
    }


def test_the_single_best_candidate_is_what_may_run(api: Api) -> None:
    ticket = api.review(api.propose(candidates()), "approve", ranking=[["b"], ["a", "c"]]).json()
    assert ticket["decision"]["effective"] == {"candidate": "b", "content": "text b"}
    assert ticket["status"] == "permitted"


def test_an_edit_of_candidates_carries_the_persons_own(api: Api) -> None:
    ticket = api.review(
        api.propose(candidates()), "edit", content="my text", ranking=[["c"], ["a"], ["b"]]
    ).json()
    assert ticket["decision"]["effective"] == {"candidate": "c", "content": "my text"}


def test_a_click_is_mended_by_a_point(api: Api) -> None:
    click = {"hap": "1", "kind": "click", "agent": {"id": "desk"}, "point": {"x": 3, "y": 4}}
    ticket = api.review(api.propose(click), "edit", point={"x": 5, "y": 4}).json()
    assert ticket["decision"]["effective"] == {"point": {"x": 5.0, "y": 4.0}}


# --- who may ---


def test_nobody_reviews_what_they_asked_for(api: Api) -> None:
    asked = api.propose({**action(), "requested_by": "ann"})
    assert error(api.review(asked, "approve")) == (403, "not_eligible", None)
    assert api.review(asked, "approve", by=api.people.ben).status_code == 201


def test_nobody_reviews_what_they_proposed(database: Database, people: People) -> None:
    with database.transaction() as session:
        row = intake.take(session, proposal(), people.agent.principal, now=NOW).row
        session.exec(select(tables.Proposal)).one().proposed_by = people.ann.principal.id
        session.flush()
        review = protocol.Review(proposal_id=row.id, digest=row.digest, verdict="approve")
        voice = votes.Voice(people.ann.principal, "api")
        with pytest.raises(ErrataError, match="nobody reviews what they proposed"):
            settling.submit(session, review, voice, now=NOW)


@pytest.mark.parametrize("who", ["agent", "other_agent", "admin", "analyst"])
def test_only_reviewers_and_supervisors_review(api: Api, who: str) -> None:
    asked = api.propose()
    assert api.review(asked, "approve", by=getattr(api.people, who)).status_code == 403
    assert api.review(asked, "approve", by=api.people.supervisor).status_code == 201


def test_a_disabled_person_reviews_no_more(api: Api) -> None:
    asked = api.propose()
    with api.database.transaction() as session:
        session.get_one(tables.Principal, api.people.ann.principal.id).disabled_at = NOW
    assert api.review(asked, "approve").status_code == 401
    assert api.show(asked["id"])["status"] == "queued"


# --- once ---


def test_the_first_review_decides_and_later_ones_are_refused(api: Api) -> None:
    asked = api.propose()
    api.review(asked, "reject")
    assert error(api.review(asked, "approve", by=api.people.ben)) == (
        409,
        "already_decided",
        None,
    )
    assert api.show(asked["id"])["decision"]["outcome"] == "reject"


def review_of(row: tables.Proposal, verdict: protocol.Verdict) -> protocol.Review:
    return protocol.Review(proposal_id=row.id, digest=row.digest, verdict=verdict)


def test_of_fifty_reviews_at_once_one_decides_and_the_others_are_told(
    database: Database, people: People
) -> None:
    with database.transaction() as session:
        row = intake.take(session, proposal(), people.agent.principal, now=NOW).row
        voices = [
            votes.Voice(
                keys.create(session, "reviewer", f"r{n}", actor="test", now=NOW).principal, "api"
            )
            for n in range(50)
        ]

    def submit(number: int) -> str:
        verdict: protocol.Verdict = "approve" if number % 2 else "reject"
        with database.transaction() as session:
            settling.submit(session, review_of(row, verdict), voices[number], now=NOW)
        return "decided it"

    assert together(50, submit) == {"decided it": 1, "already_decided": 49}
    with database.reading() as session:
        decision = session.exec(select(tables.Decision)).one()
        kept = session.exec(select(Review)).one()
        permits = session.exec(select(func.count()).select_from(tables.Permit)).one()
    assert decision.outcome == kept.verdict
    assert permits == (1 if decision.outcome == "approve" else 0)


def test_a_review_a_withdrawal_and_a_time_out_at_once_decide_once(
    database: Database, people: People
) -> None:
    with database.transaction() as session:
        row = intake.take(session, proposal(), people.agent.principal, now=NOW).row
    late = at(24 * 3600)

    def act(number: int) -> str:
        with database.transaction() as session:
            if number % 3 == 0:
                voice = votes.Voice(people.ann.principal, "api")
                settling.submit(session, review_of(row, "approve"), voice, now=NOW)
            elif number % 3 == 1:
                ending.cancel(session, row.id, people.agent.principal, now=NOW)
            elif deadlines.expire(session, now=late) == 0:
                raise AlreadyDecided("nothing was due")
        return "decided it"

    assert together(9, act) == {"decided it": 1, "already_decided": 8}
    with database.reading() as session:
        outcome = session.exec(select(tables.Decision.outcome)).one()
        logged = session.exec(
            select(func.count()).where(col(tables.Event.type) == "proposal.decided")
        ).one()
    assert outcome in {"approve", "cancelled", "expired"}
    assert logged == 1


def test_a_worker_that_moves_a_proposal_on_does_not_cost_anybody_their_review(
    database: Database, people: People
) -> None:
    with database.transaction() as session:
        rows = [
            intake.take(session, proposal(), people.agent.principal, now=NOW).row for _ in range(6)
        ]

    def act(number: int) -> str:
        row = rows[number // 2]
        with database.transaction() as session:
            if number % 2:
                voice = votes.Voice(people.ann.principal, "api")
                settling.submit(session, review_of(row, "approve"), voice, now=NOW)
                return "decided"
            held = store.hold(session, row.id)
            if held.status == "queued":
                store.move(session, held, "in_review", actor="worker", now=NOW)
            return "looked"

    assert together(6, act) == {"decided": 3, "looked": 3}


Step = st.sampled_from(
    ["approve", "reject", "edit", "wrong digest", "malformed", "cancel", "expire", "move"]
)


@given(steps=st.lists(Step, min_size=1, max_size=8))
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_whatever_is_tried_in_whatever_order_the_first_decision_stands(
    sqlite_database: Database, steps: list[str]
) -> None:
    with sqlite_database.transaction() as session:
        if session.exec(select(tables.Principal)).first() is None:
            settle_in(session)
        agent = session.exec(select(tables.Principal).where(tables.Principal.name == "desk")).one()
        ann = session.exec(select(tables.Principal).where(tables.Principal.name == "ann")).one()
        row = intake.take(session, proposal(), agent, now=NOW).row
    seen: list[str] = []
    for step in steps:
        _try(sqlite_database, step, row, agent, ann)
        with sqlite_database.reading() as session:
            found = session.get(tables.Decision, row.id)
            status = session.get_one(tables.Proposal, row.id).status
            permit = session.exec(
                select(tables.Permit).where(tables.Permit.proposal_id == row.id)
            ).first()
        if found is not None:
            seen.append(found.outcome)
        assert (status in {"queued", "in_review"}) == (found is None)
        assert (permit is not None) == (found is not None and found.outcome in {"approve", "edit"})
    assert len(set(seen)) <= 1


def _try(
    database: Database,
    step: str,
    row: tables.Proposal,
    agent: tables.Principal,
    ann: tables.Principal,
) -> None:
    voice = votes.Voice(ann, "api")
    reviews: dict[str, dict[str, Any]] = {
        "approve": {"verdict": "approve"},
        "reject": {"verdict": "reject"},
        "edit": {"verdict": "edit", "content": "mine"},
        "wrong digest": {"verdict": "approve", "digest": "sha256:" + "0" * 64},
        "malformed": {"verdict": "approve", "content": "mine"},
    }
    try:
        with database.transaction() as session:
            if step in reviews:
                given = {"proposal_id": row.id, "digest": row.digest, **reviews[step]}
                settling.submit(session, protocol.Review.model_validate(given), voice, now=NOW)
            elif step == "cancel":
                ending.cancel(session, row.id, agent, now=NOW)
            elif step == "expire":
                deadlines.expire(session, now=at(48 * 3600))
            else:
                held = store.hold(session, row.id)
                if held.status == "queued":
                    store.move(session, held, "in_review", actor="worker", now=NOW)
    except (Conflict, Malformed):
        pass


# --- deadlines ---


@pytest.mark.parametrize(
    ("name", "after", "outcome"),
    [("refund", 24 * 3600, "expired"), ("short_lived", 60, "cancelled")],
)
def test_what_nobody_answers_ends_as_the_policy_says_and_never_approved(
    database: Database, people: People, name: str, after: float, outcome: str
) -> None:
    asked = proposal(kind="action", content=None, action={"name": name, "arguments": {}})
    with database.transaction() as session:
        row = intake.take(session, asked, people.agent.principal, now=NOW).row
    with database.transaction() as session:
        assert not deadlines.overdue(session, now=at(after - 0.001))
        assert deadlines.expire(session, now=at(after - 0.001)) == 0
        assert deadlines.overdue(session, now=at(after))
        assert deadlines.expire(session, now=at(after)) == 1
        assert deadlines.expire(session, now=at(after)) == 0
    with database.reading() as session:
        decision = store.decision(session, row.id)
        assert decision is not None
        assert (decision.outcome, decision.by) == (outcome, "policy")
        assert store.permit(session, row.id) is None


def test_an_answer_after_the_deadline_does_not_count_even_if_nobody_noted_it(
    database: Database, people: People
) -> None:
    with database.transaction() as session:
        row = intake.take(session, proposal(), people.agent.principal, now=NOW).row
    voice = votes.Voice(people.ann.principal, "api")
    with pytest.raises(AlreadyDecided, match="time to decide"), database.transaction() as session:
        settling.submit(session, review_of(row, "approve"), voice, now=at(24 * 3600))
    with database.transaction() as session:
        settling.submit(session, review_of(row, "approve"), voice, now=at(24 * 3600 - 1))


# --- history ---


def test_imported_history_cannot_be_reviewed_withdrawn_or_timed_out(
    database: Database, people: People
) -> None:
    with database.transaction() as session:
        values = drafts.columns(
            proposal(),
            id_="old",
            content_hash="x",
            digest="sha256:" + "0" * 64,
            policy_version="sha256:" + "0" * 64,
            now=NOW,
        )
        row = tables.Proposal(**values)
        row.source, row.expires_at = "import", at(1)
        row.proposed_by = people.agent.principal.id
        session.add(row)
        session.flush()
        store.keep(session, "proposal", row.id, row.id, proposal())
    voice = votes.Voice(people.ann.principal, "api")
    with pytest.raises(ErrataError, match="imported history"), database.transaction() as session:
        settling.submit(session, review_of(row, "approve"), voice, now=NOW)
    with pytest.raises(ErrataError, match="imported history"), database.transaction() as session:
        ending.cancel(session, "old", people.agent.principal, now=NOW)
    with database.transaction() as session:
        assert not deadlines.overdue(session, now=at(2))
        assert deadlines.expire(session, now=at(2)) == 0
        assert queue.waiting(session, now=NOW) == []


# --- the queue ---


def test_the_queue_shows_the_urgent_first_then_the_oldest(api: Api) -> None:
    ids = [
        api.propose({**action(), "urgency": urgency})["id"]
        for urgency in ("log", "normal", "critical", "normal", "high")
    ]
    decided = api.propose()
    api.review(decided, "reject")
    response = api.client.get("/v1/queue", headers=api.people.ann.headers)
    waiting = response.json()["waiting"]
    assert [one["id"] for one in waiting] == [ids[2], ids[4], ids[1], ids[3], ids[0]]
    assert waiting[0]["action"] == "refund"
