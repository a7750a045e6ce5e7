"""Work for people on what is already decided.

In: decisions that hand a task over, or that a lot chose for a look afterwards. Out: open tasks.
"""

from datetime import datetime
from typing import Any, Literal

from sqlmodel import Session, select

from ingestion import events, tables

Sort = Literal["handover", "audit"]


def opened(session: Session, proposal_id: str, sort: Sort, *, now: datetime) -> dict[str, Any]:
    """Note that people are given work on a proposal; the task as columns of `Task`."""
    events.append(
        session, "task.opened", actor="policy", now=now, proposal_id=proposal_id, sort=sort
    )
    return {
        "id": events.new_id(now),
        "proposal_id": proposal_id,
        "sort": sort,
        "status": "open",
        "opened_at": now,
    }


def open_task(session: Session, row: tables.Proposal, sort: Sort, *, now: datetime) -> None:
    """Give people work on a stored proposal."""
    session.add(tables.Task(**opened(session, row.id, sort, now=now)))


def of(session: Session, proposal_id: str) -> tables.Task | None:
    """The open task on a proposal, if there is one."""
    statement = select(tables.Task).where(
        tables.Task.proposal_id == proposal_id, tables.Task.status == "open"
    )
    return session.exec(statement).first()


def close(session: Session, task: tables.Task, *, actor: str, now: datetime) -> None:
    """Note that the work is done."""
    task.status, task.closed_at = "done", now
    session.add(task)
    events.append(
        session, "task.done", actor=actor, now=now, proposal_id=task.proposal_id, sort=task.sort
    )


def drop(session: Session, row: tables.Proposal, *, actor: str, now: datetime) -> None:
    """Note that there is nothing left to do: it was taken back before it ran, or erased."""
    task = of(session, row.id)
    if task is not None:
        task.status, task.closed_at = "dropped", now
        session.add(task)
        events.append(
            session, "task.dropped", actor=actor, now=now, proposal_id=row.id, sort=task.sort
        )
