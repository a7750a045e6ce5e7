"""The halt: a switch that stops the whole fleet.

In: a supervisor's word. Out: whether the fleet is halted.
"""

from datetime import datetime

from sqlmodel import Session, col, select

from errata.errors import Conflict
from ingestion import events
from ingestion.tables import Halt


def active(session: Session) -> Halt | None:
    """The halt in force, if any."""
    return session.exec(_ACTIVE).first()


def is_active(session: Session) -> bool:
    """Whether there is one."""
    return session.connection().execute(_ANY).first() is not None


_ACTIVE = select(Halt).where(col(Halt.lifted_at).is_(None))
# Built once: whatever may run at once asks. Not as an object of the ORM, which costs twice as much.
_ANY = select(Halt.id).where(col(Halt.lifted_at).is_(None))


def start(session: Session, *, actor: str, now: datetime) -> Halt:
    """Halt the fleet; a second halt changes nothing."""
    events.hold(session)  # two at once make one halt, which one lift ends
    halt = active(session)
    if halt is None:
        halt = Halt(id=events.new_id(now), since=now, by=actor)
        session.add(halt)
        session.flush()
        events.append(session, "halt.started", actor=actor, now=now)
    return halt


def lift(session: Session, *, actor: str, now: datetime) -> None:
    """Let the fleet run again.

    Raises:
        Conflict: It is not halted.
    """
    events.hold(session)
    halt = active(session)
    if halt is None:
        raise Conflict("nothing is halted")
    halt.lifted_at, halt.lifted_by = now, actor
    session.add(halt)
    session.flush()
    events.append(session, "halt.lifted", actor=actor, now=now)
