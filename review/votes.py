"""Votes: who may give one, which count, how they are stored.

In: reviews by authenticated people. Out: stored reviews; the ballots on what is being asked.
"""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Literal, NamedTuple

from sqlalchemy import update
from sqlmodel import Session, col, select

from errata import protocol
from errata.digest import fingerprint
from errata.errors import NotEligible, NotFound
from ingestion import asked, decisions, events, store, tables
from ingestion.ruling import Terms
from review import versions
from review.quorum import Ballot
from review.tables import Review, ReviewPayload

Void = Literal["replaced", "withdrawn", "edited", "policy"]


class Voice(NamedTuple):
    """Who says something, and where."""

    reviewer: tables.Principal
    surface: str


def groups(person: tables.Principal, today: date) -> frozenset[str]:
    """The groups that a person belongs to on a day; a membership ends with its last day."""
    return frozenset(
        group
        for group, ends in person.groups.items()
        if ends is None or today <= date.fromisoformat(ends)
    )


def check_eligible(
    row: tables.Proposal, terms: Terms, reviewer: tables.Principal, now: datetime
) -> None:
    """Refuse whoever may not vote on a proposal.

    Raises:
        NotEligible: No reviewer, the one who proposed or asked for it, or of none of the groups.
    """
    check_person(row, reviewer)
    if terms.voters and not groups(reviewer, now.date()).intersection(terms.voters):
        among = ", ".join(terms.voters)
        raise NotEligible(f"this is for {among}; {reviewer.name!r} is in none of these groups")


def check_person(row: tables.Proposal, reviewer: tables.Principal) -> None:
    """Refuse whoever may not review a proposal, whatever its terms.

    Raises:
        NotEligible: No reviewer, or the one who proposed or asked for it.
    """
    may = not {"reviewer", "supervisor"}.isdisjoint(reviewer.roles)
    if not may or reviewer.disabled_at is not None:
        raise NotEligible(f"{reviewer.name!r} is no reviewer")
    if reviewer.id == row.proposed_by or reviewer.name == row.requested_by:
        raise NotEligible("nobody reviews what they proposed or asked for")


def is_eligible(
    row: tables.Proposal, terms: Terms, reviewer: tables.Principal, now: datetime
) -> bool:
    """Whether a person may vote on a proposal."""
    try:
        check_eligible(row, terms, reviewer, now)
    except NotEligible:
        return False
    return True


def ballots(
    session: Session,
    row: tables.Proposal,
    terms: Terms,
    shown: protocol.Proposal,
    standing: protocol.Effective | None,
    now: datetime,
) -> list[Ballot]:
    """The votes that count on what is being asked, oldest first, one a person.

    Votes of people who may no longer vote are left out, so a disabled person or a membership that
    has ended takes its vote along.

    Args:
        session: A transaction.
        row: The proposal's row.
        terms: On which people decide now.
        shown: What they are shown; see `versions.as_shown`.
        standing: The person's version in it, if it is one.
        now: When.
    """
    statement = (
        select(Review, ReviewPayload, tables.Principal)
        .join(ReviewPayload)
        .join(tables.Principal, col(Review.reviewer_id) == tables.Principal.id)
        .where(
            Review.proposal_id == row.id,
            Review.digest == row.digest,
            col(Review.accepted),
            col(Review.void).is_(None),
        )
        .order_by(col(Review.received_at), col(Review.id))
    )
    found: list[Ballot] = []
    for stored, text, person in session.exec(statement):
        if not is_eligible(row, terms, person, now):
            continue
        vote = _vote(shown, standing, stored, text)
        found.append(ballot(stored, person, vote, now))
    return found


def _vote(
    shown: protocol.Proposal,
    standing: protocol.Effective | None,
    stored: Review,
    text: ReviewPayload,
) -> versions.Vote:
    if standing is not None and stored.verdict == "edit":
        # Whose version it is: written against what was shown before, it is for what is shown now.
        return versions.Vote("approve", decisions.effective(shown))
    review = protocol.Review.model_validate(text.body)
    return versions.weigh(shown, review, edits_to=("*",))


def ballot(stored: Review, person: tables.Principal, vote: versions.Vote, now: datetime) -> Ballot:
    """One person's vote as the quorum sees it."""
    return Ballot(
        person,
        groups(person, now.date()),
        vote.verdict,
        fingerprint([vote.verdict, vote.effective.wire()]),
        vote.effective,
        stored.id,
    )


def keep(
    session: Session,
    row: tables.Proposal,
    review: protocol.Review,
    voice: Voice,
    *,
    now: datetime,
    refusal: str | None = None,
) -> Review:
    """Store a review, accepted or refused, with its text apart.

    An accepted one takes the place of the same person's earlier ones on this digest.
    """
    if refusal is None:
        _void(session, row.id, "replaced", reviewers=[voice.reviewer.id])
    stored = Review(
        id=events.new_id(now),
        proposal_id=row.id,
        round=row.round,
        digest=review.digest,
        verdict=review.verdict,
        reviewer=voice.reviewer.name,
        reviewer_id=voice.reviewer.id,
        surface=voice.surface,
        accepted=refusal is None,
        refusal=refusal,
        opened_at=review.opened_at,
        first_action_at=review.first_action_at,
        decided_at=review.decided_at,
        received_at=now,
    )
    session.add(stored)
    session.flush()
    body = review.model_dump(mode="json", exclude_unset=True)
    session.add(ReviewPayload(review_id=stored.id, proposal_id=row.id, body=body))
    events.append(
        session,
        "review.received" if refusal is None else "review.refused",
        actor=voice.reviewer.id,
        now=now,
        proposal_id=row.id,
        review=stored.id,
        verdict=review.verdict,
        digest=review.digest,
    )
    return stored


def _void(
    session: Session,
    proposal_id: str,
    why: Void,
    *,
    reviewers: Sequence[str] | None = None,
    but: str | None = None,
) -> int:
    statement = (
        update(Review)
        .where(
            col(Review.proposal_id) == proposal_id,
            col(Review.accepted),
            col(Review.void).is_(None),
        )
        .values(void=why)
        .execution_options(synchronize_session=False)
    )
    if reviewers is not None:
        statement = statement.where(col(Review.reviewer_id).in_(reviewers))
    if but is not None:
        statement = statement.where(col(Review.id) != but)
    return session.exec(statement).rowcount


def void_all(session: Session, row: tables.Proposal, *, but: str) -> None:
    """A version takes the place of what was asked: no other vote than its own counts any more."""
    _void(session, row.id, "edited", but=but)


def void_by_policy(session: Session, proposal_id: str) -> None:
    """Another policy asks about another digest: no vote of before counts any more."""
    _void(session, proposal_id, "policy")


def withdraw(
    session: Session, proposal_id: str, reviewer: tables.Principal, *, now: datetime
) -> None:
    """Take one's own vote back, before the decision.

    Raises:
        NotFound: No such proposal, or this person has no vote on it.
        AlreadyDecided: Too late.
    """
    row = store.hold(session, proposal_id)
    asked.check_open(session, row, now)
    if _void(session, row.id, "withdrawn", reviewers=[reviewer.id]) == 0:
        raise NotFound(f"you have no vote on proposal {row.id}")
    events.append(session, "review.withdrawn", actor=reviewer.id, now=now, proposal_id=row.id)


def count(session: Session, row: tables.Proposal, voters: Sequence[str]) -> None:
    """Mark the votes on which the decision rests."""
    session.exec(
        update(Review)
        .where(
            col(Review.proposal_id) == row.id,
            col(Review.accepted),
            col(Review.void).is_(None),
            col(Review.reviewer_id).in_(voters),
        )
        .values(counted=True)
        .execution_options(synchronize_session=False)
    )


def has_counted(session: Session, row: tables.Proposal, person: tables.Principal) -> bool:
    """Whether a decision rests on a person's vote."""
    statement = select(Review.id).where(
        Review.proposal_id == row.id, Review.reviewer_id == person.id, col(Review.counted)
    )
    return session.exec(statement).first() is not None


def stated(session: Session, proposal_id: str) -> tuple[protocol.StatedReview, ...]:
    """The accepted reviews of a proposal, oldest first, as answers show them."""
    statement = (
        select(Review, ReviewPayload)
        .join(ReviewPayload)
        .where(Review.proposal_id == proposal_id, col(Review.accepted))
        .order_by(col(Review.received_at), col(Review.id))
    )
    return tuple(
        protocol.StatedReview(
            review=protocol.Review.model_validate(text.body),
            reviewer=row.reviewer,
            received_at=row.received_at,
            void=row.void,  # pyright: ignore[reportArgumentType] - checked by pydantic
        )
        for row, text in session.exec(statement)
    )
