"""Shares of both models, their difference, and what a false alarm would need."""

import random

import numpy as np
import pytest

from training.evaluation import figures
from training.evaluation.answers import Answer
from training.evaluation.figures import Outcome


def answer(exact: bool, prefers: bool | None = None) -> Answer:
    return Answer("", exact, 0.0 if exact else 0.5, prefers)


def outcome(n: int, base: bool, tuned: bool, *slices: str) -> Outcome:
    return Outcome(f"g{n}", slices, answer(base, base), answer(tuned, tuned))


def test_shares_and_their_difference_are_of_all_rows() -> None:
    rows = [outcome(n, base=n < 3, tuned=n < 9) for n in range(12)]
    found = figures.compare(rows)
    exact = found["exact"]
    assert (exact.n, exact.groups) == (12, 12)
    assert (exact.base, exact.tuned, exact.difference) == pytest.approx((0.25, 0.75, 0.5))
    assert found["preference_accuracy"] == exact
    assert found["edit_distance"].difference == pytest.approx(-0.25)
    assert exact.low is not None
    assert exact.high is not None
    assert 0 < exact.low < 0.5 < exact.high < 1


def test_without_pairs_there_is_no_preference() -> None:
    rows = [Outcome("g", (), answer(True), answer(True))]
    assert set(figures.compare(rows)) == {"exact", "edit_distance"}


def test_rows_of_one_group_are_one_piece_of_evidence() -> None:
    many = [outcome(n % 12, base=False, tuned=n % 12 < 6) for n in range(120)]
    few = [outcome(n, base=False, tuned=n < 6) for n in range(12)]
    one, other = figures.compare(many)["exact"], figures.compare(few)["exact"]
    assert (one.n, one.groups) == (120, 12)
    assert (one.low, one.high) == pytest.approx((other.low, other.high))


def test_few_groups_get_no_interval() -> None:
    found = figures.compare([outcome(n, base=False, tuned=True) for n in range(9)])
    assert (found["exact"].low, found["exact"].high) == (None, None)


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    chance = np.random.default_rng(1)
    covered = 0
    for _ in range(200):
        tuned = chance.random(60) < 0.7
        found = figures.compare(
            [outcome(n, base=n % 2 == 0, tuned=bool(t)) for n, t in enumerate(tuned)]
        )
        low, high = found["exact"].low, found["exact"].high
        assert low is not None
        assert high is not None
        covered += low <= 0.2 <= high
    assert 0.89 <= covered / 200 <= 0.99


def test_a_slice_that_got_worse_is_named_although_the_whole_got_better() -> None:
    good = [outcome(n, False, True, "reviewer: reviewer-1") for n in range(60)]
    bad = [outcome(100 + n, True, False, "reviewer: reviewer-2") for n in range(20)]
    even = [outcome(200 + n, True, True, "reviewer: reviewer-3") for n in range(20)]
    rows = good + bad + even
    assert figures.compare(rows)["exact"].difference > 0
    parts = {part.name: part.worse for part in figures.by_slice(rows)}
    assert parts == {
        "reviewer: reviewer-1": (),
        "reviewer: reviewer-2": ("preference_accuracy", "exact", "edit_distance"),
        "reviewer: reviewer-3": (),
    }


def test_chance_alone_raises_an_alarm_in_few_evaluations_however_many_slices() -> None:
    draw = random.Random(7)
    alarms = 0
    for _ in range(60):
        rows = [
            outcome(n, draw.random() < 0.5, draw.random() < 0.5, f"reviewer: {n % 10}")
            for n in range(300)
        ]
        alarms += any(part.worse for part in figures.by_slice(rows))
    assert alarms <= 8  # 5 % would be 3; without the correction it is more than half
