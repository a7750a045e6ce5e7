"""Proposals that may run only once others have been executed.

In: `depends_on` of proposals. Out: a refusal to use a permit too early; the end of those whose
ground is gone. Ends are spread by the worker, each in the lock of its own proposal; what must never
happen, a run on a ground that is gone, is refused where the permit is used.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Literal, NamedTuple

from sqlalchemy import ColumnElement, and_
from sqlalchemy.orm import aliased
from sqlmodel import Session, col, or_, select

from errata import protocol
from errata.errors import Malformed, PermitRevoked, WaitingFor
from ingestion import decisions, events, revocations, store
from ingestion.tables import Decision, Dependency, Permit, Principal, Proposal
from ingestion.tickets import OPEN

ANSWERED = frozenset({"respond", "edit", "approve"})
"""Outcomes of what has nothing to run by which it has been dealt with."""
OVER = ("decided", "executed", "failed", "undone")
"""Statuses in which nothing more happens."""
AGAIN_S = 2.0
"""Seconds after which to look again whether a dependency has run."""
MOST = 100
"""Dependencies of one proposal."""

Fate = Literal["waiting", "met", "gone"]


class Ground(NamedTuple):
    """A proposal that another depends on, as it stands."""

    id: str
    fate: Fate
    word: str
    """What became of it: a closed word."""


def check(session: Session, proposal: protocol.Proposal, caller: Principal) -> None:
    """Refuse dependencies that could never be met.

    No cycle can be made: what is depended on is there before what depends on it.

    Raises:
        Malformed: An id is unknown, its own, or that of a shadow or of another key's proposal.
    """
    if len(proposal.depends_on) > MOST:
        raise Malformed(f"depends_on: at most {MOST} ids", field="depends_on")
    for id_ in proposal.depends_on:
        if id_ == proposal.id:
            raise Malformed("depends_on: it cannot depend on itself", field="depends_on")
        row = session.get(Proposal, id_)
        if row is None or row.proposed_by != caller.id or row.source != "live":
            raise Malformed(
                f"depends_on: no proposal {id_!r} of this agent; propose it first",
                field="depends_on",
            )


def hold(session: Session, ids: Iterable[str]) -> None:
    """Keep what is depended on from changing until the transaction ends; before the log's lock.

    Storing a dependency takes these locks in any case, but after the log's, while whoever decides
    on one of these proposals holds it and waits for the log.
    """
    statement = select(Proposal.id).where(col(Proposal.id).in_(sorted(set(ids))))
    locked = statement.order_by(col(Proposal.id)).with_for_update(read=True, key_share=True)
    session.exec(locked).all()


def rows(proposal_id: str, proposal: protocol.Proposal) -> list[dict[str, Any]]:
    """What a new proposal depends on, as columns of `Dependency`."""
    return [
        {"proposal_id": proposal_id, "needed_id": id_, "open": True}
        for id_ in dict.fromkeys(proposal.depends_on)
    ]


def lost(session: Session, proposal: protocol.Proposal) -> Ground | None:
    """A dependency of a new proposal that can never be met, if there is one already."""
    if not proposal.depends_on:
        return None
    return _gone(_grounds(session, col(Proposal.id).in_(proposal.depends_on)))


def gone(session: Session, row: Proposal) -> Ground | None:
    """A dependency that can never be met, if there is one."""
    return _gone(_grounds(session, _needed_by(row)))


def _gone(grounds: list[Ground]) -> Ground | None:
    return next((one for one in grounds if one.fate == "gone"), None)


def reason(ground: Ground) -> str:
    """Why what depends on it cannot run."""
    return f"it depends on {ground.id}, which will not run: {ground.word}"


def check_met(session: Session, row: Proposal) -> None:
    """Refuse to run what depends on something that has not been executed.

    Raises:
        PermitRevoked: That will never be.
        WaitingFor: It may still be.
    """
    grounds = _grounds(session, _needed_by(row))
    for ground in grounds:
        if ground.fate == "gone":
            raise PermitRevoked(reason(ground))
    for ground in grounds:
        if ground.fate == "waiting":
            raise WaitingFor(
                f"it depends on {ground.id}, which is {ground.word}; the permit is not used",
                retry_after_s=AGAIN_S,
            )


def is_waiting(session: Session, row: Proposal) -> bool:
    """Whether a permit cannot be used yet, since what it depends on has not been executed."""
    return any(one.fate == "waiting" for one in _grounds(session, _needed_by(row)))


def _needed_by(row: Proposal) -> ColumnElement[bool]:
    needed = select(Dependency.needed_id).where(Dependency.proposal_id == row.id)
    return col(Proposal.id).in_(needed)


def _grounds(session: Session, which: ColumnElement[bool]) -> list[Ground]:
    statement = (
        select(Proposal.id, Proposal.status, Decision.outcome, Permit.status)
        .outerjoin(Decision, col(Decision.proposal_id) == Proposal.id)
        .outerjoin(Permit, col(Permit.proposal_id) == Proposal.id)
        .where(which)
        .order_by(col(Proposal.id))
    )
    return [_ground(*one) for one in session.exec(statement)]


def _ground(id_: str, status: str, outcome: str | None, permit: str | None) -> Ground:
    match status:
        case "executed":
            return Ground(id_, "met", status)
        case "failed" | "undone":
            return Ground(id_, "gone", status)
        case "decided" if outcome in ANSWERED:
            return Ground(id_, "met", status)
        case "decided":
            return Ground(id_, "gone", outcome or status)
        case "permitted" if permit == "expired":
            return Ground(id_, "gone", "its permit has expired")
        case _:
            return Ground(id_, "waiting", status)


Needed = aliased(Proposal, name="needed")
NeededPermit = aliased(Permit, name="needed_permit")


def _due() -> tuple[ColumnElement[bool], ...]:
    """Dependencies on which something is to be done or that do not matter any more."""
    return (
        col(Dependency.open).is_(True),
        col(Proposal.source) == "live",
        or_(
            col(Needed.status).in_(OVER),
            and_(col(Needed.status) == "permitted", col(NeededPermit.status) == "expired"),
            col(Proposal.status).not_in((*OPEN, "permitted")),
        ),
    )


def is_due(session: Session) -> bool:
    """Whether there is anything to do; reads only, so that looking takes no lock."""
    statement = (
        select(Dependency.proposal_id)
        .join(Proposal, col(Proposal.id) == Dependency.proposal_id)
        .join(Needed, col(Needed.id) == Dependency.needed_id)
        .outerjoin(NeededPermit, col(NeededPermit.proposal_id) == Needed.id)
        .where(*_due())
    )
    return session.exec(statement.limit(1)).first() is not None


def spread(session: Session, *, now: datetime, most: int = 100) -> int:
    """End what depends on something that will not run; rows that others have in hand are left.

    What depends on the ended ones is due after that, at the next look.

    Returns:
        How many dependencies were dealt with.
    """
    statement = (
        select(Dependency, Proposal)
        .join(Proposal, col(Proposal.id) == Dependency.proposal_id)
        .join(Needed, col(Needed.id) == Dependency.needed_id)
        .outerjoin(NeededPermit, col(NeededPermit.proposal_id) == Needed.id)
        .where(*_due())
        .limit(most)
        .with_for_update(of=Proposal, skip_locked=True)
    )
    due = session.exec(statement).all()
    for dependency, row in due:
        ground = gone(session, row)
        if ground is not None:
            _end(session, row, ground, now)
        dependency.open = False
        session.add(dependency)
    return len(due)


def _end(session: Session, row: Proposal, ground: Ground, now: datetime) -> None:
    """Cancel what is open, take back what is permitted; what has begun to run is left alone."""
    if row.status in OPEN:
        cancel(session, row, ground, actor="worker", now=now)
        return
    permit = session.exec(select(Permit).where(Permit.proposal_id == row.id)).first()
    if row.status == "permitted" and permit is not None and permit.status == "issued":
        note(session, row.id, ground, "worker", now)
        revocations.revoke(session, row, permit, "dependency", actor="worker", now=now)


def cancel(
    session: Session, row: Proposal, ground: Ground, *, actor: str, now: datetime
) -> protocol.Decision:
    """Decide that an open proposal will not run, since what it depends on will not."""
    proposal = store.proposal(session, row.id)
    assert proposal is not None  # of open work no text is erased
    note(session, row.id, ground, actor, now)
    return decisions.record(session, row, proposal, outcome(ground, now), actor=actor, now=now)


def outcome(ground: Ground, now: datetime) -> decisions.Outcome:
    """The end of what depends on something that will not run."""
    return decisions.Outcome(
        outcome="cancelled",
        by="policy",
        effective=protocol.Effective(),
        reason=reason(ground),
        needed=0,
        got=0,
        at=now,
    )


def note(session: Session, proposal_id: str, ground: Ground, actor: str, now: datetime) -> None:
    """Write into the log which ground was lost."""
    events.append(
        session, "dependency.lost", actor=actor, now=now, proposal_id=proposal_id, needed=ground.id
    )
