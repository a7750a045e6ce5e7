"""Alarms: what a person should look at, raised once and closed by a person.

In: what the other modules of this stage notice. Out: rows of `Alarm`; a dependency for routes that
raise one although the request itself is refused.
"""

from datetime import UTC, datetime
from typing import Literal

from sqlmodel import Session, col, select

from errata.db import current
from errata.errors import Conflict, NotFound, TooMany
from ingestion import events
from ingestion.tables import Alarm

Sort = Literal["bypass", "unknown", "flood", "approved_not_executed"]
"""bypass: something ran without a permit; unknown: nobody knows whether something ran; flood: an
agent sends more than its rate; approved_not_executed: people said yes, and nobody acted on it."""


def sound(
    session: Session,
    sort: Sort,
    *,
    agent_id: str,
    proposal_id: str | None = None,
    digest: str | None = None,
    actor: str,
    now: datetime,
) -> Alarm:
    """Raise an alarm; while one of the same sort on the same thing is open, that one stands.

    Args:
        session: A transaction; takes the log's lock.
        sort: What is wrong.
        agent_id: Whose doing it is.
        proposal_id: What it is about, where there is a proposal.
        digest: What ran, where something did.
        actor: Who noticed: a principal's id or `worker`.
        now: When.
    """
    events.hold(session)  # of two that notice it at once, one raises it
    known = _standing(session, sort, agent_id, proposal_id, digest)
    if known is not None:
        return known
    alarm = Alarm(
        id=events.new_id(now),
        kind=sort,
        agent_id=agent_id,
        proposal_id=proposal_id,
        digest=digest,
        raised_at=now,
    )
    session.add(alarm)
    events.append(
        session,
        "alarm.raised",
        actor=actor,
        now=now,
        proposal_id=proposal_id,
        alarm=alarm.id,
        kind=sort,
    )
    return alarm


def _standing(
    session: Session, sort: Sort, agent_id: str, proposal_id: str | None, digest: str | None
) -> Alarm | None:
    statement = select(Alarm).where(
        col(Alarm.closed_at).is_(None),
        Alarm.kind == sort,
        Alarm.agent_id == agent_id,
        Alarm.proposal_id == proposal_id,
        Alarm.digest == digest,
    )
    return session.exec(statement).first()


def listed(session: Session, *, closed: bool = False, limit: int = 500) -> list[Alarm]:
    """Alarms, the newest first.

    Args:
        session: A transaction.
        closed: Whether those that were closed are listed too.
        limit: At most so many.
    """
    statement = select(Alarm)
    if not closed:
        statement = statement.where(col(Alarm.closed_at).is_(None))
    return list(session.exec(statement.order_by(col(Alarm.raised_at).desc()).limit(limit)))


def close(session: Session, alarm_id: str, *, actor: str, now: datetime) -> Alarm:
    """Note that somebody has looked at it.

    Raises:
        NotFound: No such alarm.
        Conflict: It is closed.
    """
    alarm = session.get(Alarm, alarm_id, with_for_update=True)
    if alarm is None:
        raise NotFound(f"no alarm {alarm_id!r}")
    if alarm.closed_at is not None:
        raise Conflict(f"alarm {alarm_id} was closed at {alarm.closed_at.isoformat()}")
    _close(session, alarm, actor, now)
    return alarm


def settle(session: Session, proposal_id: str, *, actor: str, now: datetime) -> None:
    """Close the doubt about a proposal: what became of it is known now."""
    statement = select(Alarm).where(
        Alarm.proposal_id == proposal_id,
        Alarm.kind == "unknown",
        col(Alarm.closed_at).is_(None),
    )
    for alarm in session.exec(statement.with_for_update()):
        _close(session, alarm, actor, now)


def _close(session: Session, alarm: Alarm, actor: str, now: datetime) -> None:
    alarm.closed_at, alarm.closed_by = now, actor
    session.add(alarm)
    events.append(
        session,
        "alarm.closed",
        actor=actor,
        now=now,
        proposal_id=alarm.proposal_id,
        alarm=alarm.id,
    )


class Flood(TooMany):
    """An agent sends more than its rate."""

    def __init__(self, detail: str, retry_after_s: float, agent_id: str) -> None:
        super().__init__(detail, retry_after_s)
        self.agent_id = agent_id


class NeverUsed(Conflict):
    """An agent reports a run by a permit that it never used."""

    def __init__(self, detail: str, agent_id: str, proposal_id: str, digest: str) -> None:
        super().__init__(detail)
        self.agent_id = agent_id
        self.proposal_id = proposal_id
        self.digest = digest


def raise_for(error: Flood | NeverUsed) -> None:
    """Raise an alarm for a refused request, whose own transaction is rolled back by now."""
    if isinstance(error, Flood) and _is_known(error.agent_id):
        return
    with current().transaction() as session:
        if isinstance(error, Flood):
            sound(session, "flood", agent_id=error.agent_id, actor="policy", now=_now())
            return
        sound(
            session,
            "bypass",
            agent_id=error.agent_id,
            proposal_id=error.proposal_id,
            digest=error.digest,
            actor="policy",
            now=_now(),
        )


def _is_known(agent_id: str) -> bool:
    """Whether that flood is raised already; a flood must not make each refusal a write."""
    with current().reading() as session:
        return _standing(session, "flood", agent_id, None, None) is not None


def _now() -> datetime:
    return datetime.now(UTC)
