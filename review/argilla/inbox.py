"""Taking in what people answered in Argilla.

In: what Argilla holds, all of it by polling, one record when a webhook hints at it. Out: reviews,
each version of a response once. A refused answer is kept and shown anew with the reason.
"""

import logging
from collections.abc import Callable
from datetime import datetime, timedelta

from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlmodel import Session, col, select

from errata import protocol
from errata.db import Database
from errata.errors import ErrataError, NotEligible, NotFound
from ingestion import asked, events, keys, store, tables
from ingestion.tickets import OPEN
from review import settling, versions
from review.argilla import answers, comparison, records, screenshots
from review.argilla.surface import Answer, Pushed, Surface
from review.tables import ArgillaDataset, ArgillaRecord, Inbox, Review, ReviewPayload
from review.votes import Voice

log = logging.getLogger("errata.argilla")

TOLD = timedelta(days=1)
"""How long a labeler is told that an answer did not count."""


def pull(database: Database, surface: Surface, clock: Callable[[], datetime]) -> int:
    """Take in every answer that Argilla holds, and mend what differs: the truth, not the hint.

    Returns:
        How many answers were new.
    """
    with database.reading() as session:
        names = list(session.exec(select(ArgillaDataset.name)))
    return sum(_pull_dataset(database, surface, name, clock) for name in names)


def _pull_dataset(
    database: Database, surface: Surface, name: str, clock: Callable[[], datetime]
) -> int:
    began = clock()
    there = surface.records(name)
    new = sum(_take_alone(database, found, clock) for found in there if found.answers)
    held = {found.external_id: found.server_id for found in there}
    with database.transaction() as session:
        statement = select(ArgillaRecord).where(
            ArgillaRecord.dataset == name,
            col(ArgillaRecord.removed_at).is_(None),
            col(ArgillaRecord.pushed_at) < began,
        )
        for record in session.exec(statement):
            if record.external_id not in held:  # lost there: push it again
                record.pushed_at = record.server_id = None
                session.add(record)
        known = set(
            session.exec(
                select(ArgillaRecord.external_id).where(
                    col(ArgillaRecord.external_id).in_(list(held)),
                    col(ArgillaRecord.removed_at).is_(None),
                )
            )
        )
    strays = [server_id for external_id, server_id in held.items() if external_id not in known]
    if strays:  # a removal that was repeated by a push that came late
        surface.remove(name, strays)
    return new


def _take_alone(database: Database, found: Pushed, clock: Callable[[], datetime]) -> int:
    """Take in a record's answers; what cannot be read must not hold up those of other records."""
    try:
        return take(database, found, clock)
    except DBAPIError:
        raise  # the database, not the answer
    except Exception:
        log.exception("the answers to %s cannot be taken in", found.external_id)
        return 0


def take(database: Database, found: Pushed, clock: Callable[[], datetime]) -> int:
    """Take in the answers to one record, each in a transaction of its own.

    Returns:
        How many were new.
    """
    with database.reading() as session:  # most have been seen; looking takes no lock
        unseen = [
            one
            for one in found.answers
            if session.get(Inbox, (one.response_id, one.updated_at)) is None
        ]
    return sum(_take_answer(database, found, answer, clock()) for answer in unseen)


def _take_answer(database: Database, found: Pushed, answer: Answer, now: datetime) -> bool:
    with database.transaction() as session:
        record = session.get(ArgillaRecord, found.external_id)
        if record is None:
            return False
        store.hold(session, record.proposal_id)  # two who see it at once take turns
        if not _note(session, record, answer):
            return False
        if record.leaves_at is not None and answer.status != "draft":
            _leave(session, record, answer, now)
        if answer.status != "submitted":
            return True
        heard = _hear(session, record, answer, now)
        entry = session.get_one(Inbox, (answer.response_id, answer.updated_at))
        entry.review_id = heard.review_id
        session.add(entry)
        row = store.load(session, record.proposal_id)
        if _is_asked(row, record, now) and isinstance(heard.refusal, NotEligible):
            _tell(session, row, heard, now)  # for the others nothing has changed
        elif heard.refusal is not None and _is_asked(row, record, now):
            _ask_again(session, row, heard, now)
        elif heard.refusal is not None and record.leaves_at is None and answer.username:
            _tell(session, row, heard, now)
            record.not_before = now  # it may have been kept for this answer
            session.add(record)
        return True


def _leave(session: Session, record: ArgillaRecord, answer: Answer, now: datetime) -> None:
    """Whom a record tells something has read it."""
    told = session.get(Review, record.answered) if record.answered else None
    if told is None or told.reviewer == answer.username:
        record.leaves_at = now
        session.add(record)


def _is_asked(row: tables.Proposal, record: ArgillaRecord, now: datetime) -> bool:
    asks = row.status in OPEN and row.round == record.round and not asked.is_late(row, now)
    return asks and record.leaves_at is None


def _note(session: Session, record: ArgillaRecord, answer: Answer) -> bool:
    """Note that this version of the response was seen; False when it had been."""
    key = (answer.response_id, answer.updated_at)
    if session.get(Inbox, key) is not None:
        return False
    try:
        with events.savepoint(session):
            session.add(
                Inbox(
                    response_id=answer.response_id,
                    updated_at=answer.updated_at,
                    proposal_id=record.proposal_id,
                )
            )
    except IntegrityError:  # another process sees it in this moment
        return False
    return True


def _hear(session: Session, record: ArgillaRecord, answer: Answer, now: datetime) -> settling.Heard:
    """The answer as a review; what cannot be read as one is stored with the reason."""
    proposal = store.proposal(session, record.proposal_id)
    row = store.load(session, record.proposal_id)
    reviewer = keys.reviewer(session, answer.username) if answer.username else None
    try:
        if reviewer is None:
            raise NotEligible(f"{answer.username or 'a deleted user'} is no reviewer")
        if proposal is None:
            raise NotFound("its text has been erased")
        asked_about = versions.as_shown(proposal, asked.standing_at(session, row, record.digest))
        shown = answers.shown(row.id, asked_about, record.digest, correction(session, record))
        review = answers.review(shown, answer.values, answer.updated_at)
        if answer.opened_at is not None:
            looked = {"opened_at": answer.opened_at, "first_action_at": answer.first_action_at}
            review = review.model_copy(update=looked)
    except ErrataError as refusal:
        return settling.Heard(_keep_unread(session, row, record, answer, refusal, now), refusal)
    return settling.hear(session, review, Voice(reviewer, "argilla"), now=now)


def _keep_unread(
    session: Session,
    row: tables.Proposal,
    record: ArgillaRecord,
    answer: Answer,
    refusal: ErrataError,
    now: datetime,
) -> str:
    stored = Review(
        id=events.new_id(now),
        proposal_id=row.id,
        round=record.round,
        digest=record.digest,
        verdict=str(answer.values.get("decision", "")),
        reviewer=answer.username or "",
        surface="argilla",
        accepted=False,
        refusal=refusal.detail,
        decided_at=answer.updated_at,
        received_at=now,
    )
    session.add(stored)
    session.flush()
    session.add(
        ReviewPayload(
            review_id=stored.id, proposal_id=row.id, body={"argilla": dict(answer.values)}
        )
    )
    events.append(
        session, "review.refused", actor="worker", now=now, proposal_id=row.id, review=stored.id
    )
    return stored.id


def _ask_again(
    session: Session, row: tables.Proposal, heard: settling.Heard, now: datetime
) -> None:
    """Show the proposal anew, with the reason at its head and the labeler's text kept."""
    assert heard.refusal is not None
    store.ask_again(session, row, actor="worker", now=now)
    session.add(
        ArgillaRecord(
            external_id=records.external_id(row.id, row.round),
            proposal_id=row.id,
            round=row.round,
            dataset="",
            digest=row.digest,
            note=heard.refusal.detail,
            answered=heard.review_id,
            not_before=now,
        )
    )


def _tell(session: Session, row: tables.Proposal, heard: settling.Heard, now: datetime) -> None:
    """Tell the labeler that the answer did not count, where it is asked no more."""
    if store.proposal(session, row.id) is None:
        return  # erased: there is nothing left to tell of
    session.add(
        ArgillaRecord(
            external_id=f"{row.id}:{heard.review_id}",
            proposal_id=row.id,
            round=row.round,
            dataset="",
            digest=row.digest,
            answered=heard.review_id,
            leaves_at=now + TOLD,
            not_before=now,
        )
    )


def correction(session: Session, record: ArgillaRecord) -> str | None:
    """What the labeler had written in the answer that was refused."""
    text = session.get(ReviewPayload, record.answered) if record.answered else None
    if text is None:
        return None
    if "argilla" in text.body:
        raw = text.body["argilla"].get("correction")
        return raw if isinstance(raw, str) else None
    review = protocol.Review.model_validate(text.body)
    if review.action is not None:
        return comparison.pretty(review.action.arguments)
    if review.point is not None:
        return screenshots.written(review.point)
    return review.content
