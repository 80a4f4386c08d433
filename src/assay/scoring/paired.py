"""Two systems on the same items: the difference, its interval, and whether chance explains it.

Pairing removes what makes items easy or hard for both. Everywhere ``a`` is the baseline, ``b`` the candidate, and a
difference is ``b - a``. None stands for "too little data to say".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np

from assay.scoring.distributions import FloatArray, binomial_probability, finite_array
from assay.scoring.statistics import DEFAULT_LEVEL, DEFAULT_RESAMPLES, Interval, bootstrap_interval, t_interval

EXACT_UP_TO: Final = 16
DEFAULT_FLIPS: Final = 9_999
_MAX_SIGNS_AT_ONCE: Final = 1_000_000


class TestMethod(StrEnum):
    """How a p value came about."""

    __test__ = False

    EXACT_MCNEMAR = "exact_mcnemar"
    EXACT_SIGN_FLIP = "exact_sign_flip"
    MONTE_CARLO_SIGN_FLIP = "monte_carlo_sign_flip"


class IntervalMethod(StrEnum):
    """How the interval of a paired difference came about."""

    STUDENT_T = "student_t"
    PERCENTILE_BOOTSTRAP = "percentile_bootstrap"


@dataclass(frozen=True)
class PairedTest:
    """A two-sided p value, and how many pairs it rests on: those that differ."""

    p: float
    method: TestMethod
    n: int
    differing: int


@dataclass(frozen=True)
class PairedDifference:
    """The mean of ``b - a`` over n items; ``deviation`` is the standard deviation of the differences."""

    n: int
    mean: float
    deviation: float | None
    interval: Interval | None
    method: IntervalMethod


def mcnemar_test(only_a: int, only_b: int, *, n: int) -> PairedTest | None:
    """McNemar's exact test for paired pass or fail.

    ``p = min(1, 2 P(X ≤ min(only_a, only_b)))`` with ``X`` binomial over ``only_a + only_b`` trials of probability 1/2:
    if both pass equally often, an item that only one passes is as likely to be the one's as the other's. McNemar 1947,
    "Note on the sampling error of the difference between correlated proportions", Psychometrika 12. Assumes independent
    items. Exact, and so conservative: it errs less often than it is allowed to.

    n = 0: None. n = 1 to 5: p is never below 1/16. No item differs: p = 1.

    Args:
        only_a: Items that only ``a`` passes.
        only_b: Items that only ``b`` passes.
        n: All items, also those that both pass or both fail.

    Raises:
        ValueError: A count is negative, or more items differ than there are.
    """
    differing = only_a + only_b
    if only_a < 0 or only_b < 0 or differing > n:
        raise ValueError(f"{only_a} and {only_b} items differ, of n = {n}: counts are at least 0, their sum at most n")
    if n == 0:
        return None
    p = min(1.0, 2 * binomial_probability(min(only_a, only_b), differing, 0.5)) if differing else 1.0
    return PairedTest(p, TestMethod.EXACT_MCNEMAR, n, differing)


def sign_flip_test(
    a: Sequence[float] | FloatArray, b: Sequence[float] | FloatArray, *, flips: int = DEFAULT_FLIPS, seed: int = 0
) -> PairedTest | None:
    """Sign-flip permutation test that the mean of ``b - a`` is 0.

    The share of sign patterns of the differences whose sum is at least as far from 0 as the observed one. Fisher 1935,
    "The Design of Experiments", section 21. With up to 16 differing pairs all patterns are enumerated; with more,
    ``m = flips`` are drawn and ``p = (x + 1) / (m + 1)`` where ``x`` are as extreme: Phipson and Smyth 2010,
    "Permutation p-values should never be zero", SAGMB 9. Assumes independent items, whose differences would be
    symmetric around 0 if there were no effect. Pairs without a difference change nothing and are left out.

    n = 0: None. n = 1: p = 1. n = 2: p is 1/2 or 1. No pair differs: p = 1.

    Args:
        a: Scores of the baseline, one per item.
        b: Scores of the candidate, in the same order.
        flips: Patterns drawn when there are too many to enumerate; at least 1.
        seed: Of the draws. The same seed gives the same p.

    Raises:
        ValueError: Lengths differ, a score is not finite, or ``flips`` is below 1.
    """
    if flips < 1:
        raise ValueError(f"flips is {flips}; it must be at least 1")
    differences = paired_differences(a, b)
    n = len(differences)
    if n == 0:
        return None
    differing = differences[differences != 0]
    if len(differing) <= EXACT_UP_TO:
        return PairedTest(_exact_p(differing), TestMethod.EXACT_SIGN_FLIP, n, len(differing))
    p = _monte_carlo_p(differing, flips, seed)
    return PairedTest(p, TestMethod.MONTE_CARLO_SIGN_FLIP, n, len(differing))


def paired_test(
    a: Sequence[float] | FloatArray, b: Sequence[float] | FloatArray, *, flips: int = DEFAULT_FLIPS, seed: int = 0
) -> PairedTest | None:
    """McNemar's exact test if all scores are 0 or 1, else the sign-flip test.

    For such scores both have the same p; McNemar's is exact at every size. See `mcnemar_test` and `sign_flip_test`,
    also for n = 0, 1 and 2.

    Raises:
        ValueError: Lengths differ, a score is not finite, or ``flips`` is below 1.
    """
    differences = paired_differences(a, b)
    if not np.isin(np.concatenate([a, b]), (0, 1)).all():
        return sign_flip_test(a, b, flips=flips, seed=seed)
    only_a, only_b = int((differences < 0).sum()), int((differences > 0).sum())
    return mcnemar_test(only_a, only_b, n=len(differences))


def paired_difference(
    a: Sequence[float] | FloatArray,
    b: Sequence[float] | FloatArray,
    *,
    level: float = DEFAULT_LEVEL,
    method: IntervalMethod = IntervalMethod.STUDENT_T,
    resamples: int = DEFAULT_RESAMPLES,
    seed: int = 0,
) -> PairedDifference | None:
    """The mean of ``b - a`` with an interval of the named method.

    Student's interval of the differences (`t_interval`), or the percentile bootstrap of their mean
    (`bootstrap_interval`), with their assumptions: independent items, and enough of them for the mean to be nearly
    normal.

    n = 0: None. n = 1: a mean without deviation or interval. n = 2: a very wide interval. Equal differences: deviation
    0 and no interval.

    Raises:
        ValueError: Lengths differ, a score is not finite, or ``level`` is out of range.
    """
    differences = paired_differences(a, b)
    n = len(differences)
    if n == 0:
        return None
    mean = float(differences.mean())
    variance = _variance(differences)
    if method is IntervalMethod.STUDENT_T:
        interval = t_interval(mean, variance or 0.0, n, level=level)
    else:
        interval = bootstrap_interval(differences, _row_means, level=level, resamples=resamples, seed=seed)
    return PairedDifference(n, mean, None if variance is None else variance**0.5, interval, method)


def paired_differences(a: Sequence[float] | FloatArray, b: Sequence[float] | FloatArray) -> FloatArray:
    """``b - a``, item by item.

    Raises:
        ValueError: Lengths differ, or a score is not finite.
    """
    first, second = finite_array("a", a), finite_array("b", b)
    if len(first) != len(second):
        raise ValueError(f"a has {len(first)} scores and b {len(second)}; they must be of the same items")
    return second - first


def _variance(differences: FloatArray) -> float | None:
    if len(differences) < 2:
        return None
    # Rounding must not give equal differences a spread.
    return 0.0 if float(np.ptp(differences)) == 0 else float(differences.var(ddof=1))


def _exact_p(differing: FloatArray) -> float:
    sums = np.zeros(1)
    for difference in differing.tolist():
        sums = np.concatenate([sums + difference, sums - difference])
    return float((np.abs(sums) >= _threshold(differing)).mean())


def _monte_carlo_p(differing: FloatArray, flips: int, seed: int) -> float:
    rng = np.random.default_rng(seed)
    rows = max(1, _MAX_SIGNS_AT_ONCE // len(differing))
    extreme = 0
    for start in range(0, flips, rows):
        signs = rng.integers(0, 2, size=(min(rows, flips - start), len(differing)), dtype=np.int8) * 2.0 - 1.0
        extreme += int((np.abs(signs @ differing) >= _threshold(differing)).sum())
    return (extreme + 1) / (flips + 1)


def _threshold(differing: FloatArray) -> float:
    # Sums that are equal but for rounding count as equally extreme.
    return abs(float(differing.sum())) - 1e-12 * float(np.abs(differing).sum())


def _row_means(draws: FloatArray) -> FloatArray:
    return np.asarray(draws.mean(axis=1))
