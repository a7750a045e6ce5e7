"""What is known of the reviewers before any row is made: a first pass over the decided work.

In: episodes. Out: who is not listened to, how wide each one's ratings are, and what several votes on
imported work come to.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from statistics import NormalDist, pstdev
from typing import NamedTuple

import numpy as np

from errata.errors import Malformed
from review.history import DERIVED, Episode
from training import consensus, reasons, votes
from training.consensus import Consensus, Method, Votes
from training.votes import Standing, Support

ENOUGH = 20
"""Honeypots from which on a reviewer must have reached the bar for certain."""
SOME = 5
"""Honeypots from which on a reviewer is out where the bar is missed for certain."""
RATINGS = 10
"""Ratings below which a person's own spread is not known."""
SPREADS = 4
"""Standard deviations that make a scale: two on either side of the mean hold most ratings."""


class Caught(NamedTuple):
    """How a reviewer did on planted work."""

    honeypots: int
    right: int

    @property
    def bounds(self) -> tuple[float, float]:
        """The 95 % score interval of the share that was right.

        Source: E. B. Wilson, "Probable inference, the law of succession, and statistical
        inference", Journal of the American Statistical Association 22 (1927), pages 209-212.
        """
        z, n = NormalDist().inv_cdf(0.975), self.honeypots
        share = self.right / n
        middle = (share + z * z / (2 * n)) / (1 + z * z / n)
        reach = z / (1 + z * z / n) * (share * (1 - share) / n + z * z / (4 * n * n)) ** 0.5
        return middle - reach, middle + reach

    def fails(self, bar: float) -> bool:
        """Whether the bar is not reached: not for certain, or with few honeypots certainly not."""
        if self.honeypots < SOME:
            return False
        low, high = self.bounds
        return (low if self.honeypots >= ENOUGH else high) < bar


class Verdict(NamedTuple):
    """Whether the agent's own turn was good, by several votes."""

    good: bool
    support: Support
    method: Method


class People(NamedTuple):
    """What is known of the reviewers."""

    out: frozenset[str] = frozenset()
    """Those who are not listened to."""
    verdicts: Mapping[str, Verdict] = {}
    """By proposal: of imported work with several votes. An even vote has none."""
    spans: Mapping[str, float] = {}
    """By reviewer: what counts as the whole scale of their ratings of candidates."""
    range: float | None = None
    """From the lowest rating of a candidate to the highest, of those whose span is not known."""

    def span(self, reviewer: str) -> float | None:
        """What counts as the whole scale of a person's ratings; None where nothing is known."""
        return self.spans.get(reviewer, self.range)


class _Notes:
    """What the first pass gathers."""

    def __init__(self) -> None:
        self.planted: defaultdict[str, list[bool]] = defaultdict(list)
        self.ratings: defaultdict[str, list[float]] = defaultdict(list)
        self.items: list[str] = []
        self.said: list[tuple[int, str, bool]] = []
        """Item, reviewer, whether they took the agent's turn as it was."""

    def take(self, episode: Episode) -> None:
        """Gather what one episode says."""
        standing = votes.standing(episode)
        if reasons.excluded(episode) == "honeypot":
            for one in standing.heard:
                self.planted[one.row.reviewer].append(_is_right(episode, one.row.verdict))
            return
        if reasons.excluded(episode) is not None or episode.proposal is None:
            return
        if episode.proposal.candidates:
            self._rate(episode, standing)
        elif standing.by == "import" and len(standing.heard) > 1:
            self._vote(episode, standing)

    def _rate(self, episode: Episode, standing: Standing) -> None:
        assert episode.proposal is not None
        ids = {one.id for one in episode.proposal.candidates or ()}
        for one in standing.heard:
            rated = (one.review.ratings or {}) if one.review else {}
            self.ratings[one.row.reviewer] += [value for id_, value in rated.items() if id_ in ids]

    def _vote(self, episode: Episode, standing: Standing) -> None:
        if standing.outcome not in {"approve", "edit", "reject", "regenerate"}:
            return
        taken = votes.approvals(standing)
        self.said += [
            (len(self.items), one.row.reviewer, good)
            for one, good in zip(standing.heard, taken, strict=True)
        ]
        self.items.append(episode.row.id)


def _is_right(episode: Episode, verdict: str) -> bool:
    """Planted work is wrong, unless its file states that to approve it is right."""
    decision = episode.decision
    stated = decision.by == "import" and not decision.reason.startswith(DERIVED)
    return (verdict == "approve") == (stated and decision.outcome == "approve")


def look(episodes: Iterable[Episode], *, min_reliability: float | None = None) -> People:
    """Learn what is to be known of the reviewers.

    Args:
        episodes: The decided work, in any order; read once. Three numbers are held per vote on imported work, and
            one per rating.
        min_reliability: The share of honeypots that a reviewer must get right, 0 to 1; None: all
            are listened to.

    Raises:
        Malformed: `min_reliability` is no share.
    """
    if min_reliability is not None and not 0 <= min_reliability <= 1:
        raise Malformed(f"a share is wanted, 0 to 1, not {min_reliability}", "min_reliability")
    notes = _Notes()
    for episode in episodes:
        notes.take(episode)
    planted = {name: Caught(len(said), sum(said)) for name, said in notes.planted.items()}
    out = frozenset(
        name
        for name, caught in planted.items()
        if min_reliability is not None and caught.fails(min_reliability)
    )
    spans = {name: _span(given) for name, given in notes.ratings.items() if name not in out}
    unknown = [r for name, given in notes.ratings.items() if not spans.get(name) for r in given]
    return People(
        out=out,
        verdicts=_verdicts(notes, out),
        spans={name: span for name, span in spans.items() if span},
        range=max(unknown) - min(unknown) if unknown else None,
    )


def _span(ratings: list[float]) -> float | None:
    return SPREADS * pstdev(ratings) if len(ratings) >= RATINGS else None


def _verdicts(notes: _Notes, out: frozenset[str]) -> dict[str, Verdict]:
    said = [(notes.items[item], name, good) for item, name, good in notes.said if name not in out]
    said.sort()  # sums of fractions come out the same, whatever came first
    if not said:
        return {}
    numbers = {name: n for n, name in enumerate(dict.fromkeys(name for _, name, _ in said))}
    kept = {item: n for n, item in enumerate(dict.fromkeys(item for item, _, _ in said))}
    given = Votes(
        np.array([kept[item] for item, _, _ in said], dtype=np.int64),
        np.array([numbers[name] for _, name, _ in said], dtype=np.int64),
        np.array([good for _, _, good in said], dtype=np.int64),
    )
    found = consensus.agree(given, len(kept), 2)
    return {item: _verdict(found, n) for item, n in kept.items() if found.labels[n] >= 0}


def _verdict(found: Consensus, item: int) -> Verdict:
    count, share = int(found.votes[item]), float(found.agreement[item])
    support = Support(count, share if count > 1 else None)
    return Verdict(bool(found.labels[item]), support, found.method)
