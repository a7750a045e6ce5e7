"""How far the decided work reaches: its order, parts that lie together in it, its newest entry.

In: the rows of ingestion and review. Out: keys, spans and conditions by which `history` reads.
"""

from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Select, func, select, tuple_
from sqlmodel import Session, col

from ingestion import tables
from review.tables import Review

ORDER = (col(tables.Decision.decided_at), col(tables.Decision.proposal_id))


class Key(NamedTuple):
    """The place of a decision in their order."""

    decided_at: datetime
    proposal_id: str


class Span(NamedTuple):
    """Decisions that lie together in their order."""

    first: Key
    last: Key
    """Part of the span."""
    size: int


def spans(session: Session, *, size: int, after: int | None = None) -> list[Span]:
    """Cut the decisions into spans, such that several readers can share them.

    The same decisions give the same spans.

    Args:
        session: A reading transaction.
        size: Decisions of a span; the last may have fewer.
        after: Only decisions that the log tells of after this event.
    """
    keys = select(*ORDER).where(*chosen(after=after)).order_by(*ORDER)
    run = session.connection().execute
    if after is not None:  # mostly few, and the list of them is to be made once
        pages = run(keys, execution_options={"yield_per": size}).partitions(size)
        return [Span(Key(*page[0]), Key(*page[-1]), len(page)) for page in pages]
    first = run(keys.limit(1)).first()
    found: list[Span] = []
    while first is not None:
        rest = keys.where(tuple_(*ORDER) >= tuple(first))
        # Walking an index: to number the decisions would cost as much as to read them.
        ends = run(rest.offset(size - 1).limit(2)).all()
        if not ends:
            left = run(rest).all()
            return [*found, Span(Key(*first), Key(*left[-1]), len(left))]
        found.append(Span(Key(*first), Key(*ends[0]), size))
        first = ends[1] if len(ends) > 1 else None
    return found


def newest(session: Session) -> tuple[int, str] | None:
    """The log's newest event of a decision, as its number and hash; None where there is none."""
    statement = (
        select(col(tables.Event.seq), col(tables.Event.hash))
        .where(col(tables.Event.type) == "proposal.decided")
        .order_by(col(tables.Event.seq).desc())
        .limit(1)
    )
    row = session.connection().execute(statement).first()
    return None if row is None else (row.seq, row.hash)


def event_hash(session: Session, seq: int) -> str | None:
    """The hash of an event of the log; None where there is none."""
    statement = select(col(tables.Event.hash)).where(col(tables.Event.seq) == seq)
    return session.connection().execute(statement).scalar()


def reviewers(session: Session) -> list[str]:
    """Everybody who gave an accepted review, in the order of their first ones."""
    given, name = col(Review.accepted), col(Review.reviewer)
    # From one name to the next by the index `review_by`: most reviews are by few people.
    names = select(func.min(name).label("name")).where(given).cte(recursive=True)
    after = select(func.min(name)).where(given, name > names.c.name).scalar_subquery()
    names = names.union_all(select(after).where(names.c.name.is_not(None)))
    first = [
        select(column)
        .where(given, name == names.c.name)
        .order_by(col(Review.received_at), col(Review.id))
        .limit(1)
        .scalar_subquery()
        for column in (col(Review.received_at), col(Review.id))
    ]
    statement = select(names.c.name).where(names.c.name.is_not(None)).order_by(*first)
    return list(session.connection().execute(statement).scalars())


def _told(after: int) -> Select[Any]:
    """Proposals of whose decision the log tells after an event."""
    return select(col(tables.Event.proposal_id)).where(
        col(tables.Event.seq) > after, col(tables.Event.type) == "proposal.decided"
    )


def chosen(
    *,
    since: datetime | None = None,
    after: int | None = None,
    until: int | None = None,
    span: Span | None = None,
) -> list[ColumnElement[bool]]:
    """The conditions that decisions meet; see `history.read`."""
    at = col(tables.Decision.decided_at)
    conditions: list[ColumnElement[bool]] = []
    if since is not None:
        conditions.append(at >= since)
    if after is not None:
        conditions.append(col(tables.Decision.proposal_id).in_(_told(after)))
    if until is not None:
        conditions.append(col(tables.Decision.proposal_id).not_in(_told(until)))
    if span is not None:
        # The times alone as well, since not every database uses an index for a comparison of pairs.
        conditions += [at >= span.first.decided_at, at <= span.last.decided_at]
        conditions += [tuple_(*ORDER) >= span.first, tuple_(*ORDER) <= span.last]
    return conditions
