"""The append-only, hash-chained log of everything that happened.

In: what a transaction did, named by the code that did it. Out: rows of `Event`, written and
chained just before the commit.
"""

import hashlib
import secrets
from collections.abc import Generator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import event as orm_event
from sqlalchemy import insert, update
from sqlalchemy.orm import SessionTransaction
from sqlmodel import Session, col, select

from errata.digest import canonical
from ingestion.tables import ChainHead, Event

GENESIS = "sha256:" + hashlib.sha256(b"errata event log").hexdigest()
"""The `previous` of the first event."""

_PENDING = "errata.events"
_HELD = "errata.head"
"""The head, once this transaction has its lock: nobody else moves it then."""


def new_id(now: datetime) -> str:
    """An id that sorts by time: 12 hex digits of milliseconds, 20 of randomness."""
    return f"{int(now.timestamp() * 1000):012x}{secrets.token_hex(10)}"


class _Entry(NamedTuple):
    """An event that is not chained yet."""

    id: str
    at: datetime
    type: str
    proposal_id: str | None
    actor: str
    data: dict[str, Any]


class Line(NamedTuple):
    """What the hash of an event is over."""

    seq: int
    id: str
    at: datetime
    type: str
    proposal_id: str | None
    actor: str
    data: dict[str, Any]
    previous: str


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
    entry = _Entry(new_id(now), now, type_, proposal_id, actor, data)
    session.info.setdefault(_PENDING, []).append(entry)


def hold(session: Session) -> None:
    """Take the log's lock now: what is read from here on stays so until the commit.

    For the few things that depend on what every other transaction has done, since each of them
    takes this lock to commit.
    """
    _head(session)


def upcoming(session: Session) -> int:
    """The place in the log that the next event gets; the log stays locked, so that nobody else's does.

    Whatever is numbered so and noted in the log rises without a counter of its own.
    """
    seq, _ = _head(session)
    return seq + len(session.info.get(_PENDING, ())) + 1


def _head(session: Session) -> tuple[int, str]:
    held: tuple[int, str] | None = session.info.get(_HELD)
    if held is None:
        seq, hash_ = session.connection().execute(_HEAD).one()
        held = (seq, hash_)
        if not session.in_nested_transaction():  # whose end may give the lock up
            session.info[_HELD] = held
    return held


# Built once: every transaction that changes anything runs these.
_HEAD = select(ChainHead.seq, ChainHead.hash).where(ChainHead.id == 1).with_for_update()
_MOVE_HEAD = update(ChainHead).where(col(ChainHead.id) == 1)
_ADD = insert(Event)


@orm_event.listens_for(Session, "before_commit")
def _chain(session: Session) -> None:
    if session.in_nested_transaction():
        return  # a savepoint is no commit
    pending: list[_Entry] = session.info.pop(_PENDING, [])
    if not pending:
        return
    session.flush()
    seq, previous = _head(session)
    rows: list[dict[str, Any]] = []
    for entry in pending:
        seq += 1
        line = Line(seq, *entry, previous)
        previous = seal(line)
        rows.append({**line._asdict(), "hash": previous})
    # Rows and not objects: of everything that a transaction writes, most are events.
    connection = session.connection()
    connection.execute(_ADD, rows)
    connection.execute(_MOVE_HEAD, {"seq": seq, "hash": previous})


@orm_event.listens_for(Session, "after_transaction_end")
def _forget(session: Session, transaction: SessionTransaction) -> None:
    if transaction.parent is None:
        session.info.pop(_PENDING, None)
        session.info.pop(_HELD, None)


@contextmanager
def savepoint(session: Session) -> Generator[None]:
    """A part of a transaction that can fail alone: its rows and its events are both undone."""
    pending: list[_Entry] = session.info.setdefault(_PENDING, [])
    mark = len(pending)
    try:
        with session.begin_nested():
            yield
    except BaseException:
        del pending[mark:]
        raise


def seal(entry: Event | Line) -> str:
    """The hash of an event: over its fields and the hash of the one before."""
    line = {
        "seq": entry.seq,
        "id": entry.id,
        "at": entry.at.isoformat(timespec="microseconds"),
        "type": entry.type,
        "proposal_id": entry.proposal_id,
        "actor": entry.actor,
        "data": entry.data,
        "previous": entry.previous,
    }
    return "sha256:" + hashlib.sha256(canonical(line)).hexdigest()


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
