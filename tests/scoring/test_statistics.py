import math

import numpy as np
import pytest
from numpy.typing import NDArray

from assay.scoring.statistics import bootstrap_interval, percentile_interval, t_interval, wilson_interval


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [
        # Newcombe 1998, "Two-sided confidence intervals for the single proportion", table I, method 3.
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
        # By hand, z² = 3.8415: at p = 1/2 the center is 1/2 and the half width
        # 1.96 / 1.38415 * sqrt(0.025 + 3.8415 / 400) = 1.41601 * 0.186021 = 0.2634.
        (5, 10, 0.2366, 0.7634),
        # At 0 the upper bound is z² / (n + z²): 3.8415 / 4.8415 and 3.8415 / 5.8415.
        (0, 1, 0.0, 0.7935),
        (1, 1, 0.2065, 1.0),
        (0, 2, 0.0, 0.6576),
        (1_000_000, 1_000_000, 0.999996, 1.0),
    ],
)
def test_wilson(successes: int, n: int, low: float, high: float) -> None:
    interval = wilson_interval(successes, n)
    assert interval is not None
    assert interval == pytest.approx((low, high), abs=6e-5)
    assert 0 <= interval.low <= successes / n <= interval.high <= 1


def test_wilson_other_levels() -> None:
    # z = 1 at level 0.6827: at p = 1/2, n = 1 the half width at s = 0 gives z² / (1 + z²) = 1/2.
    interval = wilson_interval(0, 1, level=math.erf(1 / math.sqrt(2)))
    assert interval == pytest.approx((0, 0.5))


def test_wilson_covers_the_truth() -> None:
    rng = np.random.default_rng(7)
    for p in (0.05, 0.3, 0.5, 0.9):
        covered = 0
        for successes in rng.binomial(50, p, size=2000).tolist():
            interval = wilson_interval(successes, 50)
            assert interval is not None
            covered += interval.low <= p <= interval.high
        assert covered / 2000 >= 0.93


@pytest.mark.parametrize(
    ("values", "half"),
    [
        # Variance 1, t(2) = 4.302653: 4.302653 / sqrt(3).
        ([1.0, 2.0, 3.0], 2.484138),
        # Variance 0.02, t(1) = 12.70620: 12.70620 * sqrt(0.02 / 2).
        ([0.2, 0.4], 1.270620),
    ],
)
def test_t(values: list[float], half: float) -> None:
    mean = float(np.mean(values))
    interval = t_interval(mean, float(np.var(values, ddof=1)), len(values))
    assert interval == pytest.approx((mean - half, mean + half), abs=1e-5)


def test_t_covers_the_truth() -> None:
    rng = np.random.default_rng(7)
    samples = rng.beta(2, 1, size=(2000, 50))  # mean 2/3, skewed like many graded scores
    covered = 0
    for mean, variance in zip(samples.mean(axis=1).tolist(), samples.var(axis=1, ddof=1).tolist(), strict=True):
        interval = t_interval(mean, variance, 50)
        assert interval is not None
        covered += interval.low <= 2 / 3 <= interval.high
    assert covered / 2000 >= 0.93


def mean_of_rows(draws: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(draws.mean(axis=1))


def test_bootstrap_of_a_mean_agrees_with_t_and_is_repeatable() -> None:
    values = np.random.default_rng(3).normal(10, 2, size=400)
    interval = bootstrap_interval(values, mean_of_rows, seed=1)
    assert interval == bootstrap_interval(values, mean_of_rows, seed=1)
    assert interval != bootstrap_interval(values, mean_of_rows, seed=2)
    expected = t_interval(float(values.mean()), float(values.var(ddof=1)), 400)
    assert interval == pytest.approx(expected, abs=0.05)


def test_bootstrap_makes_the_asked_number_of_draws_in_bounded_pieces() -> None:
    shapes: list[tuple[int, ...]] = []

    def statistic(draws: NDArray[np.float64]) -> NDArray[np.float64]:
        shapes.append(draws.shape)
        return mean_of_rows(draws)

    bootstrap_interval(np.arange(300_000, dtype=np.float64), statistic, resamples=10)
    assert shapes == [(3, 300_000)] * 3 + [(1, 300_000)]


def test_percentiles() -> None:
    # 101 equally spaced replicates: the 2.5 % and 97.5 % quantiles interpolate to 2.5 and 97.5.
    assert percentile_interval(np.arange(101, dtype=np.float64)) == pytest.approx((2.5, 97.5))


def test_too_little_data_gives_no_interval() -> None:
    assert wilson_interval(0, 0) is None
    assert t_interval(0, 0, 0) is None
    assert t_interval(0.5, 0, 1) is None
    assert t_interval(0.5, 0, 10) is None
    for values in ([], [1.0], [2.0, 2.0]):
        assert bootstrap_interval(np.array(values, dtype=np.float64), mean_of_rows) is None
    assert percentile_interval(np.array([], dtype=np.float64)) is None


@pytest.mark.parametrize("level", [0, 1, -0.5, 95, math.nan])
def test_level_is_a_probability(level: float) -> None:
    with pytest.raises(ValueError, match="level"):
        wilson_interval(1, 2, level=level)
    with pytest.raises(ValueError, match="level"):
        t_interval(0, 1, 3, level=level)
    with pytest.raises(ValueError, match="level"):
        percentile_interval(np.arange(3.0), level=level)


@pytest.mark.parametrize(("successes", "n"), [(-1, 5), (6, 5), (1, 0)])
def test_wilson_refuses_impossible_counts(successes: int, n: int) -> None:
    with pytest.raises(ValueError, match="successes"):
        wilson_interval(successes, n)


@pytest.mark.parametrize(("mean", "variance", "n"), [(math.nan, 1, 3), (0, -1, 3), (0, math.inf, 3), (0, 1, -1)])
def test_t_refuses_impossible_moments(mean: float, variance: float, n: int) -> None:
    with pytest.raises(ValueError, match="must be finite"):
        t_interval(mean, variance, n)
