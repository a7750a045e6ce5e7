"""The saved states that are there: which wait, which are ready, and forgetting them.

In: rows of `SavedState`. Out: the same without their content, or emptied.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal, NamedTuple

from sqlalchemy import ColumnElement
from sqlalchemy.orm import defer
from sqlmodel import Session, col, func, or_, select

from errata.errors import NotFound
from errata.protocol import Agent
from errata.states import Framework, Parked
from ingestion import events, tables
from ingestion.tables import Decision, SavedState, StateWait

THERE = ("parked", "resumed")

# Eight megabytes a row: only the process that resumes a state needs them.
LIGHT = defer(SavedState.sealed)  # pyright: ignore[reportArgumentType]


class Listing(NamedTuple):
    """What a caller asks for."""

    agent: str | None = None
    ready: bool | None = None
    limit: int = 100


def hold(session: Session, state_id: str, caller: tables.Principal) -> SavedState:
    """The caller's state, locked until the transaction ends; taken before the log's lock.

    Raises:
        NotFound: There is none; the same words where it is another's.
    """
    row = session.get(SavedState, state_id, options=[LIGHT], with_for_update=True)
    if row is None or row.owner_id != caller.id:
        raise NotFound(f"no state {state_id!r}")
    return row


def listed(
    session: Session, caller: tables.Principal, wanted: Listing, *, now: datetime
) -> list[Parked]:
    """A caller's states that are there, the oldest first, without their content.

    With `ready`, only those that can be resumed now: all is decided and nobody holds them.
    """
    undecided = _undecided()
    statement = (
        select(SavedState, undecided)
        .options(LIGHT)
        .where(
            SavedState.owner_id == caller.id,
            col(SavedState.status).in_(THERE),
            col(SavedState.expires_at) > now,
        )
        .order_by(col(SavedState.created_at), col(SavedState.id))
        .limit(wanted.limit)
    )
    if wanted.agent is not None:
        statement = statement.where(SavedState.agent_id == wanted.agent)
    if wanted.ready is not None:
        free = or_(col(SavedState.taken_until).is_(None), col(SavedState.taken_until) <= now)
        statement = statement.where(~undecided & free if wanted.ready else undecided)
    found = session.exec(statement).all()
    proposals = waits(session, [row.id for row, _ in found])
    return [_parked(row, proposals[row.id], ready=not open_) for row, open_ in found]


def shown(session: Session, row: SavedState) -> Parked:
    """A state without its content."""
    undecided = select(_undecided()).where(SavedState.id == row.id)
    return _parked(row, waits(session, [row.id])[row.id], ready=not session.exec(undecided).one())


def _undecided() -> ColumnElement[bool]:
    """Whether something that a state waits for has no decision."""
    return (
        select(StateWait.state_id)
        .join(Decision, col(Decision.proposal_id) == StateWait.proposal_id, isouter=True)
        .where(
            StateWait.state_id == SavedState.id,
            col(StateWait.number).is_not(None),
            col(Decision.proposal_id).is_(None),
        )
        .correlate(SavedState)
        .exists()
    )


def waits(session: Session, state_ids: Sequence[str]) -> dict[str, list[str]]:
    """The proposals that states wait for, as they were named."""
    found: dict[str, list[str]] = {id_: [] for id_ in state_ids}
    statement = (
        select(StateWait.state_id, StateWait.proposal_id)
        .where(col(StateWait.state_id).in_(state_ids), col(StateWait.number).is_not(None))
        .order_by(col(StateWait.state_id), col(StateWait.number))
    )
    for state_id, proposal_id in session.exec(statement):
        found[state_id].append(proposal_id)
    return found


def _parked(row: SavedState, proposals: Sequence[str], *, ready: bool) -> Parked:
    return Parked(
        id=row.id,
        agent=Agent(id=row.agent_id, version=row.agent_version),
        framework=Framework(name=row.framework_name, version=row.framework_version),
        tools=row.tools,
        proposals=tuple(proposals),
        status=row.status,  # pyright: ignore[reportArgumentType] - checked by pydantic
        ready=ready,
        taken_until=row.taken_until,
        created_at=row.created_at,
        expires_at=row.expires_at,
    )


def keys_in_use(session: Session) -> dict[str, int]:
    """How many states are sealed with each key, by its fingerprint."""
    statement = (
        select(SavedState.key, func.count())
        .where(col(SavedState.status).in_(THERE))
        .group_by(SavedState.key)
        .order_by(SavedState.key)
    )
    return dict(session.exec(statement).all())


def is_due(session: Session, *, now: datetime) -> bool:
    """Whether the time of any is over; reads only, so that looking takes no lock."""
    return session.exec(select(SavedState.id).where(*_over(now)).limit(1)).first() is not None


def expire(session: Session, *, now: datetime, most: int = 100) -> int:
    """Erase what nobody resumed in time; rows that another worker has in hand are left to it.

    Returns:
        How many were erased.
    """
    statement = (
        select(SavedState)
        .options(LIGHT)
        .where(*_over(now))
        .order_by(col(SavedState.expires_at))
        .limit(most)
        .with_for_update(skip_locked=True)
    )
    rows = session.exec(statement).all()
    for row in rows:
        empty(session, row, "erased", "worker", now)
    return len(rows)


def _over(now: datetime) -> tuple[ColumnElement[bool], ...]:
    return col(SavedState.status).in_(THERE), col(SavedState.expires_at) <= now


def forget(session: Session, proposal_ids: Sequence[str], *, actor: str, now: datetime) -> int:
    """Erase the states that wait, or whose runs have waited, for any of these proposals.

    Returns:
        How many were erased.
    """
    waiting = select(StateWait.state_id).where(col(StateWait.proposal_id).in_(proposal_ids))
    statement = (
        select(SavedState)
        .options(LIGHT)
        .where(col(SavedState.id).in_(waiting), col(SavedState.status).in_(THERE))
        .order_by(col(SavedState.id))
        .with_for_update()
    )
    rows = session.exec(statement).all()
    for row in rows:
        empty(session, row, "erased", actor, now)
    return len(rows)


def empty(
    session: Session,
    row: SavedState,
    status: Literal["done", "erased"],
    actor: str,
    now: datetime,
) -> None:
    """Erase the content of a state; its row stays."""
    row.status, row.sealed = status, None
    session.add(row)
    note(session, row, status, actor, now)


def note(
    session: Session, row: SavedState, what: str, actor: str, now: datetime, **data: Any
) -> None:
    """Note in the log what was done with a state."""
    known = {name: value for name, value in data.items() if value is not None}
    events.append(session, f"state.{what}", actor=actor, now=now, state=row.id, **known)
