import numpy as np
import pytest
from statsmodels.stats.proportion import proportion_confint

from metrics import intervals


@pytest.mark.parametrize(("hits", "n"), [(0, 1), (1, 1), (0, 40), (9, 10), (48, 50), (7, 1000)])
def test_wilson_agrees_with_statsmodels(hits: int, n: int) -> None:
    low, high = proportion_confint(hits, n, alpha=0.05, method="wilson")
    assert intervals.wilson(hits, n) == pytest.approx((low, high))


def test_wilson_stays_within_nought_and_one() -> None:
    assert intervals.wilson(0, 5).low == 0
    assert intervals.wilson(5, 5).high == 1


def test_the_bootstrap_of_a_mean_agrees_with_the_normal_interval_on_many_values() -> None:
    values = np.random.default_rng(7).exponential(scale=30, size=1500)
    reach = 1.96 * values.std(ddof=1) / len(values) ** 0.5
    found = intervals.ratio(values, np.ones(len(values)))
    assert found == pytest.approx((values.mean() - reach, values.mean() + reach), rel=0.01)


def test_pooling_into_blocks_keeps_the_width() -> None:
    values = np.random.default_rng(7).exponential(scale=30, size=50_000)
    reach = 1.96 * values.std(ddof=1) / len(values) ** 0.5
    found = intervals.ratio(values, np.ones(len(values)))
    assert found is not None
    assert found.low is not None
    assert found.high is not None
    assert found.high - found.low == pytest.approx(2 * reach, rel=0.1)


def test_the_same_rows_give_the_same_interval() -> None:
    values = np.arange(30, dtype=float)
    assert intervals.ratio(values, np.ones(30)) == intervals.ratio(values, np.ones(30))


def test_an_end_that_resamples_cannot_bound_is_open() -> None:
    rare = np.array([1.0, 0, 0, 0])
    found = intervals.ratio(np.ones(4), rare)
    assert found is not None
    assert found.low is not None
    assert found.high is None


def test_one_unit_has_no_interval() -> None:
    assert intervals.ratio(np.ones(1), np.ones(1)) is None


def test_about_95_in_100_intervals_hold_the_true_ratio() -> None:
    rng = np.random.default_rng(11)
    held = 0
    for _ in range(200):
        below = rng.poisson(2, size=80).astype(float)
        above = 3 * below + rng.normal(size=80)
        found = intervals.ratio(above, below)
        assert found is not None
        held += (found.low or 0) <= 3 <= (found.high or 0)
    # A binomial of 200 draws at .95 lies in 180..199 more than 99 times in 100.
    assert 180 <= held <= 199
