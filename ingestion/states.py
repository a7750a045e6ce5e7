"""Saved states: kept sealed, given to one process at a time, done when the run went on.

In: what an agent's framework wrote when it stopped. Out: rows of `SavedState`; their content, for
whoever holds the lease.
"""

import hashlib
import json
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlmodel import Session, col, select

from errata.digest import canonical
from errata.errors import Conflict, Gone, IdempotencyConflict, Malformed, Taken
from errata.states import Parking
from ingestion import keys, parked, tables
from ingestion.sealing import Ring, Sealed
from ingestion.tables import SavedState, StateWait

KEPT = timedelta(days=30)
"""Where nothing else is said."""
LONGEST = timedelta(days=366)


class Resumed(NamedTuple):
    """A state and, opened, what it holds."""

    row: SavedState
    content: bytes
    """JSON."""


def park(
    session: Session,
    ring: Ring,
    parking: Parking,
    caller: tables.Principal,
    *,
    key: str | None = None,
    now: datetime,
) -> SavedState:
    """Keep a state; with `replaces`, the one before is done in the same transaction.

    Args:
        session: A transaction.
        ring: Seals the content.
        parking: What to keep.
        caller: Whose it is.
        key: Idempotency key: the same request again keeps nothing more.
        now: When.

    Raises:
        Forbidden: The key may not speak for that agent.
        Malformed: It waits for what this key did not propose, or ends too soon or too late.
        IdempotencyConflict: The key came with another state.
        NotFound, Conflict: `replaces` is none of the caller's, is done, or is another's by now.
        KeyMissing: There is no key to seal with.
    """
    keys.require_agent(caller, parking.agent.id)
    known = _repeated(session, caller, key)
    if known is not None:
        return _same(session, ring, known, parking)
    _check_proposals(session, parking.proposals, caller)
    before = _replace(session, parking, caller, now)
    row = _row(secrets.token_hex(20), parking, caller.id, key or secrets.token_hex(16), now)
    sealed = ring.seal(_bytes(parking), _bound(row, parking.proposals))
    row.key, row.sealed = sealed
    session.add(row)
    session.flush()
    numbers = {**dict.fromkeys(before), **{id_: n for n, id_ in enumerate(parking.proposals)}}
    for proposal_id, number in numbers.items():
        session.add(StateWait(state_id=row.id, proposal_id=proposal_id, number=number))
    parked.note(
        session,
        row,
        "parked",
        caller.id,
        now,
        key=row.key,
        digest="sha256:" + hashlib.sha256(sealed.box).hexdigest(),
        replaces=parking.replaces,
    )
    return row


def _replace(
    session: Session, parking: Parking, caller: tables.Principal, now: datetime
) -> Sequence[str]:
    """End the state before; all that it and those before it waited for."""
    if parking.replaces is None or parking.lease is None:
        return ()
    if parked.hold(session, parking.replaces, caller).status == "done":
        raise Conflict(f"state {parking.replaces} is done already", field="replaces")
    finish(session, parking.replaces, parking.lease, caller, now=now)
    statement = select(StateWait.proposal_id).where(StateWait.state_id == parking.replaces)
    return session.exec(statement).all()


def _row(id_: str, parking: Parking, owner_id: str, key: str, now: datetime) -> SavedState:
    return SavedState(
        id=id_,
        agent_id=parking.agent.id,
        agent_version=parking.agent.version,
        owner_id=owner_id,
        framework_name=parking.framework.name,
        framework_version=parking.framework.version,
        tools=dict(parking.tools),
        status="parked",
        key="",
        request_key=key,
        created_at=now,
        expires_at=_end(parking, now),
    )


def _bytes(parking: Parking) -> bytes:
    return json.dumps(parking.content, ensure_ascii=False, separators=(",", ":")).encode()


def _bound(row: SavedState, proposals: Sequence[str]) -> bytes:
    """What the content belongs to: all that is told with it, so that none of it can be changed."""
    return canonical(
        {
            "v": 1,
            "id": row.id,
            "agent": [row.agent_id, row.agent_version],
            "owner": row.owner_id,
            "framework": [row.framework_name, row.framework_version],
            "tools": row.tools,
            "proposals": list(proposals),
        }
    )


def _end(parking: Parking, now: datetime) -> datetime:
    end = parking.expires_at or now + KEPT
    if not now < end <= now + LONGEST:
        raise Malformed(
            f"expires_at: {end.isoformat()} is not within the next {LONGEST.days} days",
            field="expires_at",
        )
    return end


def _repeated(session: Session, caller: tables.Principal, key: str | None) -> SavedState | None:
    if key is None:
        return None
    statement = select(SavedState).where(
        SavedState.owner_id == caller.id, SavedState.request_key == key
    )
    return session.exec(statement).first()


def _same(session: Session, ring: Ring, known: SavedState, parking: Parking) -> SavedState:
    """The state that an earlier request with this key saved, if that was this one.

    The content is compared opened: a hash of it beside the row would let a reader of the database
    try out what it might be.
    """
    wanted = _row(known.id, parking, known.owner_id, known.request_key, known.created_at)
    bound = _bound(known, parked.waits(session, [known.id])[known.id])
    same = bound == _bound(wanted, parking.proposals)
    if same and known.sealed is not None:
        same = ring.open(Sealed(known.key, known.sealed), bound) == _bytes(parking)
    if not same:
        raise IdempotencyConflict("the idempotency key was used for another state")
    return known


def _check_proposals(session: Session, ids: Sequence[str], caller: tables.Principal) -> None:
    statement = select(tables.Proposal.id).where(
        col(tables.Proposal.id).in_(ids), tables.Proposal.proposed_by == caller.id
    )
    own = set(session.exec(statement))
    for number, id_ in enumerate(ids):
        if id_ not in own:  # the same words for what is another's: they tell nobody what exists
            raise Malformed(
                f"proposals[{number}]: {id_!r} is none that this key has made",
                field=f"proposals[{number}]",
            )


def resume(
    session: Session,
    ring: Ring,
    state_id: str,
    caller: tables.Principal,
    *,
    lease_s: float,
    key: str | None = None,
    now: datetime,
) -> Resumed:
    """Give a state to one process, for a time.

    What that one has run stays safe when another takes the state later: each permit works once.

    Args:
        session: A transaction.
        ring: Opens the content.
        state_id: Which.
        caller: Whose key it is.
        lease_s: Seconds for which nobody else gets it.
        key: Idempotency key: a caller who did not get the answer gets the same lease with it.
        now: When.

    Raises:
        NotFound: The caller has no such state.
        Taken: Another process holds it; says when to come again.
        Conflict: It is done.
        Gone: Its time is over, or it was erased.
        KeyMissing: The key that opens it is not there.
        Tampered: It was changed in the database.
    """
    row = parked.hold(session, state_id, caller)
    box = _content(row, now)
    held = row.taken_until is not None and row.taken_until > now
    again = held and key is not None and key == row.taken_key
    if held and not again:
        assert row.taken_until is not None
        wait = (row.taken_until - now).total_seconds()
        raise Taken(f"another process has resumed the state, for {wait:.0f} s yet", wait)
    bound = _bound(row, parked.waits(session, [row.id])[row.id])
    content = ring.open(Sealed(row.key, box), bound)
    if not again:
        row.status = "resumed"
        row.taken_by, row.taken_key = secrets.token_hex(16), key
        row.taken_until = now + timedelta(seconds=lease_s)
        session.add(row)
        parked.note(session, row, "resumed", caller.id, now)
    return Resumed(row, content)


def _content(row: SavedState, now: datetime) -> bytes:
    """What is there to open.

    Raises:
        Conflict, Gone: Nothing is.
    """
    if row.status == "done":
        raise Conflict(f"state {row.id} is done; there is nothing to resume")
    if now >= row.expires_at:
        raise Gone(f"state {row.id} expired at {row.expires_at.isoformat()}; begin the run anew")
    if row.sealed is None:
        raise Gone(f"state {row.id} was erased with a proposal that it waited for")
    return row.sealed


def finish(
    session: Session, state_id: str, lease: str, caller: tables.Principal, *, now: datetime
) -> SavedState:
    """Note that the run went on and needs its state no more; again changes nothing.

    Raises:
        NotFound: The caller has no such state.
        Conflict: The lease is none of it, or another process has taken the state since.
    """
    row = parked.hold(session, state_id, caller)
    if row.taken_by is None or not secrets.compare_digest(row.taken_by, lease):
        raise Conflict(
            "the lease is not the last one of this state: another process goes on with it",
            field="lease",
        )
    if row.status != "done":
        parked.empty(session, row, "done", caller.id, now)
    return row
