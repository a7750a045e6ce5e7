"""How far a figure may lie from the truth: 95 % intervals for rates, means and ratios.

In: counts, or one number per unit. Out: the interval's ends.
"""

from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

LEVEL = 0.95
RESAMPLES = 1000
BLOCKS = 2000
SEED = 20_000
"""Fixed, so that the same rows always give the same interval."""

Numbers = NDArray[np.float64]


class Interval(NamedTuple):
    """The two ends; None where an end has no finite value."""

    low: float | None
    high: float | None


def wilson(hits: int, n: int) -> Interval:
    """The score interval of a share.

    Args:
        hits: How many of `n` had the property.
        n: How many were looked at, at least 1.

    Source: E. B. Wilson, "Probable inference, the law of succession, and statistical inference",
    Journal of the American Statistical Association 22 (1927), pages 209-212.
    """
    z = NormalDist().inv_cdf((1 + LEVEL) / 2)
    share = hits / n
    scale = 1 + z * z / n
    middle = (share + z * z / (2 * n)) / scale
    reach = z / scale * (share * (1 - share) / n + z * z / (4 * n * n)) ** 0.5
    # At the ends the exact value is 0 or 1; rounding would leave it a hair off.
    return Interval(
        0.0 if hits == 0 else middle - reach,
        1.0 if hits == n else middle + reach,
    )


def ratio(numerators: Numbers, denominators: Numbers) -> Interval | None:
    """Percentile bootstrap of sum(numerators) / sum(denominators); with ones below, of the mean.

    Units are drawn with replacement. More than `BLOCKS` units are first pooled at random into that
    many blocks: sums of independent units vary as the units do, and the work stays bounded.

    Args:
        numerators: One number per unit.
        denominators: One number per unit, none negative.

    Returns:
        The interval; an end is None where resamples without any denominator reach it; None as a
        whole below two units, which cannot show how they vary.

    Source: B. Efron and R. J. Tibshirani, "An Introduction to the Bootstrap" (1993), chapter 13.
    """
    if len(numerators) < 2:
        return None
    rng = np.random.default_rng(SEED)
    units = _pool(rng, np.column_stack([numerators, denominators]))
    above, below = np.empty(RESAMPLES), np.empty(RESAMPLES)
    for index in range(RESAMPLES):
        above[index], below[index] = units[rng.integers(len(units), size=len(units))].sum(axis=0)
    estimates = np.divide(above, below, out=np.full(RESAMPLES, np.inf), where=below > 0)
    tail = (1 - LEVEL) / 2
    # "lower" and "higher" take drawn values: to interpolate beside an infinity gives no number.
    low = float(np.quantile(estimates, tail, method="lower"))
    high = float(np.quantile(estimates, 1 - tail, method="higher"))
    return Interval(_finite(low), _finite(high))


def _pool(rng: np.random.Generator, units: Numbers) -> Numbers:
    if len(units) <= BLOCKS:
        return units
    starts = np.linspace(0, len(units), BLOCKS, endpoint=False).astype(np.int64)
    return np.add.reduceat(rng.permutation(units), starts)


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None
