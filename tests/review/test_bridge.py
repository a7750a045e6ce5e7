"""The bridge to Argilla: records pushed and removed, answers taken in once."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlmodel import col, select

from errata import protocol
from errata.db import Database
from errata.errors import Unavailable
from ingestion import drafts, ending, intake, keys, policies, store, tables
from review import audit, deadlines, erasure
from review.argilla import inbox, outbox, records
from review.argilla.fake import FakeArgilla
from review.argilla.rest import Dataset
from review.argilla.surface import Pushed, Record
from review.tables import ArgillaRecord, Inbox, Review, ReviewPayload
from tests.people import NOW, People, at, proposal, together
from tests.review.test_screen import check_inert


class Desk:
    """A database with its worker, an Argilla, and a clock that the test moves."""

    def __init__(self, database: Database, people: People) -> None:
        self.database = database
        self.people = people
        self.argilla = FakeArgilla()
        self.now = NOW

    def clock(self) -> datetime:
        return self.now

    def ask(self, asked: protocol.Proposal | None = None) -> str:
        with self.database.transaction() as session:
            agent = self.people.agent.principal
            return intake.take(session, asked or proposal(), agent, now=self.now).row.id

    def ensure(self, names: set[str]) -> None:
        for name in names:
            with self.database.transaction() as session:
                outbox.keep_dataset(session, name, Dataset(name, {}))

    def deliver(self) -> None:
        with self.database.transaction() as session:
            outbox.enroll(session, now=self.now)
        outbox.push(self.database, self.argilla, self.ensure, self.clock)
        outbox.clear(self.database, self.argilla, self.clock)

    def pull(self) -> int:
        return inbox.pull(self.database, self.argilla, self.clock)

    def later(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def work(self) -> None:
        """What the worker does in one turn."""
        self.later(1)
        self.deliver()
        self.pull()
        self.deliver()

    def there(self) -> list[str]:
        return sorted(held.record.external_id for held in self.argilla.held.values())

    def row(self, id_: str) -> tables.Proposal:
        with self.database.reading() as session:
            return store.load(session, id_)

    def record(self, external_id: str) -> ArgillaRecord:
        with self.database.reading() as session:
            return session.get_one(ArgillaRecord, external_id)

    def reviews(self) -> list[Review]:
        with self.database.reading() as session:
            return list(session.exec(select(Review).order_by(col(Review.id))))

    def decision(self, id_: str) -> protocol.Decision | None:
        with self.database.reading() as session:
            return store.decision(session, id_)

    def suggestion(self, external_id: str) -> Any:
        return {
            one.question: one.value for one in self.argilla.find(external_id).record.suggestions
        }


@pytest.fixture
def desk(database: Database, people: People) -> Desk:
    return Desk(database, people)


def pay(amount: Any = 30, **more: Any) -> protocol.Proposal:
    return proposal(
        kind="action",
        content=None,
        action={"name": "pay", "arguments": {"amount": amount}},
        **more,
    )


# --- out ---


def test_what_is_asked_is_pushed_once_and_then_in_review(desk: Desk) -> None:
    id_ = desk.ask()
    assert desk.row(id_).status == "queued"
    for _ in range(3):
        desk.work()
    assert desk.there() == [f"{id_}:0"]
    assert desk.argilla.pushes == 1
    assert desk.row(id_).status == "in_review"


def test_a_crash_between_push_and_note_is_repeated_without_harm(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    id_ = desk.ask()

    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(outbox, "_mark_pushed", crash)
        with pytest.raises(KeyboardInterrupt):
            desk.deliver()
    assert desk.there() == [f"{id_}:0"]
    assert desk.record(f"{id_}:0").pushed_at is None
    desk.deliver()
    assert desk.argilla.pushes == 1  # the dead worker's claim still holds
    desk.later(61)
    desk.work()
    assert (desk.there(), desk.argilla.pushes) == ([f"{id_}:0"], 2)
    assert desk.row(id_).status == "in_review"


def test_an_answer_that_came_before_the_push_was_noted_counts(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    id_ = desk.ask()
    with monkeypatch.context() as patch:
        patch.setattr(outbox, "_mark_pushed", lambda *_: 1 / 0)  # pyright: ignore[reportUnknownLambdaType]
        with pytest.raises(ZeroDivisionError):
            desk.deliver()
    desk.argilla.answer(f"{id_}:0", "ann", {"decision": "approve"})
    desk.pull()
    assert desk.decision(id_) is not None


def test_a_record_that_argilla_does_not_take_holds_up_no_other(desk: Desk) -> None:
    bad, good = desk.ask(), desk.ask()
    desk.argilla.refuses = {f"{bad}:0"}
    desk.work()
    assert desk.there() == [f"{good}:0"]
    kept = desk.record(f"{bad}:0")
    assert kept.attempts == 1
    assert kept.error is not None
    assert kept.not_before > desk.now
    desk.argilla.refuses = set()
    desk.later(2)
    desk.work()
    assert desk.there() == sorted([f"{bad}:0", f"{good}:0"])
    assert desk.record(f"{bad}:0").error is None


def test_a_record_that_cannot_be_built_holds_up_no_other(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad, good = desk.ask(), desk.ask()
    build = records.place

    def place(asked: records.Asked) -> records.Placed:
        if asked.external_id == f"{bad}:0":
            raise RecursionError
        return build(asked)

    monkeypatch.setattr(records, "place", place)
    desk.work()
    assert desk.there() == [f"{good}:0"]
    assert desk.record(f"{bad}:0").error == "it cannot be built: RecursionError"


def test_when_argilla_is_down_everything_waits_and_comes_once_it_is_back(desk: Desk) -> None:
    ids = [desk.ask() for _ in range(3)]
    desk.argilla.down = True
    desk.deliver()
    assert desk.there() == []
    assert {desk.record(f"{id_}:0").attempts for id_ in ids} == {1}
    desk.argilla.down = False
    desk.later(2)
    desk.work()
    assert desk.there() == sorted(f"{id_}:0" for id_ in ids)


def test_attempts_come_ever_more_rarely_and_at_least_once_a_minute(desk: Desk) -> None:
    id_ = desk.ask()
    desk.argilla.refuses = {f"{id_}:0"}
    pauses: list[float] = []
    for _ in range(9):
        desk.deliver()
        due = desk.record(f"{id_}:0").not_before
        pauses.append((due - desk.now).total_seconds())
        desk.now = due
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_what_was_decided_elsewhere_is_taken_out(desk: Desk) -> None:
    id_ = desk.ask()
    desk.work()
    with desk.database.transaction() as session:
        ending.cancel(session, id_, desk.people.agent.principal, now=desk.now)
    desk.work()
    assert desk.there() == []
    assert desk.record(f"{id_}:0").removed_at is not None


def test_what_is_decided_before_it_is_pushed_is_never_pushed(desk: Desk) -> None:
    id_ = desk.ask()
    with desk.database.transaction() as session:
        outbox.enroll(session, now=desk.now)
        ending.cancel(session, id_, desk.people.agent.principal, now=desk.now)
    desk.work()
    assert (desk.there(), desk.argilla.pushes) == ([], 0)


def test_history_and_what_the_policy_decided_go_to_nobody(desk: Desk) -> None:
    small = {"name": "transfer", "arguments": {"amount": 5}}
    desk.ask(proposal(kind="action", content=None, action=small))
    with desk.database.transaction() as session:
        values = drafts.columns(
            proposal(), id_="old", content_hash="x", digest="d", policy_version="p", now=NOW
        )
        row = tables.Proposal(**values)
        row.source, row.status = "import", "queued"
        session.add(row)
    desk.work()
    assert desk.there() == []


def test_a_record_that_argilla_lost_is_pushed_again(desk: Desk) -> None:
    id_ = desk.ask()
    desk.work()
    desk.argilla.held.clear()
    desk.later(1)
    desk.pull()
    desk.deliver()
    assert desk.there() == [f"{id_}:0"]
    desk.argilla.answer(f"{id_}:0", "ann", {"decision": "reject"})
    desk.work()
    assert desk.decision(id_) is not None


def test_a_record_that_came_back_after_its_removal_is_removed(desk: Desk) -> None:
    id_ = desk.ask()
    desk.work()
    late = desk.argilla.find(f"{id_}:0").record
    with desk.database.transaction() as session:
        ending.cancel(session, id_, desk.people.agent.principal, now=desk.now)
    desk.work()
    desk.argilla.push("draft", [late])  # a push that was slow
    desk.argilla.answer(f"{id_}:0", "ann", {"decision": "approve"})
    desk.pull()
    assert desk.there() == []
    assert [one.refusal for one in desk.reviews()] == [
        f"proposal {id_} has been decided: cancelled"
    ]


def test_two_workers_share_the_records_and_push_none_twice(desk: Desk) -> None:
    ids = [desk.ask() for _ in range(6)]

    def work(_number: int) -> str:
        desk.deliver()
        return "worked"

    together(4, work)
    desk.deliver()
    assert desk.there() == sorted(f"{id_}:0" for id_ in ids)
    with desk.database.reading() as session:
        moved = session.exec(
            select(tables.Event.proposal_id).where(tables.Event.actor == "worker")
        ).all()
    assert sorted(one or "" for one in moved) == sorted(ids)


# --- in ---


def test_an_approval_decides_and_the_record_goes(desk: Desk) -> None:
    id_ = desk.ask()
    desk.work()
    desk.argilla.answer(f"{id_}:0", "ann", {"decision": "approve"})
    desk.work()
    decision = desk.decision(id_)
    assert decision is not None
    assert (decision.outcome, decision.by) == ("approve", "people")
    assert desk.there() == []
    (review,) = desk.reviews()
    assert (review.reviewer, review.surface, review.accepted) == ("ann", "argilla", True)


def test_an_answer_that_is_pulled_again_and_again_is_stored_once(desk: Desk) -> None:
    id_ = desk.ask()
    desk.work()
    desk.argilla.answer(f"{id_}:0", "ann", {"decision": "reject", "reason": "tone"})
    assert [desk.pull() for _ in range(3)] == [1, 0, 0]
    found = desk.argilla.record(desk.argilla.find(f"{id_}:0").server_id)
    assert found is not None
    assert inbox.take(desk.database, found, desk.clock) == 0
    assert len(desk.reviews()) == 1


def test_an_answer_seen_by_many_at_once_is_stored_once(desk: Desk) -> None:
    id_ = desk.ask()
    desk.work()
    desk.argilla.answer(f"{id_}:0", "ann", {"decision": "reject"})
    found = desk.argilla.records("draft")[0]
    taken = together(8, lambda _: str(inbox.take(desk.database, found, desk.clock)))
    assert taken == {"1": 1, "0": 7}
    assert len(desk.reviews()) == 1


def test_answers_of_several_people_taken_in_at_once_decide_once(desk: Desk) -> None:
    id_ = desk.ask()
    desk.work()
    with desk.database.transaction() as session:
        for number in range(6):
            keys.create(session, "reviewer", f"r{number}", actor="test", now=NOW)
    for number in range(6):
        desk.argilla.answer(f"{id_}:0", f"r{number}", {"decision": "approve"})
    (found,) = desk.argilla.records("draft")

    def take(number: int) -> str:
        one = found._replace(answers=[found.answers[number]])
        return str(inbox.take(desk.database, one, desk.clock))

    assert together(6, take) == {"1": 6}
    assert sorted(one.accepted for one in desk.reviews()) == [False] * 5 + [True]


@pytest.mark.parametrize("status", ["draft", "discarded"])
def test_a_draft_and_a_discard_are_no_answers(desk: Desk, status: Any) -> None:
    id_ = desk.ask()
    desk.work()
    desk.argilla.answer(f"{id_}:0", "ann", {"decision": "approve"}, status)
    desk.work()
    assert desk.decision(id_) is None
    assert desk.reviews() == []
    desk.argilla.answer(f"{id_}:0", "ann", {"decision": "reject"})
    desk.work()
    decision = desk.decision(id_)
    assert decision is not None
    assert decision.outcome == "reject"


@pytest.mark.parametrize(
    ("username", "words"),
    [
        ("mallory", "mallory is no reviewer"),
        ("desk", "desk is no reviewer"),
        (None, "a deleted user is no reviewer"),
    ],
)
def test_whoever_is_no_reviewer_decides_nothing(
    desk: Desk, username: str | None, words: str
) -> None:
    id_ = desk.ask()
    desk.work()
    desk.argilla.answer(f"{id_}:0", username, {"decision": "approve"})
    desk.work()
    assert desk.decision(id_) is None
    (review,) = desk.reviews()
    assert (review.accepted, review.reviewer) == (False, username or "")
    assert review.refusal == words


def test_nobody_answers_for_what_they_asked_for(desk: Desk) -> None:
    id_ = desk.ask(proposal(requested_by="ann"))
    desk.work()
    desk.argilla.answer(f"{id_}:0", "ann", {"decision": "approve"})
    desk.work()
    assert desk.decision(id_) is None
    notice = next(one for one in desk.there() if one != f"{id_}:0")
    assert "was not taken: nobody reviews what they proposed or asked for" in page(desk, notice)
    desk.argilla.answer(f"{id_}:0", "ben", {"decision": "approve"})
    desk.work()
    assert desk.decision(id_) is not None


TWO = """\
version: 1
default: {route: queue, quorum: {needed: 2, from: [team]}, expires_in: 24h, on_timeout: reject}
"""


def test_two_who_must_agree_are_told_so_and_see_what_the_first_has_changed(desk: Desk) -> None:
    with desk.database.transaction() as session:
        policies.apply(session, TWO, actor="test", now=NOW)
        for name in ("ann", "ben"):
            groups = {"team": None}
            keys.create(session, "reviewer", name, groups=groups, actor="test", now=NOW)
    id_ = desk.ask(pay())
    desk.work()
    assert "2 people must agree; only team may answer" in page(desk, f"{id_}:0")
    desk.argilla.answer(f"{id_}:0", "ann", {"decision": "edit", "correction": '{"amount": 20}'})
    desk.work()
    assert desk.decision(id_) is None
    assert desk.there() == [f"{id_}:1"]
    shown = page(desk, f"{id_}:1")
    assert "This is the version of ann" in shown
    assert desk.suggestion(f"{id_}:1") == {"correction": '{\n  "amount": 20\n}'}
    desk.argilla.answer(f"{id_}:1", "ben", {"decision": "approve"})
    desk.work()
    decision = desk.decision(id_)
    assert decision is not None
    assert (decision.outcome, decision.reason) == ("edit", "edit by ann, ben")
    assert decision.effective.action is not None
    assert decision.effective.action.arguments == {"amount": 20}
    assert desk.there() == []


def test_a_refused_answer_is_asked_again_with_the_reason_and_the_text_kept(desk: Desk) -> None:
    id_ = desk.ask(pay())
    desk.work()
    assert desk.suggestion(f"{id_}:0") == {"correction": '{\n  "amount": 30\n}'}
    broken = '{"amount": 20'
    desk.argilla.answer(f"{id_}:0", "ann", {"decision": "edit", "correction": broken})
    desk.work()
    assert desk.there() == [f"{id_}:1"]
    assert desk.row(id_).round == 1
    page = desk.argilla.find(f"{id_}:1").record.fields["proposal"]
    assert "your last answer was not taken" in page
    assert "not JSON" in page
    assert desk.suggestion(f"{id_}:1") == {"correction": broken}
    desk.argilla.answer(f"{id_}:1", "ann", {"decision": "edit", "correction": broken + "}"})
    desk.work()
    decision = desk.decision(id_)
    assert decision is not None
    assert decision.effective.action is not None
    assert decision.effective.action.arguments == {"amount": 20}
    assert desk.there() == []


def test_a_version_that_the_policy_refuses_is_asked_again_with_what_was_written(
    desk: Desk,
) -> None:
    asked = proposal(
        kind="action", content=None, action={"name": "transfer", "arguments": {"amount": 500}}
    )
    id_ = desk.ask(asked)
    desk.work()
    desk.argilla.answer(f"{id_}:0", "ann", {"decision": "edit", "correction": '{"amount": -1}'})
    desk.work()
    assert desk.there() == [f"{id_}:1"]
    assert "minimum" in desk.argilla.find(f"{id_}:1").record.fields["proposal"]
    assert desk.suggestion(f"{id_}:1") == {"correction": '{\n  "amount": -1\n}'}


def test_text_that_was_left_alone_approves_what_was_proposed(desk: Desk) -> None:
    id_ = desk.ask(pay())
    desk.work()
    said = {"decision": "approve", **desk.suggestion(f"{id_}:0")}
    desk.argilla.answer(f"{id_}:0", "ann", said)
    desk.work()
    decision = desk.decision(id_)
    assert decision is not None
    assert decision.outcome == "approve"


def test_approving_with_another_text_is_refused_not_guessed(desk: Desk) -> None:
    id_ = desk.ask(pay())
    desk.work()
    said = {"decision": "approve", "correction": '{"amount": 3}'}
    desk.argilla.answer(f"{id_}:0", "ann", said)
    desk.work()
    assert desk.decision(id_) is None
    assert "choose edit" in desk.argilla.find(f"{id_}:1").record.fields["proposal"].lower()


def page(desk: Desk, external_id: str) -> str:
    return check_inert(desk.argilla.find(external_id).record.fields["proposal"]).text


def cancelled_while_ann_answers(desk: Desk) -> tuple[str, str]:
    """The proposal and the record that tells ann."""
    id_ = desk.ask()
    desk.work()
    with desk.database.transaction() as session:
        ending.cancel(session, id_, desk.people.agent.principal, now=desk.now)
    desk.argilla.answer(f"{id_}:0", "ann", {"decision": "approve", "comment": "go on"})
    desk.work()
    (notice,) = desk.there()
    return id_, notice


def test_an_answer_that_comes_too_late_is_kept_and_its_giver_told(desk: Desk) -> None:
    id_, notice = cancelled_while_ann_answers(desk)
    decision = desk.decision(id_)
    assert decision is not None
    assert decision.outcome == "cancelled"
    (late,) = desk.reviews()
    assert (late.accepted, late.counted, late.verdict) == (False, False, "approve")
    with desk.database.reading() as session:
        assert session.exec(select(ReviewPayload)).one().body["rationale"]["text"] == "go on"
    told = page(desk, notice)
    assert told.startswith("nothing is asked hereThe answer of ann at ")
    assert "'approve', came too late: decided at 2026-03-01 12:00:01 UTC (cancelled; " in told
    assert "It is kept and changed nothing." in told
    record = desk.argilla.find(notice).record
    assert (record.suggestions, record.metadata["assignee"]) == ([], "ann")


@pytest.mark.parametrize("status", ["discarded", "submitted"])
def test_what_tells_of_a_late_answer_goes_when_it_was_read(desk: Desk, status: Any) -> None:
    id_, notice = cancelled_while_ann_answers(desk)
    desk.argilla.answer(notice, "ben", {"decision": "approve"}, "discarded")
    desk.argilla.answer(notice, "ann", {"decision": "approve"}, "draft")
    desk.work()
    assert desk.there() == [notice]  # it is ann's to take away
    desk.argilla.answer(notice, "ann", {"decision": "approve"}, status)
    desk.work()
    desk.work()
    assert desk.there() == []
    decision = desk.decision(id_)
    assert decision is not None
    assert decision.outcome == "cancelled"


def test_what_tells_of_a_late_answer_leaves_within_a_day(desk: Desk) -> None:
    _, notice = cancelled_while_ann_answers(desk)
    desk.later(inbox.TOLD.total_seconds() - 10)
    desk.work()
    assert desk.there() == [notice]
    desk.argilla.held.clear()  # lost there: pushed again, and still only told
    desk.work()
    desk.work()
    assert desk.there() == [notice]
    desk.later(10)
    desk.work()
    assert desk.there() == []


def test_what_tells_of_a_late_answer_goes_with_the_texts(desk: Desk) -> None:
    id_, _ = cancelled_while_ann_answers(desk)
    with desk.database.transaction() as session:
        erasure.erase(session, [id_], actor="test", now=desk.now)
    desk.work()
    assert desk.there() == []


def test_a_record_stays_for_whoever_has_it_open_and_says_that_it_is_over(desk: Desk) -> None:
    id_ = desk.ask()
    desk.work()
    desk.argilla.look(f"{id_}:0", "ben", desk.now)
    desk.argilla.answer(f"{id_}:0", "ann", {"decision": "reject", "reason": "tone"})
    desk.work()
    assert desk.there() == [f"{id_}:0"]
    told = "Decided at 2026-03-01 12:00:02 UTC (reject; reject by ann: tone). Nothing is asked here"
    assert told in page(desk, f"{id_}:0")
    desk.argilla.answer(f"{id_}:0", "ben", {"decision": "approve"})  # on the page as it was
    desk.work()
    (notice,) = desk.there()
    assert notice != f"{id_}:0"
    assert "The answer of ben at " in page(desk, notice)


def test_a_record_that_somebody_left_open_goes_after_a_while(desk: Desk) -> None:
    id_, other = desk.ask(), desk.ask()
    desk.work()
    desk.argilla.look(f"{id_}:0", "ben", desk.now)
    desk.argilla.look(f"{other}:0", "ben", desk.now - outbox.HELD)
    with desk.database.transaction() as session:
        for one in (id_, other):
            ending.cancel(session, one, desk.people.agent.principal, now=desk.now)
    desk.work()
    assert desk.there() == [f"{id_}:0"]
    desk.later(outbox.HELD.total_seconds())
    desk.work()
    assert desk.there() == []


def test_a_record_that_somebody_has_open_goes_with_its_texts(desk: Desk) -> None:
    id_ = desk.ask()
    desk.work()
    desk.argilla.look(f"{id_}:0", "ben", desk.now)
    with desk.database.transaction() as session:
        ending.cancel(session, id_, desk.people.agent.principal, now=desk.now)
    desk.work()
    assert desk.there() == [f"{id_}:0"]
    with desk.database.transaction() as session:
        erasure.erase(session, [id_], actor="test", now=desk.now)
    desk.work()
    assert desk.there() == []


def test_of_two_who_answer_the_second_is_told_who_decided(desk: Desk) -> None:
    id_ = desk.ask()
    desk.work()
    desk.argilla.answer(f"{id_}:0", "ann", {"decision": "reject", "reason": "tone"})
    desk.argilla.answer(f"{id_}:0", "ben", {"decision": "approve"})
    desk.work()
    (notice,) = desk.there()
    assert "The answer of ben at " in page(desk, notice)
    assert "(reject; reject by ann: tone)" in page(desk, notice)
    desk.argilla.answer(notice, "ann", {"decision": "approve"})  # not hers, and no way to decide
    desk.work()
    assert desk.there() == [notice]
    decision = desk.decision(id_)
    assert decision is not None
    assert decision.outcome == "reject"
    assert sorted(one.accepted for one in desk.reviews()) == [False, False, True]


def test_an_answer_after_the_deadline_is_kept_and_not_asked_again(desk: Desk) -> None:
    id_ = desk.ask()
    desk.work()
    desk.argilla.answer(f"{id_}:0", "ann", {"decision": "approve"})
    desk.later(24 * 3600)
    desk.pull()
    assert desk.decision(id_) is None
    assert desk.row(id_).round == 0
    desk.deliver()
    notice = next(one for one in desk.there() if one != f"{id_}:0")
    assert f"came too late: the time to decide on proposal {id_} is over" in page(desk, notice)
    with desk.database.transaction() as session:
        assert deadlines.expire(session, now=desk.now) == 1
    decision = desk.decision(id_)
    assert decision is not None
    assert decision.outcome == "expired"
    desk.work()
    assert desk.there() == [notice]


def test_whose_good_answer_came_to_an_older_round_is_told_of_the_newer(desk: Desk) -> None:
    id_ = desk.ask(pay())
    desk.work()
    old = desk.argilla.find(f"{id_}:0")
    desk.argilla.answer(f"{id_}:0", "ann", {"decision": "edit", "correction": "{"})
    desk.argilla.answer(f"{id_}:0", "ben", {"decision": "edit", "correction": "["})
    found = desk.argilla.record(old.server_id)
    assert found is not None
    inbox.take(desk.database, found, desk.clock)
    desk.deliver()
    notice = next(one for one in desk.there() if one != f"{id_}:1")
    assert "was not taken: the correction: not JSON" in page(desk, notice)
    assert "The proposal stands in a newer record" in page(desk, notice)


def test_what_an_erased_proposal_asked_is_told_to_nobody(desk: Desk) -> None:
    id_ = desk.ask()
    desk.work()
    held = desk.argilla.find(f"{id_}:0")
    with desk.database.transaction() as session:
        ending.cancel(session, id_, desk.people.agent.principal, now=desk.now)
        erasure.erase(session, [id_], actor="test", now=desk.now)
    desk.argilla.answer(f"{id_}:0", "ann", {"decision": "approve"})
    found = desk.argilla.record(held.server_id)
    assert found is not None
    inbox.take(desk.database, found, desk.clock)
    desk.work()
    assert desk.there() == []


def test_what_follows_another_proposal_shows_what_changed(desk: Desk) -> None:
    first = desk.ask(pay(30))
    desk.work()
    desk.argilla.answer(f"{first}:0", "ann", {"decision": "regenerate", "comment": "less"})
    desk.work()
    second = desk.ask(pay(20, parent_id=first))
    desk.work()
    shown = page(desk, f"{second}:0")
    assert f"the earlier proposal {first} (regenerate; regenerate by ann" in shown
    assert '"amount": [removed: 30][added: 20]' in shown
    desk.argilla.answer(f"{second}:0", "ann", {"decision": "edit", "correction": '{"amount": 5}'})
    desk.work()
    third = desk.ask(pay(7, parent_id=second))
    desk.work()
    shown = page(desk, f"{third}:0")
    assert "against a person's version of the earlier proposal" in shown
    assert '"amount": [removed: 5][added: 7]' in shown


@pytest.mark.parametrize("parent", ["nobody", "other kind"])
def test_what_follows_nothing_that_compares_shows_no_change(desk: Desk, parent: str) -> None:
    other = desk.ask()  # a draft
    id_ = desk.ask(pay(20, parent_id=other if parent == "other kind" else parent))
    desk.work()
    assert "What changed" not in page(desk, f"{id_}:0")


def test_records_of_an_older_data_folder_go_on_where_they_are(desk: Desk) -> None:
    options = [{"id": "a", "label": "5 pm"}, {"id": "b", "label": "6 pm"}]
    id_ = desk.ask(proposal(kind="question", content=None, message="When?", options=options))
    with desk.database.transaction() as session:
        outbox.enroll(session, now=desk.now)
    desk.ensure({"question"})  # one dataset for all questions, nine buttons
    old = Record(f"{id_}:0", {"proposal": "as it was shown"}, {}, [])
    ids = desk.argilla.push("question", [old])
    with desk.database.transaction() as session:
        outbox._mark_pushed(session, f"{id_}:0", "question", ids[f"{id_}:0"], desk.now)  # pyright: ignore[reportPrivateUsage]
    desk.argilla.answer(f"{id_}:0", "ann", {"decision": "respond", "option": "7"})
    desk.work()
    assert desk.argilla.find(f"{id_}:1").dataset == "question-2"  # asked anew, in its own
    assert "there is no option 7" in page(desk, f"{id_}:1")
    desk.argilla.answer(f"{id_}:1", "ann", {"decision": "respond", "option": "2"})
    desk.work()
    decision = desk.decision(id_)
    assert decision is not None
    assert decision.effective.response == "b"


def test_another_persons_answer_to_the_round_before_counts(desk: Desk) -> None:
    id_ = desk.ask()
    desk.work()
    old = desk.argilla.find(f"{id_}:0")
    desk.argilla.answer(f"{id_}:0", "mallory", {"decision": "approve"})
    desk.argilla.answer(f"{id_}:0", "ben", {"decision": "approve"})
    found = desk.argilla.record(old.server_id)
    assert found is not None
    inbox.take(desk.database, found, desk.clock)
    decision = desk.decision(id_)
    assert decision is not None
    assert decision.reason == "approve by ben"


def test_an_answer_that_cannot_be_read_at_all_holds_up_no_other(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = desk.ask(), desk.ask()
    desk.work()
    # what no Argilla of ours sends: a rank that is no object
    desk.argilla.answer(f"{first}:0", "ann", {"decision": "approve", "ranking": ["A"]})
    desk.argilla.answer(f"{second}:0", "ann", {"decision": "approve"})
    desk.work()
    assert desk.decision(second) is not None
    assert desk.decision(first) is None


@pytest.mark.parametrize("text", ["[" * 50_000, '{"a":' * 50_000, '{"a": 1, "a": 2}', "[1]", "NaN"])
def test_a_correction_that_is_no_exact_json_is_refused_in_words(desk: Desk, text: str) -> None:
    id_ = desk.ask(pay())
    desk.work()
    desk.argilla.answer(f"{id_}:0", "ann", {"decision": "edit", "correction": text})
    desk.work()
    assert [one.accepted for one in desk.reviews()] == [False]
    assert desk.there() == [f"{id_}:1"]


def test_when_argilla_is_down_no_answer_is_lost(desk: Desk) -> None:
    id_ = desk.ask()
    desk.work()
    desk.argilla.answer(f"{id_}:0", "ann", {"decision": "approve"})
    desk.argilla.down = True
    with pytest.raises(Unavailable):
        desk.pull()
    desk.argilla.down = False
    desk.pull()
    assert desk.decision(id_) is not None


def test_when_somebody_looked_comes_along(desk: Desk) -> None:
    id_ = desk.ask()
    desk.work()
    answer = desk.argilla.answer(f"{id_}:0", "ann", {"decision": "approve"})
    looked = answer._replace(opened_at=at(1), first_action_at=at(2))
    server_id = desk.argilla.find(f"{id_}:0").server_id
    inbox.take(desk.database, Pushed(server_id, f"{id_}:0", [looked]), desk.clock)
    (review,) = desk.reviews()
    assert (review.opened_at, review.first_action_at) == (at(1), at(2))
    assert review.decided_at == answer.updated_at


def test_the_log_verifies_after_all_of_it_and_after_forgetting(desk: Desk) -> None:
    id_ = desk.ask(pay())
    desk.work()
    desk.argilla.answer(f"{id_}:0", "ann", {"decision": "edit", "correction": "{"})
    desk.work()
    desk.argilla.answer(f"{id_}:1", "ann", {"decision": "approve"})
    desk.work()
    with desk.database.transaction() as session:
        erasure.erase(session, [id_], actor="test", now=desk.now)
    with desk.database.reading() as session:
        assert audit.verify(session).faults == []
        assert session.exec(select(ReviewPayload)).all() == []
        assert [one.note for one in session.exec(select(ArgillaRecord))] == [None, None]


def test_drafts_are_noted_and_not_looked_at_twice(desk: Desk) -> None:
    id_ = desk.ask()
    desk.work()
    for _ in range(3):
        desk.argilla.answer(f"{id_}:0", "ann", {"comment": "hm"}, "draft")
        desk.pull()
    with desk.database.reading() as session:
        assert len(session.exec(select(Inbox)).all()) == 3


def test_a_disabled_reviewers_answer_decides_nothing(desk: Desk) -> None:
    id_ = desk.ask()
    desk.work()
    with desk.database.transaction() as session:
        session.get_one(tables.Principal, desk.people.ann.principal.id).disabled_at = NOW
        assert keys.reviewer(session, "ann") is None
    desk.argilla.answer(f"{id_}:0", "ann", {"decision": "approve"})
    desk.work()
    assert desk.decision(id_) is None
