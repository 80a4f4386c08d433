from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from assay.scoring.paired import (
    IntervalMethod,
    TestMethod,
    mcnemar_test,
    paired_difference,
    paired_test,
    sign_flip_test,
)
from assay.scoring.statistics import t_interval

scipy_stats: Any = stats


@pytest.mark.parametrize(
    ("only_a", "only_b", "p"),
    [
        # 2 (1 + 10) / 2^10.
        (1, 9, 22 / 1024),
        (9, 1, 22 / 1024),
        # 2 / 2^5 and 2 / 2^6: with fewer than six differing items nothing is significant at 5 %.
        (0, 5, 1 / 16),
        (0, 6, 1 / 32),
        # Twice P(X ≤ 3) of 6 is 2 * 42 / 64, above 1.
        (3, 3, 1.0),
        (0, 1, 1.0),
        (0, 0, 1.0),
    ],
)
def test_mcnemar(only_a: int, only_b: int, p: float) -> None:
    result = mcnemar_test(only_a, only_b, n=20)
    assert result is not None
    assert result.p == pytest.approx(p)
    assert (result.n, result.differing) == (20, only_a + only_b)


def test_mcnemar_agrees_with_the_binomial_test() -> None:
    for only_a, only_b in [(2, 11), (40, 61), (500, 430)]:
        result = mcnemar_test(only_a, only_b, n=2000)
        assert result is not None
        assert result.p == pytest.approx(scipy_stats.binomtest(only_a, only_a + only_b).pvalue)


@pytest.mark.parametrize(
    ("differences", "p"),
    [
        # Of the 8 sums of ±1 ±2 ±3 only 6 and -6 are as far from 0 as 6.
        ([1, 2, 3], 2 / 8),
        # Sums of ±3 ±2 ±1 are ±6, ±4, ±2, 0, 0; at least 4 from 0 are four of eight.
        ([3, 2, -1], 4 / 8),
        # A pair without difference changes nothing.
        ([0, 3, 0, 2, -1], 4 / 8),
        # In binary 0.1 + 0.2 is not 0.3: the sums 0.3 - 0.1 - 0.2 and back are 0 but for rounding, as is the observed.
        ([0.3, -0.1, -0.2], 1.0),
        ([1, 1], 2 / 4),
        ([1, -1], 1.0),
        ([5], 1.0),
        ([0, 0], 1.0),
    ],
)
def test_sign_flips_by_hand(differences: list[float], p: float) -> None:
    result = sign_flip_test([0.0] * len(differences), differences)
    assert result is not None
    assert result.p == pytest.approx(p)
    assert result.method is TestMethod.EXACT_SIGN_FLIP


def test_exact_sign_flips_agree_with_scipy() -> None:
    rng = np.random.default_rng(5)
    a, b = rng.random(9), rng.random(9) + 0.2

    def mean_difference(x: NDArray[np.float64], y: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
        return np.asarray(np.mean(y - x, axis=axis))

    expected = scipy_stats.permutation_test((a, b), mean_difference, permutation_type="samples", n_resamples=np.inf)
    result = sign_flip_test(a, b)
    assert result is not None
    assert result.p == pytest.approx(expected.pvalue)


def test_many_pairs_are_drawn_repeatably_and_come_close_to_the_exact_p() -> None:
    # 30 pairs, 20 for b and 10 for a: McNemar's exact p is 0.0987.
    a, b = [1.0] * 10 + [0.0] * 20, [0.0] * 10 + [1.0] * 20
    drawn, exact = sign_flip_test(a, b), paired_test(a, b)
    assert drawn is not None
    assert exact is not None
    assert (drawn.method, exact.method) == (TestMethod.MONTE_CARLO_SIGN_FLIP, TestMethod.EXACT_MCNEMAR)
    assert exact.p == pytest.approx(0.0987, abs=5e-5)
    assert drawn.p == pytest.approx(exact.p, abs=0.01)
    assert drawn == sign_flip_test(a, b)


def test_a_drawn_p_is_never_0() -> None:
    result = sign_flip_test([0.0] * 200, [1.0] * 199 + [0.5], flips=999)
    assert result is not None
    assert result.p == 1 / 1000


def test_scores_choose_the_test() -> None:
    binary, graded = paired_test([0, 1, 1], [1, 1, 0]), paired_test([0, 1, 0.5], [1, 1, 0])
    assert binary is not None
    assert graded is not None
    assert binary.method is TestMethod.EXACT_MCNEMAR
    assert graded.method is TestMethod.EXACT_SIGN_FLIP


def false_positive_rate_of_sign_flips(trials: int = 2000) -> float:
    """Ten skewed pairs with exchangeable systems, at 5 %."""
    rng = np.random.default_rng(11)
    rejected = 0
    for _ in range(trials):
        result = sign_flip_test(rng.beta(2, 1, size=10), rng.beta(2, 1, size=10))
        rejected += result is not None and result.p <= 0.05
    return rejected / trials


def false_positive_rate_of_mcnemar(trials: int = 2000) -> float:
    """100 items; a fifth differ, either way alike, at 5 %."""
    rng = np.random.default_rng(11)
    rejected = 0
    for only_a, only_b, _ in rng.multinomial(100, [0.1, 0.1, 0.8], size=trials).tolist():
        result = mcnemar_test(only_a, only_b, n=100)
        rejected += result is not None and result.p <= 0.05
    return rejected / trials


def coverage_of_paired_difference(method: IntervalMethod, trials: int = 1000) -> float:
    """40 pairs that share their item's difficulty; the true difference is 0.1."""
    rng = np.random.default_rng(11)
    covered = 0
    for _ in range(trials):
        items = rng.random(40)
        a, b = items + rng.normal(0, 0.2, 40), items + 0.1 + rng.exponential(0.2, 40) - 0.2
        result = paired_difference(a, b, method=method, resamples=500)
        assert result is not None
        assert result.interval is not None
        covered += result.interval.low <= 0.1 <= result.interval.high
    return covered / trials


def test_false_positives_stay_below_alpha() -> None:
    # Two standard errors of 2000 trials are 0.01.
    assert 0.04 <= false_positive_rate_of_sign_flips() <= 0.06
    assert 0.01 <= false_positive_rate_of_mcnemar() <= 0.05


@pytest.mark.parametrize("method", list(IntervalMethod))
def test_intervals_cover_the_truth(method: IntervalMethod) -> None:
    assert 0.92 <= coverage_of_paired_difference(method) <= 0.97


def test_difference() -> None:
    # Differences 1, 2, 3: mean 2, deviation 1.
    result = paired_difference([0, 1, 2], [1, 3, 5])
    assert result is not None
    assert (result.mean, result.deviation, result.n) == (2, 1, 3)
    assert result.interval == t_interval(2, 1, 3)


def test_too_little_data() -> None:
    assert mcnemar_test(0, 0, n=0) is None
    assert sign_flip_test([], []) is None
    assert paired_test([], []) is None
    assert paired_difference([], []) is None
    one, equal = paired_difference([0.1], [0.4]), paired_difference([0.1] * 3, [0.4] * 3)
    assert one is not None
    assert equal is not None
    assert (one.deviation, one.interval) == (None, None)
    assert (equal.deviation, equal.interval) == (0, None)


def test_impossible_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="same items"):
        sign_flip_test([1], [1, 2])
    with pytest.raises(ValueError, match="finite"):
        paired_difference([1], [float("nan")])
    with pytest.raises(ValueError, match="differ"):
        mcnemar_test(3, 3, n=5)
    with pytest.raises(ValueError, match="flips"):
        sign_flip_test([1], [1], flips=0)
