"""What people say of work that is decided already: audits of what ran by itself, tasks handed over.

In: open tasks, reviews of them. Out: the review beside the decision, which stays as it is.
"""

from datetime import datetime
from typing import Any

from sqlmodel import Session, col, func, select

from errata import protocol
from errata.errors import Conflict, DigestMismatch, Malformed, NotFound
from ingestion import arguments, policies, store, tables, tasks
from ingestion.policy import NO_TOOL
from review import versions, votes
from review.votes import Voice


def waiting(session: Session, limit: int = 500) -> list[dict[str, Any]]:
    """The open tasks as they go out, oldest first."""
    statement = (
        select(tables.Task, tables.Proposal)
        .join(tables.Proposal)
        .where(tables.Task.status == "open")
        .order_by(col(tables.Task.opened_at), col(tables.Task.id))
        .limit(limit)
    )
    return [
        {
            "id": task.id,
            "sort": task.sort,
            "proposal_id": row.id,
            "digest": row.digest,
            "kind": row.kind,
            "agent": row.agent_id,
            "action": row.action_name,
            "opened_at": task.opened_at,
        }
        for task, row in session.exec(statement)
    ]


def count(session: Session) -> dict[str, int]:
    """How many tasks of each sort are open."""
    statement = (
        select(tables.Task.sort, func.count())
        .where(tables.Task.status == "open")
        .group_by(tables.Task.sort)
    )
    return dict(session.exec(statement).all())


def answer(
    session: Session, task_id: str, review: protocol.Review, voice: Voice, *, now: datetime
) -> str:
    """Take in what a person says of a task, which is done with it.

    Of an audit: what they would have decided. Of a task that was handed over: what they did, as
    `approve` (what the agent proposed), `edit` (their version of it) or `reject` (nothing).

    Args:
        session: A transaction.
        task_id: The task.
        review: What they say, about the digest that the task names.
        voice: The authenticated person.
        now: When.

    Returns:
        The id of the proposal.

    Raises:
        NotFound: No such task, or the proposal's text was erased.
        NotEligible: No reviewer, or the one who proposed or asked for it.
        Conflict: The task is done, or was dropped.
        DigestMismatch: The review is about something else.
        Malformed: The review does not fit the proposal, or names another.
    """
    task = session.get(tables.Task, task_id)
    if task is None:
        raise NotFound(f"no task {task_id!r}")
    row = store.hold(session, task.proposal_id)
    session.refresh(task)  # somebody may have answered it while this one waited
    if review.proposal_id != row.id:
        raise Malformed("proposal_id is not that of the task", field="proposal_id")
    votes.check_person(row, voice.reviewer)
    if task.status != "open":
        raise Conflict(f"task {task_id} is {task.status}")
    if review.digest != row.digest:
        raise DigestMismatch("the review is about something else than the task")
    proposal = store.proposal(session, row.id)
    if proposal is None:
        raise NotFound(f"the text of proposal {row.id} has been erased")
    in_force = policies.in_force(session)
    tool = in_force.policy.tool(proposal.action.name) if proposal.action else NO_TOOL
    vote = versions.weigh(proposal, review, tool.edits_to)
    if vote.effective.action is not None:
        arguments.check(in_force, proposal, vote.effective.action, "action")
    votes.keep(session, row, review, voice, now=now)
    tasks.close(session, task, actor=voice.reviewer.id, now=now)
    return row.id
