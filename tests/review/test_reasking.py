"""A new policy and open work: asked again, ended, taken back; on both databases, and at once."""

from datetime import timedelta
from typing import Any

import pytest
from sqlmodel import col, select, update

from errata.db import Database
from errata.errors import DigestMismatch, PermitRevoked
from errata.protocol import Proposal, Review
from ingestion import asked, decisions, intake, permits, policies, store, tables
from review import reasking, settling, votes
from tests.people import NOW, POLICY, Api, People, action, at, proposal, together

ASKING = "version: 1\nrules:\n"
STRICTER = (
    ASKING
    + """\
  - {name: refunds need two, when: {action: refund}, route: queue, quorum: 2, expires_in: 1h,
     on_timeout: cancel}
"""
)
LOOSER = ASKING + "  - {name: refunds run, when: {action: refund}, route: auto}\n"
RED = "version: 1\nred_lines: [{action: refund}, {action: transfer}]\n"
HANDED = ASKING + "  - {name: by hand, when: {action: refund}, route: takeover}\n"
TYPED = """\
version: 1
tools:
  refund: {schema: {type: object, properties: {amount: {type: number, maximum: 10}}}}
"""
SMALL = action("transfer", amount=5, to="bob")


def apply(api: Api, text: str) -> reasking.Applied:
    with api.database.transaction() as session:
        done = reasking.apply(session, text, actor="test", now=_clock(session))
    assert done.in_force.version == in_force(api)
    return done


def _clock(session: Any) -> Any:
    """The time of the newest proposal: those over HTTP are made at the real time."""
    rows = session.exec(select(tables.Proposal.received_at)).all()
    return max(rows, default=NOW) + timedelta(seconds=1)


def in_force(api: Api) -> str:
    with api.database.reading() as session:
        return policies.in_force(session).version


def outcome(ticket: dict[str, Any]) -> str | None:
    return ticket.get("decision", {}).get("outcome")


# --- open proposals ---


def test_open_work_is_asked_again_under_the_new_policy_and_its_votes_are_void(api: Api) -> None:
    apply(api, STRICTER.replace("1h", "3h"))
    before = api.propose()
    api.review(before, "approve")
    assert apply(api, STRICTER)[1:] == (1, 0, 0)
    after = api.show(before["id"])
    assert after["status"] == "queued"
    assert after["digest"] != before["digest"]
    assert [one["void"] for one in after["reviews"]] == ["policy"]
    stale = api.review(before, "approve")
    assert (stale.status_code, stale.json()["error"]) == (409, "digest_mismatch")
    assert outcome(api.review(after, "approve").json()) is None, "the void vote counts"
    done = api.review(after, "approve", by=api.people.ben).json()
    assert done["decision"]["policy_version"] == in_force(api)
    assert done["permit"]["digest"] == after["digest"]
    assert api.consume(done["permit"]).status_code == 200


def test_the_new_routing_holds_with_its_terms_and_a_deadline_no_later(api: Api) -> None:
    ticket = api.propose()
    with api.database.reading() as session:
        old = store.load(session, ticket["id"])
    apply(api, STRICTER)
    with api.database.reading() as session:
        row = store.load(session, ticket["id"])
        routing = asked.routing(session, row)
        assert asked.terms(session, row).needed == 2
    assert routing is not None
    assert (routing.round, routing.rule) == (row.round, "refunds need two")
    assert row.round == old.round + 1
    assert row.on_timeout == "cancel"
    assert old.expires_at is not None
    assert row.expires_at is not None
    assert row.expires_at - row.received_at == timedelta(hours=1, seconds=1)
    apply(api, STRICTER.replace("1h", "9d"))
    with api.database.reading() as session:
        assert store.load(session, ticket["id"]).expires_at == row.expires_at, "no time is bought"


def test_a_persons_version_gives_way_to_what_the_agent_asked(api: Api) -> None:
    apply(api, STRICTER.replace("1h", "3h"))
    ticket = api.propose()
    version = {"name": "refund", "arguments": {"amount": 1.0, "to": "bob"}}
    edited = api.review(ticket, "edit", action=version).json()
    apply(api, STRICTER)
    after = api.show(ticket["id"])
    assert after["digest"] not in {ticket["digest"], edited["digest"]}
    with api.database.reading() as session:
        row = store.load(session, ticket["id"])
        assert asked.standing(session, row) is None
    api.review(after, "approve")
    done = api.review(after, "approve", by=api.people.ben).json()
    assert outcome(done) == "approve"
    assert done["decision"]["effective"]["action"] == ticket["proposal"]["action"]


@pytest.mark.parametrize(
    ("text", "expected", "words"),
    [
        (RED, "blocked", "red line"),
        (HANDED, "takeover", "by hand"),
        (TYPED, "blocked", "under the new policy"),
    ],
)
def test_what_the_new_policy_decides_itself_is_decided(
    api: Api, text: str, expected: str, words: str
) -> None:
    ticket = api.propose()
    assert apply(api, text)[1:] == (0, 1, 0)
    after = api.show(ticket["id"])
    assert outcome(after) == expected
    assert words in after["decision"]["reason"]
    assert (after["decision"]["by"], after.get("permit")) == ("policy", None)
    assert after["decision"]["policy_version"] == in_force(api)
    with api.database.reading() as session:
        tasks = [one.sort for one in session.exec(select(tables.Task))]
    assert tasks == (["handover"] if expected == "takeover" else [])


def test_what_would_run_at_once_now_stays_with_people(api: Api) -> None:
    waiting = api.propose()
    assert apply(api, LOOSER)[1:] == (1, 0, 0)
    after = api.show(waiting["id"])
    assert (after["status"], after.get("permit")) == ("queued", None)
    assert outcome(api.propose()) == "approve", "what is proposed from now on runs"
    assert outcome(api.review(after, "approve").json()) == "approve"


def test_applying_the_same_policy_again_changes_nothing(api: Api) -> None:
    ticket = api.propose()
    api.review(ticket, "approve")
    open_one = api.propose()
    assert apply(api, "# a comment\n" + POLICY)[1:] == (0, 0, 0)
    assert api.show(open_one["id"])["digest"] == open_one["digest"]


def test_what_is_over_or_imported_is_left_alone(api: Api) -> None:
    done, late = api.approved(), api.propose()
    with api.database.transaction() as session:
        session.exec(
            update(tables.Proposal)
            .where(col(tables.Proposal.id) == late["id"])
            .values(expires_at=NOW)
        )
    before = api.show(done["id"])
    assert apply(api, STRICTER)[1:] == (0, 0, 0)
    assert api.show(done["id"]) == before
    assert api.show(late["id"])["digest"] == late["digest"]


# --- permits ---


def test_unused_permits_that_the_new_policy_blocks_are_revoked(api: Api) -> None:
    unused, used, other = api.propose(SMALL), api.propose(SMALL), api.approved(action("mail", a=1))
    assert api.consume(used["permit"]).status_code == 200
    assert apply(api, RED)[1:] == (0, 0, 1)
    assert api.show(unused["id"])["status"] == "undone"
    gone = api.consume(unused["permit"])
    assert (gone.status_code, gone.json()["error"]) == (410, "revoked")
    assert api.show(used["id"])["status"] == "executing"
    assert api.consume(other["permit"]).status_code == 200, "what is allowed still runs"


def test_a_persons_version_is_what_the_new_policy_judges(api: Api) -> None:
    ticket = api.propose(action("refund", amount=500.0, to="bob"))
    version = {"name": "refund", "arguments": {"amount": 5.0, "to": "bob"}}
    done = api.review(ticket, "edit", action=version).json()
    large = (
        ASKING + "  - {name: large, when: {action: refund, args.amount: {gt: 100}}, route: block}\n"
    )
    assert apply(api, large).revoked == 0
    assert api.consume(done["permit"]).status_code == 200


def test_a_permit_issued_while_the_policy_changed_does_not_run_what_is_blocked(api: Api) -> None:
    ticket = api.propose(SMALL)
    with api.database.transaction() as session:  # as if the permit had been committed just after
        policies.apply(session, RED, actor="test", now=NOW)
    gone = api.consume(ticket["permit"])
    assert (gone.status_code, gone.json()["error"]) == (410, "revoked")
    assert api.show(ticket["id"])["status"] == "permitted"


# --- at the same time ---


class Desk:
    """Proposals and reviews by function, so that they can meet an apply."""

    def __init__(self, database: Database, people: People) -> None:
        self.database = database
        self.people = people

    def propose(self, asked_for: Proposal) -> tables.Proposal:
        with self.database.transaction() as session:
            return intake.take(session, asked_for, self.people.agent.principal, now=NOW).row

    def approve(self, row: tables.Proposal) -> str:
        review = Review(proposal_id=row.id, digest=row.digest, verdict="approve")
        with self.database.transaction() as session:
            voice = votes.Voice(self.people.ann.principal, "api")
            settling.submit(session, review, voice, now=at(1))
        return "approved"

    def apply(self, text: str) -> str:
        with self.database.transaction() as session:
            reasking.apply(session, text, actor="test", now=at(1))
        return "applied"


@pytest.fixture
def desk(database: Database, people: People) -> Desk:
    return Desk(database, people)


REFUND = {"kind": "action", "content": None, "action": {"name": "refund", "arguments": {"a": 1}}}


def test_a_review_and_an_apply_at_once_never_leave_a_permit_for_what_is_blocked(
    desk: Desk,
) -> None:
    for number in range(6):
        with desk.database.transaction() as session:
            policies.apply(session, POLICY, actor="test", now=NOW)
        row = desk.propose(proposal(**REFUND))
        red = RED + f"default: {{expires_in: {number + 1}h}}\n"

        def act(which: int, row: tables.Proposal = row, red: str = red) -> str:
            return desk.approve(row) if which else desk.apply(red)

        came = together(2, act)
        with desk.database.reading() as session:
            permit = store.permit(session, row.id)
            status = store.load(session, row.id).status
        if came["approved"]:
            assert permit is not None
            assert (permit.status, status) == ("revoked", "undone")
            agent = desk.people.agent.principal
            with pytest.raises(PermitRevoked), desk.database.transaction() as session:
                permits.consume(session, permit.id, permit.digest, agent, now=at(2))
        else:
            assert (permit, status) == (None, "decided")
            assert came == {"applied": 1, "already_decided": 1}


def test_a_vote_and_an_apply_at_once_never_count_the_vote_for_the_new_digest(desk: Desk) -> None:
    with desk.database.transaction() as session:
        policies.apply(session, STRICTER, actor="test", now=NOW)
    for number in range(6):
        row = desk.propose(proposal(**REFUND))
        text = STRICTER.replace("1h", f"{number + 2}h")

        def act(which: int, row: tables.Proposal = row, text: str = text) -> str:
            return desk.approve(row) if which else desk.apply(text)

        came = together(2, act)
        assert came["applied"] == 1
        assert came["approved"] + came[DigestMismatch.code] == 1
        with desk.database.reading() as session:
            after = store.load(session, row.id)
            stated = votes.stated(session, row.id)
            wanted = decisions.asked_digest(
                proposal(**REFUND), None, policies.in_force(session).version
            )
        assert (after.status, after.digest) == ("queued", wanted)
        assert {one.void for one in stated} <= {"policy"}


def test_what_came_in_while_the_policy_changed_is_swept_up(desk: Desk) -> None:
    row = desk.propose(proposal(**REFUND))
    with desk.database.transaction() as session:
        policies.apply(session, RED, actor="test", now=NOW)
    with desk.database.reading() as session:
        assert reasking.is_due(session, now=at(1))

    def sweep(_number: int) -> str:
        with desk.database.transaction() as session:
            return f"{reasking.sweep(session, now=at(1))}"

    assert together(2, sweep)["1"] == 1
    with desk.database.reading() as session:
        assert not reasking.is_due(session, now=at(1))
        assert store.load(session, row.id).status == "decided"


def test_policies_applied_at_once_leave_everything_under_the_one_in_force(desk: Desk) -> None:
    rows = [desk.propose(proposal(**REFUND)) for _ in range(5)]
    texts = [STRICTER.replace("1h", f"{number + 2}h") for number in range(4)]
    assert together(4, lambda number: desk.apply(texts[number])) == {"applied": 4}
    with desk.database.reading() as session:
        version = policies.in_force(session).version
        assert {store.load(session, row.id).policy_version for row in rows} == {version}
