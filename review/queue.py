"""The queue of proposals that wait for people, and the taking in of what they say.

In: reviews by authenticated people. Out: stored reviews; decisions recorded upstream.
"""

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import ColumnElement
from sqlmodel import Session, col, select

from errata import protocol
from errata.errors import (
    AlreadyDecided,
    Conflict,
    DigestMismatch,
    ErrataError,
    Forbidden,
    NotEligible,
    NotFound,
)
from ingestion import decisions, events, intake, policies, store, tables
from ingestion.policy import rule
from ingestion.tickets import OPEN
from review import versions
from review.tables import Review, ReviewPayload


class Voice(NamedTuple):
    """Who says something, and where."""

    reviewer: tables.Principal
    surface: str


class Taken(NamedTuple):
    """A review that counts, and what it decided."""

    review_id: str
    decision: protocol.Decision


def submit(session: Session, review: protocol.Review, voice: Voice, *, now: datetime) -> Taken:
    """Take in a review; with a quorum of one it decides.

    Args:
        session: A transaction.
        review: What the person said.
        voice: The authenticated person.
        now: When.

    Raises:
        NotFound: No such proposal, or its text was erased.
        NotEligible: The person is no reviewer, or proposed or asked for it.
        AlreadyDecided: Too late, also where the deadline has passed and nobody has noted it yet.
        Conflict: It is imported history.
        DigestMismatch: The review is about something else than what is being asked now.
        Malformed: The verdict or version does not fit.
        Forbidden: The policy lets nobody approve the edited version.
    """
    row = store.hold(session, review.proposal_id)
    _check_eligible(row, voice.reviewer)
    if row.source == "import":
        raise Conflict(f"proposal {row.id} is imported history and takes no reviews")
    if row.status not in OPEN:
        raise AlreadyDecided(f"proposal {row.id} has been decided")
    if is_late(row, now):
        raise AlreadyDecided(f"the time to decide on proposal {row.id} is over")
    if review.digest != row.digest:
        raise DigestMismatch("the proposal has changed since it was shown; look at it again")
    proposal = store.proposal(session, row.id)
    if proposal is None:
        raise NotFound(f"the text of proposal {row.id} has been erased")
    vote = versions.weigh(proposal, review)
    if vote.verdict in {"approve", "edit"}:
        _check_version(session, proposal, vote)
    stored = keep(session, row, review, voice, now=now, counted=True)
    decision = decisions.record(
        session,
        row,
        proposal,
        decisions.Outcome(
            outcome=vote.verdict,
            by="people",
            effective=vote.effective,
            reason=_reason(vote.verdict, voice.reviewer.name, review),
            needed=1,
            got=1,
            at=now,
        ),
        actor=voice.reviewer.id,
        now=now,
    )
    return Taken(stored.id, decision)


def is_late(row: tables.Proposal, now: datetime) -> bool:
    """Whether the deadline has passed."""
    return row.expires_at is not None and row.expires_at <= now


def _check_eligible(row: tables.Proposal, reviewer: tables.Principal) -> None:
    may = not {"reviewer", "supervisor"}.isdisjoint(reviewer.roles)
    if not may or reviewer.disabled_at is not None:
        raise NotEligible(f"{reviewer.name!r} is no reviewer")
    if reviewer.id == row.proposed_by or reviewer.name == row.requested_by:
        raise NotEligible("nobody reviews what they proposed or asked for")


def _check_version(session: Session, proposal: protocol.Proposal, vote: versions.Vote) -> None:
    """What would run must pass the policy too, and fit its tool's schema."""
    action = vote.effective.action
    if action is None:
        return
    in_force = policies.in_force(session)
    intake.check_action(in_force, proposal, action, "action")
    ruling = rule(in_force.policy, proposal, action)
    if ruling.route == "block":
        raise Forbidden(f"the policy blocks this version: {ruling.reason}", field="action")


def _reason(verdict: protocol.Verdict, reviewer: str, review: protocol.Review) -> str:
    said = f"{verdict} by {reviewer}"
    if review.rationale is not None:
        said += f": {review.rationale.code}"
        said += f" ({review.rationale.text})" if review.rationale.text else ""
    return said + (f"; {review.guidance}" if review.guidance else "")


def keep(
    session: Session,
    row: tables.Proposal,
    review: protocol.Review,
    voice: Voice,
    *,
    now: datetime,
    counted: bool = False,
    refusal: str | None = None,
) -> Review:
    """Store a review, counted or refused, with its text apart."""
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
        counted=counted,
        opened_at=review.opened_at,
        first_action_at=review.first_action_at,
        decided_at=review.decided_at,
        received_at=now,
    )
    session.add(stored)
    session.flush()
    session.add(
        ReviewPayload(
            review_id=stored.id,
            proposal_id=row.id,
            body=review.model_dump(mode="json", exclude_unset=True),
        )
    )
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


class Heard(NamedTuple):
    """What became of an answer whose giver waits for no error."""

    review_id: str
    refusal: ErrataError | None


def hear(session: Session, review: protocol.Review, voice: Voice, *, now: datetime) -> Heard:
    """Take in a review from a surface that has shown the person a success already.

    Whatever is wrong with it is stored with it instead of raised, so that nothing a person wrote
    is lost and the surface can say so.
    """
    row = store.load(session, review.proposal_id)
    try:
        with events.savepoint(session):
            return Heard(submit(session, review, voice, now=now).review_id, None)
    except ErrataError as refusal:
        stored = keep(session, row, review, voice, now=now, refusal=refusal.detail)
        return Heard(stored.id, refusal)


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
        )
        for row, text in session.exec(statement)
    )


class Waiting(NamedTuple):
    """A proposal in the queue."""

    id: str
    kind: str
    agent: str
    action: str | None
    risk: str | None
    urgency: str
    received_at: datetime
    expires_at: datetime | None


URGENCIES = ("critical", "high", "normal", "log")


def waiting(session: Session, limit: int = 500) -> list[Waiting]:
    """What waits for people: the urgent first, then the oldest.

    Args:
        session: A transaction.
        limit: At most so many.
    """
    statement = (
        select(tables.Proposal)
        .where(col(tables.Proposal.status).in_(OPEN), tables.Proposal.source == "live")
        .order_by(col(tables.Proposal.received_at))
    )
    rows = sorted(session.exec(statement), key=lambda row: URGENCIES.index(row.urgency))
    return [
        Waiting(
            id=row.id,
            kind=row.kind,
            agent=row.agent_id,
            action=row.action_name,
            risk=row.risk_level,
            urgency=row.urgency,
            received_at=row.received_at,
            expires_at=row.expires_at,
        )
        for row in rows[:limit]
    ]


def _due(now: datetime) -> tuple[ColumnElement[bool], ...]:
    return (
        col(tables.Proposal.status).in_(OPEN),
        col(tables.Proposal.source) == "live",  # history waits for nobody
        col(tables.Proposal.expires_at) <= now,
    )


def overdue(session: Session, *, now: datetime) -> bool:
    """Whether a deadline has passed; reads only, so that looking takes no lock."""
    statement = select(tables.Proposal.id).where(*_due(now))
    return session.exec(statement.limit(1)).first() is not None


def expire(session: Session, *, now: datetime, limit: int = 100) -> int:
    """End the proposals whose deadline has passed; never by approving.

    Returns:
        How many were ended.
    """
    statement = (
        select(tables.Proposal)
        .where(*_due(now))
        .order_by(col(tables.Proposal.expires_at))
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    rows = session.exec(statement).all()
    for row in rows:
        cancels = row.on_timeout == "cancel"
        intake.end(
            session,
            row,
            "cancelled" if cancels else "expired",
            f"nobody answered in time; {'cancelled' if cancels else 'not approved'}",
            actor="worker",
            now=now,
        )
    return len(rows)
