"""What people made of a proposal, and what the reviews behind that add up to.

In: episodes. Out: what stands, how many votes it rests on and how many of them agree, what they
asked for, how long they took.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Literal, NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from errata import protocol
from review.history import Episode, Heard
from training import turns
from training.turns import Turn

By = Literal["policy", "people", "import"]
SENIOR = "senior"
"""The role of reviewers whose text goes before another's."""


class Standing(Struct, frozen=True, gc=False):
    """What people made of a proposal.

    The decision, unless they looked at it again: an audit of what ran by itself, or the task that
    was handed over to them, is newer than the decision, which stays as it is.
    """

    outcome: protocol.Outcome
    effective: protocol.Effective
    heard: tuple[Heard, ...]
    """The reviews that it rests on."""
    digest: str
    """Of what counts."""
    by: By
    weak: bool
    """Whether nobody who backs it can be relied on."""


def standing(episode: Episode, out: frozenset[str] = frozenset()) -> Standing:
    """What people made of a proposal.

    Args:
        episode: The decided proposal.
        out: Reviewers who are not listened to.
    """
    decision, reviews = episode.decision, episode.reviews
    later = [h for h in reviews if h.row.surface == "task" and h.row.void is None]
    if later:
        row, review = later[-1].row, later[-1].review
        version = protocol.Effective() if review is None else version_of(review)
        found = Standing(row.verdict, version, (later[-1],), row.digest, "people", weak=False)  # pyright: ignore[reportArgumentType] - the column holds a verdict
    else:
        heard = tuple([h for h in reviews if h.row.counted])
        found = Standing(
            decision.outcome, decision.effective, heard, decision.digest, decision.by, weak=False
        )
    if not out:
        return found
    reliable = tuple(h for h in found.heard if h.row.reviewer not in out)
    if len(reliable) == len(found.heard):
        return found
    return replace(found, heard=reliable, weak=not any(_backs(one, found) for one in reliable))


def version_of(review: protocol.Review) -> protocol.Effective:
    """What counts by the word of one review."""
    # Not validated again: the review may be a light one, see `review.stored`.
    return protocol.Effective.model_construct(
        action=review.action,
        content=review.content,
        response=review.response,
        candidate=review.candidate,
        point=review.point,
    )


class Version(NamedTuple):
    """A text or call that people wrote in the place of what was proposed."""

    by: Heard
    """The last who wrote it."""
    turn: Turn
    votes: int
    """How many wrote it."""
    senior: bool


def versions(of: Standing) -> list[Version]:
    """What people wrote, each version once, in the order in which it was last written."""
    found: list[Version] = []
    for one in of.heard:
        turn = None if one.review is None else said(version_of(one.review))
        if one.row.verdict != "edit" or turn is None:
            continue
        same = [version for version in found if turns.same(version.turn, turn)]
        found = [version for version in found if version not in same]
        senior = SENIOR in (one.row.reviewer_role or "").split(",")
        count = 1 + sum(version.votes for version in same)
        found.append(Version(one, turn, count, senior or any(v.senior for v in same)))
    return found


class Support(NamedTuple):
    """How many reviews something rests on, and the share that is for it."""

    votes: int
    agreement: float | None


def support(of: Standing) -> Support:
    """Count the votes behind what stands."""
    if len(of.heard) < 2:
        return share(0, len(of.heard))  # which way one vote went is not told, so not looked at
    return share(sum(_backs(one, of) for one in of.heard), len(of.heard))


def approvals(of: Standing) -> list[bool]:
    """Of each review: whether it took the agent's own turn as it was."""
    return [one.row.verdict == "approve" and not _for_edit(one, of) for one in of.heard]


def label(of: Standing, good: bool) -> Support:
    """Count the votes for calling the agent's own turn good, or bad."""
    taken = approvals(of)
    return share(taken.count(good), len(taken))


def share(hits: int, votes: int) -> Support:
    """So many of so many; one vote alone agrees with nobody, so it has no share."""
    return Support(votes, hits / votes if votes > 1 else None)


def _for_edit(one: Heard, of: Standing) -> bool:
    """Whether an approval is of the edited bytes; others are of the proposal as it was."""
    return of.outcome == "edit" and one.row.digest == of.digest


def _backs(one: Heard, of: Standing) -> bool:
    row, review = one.row, one.review
    if of.outcome == "approve":
        named = {None, of.effective.candidate}
        return row.verdict == "approve" and (review is None or review.candidate in named)
    if of.outcome == "respond":
        return review is None or review.response == of.effective.response
    if of.outcome != "edit":
        return row.verdict == of.outcome
    if row.verdict == "approve":
        return _for_edit(one, of)
    if row.verdict != "edit" or review is None:
        return row.verdict == "edit"
    theirs = turns.said(content=review.content, action=review.action)
    ours = said(of.effective)
    return theirs is not None and ours is not None and turns.same(theirs, ours)


def said(version: protocol.Effective) -> Turn | None:
    """A person's version as a turn; None where it has none."""
    return turns.said(content=version.content, action=version.action, point=version.point)


def guidance(heard: Iterable[Heard]) -> str | None:
    """What reviewers asked of the next attempt, one per line."""
    asked = [one.review.guidance for one in heard if one.review and one.review.guidance]
    return "\n".join(asked) or None


def review_seconds(heard: Iterable[Heard]) -> float | None:
    """Mean time from opening to deciding over the reviews that say when they were opened, in s."""
    times = [
        _seconds(one.row.opened_at, one.row.decided_at or one.row.received_at)
        for one in heard
        if one.row.opened_at is not None
    ]
    return sum(times) / len(times) if times else None


def _seconds(start: datetime, end: datetime) -> float:
    return max((end - start).total_seconds(), 0.0)
