"""Which of several candidates people prefer.

In: the reviews of one set of candidates. Out: a partial order of the candidates, and the pairs that
a strategy takes from it.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import combinations, product
from typing import Literal, NamedTuple, TypeVar

from errata.protocol import Review

Strategy = Literal["best_worst", "adjacent", "all", "best_vs_rest"]
"""Which pairs are taken from an order: the best against the worst (one pair), neighbours, every
pair that was compared, or the best against each of the others."""
Source = Literal["pairwise", "ranking", "choice"]
"""What a comparison was read from."""
Choice = TypeVar("Choice", str, tuple[str, str])


class Stance(NamedTuple):
    """What one review says about two candidates."""

    sign: int
    """1: the first is better, -1: the second is, 0: a tie."""
    source: Source


class Win(NamedTuple):
    """That people put one candidate above another."""

    better: str
    worse: str
    source: Source
    votes: int
    """Reviews that compared the two; all of the set where it only follows from other wins."""
    agreement: float | None
    """Share of those reviews that say so; None where it only follows."""


class Order(NamedTuple):
    """What all reviews of a set say together.

    Two candidates are ordered by the majority of the reviews that compared them; an even vote is a
    tie. With one review that is the review itself.
    """

    judged: tuple[str, ...]
    """Candidates that were compared with another, in the proposal's order."""
    wins: dict[tuple[str, str], Win]
    """By (better, worse), as compared."""
    ties: frozenset[frozenset[str]]
    above: frozenset[tuple[str, str]]
    """Transitive closure of the wins, without pairs that were judged a tie."""
    reviews: int
    """Reviews that compared any two."""
    cyclic: bool
    """Whether a candidate comes out above itself; such a set has no order."""

    @property
    def best(self) -> tuple[str, ...]:
        """Judged candidates that none is above; empty where the set is cyclic."""
        beaten = {worse for _, worse in self.above}
        return () if self.cyclic else tuple(c for c in self.judged if c not in beaten)

    @property
    def leads(self) -> Counter[str]:
        """By candidate: others it won against, less those it lost to (Copeland's score)."""
        leads: Counter[str] = Counter()
        for better, worse in self.wins:
            leads[better] += 1
            leads[worse] -= 1
        return leads


def order(candidates: Iterable[str], reviews: Iterable[Review]) -> Order:
    """Add up what reviews say about a set of candidates.

    Args:
        candidates: Ids in the proposal's order.
        reviews: Those that count. Of each, a pairwise judgement goes before the ranking and the
            ranking before the choice of one candidate; unknown ids are passed over.
    """
    ids = tuple(candidates)
    said = [_stances(ids, review) for review in reviews]
    wins: dict[tuple[str, str], Win] = {}
    ties: set[frozenset[str]] = set()
    for pair in combinations(ids, 2):
        votes = [stances[pair] for stances in said if pair in stances]
        total = sum(vote.sign for vote in votes)
        if total == 0:
            ties.update([frozenset(pair)] if votes else [])
            continue
        better, worse = pair if total > 0 else pair[::-1]
        sign = 1 if total > 0 else -1
        agreeing = [vote for vote in votes if vote.sign == sign]
        wins[better, worse] = Win(
            better, worse, agreeing[0].source, len(votes), len(agreeing) / len(votes)
        )
    above = _closure(wins)
    compared = {c for pair in [*wins, *ties] for c in pair}
    return Order(
        judged=tuple(c for c in ids if c in compared),
        wins=wins,
        ties=frozenset(ties),
        above=frozenset(pair for pair in above if frozenset(pair) not in ties),
        reviews=sum(map(bool, said)),
        cyclic=any(better == worse for better, worse in above),
    )


def _stances(ids: tuple[str, ...], review: Review) -> dict[tuple[str, str], Stance]:
    judged = {
        (judgement.a, judgement.b): {"a": 1, "b": -1, "tie": 0}[judgement.winner]
        for judgement in review.pairwise or ()
    }
    tier = {id_: depth for depth, ids in enumerate(review.ranking or ()) for id_ in ids}
    stances: dict[tuple[str, str], Stance] = {}
    for a, b in combinations(ids, 2):
        if (a, b) in judged or (b, a) in judged:
            # Both orders may have been shown: two answers that contradict each other are a tie.
            total = judged.get((a, b), 0) - judged.get((b, a), 0)
            stances[a, b] = Stance((total > 0) - (total < 0), "pairwise")
        elif a in tier and b in tier:
            stances[a, b] = Stance((tier[a] < tier[b]) - (tier[a] > tier[b]), "ranking")
        elif review.candidate in (a, b):
            stances[a, b] = Stance(1 if review.candidate == a else -1, "choice")
    return stances


def _closure(wins: Iterable[tuple[str, str]]) -> set[tuple[str, str]]:
    below: dict[str, set[str]] = {}
    for better, worse in wins:
        below.setdefault(better, set()).add(worse)
    found: set[tuple[str, str]] = set()
    for start in below:
        reached: set[str] = set()
        waiting = list(below[start])
        while waiting:
            here = waiting.pop()
            if here not in reached:
                reached.add(here)
                waiting.extend(below.get(here, ()))
        found.update((start, end) for end in reached)
    return found


def pairs(of: Order, strategy: Strategy, *, salt: str, chosen: str | None) -> list[Win]:
    """The pairs that a strategy takes.

    A tie is never a pair. A cyclic set has no best and no neighbours: only `all` takes its
    judgements.

    Args:
        of: The order of one set.
        strategy: Which pairs.
        salt: Makes the pick among equals the same every time and free of position.
        chosen: The candidate that the decision names, which is taken as the best where it is one.
    """
    if of.cyclic and strategy != "all":
        return []
    match strategy:
        case "all":
            return list(of.wins.values())
        case "best_worst":
            return _extreme(of, salt, chosen)
        case "best_vs_rest":
            return [_win(of, a, b) for a, b in product(of.best, of.judged) if (a, b) in of.above]
        case "adjacent":
            return [_win(of, a, b) for a, b in _neighbours(of)]


def _extreme(of: Order, salt: str, chosen: str | None) -> list[Win]:
    winners = {better for better, _ in of.above}
    ends = [(a, b) for a, b in sorted(of.above) if a in of.best and b not in winners]
    ends = [pair for pair in ends if pair[0] == chosen] or ends
    leads = of.leads
    widest = max((leads[a] - leads[b] for a, b in ends), default=0)
    ends = [(a, b) for a, b in ends if leads[a] - leads[b] == widest]
    return [_win(of, *pick(ends, salt))] if ends else []


def _neighbours(of: Order) -> Iterator[tuple[str, str]]:
    for a, b in product(of.judged, of.judged):
        between = any((a, c) in of.above and (c, b) in of.above for c in of.judged)
        if (a, b) in of.above and not between:
            yield a, b


def _win(of: Order, better: str, worse: str) -> Win:
    compared = of.wins.get((better, worse))
    if compared is not None:
        return compared
    source = next(iter(of.wins.values())).source
    return Win(better, worse, source, of.reviews, None)


def foremost(of: Order, salt: str) -> str | None:
    """One of the best: that with the greatest lead, and among equals the same every time."""
    leads = of.leads
    most = max((leads[c] for c in of.best), default=0)
    return pick([c for c in of.best if leads[c] == most], salt) if of.best else None


def pick(among: Iterable[Choice], salt: str) -> Choice:
    """One of several equals: the same every time, and not by its position."""
    return min(among, key=lambda item: hashlib.sha256(f"{salt}\n{item}".encode()).digest())
