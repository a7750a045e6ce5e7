"""What a labeler is asked in a record, or told.

In: a record to be pushed. Out: the proposal with what stands around it: the policy's reason, the
last answer and why it was refused, the proposal that this one follows.
"""

from collections.abc import Iterator
from datetime import datetime

from sqlmodel import Session, col, select

from errata import protocol
from errata.errors import NotFound
from ingestion import asked, store, tables
from ingestion.ruling import Terms
from ingestion.tickets import OPEN
from review import versions
from review.argilla import comparison, inbox, records, screen
from review.tables import ArgillaRecord, Review


def gather(session: Session, record: ArgillaRecord) -> records.Asked:
    """All that a record is made of.

    Raises:
        NotFound: The proposal's text has been erased.
    """
    row = store.load(session, record.proposal_id)
    proposal = store.proposal(session, row.id)
    if proposal is None:
        raise NotFound("its text has been erased")
    standing = asked.standing(session, row)
    shown = versions.as_shown(proposal, standing)
    refused = session.get(Review, record.answered) if record.answered else None
    telling = refused if record.leaves_at is not None else None
    over = row.status not in OPEN or row.round != record.round
    return records.Asked(
        external_id=record.external_id,
        proposal=shown,
        digest=row.digest,
        reason=_reason(session, row),
        risk=row.risk_level,  # pyright: ignore[reportArgumentType] - a level by construction
        expires_at=row.expires_at,
        note=record.note,
        correction=inbox.correction(session, record),
        late=_late(session, row, telling) if telling else _over(session, row) if over else None,
        addressee=None if telling is None else telling.reviewer,
        changes=(*_earlier(session, proposal), *_edited(session, row, proposal, standing)),
    )


def _reason(session: Session, row: tables.Proposal) -> str:
    """Why people are asked, and on what terms their word counts."""
    routing = asked.routing(session, row)
    if routing is None:
        return ""
    terms = Terms.model_validate(routing.terms)
    words = [routing.reason]
    if terms.needed > 1:
        each = f", one each of {', '.join(terms.roles)} among them" if terms.roles else ""
        words.append(f"{terms.needed} people must agree{each}")
    if terms.voters:
        words.append(f"only {', '.join(terms.voters)} may answer")
    if terms.rationale:
        words.append("a reason is required")
    return "; ".join(words)


def _edited(
    session: Session,
    row: tables.Proposal,
    proposal: protocol.Proposal,
    standing: protocol.Effective | None,
) -> Iterator[screen.Change]:
    """What a person has changed in the agent's proposal, where their version is asked about."""
    if standing is None:
        return
    editor = session.exec(
        select(Review.reviewer)
        .where(
            Review.proposal_id == row.id,
            Review.digest == row.digest,
            Review.verdict == "edit",
            col(Review.accepted),
        )
        .order_by(col(Review.received_at))
    ).first()
    heading = f"This is the version of {editor or 'a person'}: what it changes in the agent's"
    yield screen.Change(
        heading, comparison.version(proposal), comparison.version(proposal, standing)
    )


def _late(session: Session, row: tables.Proposal, review: Review) -> str:
    """That an answer did not count, and what stands instead."""
    decision = store.decision(session, row.id)
    if decision is not None:
        stands = f"came too late: decided at {_time(decision.decided_at)} ({_words(decision)})"
    elif row.status in OPEN and review.refusal and not asked.is_late(row, review.received_at):
        newer = ". The proposal stands in a newer record" if review.round != row.round else ""
        stands = f"was not taken: {review.refusal}{newer}"
    else:
        stands = f"came too late: {review.refusal}"
    at = review.decided_at or review.received_at
    return (
        f"The answer of {review.reviewer} at {_time(at)}, {review.verdict!r}, {stands}.\n"
        "It is kept and changed nothing. Nothing can be decided here any more: discard this "
        "record, or it leaves by itself within a day."
    )


def _over(session: Session, row: tables.Proposal) -> str:
    """That nothing is asked any more, to whoever has the record open or comes upon it."""
    decision = store.decision(session, row.id)
    if decision is None:
        return "The proposal stands in a newer record. Nothing is asked here any more."
    when = _time(decision.decided_at)
    return f"Decided at {when} ({_words(decision)}). Nothing is asked here any more."


def _words(decision: protocol.Decision) -> str:
    """Outcome and reason; the reason names who decided."""
    return f"{decision.outcome}; {decision.reason}"


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"


def _earlier(session: Session, proposal: protocol.Proposal) -> Iterator[screen.Change]:
    """What changed against the proposal that this one follows, or a person's version of that."""
    before = store.proposal(session, proposal.parent_id) if proposal.parent_id else None
    if before is None or before.kind != proposal.kind or proposal.parent_id is None:
        return
    decision = store.decision(session, proposal.parent_id)
    edited = decision.effective if decision is not None and decision.outcome == "edit" else None
    said = "not decided yet" if decision is None else _words(decision)
    whose = "a person's version of " if edited is not None else ""
    yield screen.Change(
        f"What changed against {whose}the earlier proposal {proposal.parent_id} ({said})",
        comparison.version(before, edited),
        comparison.version(proposal),
    )
