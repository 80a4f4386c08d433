"""Intervals and tests that SciPy or statsmodels have as well give what those give, as docs/statistics.md claims."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from assay.scoring.agreement import cohen_kappa
from assay.scoring.clusters import ClusterCorrection, clustered_mean
from assay.scoring.multiplicity import holm_adjusted
from assay.scoring.paired import IntervalMethod, mcnemar_test, paired_difference, sign_flip_test
from assay.scoring.power import items_needed, minimal_detectable_effect, paired_power
from assay.scoring.statistics import bootstrap_interval, t_interval, wilson_interval

# Neither has types.
scipy_stats: Any = import_module("scipy.stats")
proportion: Any = import_module("statsmodels.stats.proportion")
contingency: Any = import_module("statsmodels.stats.contingency_tables")
multitest: Any = import_module("statsmodels.stats.multitest")
raters: Any = import_module("statsmodels.stats.inter_rater")
power: Any = import_module("statsmodels.stats.power")
weightstats: Any = import_module("statsmodels.stats.weightstats")
regression: Any = import_module("statsmodels.regression.linear_model")

EXACT: Any = {"rel": 1e-9, "abs": 1e-12}


@pytest.mark.parametrize("level", [0.8, 0.95, 0.999])
@pytest.mark.parametrize(("successes", "n"), [(0, 1), (1, 1), (0, 2), (1, 2), (3, 10), (81, 263), (999, 1000)])
def test_wilson(successes: int, n: int, level: float) -> None:
    interval = wilson_interval(successes, n, level=level)
    of_scipy = scipy_stats.binomtest(successes, n).proportion_ci(confidence_level=level, method="wilson")
    assert interval == pytest.approx((of_scipy.low, of_scipy.high), **EXACT)
    of_statsmodels = proportion.proportion_confint(successes, n, alpha=1 - level, method="wilson")
    assert interval == pytest.approx(of_statsmodels, **EXACT)


@pytest.mark.parametrize("level", [0.8, 0.95, 0.999])
@pytest.mark.parametrize("n", [2, 3, 30, 1000])
def test_student(n: int, level: float) -> None:
    values = np.random.default_rng(n).beta(2, 1, size=n)
    mean, variance = float(values.mean()), float(values.var(ddof=1))
    interval = t_interval(mean, variance, n, level=level)
    expected = scipy_stats.t.interval(level, n - 1, loc=mean, scale=scipy_stats.sem(values))
    assert interval == pytest.approx(expected, **EXACT)
    assert interval == pytest.approx(weightstats.DescrStatsW(values).tconfint_mean(alpha=1 - level), **EXACT)


@pytest.mark.parametrize("n", [2, 5, 80])
def test_paired_t(n: int) -> None:
    rng = np.random.default_rng(n)
    a, b = rng.random(n), rng.random(n) + 0.1
    found = paired_difference(a, b)
    assert found is not None
    expected = scipy_stats.ttest_rel(b, a).confidence_interval(0.95)
    assert found.interval == pytest.approx((expected.low, expected.high), **EXACT)


@pytest.mark.parametrize(("only_a", "only_b"), [(0, 1), (1, 1), (1, 9), (5, 5), (40, 61), (500, 430)])
def test_mcnemar(only_a: int, only_b: int) -> None:
    found = mcnemar_test(only_a, only_b, n=2000)
    assert found is not None
    table = [[1000, only_a], [only_b, 1000 - only_a - only_b]]
    assert found.p == pytest.approx(contingency.mcnemar(table, exact=True).pvalue, **EXACT)


@pytest.mark.parametrize("count", [1, 2, 5, 40])
def test_holm(count: int) -> None:
    p_values = (np.random.default_rng(count).random(count) ** 3).tolist()
    assert holm_adjusted(p_values) == pytest.approx(multitest.multipletests(p_values, method="holm")[1], **EXACT)
    ties = [0.01, 0.01, 0.04, 0.04, 1.0]
    assert holm_adjusted(ties) == pytest.approx(multitest.multipletests(ties, method="holm")[1], **EXACT)


def mean_difference(x: NDArray[np.float64], y: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    return np.asarray(np.mean(y - x, axis=axis))


@pytest.mark.parametrize("n", [1, 2, 6, 12])
def test_exact_permutation(n: int) -> None:
    rng = np.random.default_rng(n)
    a, b = rng.random(n), rng.random(n) + 0.2
    found = sign_flip_test(a, b)
    assert found is not None
    if n == 1:  # SciPy asks for two pairs; both signs are equally far from 0.
        assert found.p == 1
        return
    expected = scipy_stats.permutation_test((a, b), mean_difference, permutation_type="samples", n_resamples=np.inf)
    assert found.p == pytest.approx(expected.pvalue, **EXACT)


def test_drawn_permutation() -> None:
    rng = np.random.default_rng(5)
    a, b = rng.random(60), rng.random(60) + 0.08
    found = sign_flip_test(a, b, flips=40_000)
    assert found is not None
    expected = scipy_stats.permutation_test(
        (a, b), mean_difference, permutation_type="samples", n_resamples=40_000, rng=np.random.default_rng(6)
    ).pvalue
    # Both are drawn: the standard error of either is at most √(p(1−p)/40,000).
    assert 0.01 < expected < 0.5
    assert found.p == pytest.approx(expected, abs=5 * (2 * expected * (1 - expected) / 40_000) ** 0.5)


def row_means(draws: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(draws.mean(axis=1))


def test_percentile_bootstrap() -> None:
    values = np.random.default_rng(3).exponential(size=60)
    found = bootstrap_interval(values, row_means, resamples=40_000)
    expected = scipy_stats.bootstrap(
        (values,), np.mean, n_resamples=40_000, method="percentile", rng=np.random.default_rng(4)
    ).confidence_interval
    # A bound's own error, from draw to draw, is about 0.002.
    assert found == pytest.approx((expected.low, expected.high), abs=0.01)


def test_paired_bootstrap() -> None:
    rng = np.random.default_rng(8)
    a, b = rng.random(50), rng.random(50) + rng.exponential(0.2, 50)
    found = paired_difference(a, b, method=IntervalMethod.PERCENTILE_BOOTSTRAP, resamples=40_000)
    assert found is not None
    expected = scipy_stats.bootstrap(
        (b - a,), np.mean, n_resamples=40_000, method="percentile", rng=np.random.default_rng(4)
    ).confidence_interval
    assert found.interval == pytest.approx((expected.low, expected.high), abs=0.005)


@pytest.mark.parametrize("correction", list(ClusterCorrection))
def test_clustered_error(correction: ClusterCorrection) -> None:
    rng = np.random.default_rng(2)
    clusters = np.repeat(np.arange(25), rng.integers(1, 6, size=25))
    values = rng.random(25)[clusters] + rng.normal(0, 0.3, len(clusters))
    found = clustered_mean(values, clusters.tolist(), correction=correction)
    assert found is not None
    is_corrected = correction is ClusterCorrection.CR1
    fit = regression.OLS(values, np.ones(len(values))).fit(
        cov_type="cluster",
        cov_kwds={"groups": clusters, "use_correction": is_corrected, "df_correction": True},
        use_t=True,
    )
    assert found.mean == pytest.approx(fit.params[0], **EXACT)
    assert found.error == pytest.approx(fit.bse[0], **EXACT)
    assert found.interval == pytest.approx(fit.conf_int()[0], **EXACT)


@pytest.mark.parametrize("labels", [2, 4])
def test_kappa_and_its_error(labels: int) -> None:
    rng = np.random.default_rng(labels)
    a = rng.integers(0, labels, size=120)
    b = np.where(rng.random(120) < 0.7, a, rng.integers(0, labels, size=120))
    found = cohen_kappa(a.tolist(), b.tolist())
    assert found is not None
    table = np.zeros((labels, labels))
    np.add.at(table, (a, b), 1)
    expected = raters.cohens_kappa(table)
    assert found.kappa == pytest.approx(expected.kappa, **EXACT)
    assert found.error == pytest.approx(expected.std_kappa, **EXACT)
    assert found.interval == pytest.approx((expected.kappa_low, expected.kappa_upp), **EXACT)


@pytest.mark.parametrize(("effect", "deviation", "n"), [(0.1, 0.4, 50), (0.02, 0.3, 400), (0.5, 0.4, 5)])
def test_power(effect: float, deviation: float, n: int) -> None:
    solver = power.TTestPower()
    expected = solver.power(effect / deviation, n, 0.05, alternative="two-sided")
    assert paired_power(effect, deviation, n) == pytest.approx(expected, rel=1e-6)
    detectable = solver.solve_power(nobs=n, alpha=0.05, power=0.8, alternative="two-sided") * deviation
    assert minimal_detectable_effect(deviation, n) == pytest.approx(detectable, rel=1e-4)
    needed = solver.solve_power(effect / deviation, alpha=0.05, power=0.8, alternative="two-sided")
    assert items_needed(effect, deviation) == int(np.ceil(needed))
