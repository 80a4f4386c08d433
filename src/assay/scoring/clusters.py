"""Means of samples that come in clusters: repeats of one item, questions on one text.

Samples of a cluster resemble each other, so that n of them tell less than n independent ones, and ordinary intervals
are too narrow. Everything here counts clusters instead. None stands for "too little data to say".
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np

from assay.scoring.distributions import (
    FloatArray,
    check_share,
    finite_array,
    normal_probability,
    normal_quantile,
    student_quantile,
)
from assay.scoring.statistics import DEFAULT_LEVEL, DEFAULT_RESAMPLES, Interval, percentile_interval

_MAX_DRAWS_AT_ONCE: Final = 1_000_000


class ClusterCorrection(StrEnum):
    """CR0 takes the sums of residuals as they are; CR1 multiplies their variance by ``G / (G - 1)``."""

    CR0 = "cr0"
    CR1 = "cr1"


class BootstrapMethod(StrEnum):
    """How bounds are read from the replicates."""

    PERCENTILE = "percentile"
    BCA = "bca"


@dataclass(frozen=True)
class ClusteredMean:
    """A mean over n samples in ``clusters``; interval by Student's t with ``clusters - 1`` degrees of freedom."""

    mean: float
    n: int
    clusters: int
    error: float | None
    interval: Interval | None
    correction: ClusterCorrection


def clustered_mean(
    values: Sequence[float] | FloatArray,
    clusters: Sequence[Hashable],
    *,
    level: float = DEFAULT_LEVEL,
    correction: ClusterCorrection = ClusterCorrection.CR1,
) -> ClusteredMean | None:
    """The mean of all samples with a standard error that allows for clusters.

    ``error² = c / n² · Σ_g (Σ_{i in g} (y_i - mean))²``, with ``c = 1`` (CR0) or ``G / (G - 1)`` (CR1) and G clusters;
    the interval is ``mean ± t(G - 1) · error``. Liang and Zeger 1986, "Longitudinal data analysis using generalized
    linear models", Biometrika 73; for evaluations Miller 2024, "Adding Error Bars to Evals", arXiv 2411.00640. Assumes
    independent clusters, and enough of them of like size; with few or very unequal ones the interval is too narrow.
    If every sample is its own cluster, CR1 is the ordinary standard error.

    n = 0: None. One cluster: no error, no interval. Two: valid and very wide. Cluster sums that all are as the mean
    says: error 0, and no interval, since a width of nothing would claim certainty.

    Args:
        values: One score per sample.
        clusters: The cluster of each.
        level: Between 0 and 1, both excluded.
        correction: Of the variance.

    Raises:
        ValueError: Lengths differ, a value is not finite, or ``level`` is out of range.
    """
    check_share("level", level)
    sums, sizes = _cluster_sums(values, clusters)
    count, n = len(sums), int(sizes.sum())
    if n == 0:
        return None
    mean = float(sums.sum() / n)
    error = _standard_error(sums, sums - sizes * mean, n, correction)
    return ClusteredMean(mean, n, count, error, _interval(mean, error, count, level), correction)


def clustered_mean_from_sums(
    *,
    n: int,
    mean: float,
    clusters: int,
    squares: float,
    level: float = DEFAULT_LEVEL,
    correction: ClusterCorrection = ClusterCorrection.CR1,
) -> ClusteredMean | None:
    """`clustered_mean` from what a database has already summed up, with its formula, source and short cases.

    Args:
        n: Samples.
        mean: Of all of them.
        clusters: How many there are.
        squares: ``Σ_g (Σ_{i in g} (y_i - mean))²``.
        level: Between 0 and 1, both excluded.
        correction: Of the variance.

    Raises:
        ValueError: An argument is out of range or not finite.
    """
    check_share("level", level)
    if not (math.isfinite(mean) and math.isfinite(squares) and squares >= 0 and 0 <= clusters <= n):
        raise ValueError(f"mean {mean}, squares {squares}, {clusters} clusters of n = {n}: out of range")
    if n == 0:
        return None
    if clusters < 2:
        return ClusteredMean(mean, n, clusters, None, None, correction)
    factor = clusters / (clusters - 1) if correction is ClusterCorrection.CR1 else 1.0
    # What is left of equal values is rounding.
    is_rounding = squares <= (1e-12 * abs(mean) * n) ** 2
    error = 0.0 if is_rounding else math.sqrt(factor * squares) / n
    return ClusteredMean(mean, n, clusters, error, _interval(mean, error, clusters, level), correction)


def cluster_bootstrap_interval(
    values: Sequence[float] | FloatArray,
    clusters: Sequence[Hashable],
    *,
    level: float = DEFAULT_LEVEL,
    method: BootstrapMethod = BootstrapMethod.BCA,
    resamples: int = DEFAULT_RESAMPLES,
    seed: int = 0,
) -> Interval | None:
    """Bootstrap interval of the mean of all samples, drawing whole clusters.

    The mean over ``resamples`` draws of G clusters with replacement. Percentile: its ``(1 ± level) / 2`` quantiles.
    BCa: quantiles moved by ``Φ(z0 + (z0 + z) / (1 - a (z0 + z)))``, with ``z0`` the normal quantile of the share of
    replicates below the mean (ties count half) and ``a`` the acceleration from leaving out one cluster at a time.
    Davison and Hinkley 1997, "Bootstrap Methods and their Application", section 3.8; Efron 1987, "Better bootstrap
    confidence intervals", JASA 82. Assumes independent clusters. Too narrow when they are few. The same seed gives the
    same interval.

    No or one cluster: None. Two: defined, but only three different draws exist. Draws that all agree: None.

    Args:
        values: One score per sample.
        clusters: The cluster of each.
        level: Between 0 and 1, both excluded.
        method: How bounds are read.
        resamples: Draws.
        seed: At least 0.

    Raises:
        ValueError: Lengths differ, a value is not finite, or ``level`` is out of range.
    """
    check_share("level", level)
    sums, sizes = _cluster_sums(values, clusters)
    if len(sums) < 2:
        return None
    replicates = _replicates(sums, sizes, resamples, seed)
    if len(replicates) < 2 or _all_alike(replicates - replicates[0], replicates):
        return None
    if method is BootstrapMethod.PERCENTILE:
        return percentile_interval(replicates, level=level)
    return _bca(replicates, sums, sizes, level)


def _cluster_sums(values: Sequence[float] | FloatArray, clusters: Sequence[Hashable]) -> tuple[FloatArray, FloatArray]:
    array = finite_array("values", values)
    if len(array) != len(clusters):
        raise ValueError(f"{len(array)} values and {len(clusters)} clusters; every value needs its cluster")
    places: dict[Hashable, int] = {}
    index = np.array([places.setdefault(cluster, len(places)) for cluster in clusters], dtype=np.intp)
    sums = np.bincount(index, weights=array, minlength=len(places)).astype(np.float64)
    return sums, np.bincount(index, minlength=len(places)).astype(np.float64)


def _interval(mean: float, error: float | None, clusters: int, level: float) -> Interval | None:
    if not error:
        return None
    half = student_quantile((1 + level) / 2, clusters - 1) * error
    return Interval(mean - half, mean + half)


def _standard_error(sums: FloatArray, residuals: FloatArray, n: int, correction: ClusterCorrection) -> float | None:
    count = len(residuals)
    if count < 2:
        return None
    factor = count / (count - 1) if correction is ClusterCorrection.CR1 else 1.0
    error = math.sqrt(factor * float(residuals @ residuals)) / n
    # What is left of equal values is rounding.
    return 0.0 if _all_alike(residuals, sums) else error


def _all_alike(deviations: FloatArray, scale: FloatArray) -> bool:
    return float(np.abs(deviations).max()) <= 1e-12 * float(np.abs(scale).max())


def _replicates(sums: FloatArray, sizes: FloatArray, resamples: int, seed: int) -> FloatArray:
    rng = np.random.default_rng(seed)
    rows = max(1, _MAX_DRAWS_AT_ONCE // len(sums))
    parts: list[FloatArray] = []
    for start in range(0, resamples, rows):
        drawn = rng.integers(0, len(sums), size=(min(rows, resamples - start), len(sums)))
        parts.append(sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1))
    return np.concatenate(parts) if parts else np.zeros(0)


def _bca(replicates: FloatArray, sums: FloatArray, sizes: FloatArray, level: float) -> Interval | None:
    mean = sums.sum() / sizes.sum()
    below = float(((replicates < mean) + 0.5 * (replicates == mean)).mean())
    if not 0 < below < 1:
        return percentile_interval(replicates, level=level)
    bias = normal_quantile(below)
    acceleration = _acceleration((sums.sum() - sums) / (sizes.sum() - sizes))
    bounds = [_moved((1 + side * level) / 2, bias, acceleration) for side in (-1, 1)]
    low, high = np.quantile(replicates, bounds)
    return Interval(float(low), float(high)) if low < high else None


def _moved(share: float, bias: float, acceleration: float) -> float:
    z = bias + normal_quantile(share)
    return normal_probability(bias + z / (1 - acceleration * z))


def _acceleration(left_out: FloatArray) -> float:
    deviations = left_out.mean() - left_out
    squares = float((deviations**2).sum())
    return float((deviations**3).sum()) / (6 * squares**1.5) if squares else 0.0
