"""How a tuned model compares to its base: shares, differences and their intervals.

In: what both made of the same rows. Out: figures, for all rows and by slice. Pure.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from training.evaluation.answers import Answer

RESAMPLES = 2_000
SEED = 20_000
"""Fixed, so that the same rows always give the same interval."""
LEVEL = 0.95
SMALLEST = 10
"""Groups that a slice needs to be judged; with fewer its figures stand without an interval."""


class Outcome(NamedTuple):
    """What two models made of one row."""

    group: str
    """What belongs together: rows of a group are no independent evidence."""
    slices: tuple[str, ...]
    """What the row belongs to besides: `reviewer: reviewer-2`, `tool: refund`."""
    base: Answer
    tuned: Answer


class Figure(NamedTuple):
    """One measure of both models."""

    n: int
    groups: int
    base: float
    tuned: float
    difference: float
    """Tuned less base."""
    low: float | None
    """Of the difference, by bootstrap over groups; None where there are too few."""
    high: float | None


Measure = Callable[[Answer], float | None]
MEASURES: dict[str, Measure] = {
    "preference_accuracy": lambda a: None if a.prefers is None else float(a.prefers),
    "exact": lambda a: float(a.exact),
    "edit_distance": lambda a: a.distance,
}
BETTER = {"preference_accuracy": 1, "exact": 1, "edit_distance": -1}
"""1: more is better."""


class Slice(NamedTuple):
    """A part of the rows, and whether the tuned model is worse for it than its base."""

    name: str
    figures: dict[str, Figure]
    worse: tuple[str, ...]
    """Measures whose interval, widened for the number of slices, lies on the wrong side of 0."""


def compare(outcomes: Sequence[Outcome]) -> dict[str, Figure]:
    """The figures of all rows, at the level of 95 %."""
    return _figures(outcomes, LEVEL)


def by_slice(outcomes: Sequence[Outcome]) -> list[Slice]:
    """The figures of every slice, in the order of their names.

    The level is Bonferroni's: with k slices and m measures each interval has the level
    1 - 0.05 / (k m), so that among all of them a false alarm is as rare as in one.
    """
    parts: defaultdict[str, list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        for name in outcome.slices:
            parts[name].append(outcome)
    level = 1 - (1 - LEVEL) / max(len(parts) * len(MEASURES), 1)
    return [_slice(name, parts[name], level) for name in sorted(parts)]


def _slice(name: str, outcomes: Sequence[Outcome], level: float) -> Slice:
    figures = _figures(outcomes, level)
    worse = tuple(key for key, figure in figures.items() if _is_worse(key, figure))
    return Slice(name, figures, worse)


def _is_worse(key: str, figure: Figure) -> bool:
    if figure.low is None or figure.high is None:
        return False
    return figure.high < 0 if BETTER[key] > 0 else figure.low > 0


def _figures(outcomes: Sequence[Outcome], level: float) -> dict[str, Figure]:
    found = {key: _figure(outcomes, measure, level) for key, measure in MEASURES.items()}
    return {key: figure for key, figure in found.items() if figure is not None}


def _figure(outcomes: Sequence[Outcome], measure: Measure, level: float) -> Figure | None:
    rows = [
        (outcome.group, before, after)
        for outcome in outcomes
        if (before := measure(outcome.base)) is not None
        and (after := measure(outcome.tuned)) is not None
    ]
    if not rows:
        return None
    base = sum(before for _, before, _ in rows) / len(rows)
    tuned = sum(after for _, _, after in rows) / len(rows)
    sums: defaultdict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
    for group, before, after in rows:
        sums[group][0] += after - before
        sums[group][1] += 1
    low, high = _interval(np.array(list(sums.values())), level)
    return Figure(len(rows), len(sums), base, tuned, tuned - base, low, high)


def _interval(sums: Any, level: float) -> tuple[float | None, float | None]:
    """Percentile bootstrap of a mean difference, drawing whole groups.

    Args:
        sums: Per group the sum of the differences and the number of rows, shape (groups, 2).
        level: Of the interval.

    Source: Efron & Tibshirani, "An Introduction to the Bootstrap" (1993), chapters 8 and 13.
    """
    if len(sums) < SMALLEST:
        return None, None
    draws = np.random.default_rng(SEED).integers(len(sums), size=(RESAMPLES, len(sums)))
    drawn = sums[draws].sum(axis=1)
    ends = np.quantile(drawn[:, 0] / drawn[:, 1], [(1 - level) / 2, (1 + level) / 2])
    return float(ends[0]), float(ends[1])
