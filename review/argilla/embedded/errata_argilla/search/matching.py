"""Whether a record holds what was searched, and how well. In: passages and a query. Out: a score.

A score depends on the record alone: no statistics of the dataset are kept that a filter, or
another person's records, could change. More occurrences in fewer words score higher.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import assert_never

from errata_argilla.search.query import (
    Anything,
    Every,
    Fuzzy,
    Not,
    Phrase,
    Prefix,
    Query,
    Some,
)
from errata_argilla.search.words import Passage

# The saturation of BM25, with a fixed length in place of the dataset's average.
_SATURATION = 1.2
_LENGTH_WEIGHT = 0.75
_USUAL_LENGTH = 100


def score(passages: Sequence[Passage], query: Query) -> float | None:
    """Return how well a record fits; None if it does not."""
    match query:
        case Anything():
            return 1.0
        case Not(part):
            return None if score(passages, part) is not None else 1.0
        case Every(parts):
            scores = [score(passages, part) for part in parts]
            return None if None in scores else sum(filter(None, scores))
        case Some(parts):
            found = [each for part in parts if (each := score(passages, part)) is not None]
            return sum(found) if found else None
        case Phrase() | Prefix() | Fuzzy():
            counts = [_count(passage, query) for passage in passages]
            return _weigh(sum(counts), sum(map(len, passages))) if any(counts) else None
        case other:
            assert_never(other)


def _count(passage: Passage, query: Phrase | Prefix | Fuzzy) -> int:
    match query:
        case Phrase((word,)):
            return passage.count(word)
        case Phrase(words, slop):
            return _phrases(passage, words, slop)
        case Prefix(stem):
            return sum(word.startswith(stem) for word in passage)
        case Fuzzy(word, edits):
            near = {other for other in set(passage) if _within(word, other, edits)}
            return sum(other in near for other in passage)
        case other:
            assert_never(other)


def _weigh(count: int, length: int) -> float:
    norm = 1 - _LENGTH_WEIGHT + _LENGTH_WEIGHT * length / _USUAL_LENGTH
    return count * (_SATURATION + 1) / (count + _SATURATION * norm)


def _phrases(passage: Passage, words: tuple[str, ...], slop: int) -> int:
    """Count the places where the words stand in order, give or take `slop` positions.

    Each word's position less its place in the phrase is where the phrase would begin; the words
    form the phrase where those beginnings lie close enough together.
    """
    beginnings = [
        {at - place for at, word in enumerate(passage) if word == wanted}
        for place, wanted in enumerate(words)
    ]
    if not slop or not all(beginnings):
        return len(set.intersection(*beginnings))
    return int(_narrowest(beginnings) <= slop)


def _narrowest(groups: list[set[int]]) -> int:
    """Return the smallest distance that spans a member of every group."""
    members = sorted((value, group) for group, values in enumerate(groups) for value in values)
    latest: dict[int, int] = {}
    best = members[-1][0] - members[0][0]
    for value, group in members:
        latest[group] = value
        if len(latest) == len(groups):
            best = min(best, value - min(latest.values()))
    return best


def _within(word: str, other: str, edits: int) -> bool:
    """Tell whether one word becomes the other by so many letters put in, out or changed."""
    if abs(len(word) - len(other)) > edits:
        return False
    row = list(range(len(other) + 1))
    for number, letter in enumerate(word, start=1):
        costs = [number]
        for place, (diagonal, above) in enumerate(pairwise(row)):
            change = diagonal + (letter != other[place])
            costs.append(min(change, above + 1, costs[-1] + 1))
        row = costs
    return row[-1] <= edits
