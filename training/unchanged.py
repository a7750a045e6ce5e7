"""Decisions that let the agent's only turn stand as it was: no pair comes of them.

In: what an export wants, and a database. Out: a condition that finds them by their rows alone, and
how many there are. Most decisions are of this sort, and nothing more of them is read.

The condition finds only decisions of which `pairs.read` says that they are unchanged; those that it
does not find are read, whatever they are.
"""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, and_, func, select
from sqlmodel import Session, col

from ingestion.tables import Decision, Payload, Proposal
from review.tables import Review
from training import parts
from training.parts import Seen, Wanted

ONE_TURN = ("action", "draft", "plan", "click")
"""Kinds that propose a single turn."""


def condition(wanted: Wanted) -> ColumnElement[bool] | None:
    """What the rows of such decisions meet; None where all are to be read.

    It is never NULL, so that its contrary holds for all others.
    """
    if wanted.kind not in {"dpo", "reward"} or wanted.people.out:
        return None
    id_ = col(Proposal.id)
    later = select(col(Review.id)).where(
        col(Review.proposal_id) == id_,
        col(Review.accepted),
        col(Review.surface) == "task",
        col(Review.void).is_(None),
    )
    text = select(col(Payload.id)).where(col(Payload.owner) == "proposal", col(Payload.id) == id_)
    return and_(
        col(Decision.outcome) == "approve",
        col(Decision.by) != "policy",
        col(Proposal.kind).in_(ONE_TURN),
        col(Proposal.parent_id).is_(None),
        col(Proposal.exclude).is_(None),
        (col(Proposal.source) == "import") | (col(Proposal.mode) == "live"),
        ~later.exists(),
        text.exists(),
    )


def add(read: Seen, session: Session, within: Sequence[ColumnElement[bool]]) -> Seen:
    """What was seen of all decisions, where these were not read.

    Args:
        read: What was seen of the others.
        session: The reading transaction in which those were read.
        within: All decisions, see `review.extent.chosen`.
    """
    policy, at = col(Decision.policy_version), col(Decision.decided_at)
    statement = select(policy, func.count(), func.min(at), func.max(at)).where(*within)
    found = session.connection().execute(statement.group_by(policy)).all()
    passed = sum(count for _, count, _, _ in found) - read.decisions
    rest = Seen(
        decisions=passed,
        first=min((first for _, _, first, _ in found), default=None),
        last=max((last for _, _, _, last in found), default=None),
        policies=frozenset(version for version, *_ in found),
        dropped={"unchanged": passed},
    )
    return parts.add([read, rest])
