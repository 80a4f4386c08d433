"""Confidence intervals. Each function says its formula, its source and what it does when data is short.

None stands for "too little data to say"; it is never replaced by 0 or by an interval without width.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from statistics import NormalDist
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

DEFAULT_LEVEL: Final = 0.95
DEFAULT_RESAMPLES: Final = 1_000
_MAX_DRAWS_AT_ONCE: Final = 1_000_000

FloatArray = NDArray[np.float64]


class Interval(NamedTuple):
    """A two-sided confidence interval."""

    low: float
    high: float


def wilson_interval(successes: int, n: int, *, level: float = DEFAULT_LEVEL) -> Interval | None:
    """Wilson's score interval for a proportion.

    ``(p + z²/2n ± z √(p(1-p)/n + z²/4n²)) / (1 + z²/n)`` with ``p = successes / n`` and ``z`` the normal quantile at
    ``(1 + level) / 2``. Wilson 1927, "Probable inference, the law of succession, and statistical inference", JASA 22.
    Assumes independent samples with one probability. It stays inside [0, 1] and keeps a width at 0 and n successes.

    n = 0: None. n = 1 and 2: wide but valid intervals, such as 0 to 0.793 for 0 of 1.

    Args:
        successes: From 0 to ``n``.
        n: Samples.
        level: Between 0 and 1, both excluded.

    Raises:
        ValueError: An argument is out of range.
    """
    _check_level(level)
    if not 0 <= successes <= n:
        raise ValueError(f"successes is {successes}; it must be from 0 to n = {n}")
    if n == 0:
        return None
    z = _normal_quantile(level)
    p = successes / n
    scale = 1 + z * z / n
    center = (p + z * z / (2 * n)) / scale
    half = z / scale * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    # At the ends the bound is exactly 0 or 1, which rounding would miss.
    low = 0.0 if successes == 0 else max(0.0, center - half)
    high = 1.0 if successes == n else min(1.0, center + half)
    return Interval(low, high)


def t_interval(mean: float, variance: float, n: int, *, level: float = DEFAULT_LEVEL) -> Interval | None:
    """Student's interval for a mean.

    ``mean ± t √(variance / n)`` with ``t`` the quantile of Student's distribution with ``n - 1`` degrees of freedom at
    ``(1 + level) / 2``. "Student" 1908, "The probable error of a mean", Biometrika 6. Assumes independent samples, and
    either normal ones or an ``n`` large enough for the mean to be nearly normal.

    n = 0 and 1: None, since one value shows no spread. n = 2: valid and very wide (``t`` is 12.7 at 95 %). Variance 0:
    None; equal values show no spread to build on, and a width of nothing would claim certainty.

    Args:
        mean: Of the sample.
        variance: Unbiased, that is, with ``n - 1`` below; at least 0.
        n: Samples.
        level: Between 0 and 1, both excluded.

    Raises:
        ValueError: An argument is out of range or not finite.
    """
    _check_level(level)
    if not (math.isfinite(mean) and math.isfinite(variance) and variance >= 0 and n >= 0):
        raise ValueError(f"mean {mean}, variance {variance}, n {n}: must be finite, with variance and n at least 0")
    if n < 2 or variance == 0:
        return None
    half = _student_quantile(level, n - 1) * math.sqrt(variance / n)
    return Interval(mean - half, mean + half)


def bootstrap_interval(
    values: FloatArray,
    statistic: Callable[[FloatArray], FloatArray],
    *,
    level: float = DEFAULT_LEVEL,
    resamples: int = DEFAULT_RESAMPLES,
    seed: int = 0,
) -> Interval | None:
    """Percentile bootstrap interval of any statistic of independent values.

    The statistic of ``resamples`` draws of n values with replacement; the bounds are its ``(1 ± level) / 2`` quantiles.
    Efron 1979, "Bootstrap methods: another look at the jackknife", Annals of Statistics 7. The same seed gives the same
    interval. Too narrow for small n; time and draws grow with ``n * resamples``.

    n = 0 and 1: None. n = 2: defined, but only three different draws exist. Draws that all agree: None.

    Args:
        values: n finite numbers.
        statistic: From an array of shape (r, n) to one of shape (r,).
        level: Between 0 and 1, both excluded.
        resamples: Draws.
        seed: At least 0.

    Raises:
        ValueError: ``level`` is out of range.
    """
    _check_level(level)
    n = len(values)
    if n < 2:
        return None
    rng = np.random.default_rng(seed)
    rows = max(1, _MAX_DRAWS_AT_ONCE // n)
    replicates = [
        statistic(values[rng.integers(0, n, size=(min(rows, resamples - start), n))])
        for start in range(0, resamples, rows)
    ]
    return percentile_interval(np.concatenate(replicates), level=level)


def percentile_interval(replicates: FloatArray, *, level: float = DEFAULT_LEVEL) -> Interval | None:
    """The middle ``level`` of bootstrap replicates, with linear interpolation between them; see Efron 1979.

    None when there are fewer than two, or all are equal.

    Args:
        replicates: One value per resample.
        level: Between 0 and 1, both excluded.

    Raises:
        ValueError: ``level`` is out of range.
    """
    _check_level(level)
    if len(replicates) < 2 or float(np.ptp(replicates)) == 0:
        return None
    low, high = np.quantile(replicates, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high))


def _check_level(level: float) -> None:
    if not 0 < level < 1:
        raise ValueError(f"level is {level}; it must lie between 0 and 1")


@lru_cache(maxsize=32)
def _normal_quantile(level: float) -> float:
    return NormalDist().inv_cdf((1 + level) / 2)


@lru_cache(maxsize=1024)
def _student_quantile(level: float, freedom: int) -> float:
    # Imported here because loading SciPy would dominate the start of every process that only scores.
    from scipy import special

    functions: Any = special
    return float(functions.stdtrit(freedom, (1 + level) / 2))
