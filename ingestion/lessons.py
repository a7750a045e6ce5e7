"""Earlier corrections of like cases, for an agent that is about to propose.

In: a case, written as the proposal that it would become. Out: the corrections of the most similar
earlier ones.
"""

from typing import NamedTuple

from rapidfuzz import fuzz, utils
from sqlmodel import Session, col, select

from errata import protocol
from errata.digest import body, canonical
from ingestion import tables

TAUGHT = ("edit", "reject", "regenerate", "blocked")
"""Outcomes that an agent can learn from."""
NEWEST = 200
"""So many earlier cases are compared: a lesson that is older has been given often enough."""
LONGEST = 2_000
"""Characters of a case that are compared."""


class Lesson(NamedTuple):
    """What an earlier case has taught."""

    proposal_id: str
    outcome: str
    similarity: float
    """0 to 1: share of words in common with the case at hand."""
    prompt: str


def recall(
    session: Session, case: protocol.Proposal, proposed_by: str | None, *, limit: int = 5
) -> list[Lesson]:
    """The corrections of earlier cases of the same agent, kind and tool, the most similar first.

    Similarity is rapidfuzz's `token_set_ratio`: the words in common, whatever their order and
    number, so that a short case finds the long one that contains it.

    Args:
        session: A transaction.
        case: What the agent is about to propose.
        proposed_by: Only cases of this principal; None: of every one.
        limit: At most so many.
    """
    wanted = _words(case)
    found = [
        Lesson(row.id, decision.outcome, fuzz.token_set_ratio(wanted, _words(earlier)) / 100, told)
        for row, decision, earlier, told in _taught(session, case, proposed_by)
    ]
    found.sort(key=lambda lesson: -lesson.similarity)  # stable: of equal ones the newest
    return found[:limit]


class _Case(NamedTuple):
    row: tables.Proposal
    decision: tables.Decision
    proposal: protocol.Proposal
    told: str


def _taught(session: Session, case: protocol.Proposal, proposed_by: str | None) -> list[_Case]:
    action = case.action.name if case.kind == "action" and case.action else None
    statement = (
        select(tables.Proposal, tables.Decision)
        .join(tables.Decision, col(tables.Decision.proposal_id) == tables.Proposal.id)
        .where(
            tables.Proposal.agent_id == case.agent.id,
            tables.Proposal.kind == case.kind,
            col(tables.Decision.outcome).in_(TAUGHT),
            col(tables.Proposal.exclude).is_(None),
        )
        .order_by(col(tables.Decision.decided_at).desc(), col(tables.Decision.proposal_id))
        .limit(NEWEST)
    )
    if action is not None:
        statement = statement.where(tables.Proposal.action_name == action)
    if proposed_by is not None:
        statement = statement.where(tables.Proposal.proposed_by == proposed_by)
    rows = {row.id: (row, decision) for row, decision in session.exec(statement)}
    texts = session.exec(
        select(tables.Payload).where(
            col(tables.Payload.proposal_id).in_(list(rows)),
            col(tables.Payload.owner).in_(("proposal", "decision")),
        )
    )
    bodies = {(text.owner, text.proposal_id): text.body for text in texts}
    found: list[_Case] = []
    for id_, (row, decision) in rows.items():
        asked, told = bodies.get(("proposal", id_)), bodies.get(("decision", id_), {})
        prompt = told.get("corrective_prompt")
        if asked is not None and prompt:  # an erased case teaches nothing
            found.append(_Case(row, decision, protocol.Proposal.model_validate(asked), prompt))
    return found


def _words(case: protocol.Proposal) -> str:
    """The case in words: what is proposed, and what the user had said last."""
    said = [message.content or "" for message in case.prompt or () if message.role == "user"]
    text = canonical(body(case)).decode()[:LONGEST]
    return utils.default_process(f"{text} {(said or [''])[-1][:LONGEST]}")
