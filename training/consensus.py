"""What several people say together: of labels, and of candidates that they compared.

In: votes as arrays. Out: one label per item, one score per candidate. Pure.
"""

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

Method = Literal["majority", "dawid_skene"]
Integers = NDArray[np.int64]
Floats = NDArray[np.float64]

FEW = 10
"""Votes per person below which nobody's errors can be told from the items' own difficulty."""
ROUNDS = 1_000
STILL = 1e-6
"""Change of a probability, or of a score, below which nothing changes any more."""
NEVER = 1e-300
"""Stands for a probability of 0, whose logarithm is none."""
PRIOR = 0.1
"""Precision of the scores' prior: it holds a candidate that won every comparison at a finite score,
and moves others by less than what one more comparison would."""


class Votes(NamedTuple):
    """One entry per vote; a person may vote on an item more than once."""

    items: Integers
    people: Integers
    labels: Integers


class Fit(NamedTuple):
    """What Dawid and Skene's model says."""

    labels: Floats
    """Items x labels: the probability of each label."""
    shares: Floats
    """Of the labels among the items."""
    errors: Floats
    """People x labels x labels: how often a person says the last where the former is right."""


class Consensus(NamedTuple):
    """One label per item."""

    labels: Integers
    """-1 where the vote is even, or there is none."""
    votes: Integers
    agreement: Floats
    """Share of the item's votes that are for its label; NaN below two votes, which cannot differ."""
    method: Method


def agree(votes: Votes, items: int, labels: int) -> Consensus:
    """Find the label of each item, by the method that the votes bear.

    Args:
        votes: Items are numbered from 0 to `items`, people from 0, labels from 0 to `labels`.
        items: How many items there are.
        labels: How many labels there are.

    Returns:
        The majority's labels below `FEW` votes per person; else those of Dawid and Skene's model,
        which weighs people by the errors that it finds them to make.
    """
    counts = _counts(votes, items, labels)
    people = len(np.unique(votes.people))
    method: Method = "dawid_skene" if people and len(votes.items) / people >= FEW else "majority"
    found = _peak(counts if method == "majority" else dawid_skene(votes, items, labels).labels)
    total = counts.sum(axis=1)
    hits = counts[np.arange(items), found] * (found >= 0)
    agreement = np.full(items, np.nan)
    np.divide(hits, total, out=agreement, where=total > 1)
    return Consensus(found, total.astype(np.int64), agreement, method)


def majority(votes: Votes, items: int, labels: int) -> Integers:
    """The label with most votes of each item; -1 where two have as many."""
    return _peak(_counts(votes, items, labels))


def _counts(votes: Votes, items: int, labels: int) -> Floats:
    flat = np.bincount(votes.items * labels + votes.labels, minlength=items * labels)
    return flat.reshape(items, labels).astype(np.float64)


def _peak(weights: Floats) -> Integers:
    """The column of each row's largest entry; -1 where it is not the only one, or all are 0."""
    top = weights.max(axis=1, keepdims=True)
    single = (np.isclose(weights, top).sum(axis=1) == 1) & (top[:, 0] > 0)
    return np.where(single, weights.argmax(axis=1), -1)


def dawid_skene(votes: Votes, items: int, labels: int) -> Fit:
    """Estimate the labels and each person's errors together, by expectation maximization.

    Args:
        votes: As `agree` takes them; every item has one.
        items: How many items there are.
        labels: How many labels there are.

    Source: A. P. Dawid and A. M. Skene, "Maximum likelihood estimation of observer error-rates using
    the EM algorithm", Applied Statistics 28 (1979), pages 20-28; it starts from the votes' shares.
    """
    people = int(votes.people.max()) + 1
    counts = _counts(votes, items, labels)
    truth = counts / counts.sum(axis=1, keepdims=True)
    for _ in range(ROUNDS):
        shares, errors = truth.mean(axis=0), _errors(votes, truth, people)
        before, truth = truth, _truth(votes, shares, errors, items)
        if np.abs(truth - before).max() < STILL:
            break
    return Fit(truth, truth.mean(axis=0), _errors(votes, truth, people))


def _errors(votes: Votes, truth: Floats, people: int) -> Floats:
    labels = truth.shape[1]
    place = votes.people * labels + votes.labels
    said = [
        np.bincount(place, weights=truth[votes.items, right], minlength=people * labels)
        for right in range(labels)
    ]
    errors = np.stack([one.reshape(people, labels) for one in said], axis=1)
    seen = errors.sum(axis=2, keepdims=True)
    # Who never met a label says nothing about it: any answer is as likely.
    return np.divide(errors, seen, out=np.full_like(errors, 1 / labels), where=seen > 0)


def _truth(votes: Votes, shares: Floats, errors: Floats, items: int) -> Floats:
    likely = np.log(np.maximum(errors, NEVER))
    scores = np.stack(
        [
            np.bincount(
                votes.items, weights=likely[votes.people, right, votes.labels], minlength=items
            )
            + np.log(max(share, NEVER))
            for right, share in enumerate(shares)
        ],
        axis=1,
    )
    weights = np.exp(scores - scores.max(axis=1, keepdims=True))
    return weights / weights.sum(axis=1, keepdims=True)


def bradley_terry(wins: Floats) -> Floats:
    """Score candidates so that their differences explain who won against whom.

    The probability that i wins against j is 1 / (1 + exp(score j - score i)). A ranking counts as
    all the comparisons that follow from it.

    Args:
        wins: `wins[i, j]`: how often i was preferred to j; a tie is half a win for each.

    Returns:
        One score per candidate, their mean 0. Only those of candidates that comparisons connect
        can be compared.

    Source: R. A. Bradley and M. E. Terry, "Rank analysis of incomplete block designs: I",
    Biometrika 39 (1952), pages 324-345; the mode under a normal prior, by Newton's method.
    """
    games = wins + wins.T
    scores = np.zeros(len(wins))
    for _ in range(ROUNDS):
        chance = 1 / (1 + np.exp(scores[None, :] - scores[:, None]))
        slope = (wins - games * chance).sum(axis=1) - PRIOR * scores
        weights = games * chance * (1 - chance)
        curve = np.diag(weights.sum(axis=1) + PRIOR) - weights
        step = np.linalg.solve(curve, slope)
        # Bounded, because a full step overshoots where the curve is flat.
        scores += np.clip(step, -1, 1)
        if np.abs(step).max() < STILL:
            break
    return scores - scores.mean()
