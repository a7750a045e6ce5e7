"""What a piece of review history amounts to: which reviews count, and the decision.

In: a `History` as a file states it. Out: the same, checked, with its decision. Pure.
"""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from errata import protocol
from errata.digest import digest, version_body
from errata.errors import Malformed
from ingestion import decisions
from ingestion.sources.reviews import History, Said, inside
from review import versions
from review.history import DERIVED
from review.versions import Vote

PRECEDENCE: tuple[protocol.Verdict, ...] = (
    "reject",
    "edit",
    "takeover",
    "regenerate",
    "respond",
    "approve",
)
"""Where reviewers differ, the first of these that anyone said decides."""


class Settled(NamedTuple):
    """History whose parts fit each other."""

    history: History
    counted: frozenset[int]
    """Indices of the reviews that count: each reviewer's newest."""
    decision: protocol.Decision | None
    """As stated, else as the reviews make it; None without either."""


def settle(history: History, now: datetime) -> Settled:
    """Check reviews and decision against the proposal, and decide where the file does not.

    Args:
        history: One line of a file.
        now: Stands for the time of a decision that no review states.

    Raises:
        Malformed: What does not fit, with the field's path from the top of the line.
    """
    votes = [
        _vote(history.proposal, said.review, f"reviews[{index}]")
        for index, said in enumerate(history.said)
    ]
    newest = _newest(history.said)
    if history.decision is not None:
        decision = _stated(history.proposal, history.decision)
    elif newest:
        decision = _derived(history, [votes[index] for index in newest], newest, now)
    else:
        decision = None
    if history.receipts and decision is None:
        raise Malformed("nothing was decided, so nothing can have run", field="receipts")
    return Settled(history, frozenset(newest), decision)


def _vote(proposal: protocol.Proposal, review: protocol.Review, path: str) -> Vote:
    try:
        if _other_tool(proposal, review):
            return Vote("edit", protocol.Effective(action=review.action))
        return versions.weigh(proposal, review)
    except versions.NoSingleBest:
        # A tie is refused while the person can still be asked; in history it is what they said.
        chosen = {"candidate": None, "ranking": None, "pairwise": None}
        undecided = review.model_copy(update=chosen)
        if review.verdict == "edit":
            return versions.weigh(proposal, undecided)
        return Vote("approve", protocol.Effective())
    except Malformed as error:
        raise inside(path, error) from error


def _other_tool(proposal: protocol.Proposal, review: protocol.Review) -> bool:
    """Whether an edit names another tool: for live work the policy says no, in history it may."""
    before, after = proposal.action, review.action
    return (
        review.verdict == "edit"
        and proposal.kind == "action"
        and before is not None
        and after is not None
        and before.name != after.name
    )


def _newest(said: Sequence[Said]) -> list[int]:
    """Indices of each reviewer's newest review, oldest first.

    By `decided_at` where all state it, else by the order in the file.
    """
    order = list(range(len(said)))
    moments = [one.review.decided_at for one in said]
    if None not in moments:
        order.sort(key=lambda index: moments[index] or datetime.min.replace(tzinfo=UTC))
    last = {said[index].reviewer: index for index in order}
    return [index for index in order if last[said[index].reviewer] == index]


def _derived(
    history: History, votes: list[Vote], newest: list[int], now: datetime
) -> protocol.Decision:
    vote = _prevailing(votes)
    moments = [history.said[index].review.decided_at for index in newest]
    names = ", ".join(history.said[index].reviewer for index in newest)
    return protocol.Decision(
        proposal_id=history.id,
        outcome=vote.verdict,
        by="import",
        effective=vote.effective,
        digest=_digest(history, vote),
        policy_version=history.policy_version,
        reason=f"{DERIVED}{vote.verdict}, reviewed by {names}",
        reviews=protocol.Tally(needed=len(newest), got=len(newest)),
        decided_at=max((moment for moment in moments if moment is not None), default=now),
    )


def _prevailing(votes: list[Vote]) -> Vote:
    verdict = next(one for one in PRECEDENCE if any(vote.verdict == one for vote in votes))
    said = [vote for vote in votes if vote.verdict == verdict]
    return _favourite(said) if verdict == "approve" else said[-1]


def _favourite(approvals: list[Vote]) -> Vote:
    """The candidate that most approve; none when two are equal. Other kinds name none at all."""
    counts = Counter(vote.effective.candidate for vote in approvals).most_common(2)
    if len(counts) == 2 and counts[0][1] == counts[1][1]:
        return Vote("approve", protocol.Effective())
    return next(vote for vote in approvals if vote.effective.candidate == counts[0][0])


def _digest(history: History, vote: Vote) -> str:
    proposal = history.proposal
    if vote.verdict not in {"approve", "edit"} or proposal.kind not in decisions.RUNS:
        return history.digest
    return digest(
        agent=proposal.agent.id,
        kind=proposal.kind,
        body=version_body(proposal, vote.effective),
        tool_schema=decisions.tool_schema(None, proposal),
        policy_version=history.policy_version,
    )


def _stated(proposal: protocol.Proposal, decision: protocol.Decision) -> protocol.Decision:
    """A stated decision; an approval that does not spell out what counts means the proposal."""
    given = decision.effective
    known = {candidate.id for candidate in proposal.candidates or ()}
    if given.candidate is not None and given.candidate not in known:
        raise Malformed(f"no candidate {given.candidate!r}", field="decision.effective.candidate")
    if decision.outcome == "edit" and version_body(proposal, given) == version_body(
        proposal, protocol.Effective()
    ):
        raise Malformed("an edit needs the person's version", field="decision.effective")
    if decision.outcome != "approve":
        return decision
    return decision.model_copy(update={"effective": decisions.effective(proposal, given)})
