"""What several people say together."""

from collections import Counter

import numpy as np
import pytest
import statsmodels.api as sm

from training import consensus
from training.consensus import Votes

PATIENTS = """
111 1 1 1 1|333 4 3 3 4|112 2 1 2 2|222 3 1 2 1|222 3 2 2 2|222 3 3 2 2|122 2 1 1 1|333 3 4 3 3
222 2 2 2 3|232 2 2 2 3|444 4 4 4 4|222 3 3 4 3|111 1 1 1 1|222 3 2 1 2|121 1 1 1 1|111 2 1 1 1
111 1 1 1 1|111 1 1 1 1|222 2 2 2 1|222 1 3 2 2|222 2 2 2 2|222 2 2 2 1|222 3 2 2 2|221 2 2 2 2
111 1 1 1 1|111 1 1 1 1|232 2 2 2 2|111 1 1 1 1|111 1 1 1 1|112 1 1 2 1|111 1 1 1 1|333 3 2 3 3
111 1 1 1 1|222 2 2 2 2|222 3 2 3 2|433 4 3 4 3|221 2 2 3 2|232 3 2 3 3|333 3 4 3 2|111 1 1 1 1
111 1 1 1 1|121 2 1 1 1|232 2 2 2 2|121 1 1 1 1|222 2 2 2 2
"""
"""Table 1 of Dawid and Skene (1979): five anaesthetists on 45 patients, the first three times."""


def votes(*said: tuple[int, int, int]) -> Votes:
    """Of (item, person, label)."""
    items, people, labels = np.array(said, dtype=np.int64).T
    return Votes(items, people, labels)


def anaesthetists() -> Votes:
    patients = [patient.split() for patient in PATIENTS.strip().replace("\n", "|").split("|")]
    return votes(
        *(
            (patient, person, int(grade) - 1)
            for patient, grades in enumerate(patients)
            for person, given in enumerate(grades)
            for grade in given
        )
    )


def test_the_anaesthetists_errors_are_those_of_the_paper():
    """Tables 2 and 3 of the paper: the grades' shares, and the errors of the first."""
    fit = consensus.dawid_skene(anaesthetists(), 45, 4)
    assert fit.shares.round(2).tolist() == [0.40, 0.42, 0.11, 0.07]
    assert fit.errors[0].round(2).tolist() == [
        [0.89, 0.11, 0, 0],
        [0.07, 0.88, 0.05, 0],
        [0, 0.34, 0.66, 0],
        [0, 0, 0.56, 0.44],
    ]
    assert fit.labels.sum(axis=1) == pytest.approx(np.ones(45))


def crowd(
    rng: np.random.Generator, skills: list[float], items: int = 400
) -> tuple[Votes, list[int]]:
    truth = rng.integers(2, size=items)
    said = [
        (item, person, int(right) if rng.random() < skill else 1 - int(right))
        for item, right in enumerate(truth)
        for person, skill in enumerate(skills)
    ]
    return votes(*said), truth.tolist()


@pytest.mark.parametrize("seed", range(5))
def test_weighing_people_by_their_errors_beats_the_majority(seed: int):
    """Two who know against three who mostly guess."""
    given, truth = crowd(np.random.default_rng(seed), [0.95, 0.9, 0.55, 0.55, 0.55])
    weighed = consensus.agree(given, 400, 2)
    counted = consensus.majority(given, 400, 2)
    right = [np.mean(found == truth) for found in (weighed.labels, counted)]
    assert weighed.method == "dawid_skene"
    assert right[0] > right[1] + 0.03


def test_people_who_always_say_the_contrary_are_understood():
    given, truth = crowd(np.random.default_rng(0), [0.9, 0.9, 0.9, 0.1, 0.1])
    assert np.mean(consensus.agree(given, 400, 2).labels == truth) > 0.97


def test_with_few_votes_a_person_the_majority_decides():
    few = votes(*((item, person, int(person == 2)) for item in range(9) for person in range(3)))
    found = consensus.agree(few, 9, 2)
    assert found.method == "majority"
    assert found.labels.tolist() == [0] * 9
    assert found.agreement == pytest.approx([2 / 3] * 9)


def test_an_even_vote_has_no_label_and_a_lone_vote_no_agreement():
    found = consensus.agree(votes((0, 0, 0), (0, 1, 1), (1, 0, 1)), 3, 2)
    assert found.labels.tolist() == [-1, 1, -1]
    assert found.votes.tolist() == [2, 1, 0]
    assert found.agreement[0] == 0
    assert np.isnan(found.agreement[1:]).all()


def wins(*games: tuple[int, int], of: int) -> consensus.Floats:
    found = np.zeros((of, of))
    for (winner, loser), count in Counter(games).items():
        found[winner, loser] = count
    return found


def test_scores_are_those_of_a_logistic_regression_where_the_prior_is_small():
    rng = np.random.default_rng(1)
    truth = np.array([1.0, 0.5, 0.0, -1.5])
    games = np.zeros((4, 4))
    for _ in range(20_000):
        a, b = rng.choice(4, 2, replace=False)
        better = rng.random() < 1 / (1 + np.exp(truth[b] - truth[a]))
        games[(a, b) if better else (b, a)] += 1
    design, won, played = [], [], []
    for a in range(4):
        for b in range(a):
            row = np.zeros(4)
            row[a], row[b] = 1, -1
            design.append(row[1:])  # the first candidate is the zero
            won.append(games[a, b])
            played.append(games[a, b] + games[b, a])
    outcomes = np.column_stack([won, np.subtract(played, won)])
    oracle = sm.GLM(outcomes, np.array(design), family=sm.families.Binomial()).fit().params
    scores = consensus.bradley_terry(games)
    assert scores[1:] - scores[0] == pytest.approx(oracle, abs=1e-3)
    assert scores.sum() == pytest.approx(0)


def test_of_two_candidates_the_gap_is_the_log_of_the_odds():
    scores = consensus.bradley_terry(np.array([[0.0, 3000.0], [1000.0, 0.0]]))
    assert scores[0] - scores[1] == pytest.approx(np.log(3), abs=1e-3)


def test_one_who_won_every_time_has_a_finite_score():
    scores = consensus.bradley_terry(wins(*[(0, 1)] * 50, *[(1, 2)] * 50, of=3))
    assert scores[0] > scores[1] > scores[2]
    assert np.abs(scores).max() < 10


def test_a_circle_and_ties_leave_candidates_equal():
    assert consensus.bradley_terry(wins((0, 1), (1, 2), (2, 0), of=3)) == pytest.approx([0, 0, 0])
    assert consensus.bradley_terry(np.full((2, 2), 0.5)) == pytest.approx([0, 0])
