"""Which of several candidates people prefer.

In: the reviews of one set of candidates. Out: a partial order of the candidates, and the pairs that
a strategy takes from it.
"""

import hashlib
from collections.abc import Iterable, Iterator
from itertools import chain, combinations, product
from typing import Literal, NamedTuple, TypeVar

import numpy as np
from msgspec import Struct

from errata.protocol import Review
from training import consensus

Strategy = Literal["best_worst", "adjacent", "all", "best_vs_rest"]
"""Which pairs are taken from an order: the best against the worst (one pair), neighbours, every
pair that was compared, or the best against each of the others."""
Source = Literal["pairwise", "ranking", "rating", "choice"]
"""What a comparison was read from."""
Choice = TypeVar("Choice", str, tuple[str, str])

STEP = 0.2
"""Share of the scale that two ratings must lie apart to say which is better: one step of five."""
EVEN = 1e-9
"""Difference of two scores below which they are equal."""


class Said(NamedTuple):
    """What one person said about a set of candidates."""

    review: Review
    span: float | None = None
    """What counts as the whole scale of this person's ratings; None: from their lowest to their
    highest of this set."""


class Stance(Struct, frozen=True, gc=False):
    """What one review says about two candidates."""

    sign: int
    """1: the first is better, -1: the second is, 0: a tie."""
    source: Source
    gap: float | None = None
    """How far apart they were rated, as a share of the scale."""


class Win(Struct, frozen=True, gc=False):
    """That people put one candidate above another."""

    better: str
    worse: str
    source: Source
    votes: int
    """Reviews that compared the two; all of the set where it only follows from other wins."""
    agreement: float | None
    """Share of those reviews that say so; None of a single one, and where it only follows."""
    gap: float | None = None
    """How far apart they were rated on average, as a share of the scale; None where they were not
    rated but compared."""


class Order(Struct, frozen=True, gc=False):
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
    """Transitive closure of the wins, without pairs that were judged a tie; of several people's
    also without those that the scores contradict."""
    scores: dict[str, float]
    """By candidate: Bradley and Terry's score where several people compared; else the others it won
    against, less those it lost to (Copeland's score)."""
    ranks: dict[str, int]
    """By candidate: how many come above it; empty where the set is cyclic."""
    reviews: int
    """Reviews that compared any two."""
    cyclic: bool
    """Whether a candidate comes out above itself; such a set has no order."""

    @property
    def best(self) -> tuple[str, ...]:
        """Judged candidates that none is above; empty where the set is cyclic."""
        beaten = {worse for _, worse in self.above}
        return () if self.cyclic else tuple(c for c in self.judged if c not in beaten)

    def gap(self, win: Win) -> float:
        """How far apart the two of a pair are, 0 to 1.

        Of ratings, as they were rated; else the ranks between them / (candidates - 1).
        """
        if win.gap is not None:
            return min(win.gap, 1.0)
        # In a circle nobody has a rank: a judgement says no more than that the one is above.
        steps = self.ranks[win.worse] - self.ranks[win.better] if self.ranks else 1
        return max(steps, 1) / (len(self.judged) - 1)


def order(candidates: Iterable[str], said: Iterable[Said]) -> Order:
    """Add up what people say about a set of candidates.

    Args:
        candidates: Ids in the proposal's order.
        said: What counts. Of each, a pairwise judgement goes before the ranking, the ranking
            before the choice of one, the choice before ratings under the candidates' ids; unknown
            ids are passed over.
    """
    ids = tuple(candidates)
    stances = [found for one in said if (found := _stances(ids, one))]
    wins: dict[tuple[str, str], Win] = {}
    ties: set[frozenset[str]] = set()
    for pair in combinations(ids, 2):
        votes = [each[pair] for each in stances if pair in each]
        win = _win_of(pair, votes)
        if win is not None:
            wins[win.better, win.worse] = win
        elif votes:
            ties.add(frozenset(pair))
    closed = _closure(wins)
    lost = [worse for _, worse in closed]
    cyclic = any((c, c) in closed for c in ids)
    scores = _bradley_terry(ids, stances) if len(stances) > 1 else _copeland(ids, wins)
    above = {pair for pair in closed if frozenset(pair) not in ties} if ties else closed
    if len(stances) > 1:
        above = {(a, b) for a, b in above if scores[a] > scores[b] + EVEN}
    compared = set(chain(*wins, *ties))
    return Order(
        judged=tuple([c for c in ids if c in compared]),
        wins=wins,
        ties=frozenset(ties),
        above=frozenset(above),
        scores=scores,
        ranks={} if cyclic else {c: lost.count(c) for c in ids},
        reviews=len(stances),
        cyclic=cyclic,
    )


def _win_of(pair: tuple[str, str], votes: list[Stance]) -> Win | None:
    total = sum(vote.sign for vote in votes)
    if total == 0:
        return None
    sign, (better, worse) = (1, pair) if total > 0 else (-1, pair[::-1])
    if len(votes) == 1:
        gap = votes[0].gap
        return Win(better, worse, votes[0].source, 1, None, None if gap is None else sign * gap)
    agreeing = [vote for vote in votes if vote.sign == sign]
    rated = [sign * vote.gap for vote in votes if vote.gap is not None]
    gap = sum(rated) / len(rated) if len(rated) == len(votes) else None
    return Win(better, worse, agreeing[0].source, len(votes), len(agreeing) / len(votes), gap)


def _copeland(ids: Iterable[str], wins: Iterable[tuple[str, str]]) -> dict[str, float]:
    scores = dict.fromkeys(ids, 0.0)
    for better, worse in wins:
        scores[better] += 1
        scores[worse] -= 1
    return scores


def _bradley_terry(
    ids: tuple[str, ...], stances: list[dict[tuple[str, str], Stance]]
) -> dict[str, float]:
    place = {id_: at for at, id_ in enumerate(ids)}
    wins = np.zeros((len(ids), len(ids)))
    for each in stances:
        for (a, b), stance in each.items():
            wins[place[a], place[b]] += (1 + stance.sign) / 2
            wins[place[b], place[a]] += (1 - stance.sign) / 2
    return dict(zip(ids, consensus.bradley_terry(wins).tolist(), strict=True))


def _stances(ids: tuple[str, ...], said: Said) -> dict[tuple[str, str], Stance]:
    review = said.review
    judged = {
        (judgement.a, judgement.b): {"a": 1, "b": -1, "tie": 0}[judgement.winner]
        for judgement in review.pairwise or ()
    }
    tier = {id_: depth for depth, ids in enumerate(review.ranking or ()) for id_ in ids}
    chosen = (review.candidate, review.response)
    rated = {id_: value for id_, value in (review.ratings or {}).items() if id_ in ids}
    span = said.span or max(rated.values(), default=0) - min(rated.values(), default=0)
    stances: dict[tuple[str, str], Stance] = {}
    for a, b in combinations(ids, 2):
        gap = (rated[a] - rated[b]) / span if span and a in rated and b in rated else None
        if (a, b) in judged or (b, a) in judged:
            # Both orders may have been shown: two answers that contradict each other are a tie.
            total = judged.get((a, b), 0) - judged.get((b, a), 0)
            stances[a, b] = _stance((total > 0) - (total < 0), "pairwise", gap)
        elif a in tier and b in tier:
            stances[a, b] = _stance((tier[a] < tier[b]) - (tier[a] > tier[b]), "ranking", gap)
        elif a in chosen or b in chosen:
            stances[a, b] = _stance(1 if a in chosen else -1, "choice", gap)
        elif a in rated and b in rated:
            gap = gap or 0.0
            stances[a, b] = Stance((gap >= STEP) - (gap <= -STEP), "rating", gap)
    return stances


def _stance(sign: int, source: Source, gap: float | None) -> Stance:
    """Ratings say how far apart two are where they agree on which is better."""
    return Stance(sign, source, gap if gap is not None and gap * sign > 0 else None)


def _closure(wins: Iterable[tuple[str, str]]) -> set[tuple[str, str]]:
    """Who is better than whom, by way of others too.

    Source: S. Warshall, "A theorem on Boolean matrices", Journal of the ACM 9 (1962), pages 11-12;
    a row of the matrix is a whole number.
    """
    direct = list(wins)
    names = list(dict.fromkeys(name for pair in direct for name in pair))
    places = {name: place for place, name in enumerate(names)}
    below = [0] * len(names)
    for better, worse in direct:
        below[places[better]] |= 1 << places[worse]
    for via in range(len(names)):
        for start in range(len(names)):
            if below[start] >> via & 1:
                below[start] |= below[via]
    return {
        (names[start], name)
        for start, reached in enumerate(below)
        if reached
        for place, name in enumerate(names)
        if reached >> place & 1
    }


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
    winners, best = {better for better, _ in of.above}, of.best
    ends = [(a, b) for a, b in sorted(of.above) if a in best and b not in winners]
    ends = [pair for pair in ends if pair[0] == chosen] or ends
    widest = max((of.scores[a] - of.scores[b] for a, b in ends), default=0)
    ends = [(a, b) for a, b in ends if of.scores[a] - of.scores[b] >= widest - EVEN]
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
    """One of the best: that with the greatest score, and among equals the same every time."""
    best = of.best
    most = max((of.scores[c] for c in best), default=0)
    return pick([c for c in best if of.scores[c] >= most - EVEN], salt) if best else None


def pick(among: Iterable[Choice], salt: str) -> Choice:
    """One of several equals: the same every time, and not by its position."""
    return min(among, key=lambda item: hashlib.sha256(f"{salt}\n{item}".encode()).digest())
