"""Feedback: thumbs and comments of end users and reviewers.

In: what an agent passes on for an end user, or a reviewer says. Out: rows of `Feedback`, their
words in notes that can be erased.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal, NamedTuple

from pydantic import ConfigDict, Field, model_validator
from sqlmodel import Session, col, select

from errata import protocol
from errata.errors import Forbidden
from ingestion import events, notes, runs, store, tables
from ingestion.notes import Words


class Given(protocol.Value):
    """A thumb on one thing."""

    model_config = ConfigDict(populate_by_name=True)

    proposal_id: protocol.Id | None = None
    run_id: protocol.Id | None = None
    task_id: protocol.Reference | None = None
    thumb: Literal["up", "down"]
    comment: Words | None = None
    from_: protocol.Name | None = Field(default=None, alias="from")
    """Who the end user is, in the agent's own terms; kept with the comment and erased with it."""

    @model_validator(mode="after")
    def _is_about_one_thing(self) -> "Given":
        if [self.proposal_id, self.run_id, self.task_id].count(None) != 2:
            raise ValueError("proposal_id: give one of proposal_id, run_id and task_id")
        return self


class About(NamedTuple):
    """What feedback is looked for on; None: on anything."""

    proposal_id: str | None = None
    run_id: str | None = None
    task_id: str | None = None


def take(
    session: Session, given: Given, caller: tables.Principal, *, now: datetime
) -> tables.Feedback:
    """Store one thumb.

    Raises:
        NotFound: There is no such proposal or run.
        Forbidden: It is another agent's.
    """
    _check_visible(session, given, caller)
    row = tables.Feedback(
        id=events.new_id(now),
        proposal_id=given.proposal_id,
        run_id=given.run_id,
        task_id=given.task_id,
        thumb=given.thumb,
        given_by=caller.id,
        at=now,
    )
    session.add(row)
    notes.keep(
        session,
        "feedback",
        row.id,
        {"comment": given.comment, "from": given.from_},
        run_id=given.run_id,
        proposal_id=given.proposal_id,
    )
    events.append(
        session,
        "feedback.given",
        actor=caller.id,
        now=now,
        proposal_id=row.proposal_id,
        feedback=row.id,
        thumb=row.thumb,
    )
    return row


def _check_visible(session: Session, given: Given, caller: tables.Principal) -> None:
    if given.run_id is not None:
        runs.check_visible(runs.load(session, given.run_id), caller)
    if given.proposal_id is not None:
        row = store.load(session, given.proposal_id)
        if "agent" in caller.roles and row.proposed_by != caller.id:
            raise Forbidden("this proposal was made with another agent's key")


def listed(session: Session, about: About, limit: int = 500) -> list[tables.Feedback]:
    """Feedback, the newest first.

    Args:
        session: A transaction.
        about: On what.
        limit: At most so many.
    """
    statement = select(tables.Feedback)
    for name, value in about._asdict().items():
        if value is not None:
            statement = statement.where(getattr(tables.Feedback, name) == value)
    newest = statement.order_by(col(tables.Feedback.at).desc(), col(tables.Feedback.id).desc())
    return list(session.exec(newest.limit(limit)))


def wire(session: Session, rows: Sequence[tables.Feedback]) -> list[dict[str, Any]]:
    """Feedback as it goes out, with its words where they are not erased."""
    said = notes.texts(session, "feedback", [row.id for row in rows])
    return [{**row.model_dump(mode="json"), **said.get(row.id, {})} for row in rows]
