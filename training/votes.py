"""What the reviews behind a decision add up to.

In: episodes. Out: how many votes, how many of them agree, what they asked for, how long they took.
"""

from datetime import datetime
from typing import NamedTuple

from errata import protocol
from review.history import Episode, Heard
from training import turns


def counted(episode: Episode) -> list[Heard]:
    """The reviews that made the decision."""
    return [heard for heard in episode.reviews if heard.row.counted]


class Support(NamedTuple):
    """How many reviews a decision rests on, and the share that is for what was decided."""

    votes: int
    agreement: float | None


def support(episode: Episode) -> Support:
    """Count the votes behind a decision."""
    heard = counted(episode)
    backing = sum(_backs(one, episode.decision) for one in heard)
    return Support(len(heard), backing / len(heard) if heard else None)


def _backs(heard: Heard, decision: protocol.Decision) -> bool:
    row, review = heard
    if decision.outcome == "approve":
        named = {None, decision.effective.candidate}
        return row.verdict == "approve" and (review is None or review.candidate in named)
    if row.verdict == "approve":  # of the edited bytes, or of the proposal as it was
        return row.digest == decision.digest
    if row.verdict != "edit" or review is None:
        return row.verdict == "edit"
    theirs = turns.said(content=review.content, action=review.action)
    ours = turns.said(content=decision.effective.content, action=decision.effective.action)
    return theirs is not None and ours is not None and turns.same(theirs, ours)


def guidance(parent: Episode) -> str | None:
    """What reviewers asked of the next attempt, one per line."""
    said = [h.review.guidance for h in counted(parent) if h.review and h.review.guidance]
    return "\n".join(said) or None


def review_seconds(episode: Episode) -> float | None:
    """Mean time from opening to deciding over the reviews that say when they were opened, in s."""
    times = [
        _seconds(heard.row.opened_at, heard.row.decided_at or heard.row.received_at)
        for heard in counted(episode)
        if heard.row.opened_at is not None
    ]
    return sum(times) / len(times) if times else None


def _seconds(start: datetime, end: datetime) -> float:
    return max((end - start).total_seconds(), 0.0)
