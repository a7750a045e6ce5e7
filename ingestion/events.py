"""The append-only, hash-chained log of everything that happened.

In: what a transaction did, named by the code that did it. Out: rows of `Event`, written and
chained just before the commit; the check that nobody changed them.
"""

import hashlib
import secrets
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import event as orm_event
from sqlalchemy.orm import SessionTransaction
from sqlmodel import Session, col, select

from errata.digest import canonical
from ingestion.tables import ChainHead, Decision, Event

GENESIS = "sha256:" + hashlib.sha256(b"errata event log").hexdigest()
"""The `previous` of the first event."""

_PENDING = "errata.events"


def new_id(now: datetime) -> str:
    """An id that sorts by time: 12 hex digits of milliseconds, 20 of randomness."""
    return f"{int(now.timestamp() * 1000):012x}{secrets.token_hex(10)}"


def append(
    session: Session,
    type_: str,
    *,
    actor: str,
    now: datetime,
    proposal_id: str | None = None,
    **data: Any,
) -> None:
    """Note an event; it is chained when the transaction commits, and lost if it rolls back.

    The chain's head is one locked row. Taking the lock only at the commit keeps the time in which
    transactions wait for each other to two statements.

    Args:
        session: The transaction that does the thing.
        type_: What happened, as `noun.participle`.
        actor: A principal's id, `policy`, `worker` or `import`.
        now: When.
        proposal_id: The proposal it is about.
        data: Digests, ids and closed words; never text that a person or an agent wrote.
    """
    session.info.setdefault(_PENDING, []).append(
        Event(
            id=new_id(now),
            at=now,
            type=type_,
            proposal_id=proposal_id,
            actor=actor,
            data=data,
            previous="",
            hash="",
        )
    )


def hold(session: Session) -> None:
    """Take the log's lock now: what is read from here on stays so until the commit.

    For the few things that depend on what every other transaction has done, since each of them
    takes this lock to commit.
    """
    _head(session)


def _head(session: Session) -> ChainHead:
    statement = select(ChainHead).where(ChainHead.id == 1).with_for_update()
    return session.exec(statement.execution_options(populate_existing=True)).one()


@orm_event.listens_for(Session, "before_commit")
def _chain(session: Session) -> None:
    if session.in_nested_transaction():
        return  # a savepoint is no commit
    pending: list[Event] = session.info.pop(_PENDING, [])
    if not pending:
        return
    session.flush()
    head = _head(session)
    for entry in pending:
        entry.seq = head.seq + 1
        entry.previous = head.hash
        entry.hash = seal(entry)
        head.seq, head.hash = entry.seq, entry.hash
        session.add(entry)
    session.add(head)
    session.flush()


@orm_event.listens_for(Session, "after_transaction_end")
def _forget(session: Session, transaction: SessionTransaction) -> None:
    if transaction.parent is None:
        session.info.pop(_PENDING, None)


@contextmanager
def savepoint(session: Session) -> Generator[None]:
    """A part of a transaction that can fail alone: its rows and its events are both undone."""
    pending: list[Event] = session.info.setdefault(_PENDING, [])
    mark = len(pending)
    try:
        with session.begin_nested():
            yield
    except BaseException:
        del pending[mark:]
        raise


def seal(entry: Event) -> str:
    """The hash of an event: over its fields and the hash of the one before."""
    sealed = canonical(
        {
            "seq": entry.seq,
            "id": entry.id,
            "at": entry.at.isoformat(timespec="microseconds"),
            "type": entry.type,
            "proposal_id": entry.proposal_id,
            "actor": entry.actor,
            "data": entry.data,
            "previous": entry.previous,
        }
    )
    return "sha256:" + hashlib.sha256(sealed).hexdigest()


class Audit(NamedTuple):
    """The result of checking the log."""

    events: int
    head: str
    """Hash of the newest event: keep it elsewhere to prove later that nothing was cut off."""
    faults: list[str]


def verify(session: Session, batch: int = 1000) -> Audit:
    """Check every hash, the unbroken order, and that the decisions are those of the log.

    Args:
        session: A reading transaction.
        batch: Rows held in memory at a time.
    """
    faults: list[str] = []
    previous, seq = GENESIS, 0
    decided: dict[str, tuple[Any, Any]] = {}
    for entry in _read(session, batch):
        seq += 1
        if entry.seq != seq:
            faults.append(f"event {seq} is missing; event {entry.seq} follows")
            seq = entry.seq or seq
        if entry.previous != previous:
            faults.append(f"event {entry.seq} does not follow on the one before it")
        if seal(entry) != entry.hash:
            faults.append(f"event {entry.seq} ({entry.type}) was changed")
        if entry.type == "proposal.decided" and entry.proposal_id:
            decided[entry.proposal_id] = (entry.data.get("outcome"), entry.data.get("digest"))
        previous = entry.hash
    head = session.exec(select(ChainHead).where(ChainHead.id == 1)).one()
    if (head.seq, head.hash) != (seq, previous):
        faults.append(f"the log ends at event {seq}, its head says {head.seq}")
    faults += _check_decisions(session, decided)
    return Audit(events=seq, head=previous, faults=faults)


def _check_decisions(session: Session, decided: dict[str, tuple[Any, Any]]) -> list[str]:
    statement = select(Decision.proposal_id, Decision.outcome, Decision.digest)
    faults: list[str] = []
    for proposal_id, outcome, digest in session.exec(statement):
        logged = decided.pop(proposal_id, None)
        if logged is None:
            faults.append(f"decision on {proposal_id} is not in the log")
        elif logged != (outcome, digest):
            faults.append(f"decision on {proposal_id} differs from the log")
    return faults + [f"decision on {proposal_id} is gone" for proposal_id in decided]


def _read(session: Session, batch: int, after: int = 0) -> Iterator[Event]:
    while True:
        page = read(session, after, batch)
        yield from page
        if len(page) < batch:
            return
        after = page[-1].seq or after
        session.expunge_all()


def read(
    session: Session, after: int, limit: int, proposals: set[str] | None = None
) -> list[Event]:
    """Events after a sequence number, oldest first.

    Args:
        session: A transaction.
        after: The last sequence number that the reader has.
        limit: At most so many.
        proposals: Only events about these, when given.
    """
    statement = select(Event).where(col(Event.seq) > after).order_by(col(Event.seq)).limit(limit)
    if proposals is not None:
        statement = statement.where(col(Event.proposal_id).in_(proposals))
    return list(session.exec(statement))
