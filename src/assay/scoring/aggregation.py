"""From scores of samples to one number per metric, with its interval.

Values stream in, alone or in arrays, and are kept as count, mean and sum of squared deviations (Welford's update, and
Chan's for merging), so a million samples need no more room than ten, and shards can be merged in any order.

Which interval is chosen:

| values seen | method | why |
|---|---|---|
| only 0 and 1 | ``wilson`` | right for proportions, also near 0 and 1 and for small n |
| anything else | ``student_t`` | needs only three running numbers, where a bootstrap needs every value |
| none, one that is not 0 or 1, or all equal | ``none`` | no spread has been seen |

A metric on another scale (1 to 5 stars) may by chance show only 0s and 1s; say so with ``binary=False``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from assay.scoring.errors import ScoreValueError
from assay.scoring.statistics import DEFAULT_LEVEL, Interval, t_interval, wilson_interval


class IntervalMethod(StrEnum):
    """How an aggregate's interval was made."""

    WILSON = "wilson"
    STUDENT_T = "student_t"
    BOOTSTRAP_PERCENTILE = "bootstrap_percentile"
    CLUSTERED_T = "clustered_student_t"
    """Repeats of one item count as one cluster; see `assay.scoring.clusters`."""
    FISHER_Z = "fisher_z"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Aggregate:
    """One metric over the samples of a task, model or run."""

    value: float | None
    """None, never 0, when no sample was scored."""
    n: int
    """Samples that entered the value."""
    unscored: int
    """Samples that completed without a score for this metric."""
    low: float | None
    high: float | None
    level: float
    """Confidence level of ``low`` to ``high``."""
    method: IntervalMethod


def make_aggregate(
    value: float | None,
    *,
    n: int,
    unscored: int,
    interval: Interval | None,
    method: IntervalMethod,
    level: float = DEFAULT_LEVEL,
) -> Aggregate:
    """Join a value and its interval; without an interval the method is ``none``."""
    if interval is None:
        return Aggregate(value, n, unscored, None, None, level, IntervalMethod.NONE)
    return Aggregate(value, n, unscored, interval.low, interval.high, level, method)


@dataclass(slots=True)
class MetricAccumulator:
    """Running mean of one metric. The fields are its whole state and may be stored and restored."""

    count: int = 0
    unscored: int = 0
    mean: float = 0.0
    squares: float = 0.0
    """Sum of squared deviations from the mean."""
    binary: bool = True
    """Every value so far was 0 or 1. Start with False for metrics on another scale."""

    def add(self, value: float) -> None:
        """Take in one score.

        Raises:
            ScoreValueError: The value is not finite.
        """
        if not math.isfinite(value):
            raise ScoreValueError(f"A score must be a finite number, not {value}.")
        self.count += 1
        delta = value - self.mean
        self.mean += delta / self.count
        self.squares += delta * (value - self.mean)
        if self.binary and value != 0 and value != 1:
            self.binary = False

    def add_many(self, values: ArrayLike) -> None:
        """Take in an array of scores, of any shape.

        Raises:
            ScoreValueError: A value is not finite; then none is taken in.
        """
        array = np.asarray(values, dtype=np.float64)
        if array.size == 0:
            return
        if not np.isfinite(array).all():
            raise ScoreValueError("A score must be a finite number; the array holds one that is not.")
        mean = float(array.mean())
        self.merge(
            MetricAccumulator(
                count=array.size,
                mean=mean,
                squares=float(np.square(array - mean).sum()),
                binary=self.binary and bool(((array == 0) | (array == 1)).all()),
            )
        )

    def add_unscored(self, count: int = 1) -> None:
        """Count samples that completed without a score for this metric."""
        self.unscored += count

    def merge(self, other: MetricAccumulator) -> None:
        """Take in everything that another accumulator has seen."""
        self.unscored += other.unscored
        self.binary = self.binary and other.binary
        if other.count == 0:
            return
        total = self.count + other.count
        delta = other.mean - self.mean
        self.mean += delta * other.count / total
        self.squares += other.squares + delta * delta * self.count * other.count / total
        self.count = total

    def aggregate(self, *, level: float = DEFAULT_LEVEL) -> Aggregate:
        """The mean so far with its interval.

        Raises:
            ValueError: ``level`` is not between 0 and 1.
        """
        n = self.count
        if n == 0:
            return Aggregate(None, 0, self.unscored, None, None, level, IntervalMethod.NONE)
        if self.binary:
            successes = round(self.mean * n)
            value, method = successes / n, IntervalMethod.WILSON
            interval = wilson_interval(successes, n, level=level)
        else:
            value, method = self.mean, IntervalMethod.STUDENT_T
            interval = t_interval(value, self.squares / (n - 1), n, level=level) if n > 1 else None
        return make_aggregate(value, n=n, unscored=self.unscored, interval=interval, method=method, level=level)


def accumulator_from_moments(
    *, count: int, mean: float | None, variance: float | None, binary: bool, unscored: int = 0
) -> MetricAccumulator:
    """An accumulator as if it had seen the values that a database has already summed up.

    Args:
        count: Number of values.
        mean: Their mean (``avg``); None when there are none.
        variance: Unbiased (``var_samp``); None for fewer than two values.
        binary: Every value is 0 or 1 (``bool_and``).
        unscored: Samples without a value.
    """
    return MetricAccumulator(count, unscored, mean or 0.0, (variance or 0.0) * max(count - 1, 0), binary)


_NO_SCORES: Final[Mapping[str, float]] = {}


@dataclass(slots=True)
class ScoreAggregator:
    """Aggregates every metric of a task, whichever metrics its samples turn out to have.

    A sample that lacks a metric which others have, as graders may do, is unscored for that metric.
    """

    metric_ids: tuple[str, ...] = ()
    """Metrics to report even if no sample has them."""
    _samples: int = 0
    _metrics: dict[str, MetricAccumulator] = field(default_factory=dict[str, MetricAccumulator])

    def add(self, scores: Mapping[str, float] | None) -> None:
        """Take in one completed sample.

        Args:
            scores: Metric id to value; None for an unscored sample.

        Raises:
            ScoreValueError: A value is not finite.
        """
        self._samples += 1
        for metric_id, value in (scores or _NO_SCORES).items():
            accumulator = self._metrics.get(metric_id)
            if accumulator is None:
                accumulator = self._metrics[metric_id] = MetricAccumulator()
            accumulator.add(value)

    def merge(self, other: ScoreAggregator) -> None:
        """Take in everything that another aggregator has seen."""
        self._samples += other._samples
        for metric_id, accumulator in other._metrics.items():
            self._metrics.setdefault(metric_id, MetricAccumulator()).merge(accumulator)

    def aggregate(self, *, level: float = DEFAULT_LEVEL) -> dict[str, Aggregate]:
        """Each metric's aggregate, declared metrics first, then the others by name."""
        ordered = dict.fromkeys((*self.metric_ids, *sorted(self._metrics)))
        return {metric_id: self._aggregate_metric(metric_id, level) for metric_id in ordered}

    def _aggregate_metric(self, metric_id: str, level: float) -> Aggregate:
        accumulator = MetricAccumulator()
        if metric_id in self._metrics:
            accumulator.merge(self._metrics[metric_id])
        accumulator.add_unscored(self._samples - accumulator.count)
        return accumulator.aggregate(level=level)
