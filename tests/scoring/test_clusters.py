from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from assay.scoring.clusters import (
    BootstrapMethod,
    ClusterCorrection,
    cluster_bootstrap_interval,
    clustered_mean,
    clustered_mean_from_sums,
)
from assay.scoring.statistics import t_interval

scipy_stats: Any = stats


def test_error_by_hand() -> None:
    # Mean 0.5 of 6. Residuals sum to 1, -1 and 0 in the clusters: CR0 is sqrt(2) / 6, CR1 sqrt(2 * 3/2) / 6.
    values, clusters = [1, 1, 0, 0, 1, 0], ["x", "x", "y", "y", "z", "z"]
    plain = clustered_mean(values, clusters, correction=ClusterCorrection.CR0)
    result = clustered_mean(values, clusters)
    assert plain is not None
    assert result is not None
    assert plain.error == pytest.approx(2**0.5 / 6)
    assert result.error == pytest.approx(3**0.5 / 6)
    assert (result.mean, result.n, result.clusters) == (0.5, 6, 3)
    # t(2) = 4.302653; 4.302653 * 0.288675 = 1.242069.
    assert result.interval == pytest.approx((0.5 - 1.242069, 0.5 + 1.242069), abs=1e-5)


def test_single_samples_give_the_ordinary_interval() -> None:
    values = np.random.default_rng(3).random(30)
    result = clustered_mean(values, range(30))
    assert result is not None
    assert result.interval == pytest.approx(t_interval(float(values.mean()), float(values.var(ddof=1)), 30))


def test_repeating_every_sample_adds_nothing() -> None:
    values = np.random.default_rng(3).random(30)
    once, fourfold = clustered_mean(values, range(30)), clustered_mean(np.tile(values, 4), [*range(30)] * 4)
    assert once is not None
    assert fourfold is not None
    assert fourfold.interval == pytest.approx(once.interval)


def row_means(draws: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    return np.asarray(np.mean(draws, axis=axis))


@pytest.mark.parametrize("method", list(BootstrapMethod))
def test_bootstrap_of_single_samples_agrees_with_scipy(method: BootstrapMethod) -> None:
    values = np.random.default_rng(3).exponential(size=40)
    interval = cluster_bootstrap_interval(values, range(40), method=method, resamples=20_000)
    expected = scipy_stats.bootstrap(
        (values,), row_means, n_resamples=20_000, method=method.value, rng=np.random.default_rng(4)
    ).confidence_interval
    assert interval == pytest.approx((expected.low, expected.high), abs=0.02)
    assert interval == cluster_bootstrap_interval(values, range(40), method=method, resamples=20_000)


def samples_of(rng: np.random.Generator, count: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Clusters of 2 to 6 samples, pass or fail; half the variance is the cluster's. The mean is 2/3."""
    clusters = np.repeat(np.arange(count, dtype=np.int64), rng.integers(2, 7, size=count))
    chance = rng.beta(2 / 3, 1 / 3, size=count)
    return (rng.random(len(clusters)) < chance[clusters]).astype(np.float64), clusters


def coverage(method: BootstrapMethod | ClusterCorrection | None, trials: int = 600, count: int = 40) -> float:
    """The share of 95 % intervals that hold the mean of 40 clusters; None takes samples for independent."""
    rng = np.random.default_rng(29)
    covered = 0
    for _ in range(trials):
        values, clusters = samples_of(rng, count)
        if isinstance(method, BootstrapMethod):
            interval = cluster_bootstrap_interval(values, clusters.tolist(), method=method, resamples=400)
        else:
            correction = method or ClusterCorrection.CR1
            result = clustered_mean(values, clusters.tolist() if method else range(len(values)), correction=correction)
            interval = result.interval if result else None
        assert interval is not None
        covered += interval.low <= 2 / 3 <= interval.high
    return covered / trials


@pytest.mark.parametrize("method", [*ClusterCorrection, *BootstrapMethod])
def test_intervals_cover_the_truth(method: BootstrapMethod | ClusterCorrection) -> None:
    assert 0.92 <= coverage(method) <= 0.98


def test_taking_samples_for_independent_does_not_cover() -> None:
    assert coverage(None) < 0.9


def test_too_little_data() -> None:
    assert clustered_mean([], []) is None
    assert cluster_bootstrap_interval([], []) is None
    one, equal = clustered_mean([0.1, 0.9], "aa"), clustered_mean([0.1] * 6, "aabbbc")
    assert one is not None
    assert equal is not None
    assert (one.mean, one.error, one.interval) == (0.5, None, None)
    assert (equal.error, equal.interval) == (0, None)
    assert cluster_bootstrap_interval([0.1, 0.9], "aa") is None
    assert cluster_bootstrap_interval([0.1] * 6, "aabbbc") is None
    two = clustered_mean([0, 1], "ab")
    # Error 1/2 and t(1) = 12.7062.
    assert two is not None
    assert two.interval == pytest.approx((0.5 - 6.3531, 0.5 + 6.3531), abs=1e-4)


def test_impossible_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="needs its cluster"):
        clustered_mean([1, 2], "a")
    with pytest.raises(ValueError, match="finite"):
        cluster_bootstrap_interval([1, float("nan")], "ab")
    with pytest.raises(ValueError, match="level"):
        clustered_mean([1, 2], "ab", level=95)


@pytest.mark.parametrize(
    ("values", "clusters"),
    [([1.0, 0.0, 1.0, 1.0, 0.0], [0, 0, 1, 2, 2]), ([0.5, 0.5], [0, 1]), ([0.1] * 6, [0, 0, 1, 1, 2, 2]), ([1.0], [0])],
)
def test_sums_of_a_database_say_the_same(values: list[float], clusters: list[int]) -> None:
    mean = sum(values) / len(values)
    places = set(clusters)
    squares = sum(sum(v - mean for v, c in zip(values, clusters, strict=True) if c == place) ** 2 for place in places)
    for correction in ClusterCorrection:
        found = clustered_mean_from_sums(
            n=len(values), mean=mean, clusters=len(places), squares=squares, correction=correction
        )
        expected = clustered_mean(values, clusters, correction=correction)
        assert found is not None
        assert expected is not None
        assert (found.n, found.clusters) == (expected.n, expected.clusters)
        assert found.error == pytest.approx(expected.error)
        assert found.interval == (None if expected.interval is None else pytest.approx(expected.interval))
    assert clustered_mean_from_sums(n=0, mean=0, clusters=0, squares=0) is None
