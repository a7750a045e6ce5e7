"""Putting records into Argilla and taking them out.

In: proposals that are asked, and rounds that are over. Out: records there. No transaction is open
during a call to Argilla, and every call can be repeated: a crash anywhere costs a repetition.
"""

import logging
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import ParamSpec, TypeVar

from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlmodel import Session, col, or_, select

from errata.db import Database
from errata.errors import ErrataError, Unavailable
from ingestion import events, store, tables
from ingestion.tickets import OPEN
from review.argilla import asking, inbox, records
from review.argilla.rest import Dataset
from review.argilla.surface import NotTaken, Pushed, Surface
from review.tables import ArgillaDataset, ArgillaRecord

log = logging.getLogger("errata.argilla")

P = ParamSpec("P")
T = TypeVar("T")

CLAIM = timedelta(seconds=15)
"""After this long another worker may take over what one has claimed. A late call by the first one
does no harm, so this can be short: it is how long a killed worker holds things up."""
BATCH = 100
HELD = timedelta(minutes=10)
"""How long a record that is over stays for somebody who has it open: gone, it would take their
answer no more, and could not say so."""


def datasets(session: Session) -> dict[str, Dataset]:
    """The datasets that were made, by name."""
    rows = session.exec(select(ArgillaDataset))
    return {row.name: Dataset(row.id, row.questions) for row in rows}


def keep_dataset(session: Session, name: str, dataset: Dataset) -> None:
    """Remember a dataset's ids."""
    row = session.get(ArgillaDataset, name) or ArgillaDataset(name=name, id="", questions={})
    row.id, row.questions = dataset.id, dict(dataset.questions)
    session.add(row)


def enroll(session: Session, *, now: datetime, limit: int = BATCH) -> int:
    """Note a record to be pushed for every round that is asked and has none.

    Returns:
        How many were noted.
    """
    has_record = (
        select(ArgillaRecord.external_id)
        .where(
            ArgillaRecord.proposal_id == tables.Proposal.id,
            ArgillaRecord.round == tables.Proposal.round,
        )
        .exists()
    )
    statement = (
        select(tables.Proposal)
        .where(tables.Proposal.status == "queued", tables.Proposal.source == "live", ~has_record)
        .order_by(col(tables.Proposal.received_at))
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return sum(_note(session, row, now) for row in session.exec(statement).all())


def _note(session: Session, row: tables.Proposal, now: datetime) -> bool:
    """Note one record; False where another worker has noted it in this moment."""
    record = ArgillaRecord(
        external_id=records.external_id(row.id, row.round),
        proposal_id=row.id,
        round=row.round,
        dataset="",
        digest=row.digest,
        not_before=now,
    )
    try:
        with events.savepoint(session):
            session.add(record)
    except IntegrityError:
        return False
    return True


def _claim(session: Session, *, pushing: bool, now: datetime) -> list[ArgillaRecord]:
    """Claim records that are to be pushed (or removed); other workers skip them meanwhile."""
    asks = (
        col(ArgillaRecord.leaves_at).is_(None)
        & col(tables.Proposal.status).in_(OPEN)
        & (tables.Proposal.round == ArgillaRecord.round)
    )
    tells = col(ArgillaRecord.leaves_at).is_not(None) & (col(ArgillaRecord.leaves_at) > now)
    stays = asks | tells
    statement = (
        select(ArgillaRecord)
        .join(tables.Proposal)
        .where(
            col(ArgillaRecord.removed_at).is_(None),
            col(ArgillaRecord.not_before) <= now,
            or_(
                col(ArgillaRecord.claimed_until).is_(None),
                col(ArgillaRecord.claimed_until) < now,
            ),
            (col(ArgillaRecord.pushed_at).is_(None) & stays) if pushing else ~stays,
        )
        .order_by(col(ArgillaRecord.not_before))
        .limit(BATCH)
        .with_for_update(of=ArgillaRecord, skip_locked=True)
    )
    rows = list(session.exec(statement))
    for row in rows:
        row.claimed_until = now + CLAIM
        session.add(row)
    return rows


def push(
    database: Database,
    surface: Surface,
    ensure: Callable[[set[str]], None],
    clock: Callable[[], datetime],
) -> int:
    """Push what is to be pushed.

    Args:
        database: Ours.
        surface: Argilla.
        ensure: Makes these datasets where they are missing.
        clock: The time.

    Returns:
        How many records Argilla has taken.
    """
    with database.transaction() as session:
        claimed = _claim(session, pushing=True, now=clock())
        gathered = [(record, _try(asking.gather, session, record)) for record in claimed]
    done = 0
    placed: list[tuple[ArgillaRecord, records.Placed]] = []
    for record, asked in gathered:  # outside of the transaction: drawing takes its time
        one = asked if isinstance(asked, ErrataError) else _try(records.place, asked)
        if isinstance(one, ErrataError):
            _postpone(database, record.external_id, one, clock())
        else:
            placed.append((record, one))
    ensure({one.dataset for _, one in placed})
    for dataset in sorted({one.dataset for _, one in placed}):
        batch = [(record, one) for record, one in placed if one.dataset == dataset]
        done += _push_batch(database, surface, dataset, batch, clock)
    return done


def _try(step: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T | ErrataError:
    """What a step makes, or what is wrong with one record, which must not hold up the others."""
    try:
        return step(*args, **kwargs)
    except ErrataError as error:
        return error
    except DBAPIError:
        raise  # the database, not the record
    except Exception as error:
        log.exception("a record cannot be built")
        return ErrataError(f"it cannot be built: {type(error).__name__}")


def _push_batch(
    database: Database,
    surface: Surface,
    dataset: str,
    batch: Sequence[tuple[ArgillaRecord, records.Placed]],
    clock: Callable[[], datetime],
) -> int:
    try:
        ids = surface.push(dataset, [placed.record for _, placed in batch])
    except Unavailable as error:
        if isinstance(error, NotTaken) and len(batch) > 1:
            # One that Argilla cannot take must not hold up the others.
            return sum(_push_batch(database, surface, dataset, [one], clock) for one in batch)
        for record, _ in batch:
            _postpone(database, record.external_id, error, clock())
        return 0
    with database.transaction() as session:
        for record, _ in batch:
            _mark_pushed(session, record.external_id, dataset, ids[record.external_id], clock())
    return len(batch)


def _mark_pushed(
    session: Session, external_id: str, dataset: str, server_id: str, now: datetime
) -> None:
    record = session.get_one(ArgillaRecord, external_id)
    record.dataset, record.server_id, record.pushed_at = dataset, server_id, now
    record.claimed_until = record.error = None
    session.add(record)
    row = store.hold(session, record.proposal_id)
    if row.status == "queued" and row.round == record.round:
        store.move(session, row, "in_review", actor="worker", now=now)


def _postpone(database: Database, external_id: str, error: ErrataError, now: datetime) -> None:
    """Try again later: after 1, 2, 4 … seconds, at most a minute."""
    log.warning("Argilla did not take %s: %s", external_id, error.detail)
    with database.transaction() as session:
        record = session.get_one(ArgillaRecord, external_id)
        record.attempts += 1
        record.error = error.detail[:500]
        record.claimed_until = None
        record.not_before = now + timedelta(seconds=min(60, 2 ** min(record.attempts - 1, 6)))
        session.add(record)


def clear(database: Database, surface: Surface, clock: Callable[[], datetime]) -> int:
    """Remove the records of rounds that are over; their last answers are taken in before.

    Returns:
        How many are gone.
    """
    with database.transaction() as session:
        claimed = _claim(session, pushing=False, now=clock())
    done = 0
    for record in claimed:
        try:
            if record.server_id is not None:
                found = surface.record(record.server_id)
                if found is not None:
                    inbox.take(database, found, clock)
                    if _hold(database, surface, record, found, clock()):
                        continue
                surface.remove(record.dataset, [record.server_id])
        except Unavailable as error:
            _postpone(database, record.external_id, error, clock())
            continue
        with database.transaction() as session:
            row = session.get_one(ArgillaRecord, record.external_id)
            row.removed_at, row.claimed_until, row.error = clock(), None, None
            session.add(row)
        done += 1
    return done


def _hold(
    database: Database, surface: Surface, record: ArgillaRecord, found: Pushed, now: datetime
) -> bool:
    """Keep a record that somebody has open; from now on its page says that it is over.

    Raises:
        Unavailable: Argilla does not answer.
    """
    until = max(found.open_by.values(), default=now - HELD) + HELD
    if until <= now or record.leaves_at is not None:
        return False
    with database.reading() as session:
        asked = _try(asking.gather, session, record)
    one = asked if isinstance(asked, ErrataError) else _try(records.place, asked)
    if isinstance(one, ErrataError) or one.dataset != record.dataset:
        return False  # its text is erased, or it is of an older form
    surface.push(record.dataset, [one.record])
    with database.transaction() as session:
        row = session.get_one(ArgillaRecord, record.external_id)
        row.not_before, row.claimed_until, row.error = until, None, None
        session.add(row)
    return True
