import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.scoring.aggregation import (
    Aggregate,
    IntervalMethod,
    MetricAccumulator,
    ScoreAggregator,
    accumulator_from_moments,
)
from assay.scoring.errors import ScoreValueError
from assay.scoring.statistics import t_interval, wilson_interval


def accumulate(values: list[float]) -> MetricAccumulator:
    accumulator = MetricAccumulator()
    for value in values:
        accumulator.add(value)
    return accumulator


def test_nothing_scored_is_none_and_not_zero() -> None:
    accumulator = MetricAccumulator()
    accumulator.add_unscored(3)
    assert accumulator.aggregate() == Aggregate(None, 0, 3, None, None, 0.95, IntervalMethod.NONE)


def test_zeros_and_ones_get_wilson() -> None:
    aggregate = accumulate([1, 0, 1, 1]).aggregate()
    interval = wilson_interval(3, 4)
    assert interval is not None
    assert aggregate == Aggregate(0.75, 4, 0, interval.low, interval.high, 0.95, IntervalMethod.WILSON)


def test_other_values_get_student_t() -> None:
    aggregate = accumulate([1, 2, 3]).aggregate(level=0.9)
    # Mean 2, variance 1, t(2) at 95 % one-sided = 2.919986: 2.919986 / sqrt(3) = 1.685855.
    assert (aggregate.value, aggregate.n, aggregate.method) == (2, 3, IntervalMethod.STUDENT_T)
    assert (aggregate.low, aggregate.high) == pytest.approx((2 - 1.685855, 2 + 1.685855), abs=1e-5)
    assert aggregate.level == 0.9


@pytest.mark.parametrize("values", [[0.5], [0.5, 0.5, 0.5]])
def test_no_spread_means_no_interval(values: list[float]) -> None:
    aggregate = accumulate(values).aggregate()
    assert aggregate == Aggregate(0.5, len(values), 0, None, None, 0.95, IntervalMethod.NONE)


def test_a_metric_on_another_scale_is_no_proportion() -> None:
    stars = MetricAccumulator(binary=False)
    stars.add_many([1, 1, 0, 1])
    assert stars.aggregate().method is IntervalMethod.STUDENT_T


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_values_are_finite(bad: float) -> None:
    accumulator = accumulate([1.0])
    with pytest.raises(ScoreValueError):
        accumulator.add(bad)
    with pytest.raises(ScoreValueError):
        accumulator.add_many([0.5, bad])
    with pytest.raises(ScoreValueError):
        ScoreAggregator().add({"score": bad})
    assert accumulator == accumulate([1.0])


values_lists = st.lists(st.floats(-1e6, 1e6) | st.sampled_from([0.0, 1.0]), max_size=20)


@settings(deadline=None)
@given(values_lists, values_lists)
def test_every_way_of_taking_values_in_agrees(left: list[float], right: list[float]) -> None:
    one_by_one = accumulate(left + right)
    in_arrays = MetricAccumulator()
    in_arrays.add_many(left)
    in_arrays.add_many(np.array(right))
    merged = accumulate(left)
    merged.merge(accumulate(right))
    every = left + right
    summed = accumulator_from_moments(
        count=len(every),
        mean=float(np.mean(every)) if every else None,
        variance=float(np.var(every, ddof=1)) if len(every) > 1 else None,
        binary=set(every) <= {0.0, 1.0},
    )
    for other in (in_arrays, merged, summed):
        assert (other.count, other.binary) == (one_by_one.count, one_by_one.binary)
        assert other.mean == pytest.approx(one_by_one.mean, rel=1e-9, abs=1e-9)
        assert other.squares == pytest.approx(one_by_one.squares, rel=1e-6, abs=1e-6)


def test_large_means_do_not_swallow_the_variance() -> None:
    # Offset 1e9, variance 1: sums of squares in doubles would lose it altogether.
    values = [1e9 + step for step in (-1.0, 0.0, 1.0)]
    assert accumulate(values).squares == pytest.approx(2.0)
    in_one = MetricAccumulator()
    in_one.add_many(values)
    assert in_one.squares == pytest.approx(2.0)


def test_a_million_values() -> None:
    values = np.random.default_rng(0).random(1_000_000)
    accumulator = MetricAccumulator()
    for part in np.split(values, 100):
        accumulator.add_many(part)
    aggregate = accumulator.aggregate()
    expected = t_interval(float(values.mean()), float(values.var(ddof=1)), len(values))
    assert (aggregate.low, aggregate.high) == pytest.approx(expected)


def test_each_metric_has_its_own_unscored() -> None:
    aggregator = ScoreAggregator(("reward", "never"))
    for scores in ({"reward": 1.0, "extra": 0.2}, None, {"reward": 0.0}, {}):
        aggregator.add(scores)
    aggregates = aggregator.aggregate()
    assert list(aggregates) == ["reward", "never", "extra"]
    assert {name: (a.value, a.n, a.unscored) for name, a in aggregates.items()} == {
        "reward": (0.5, 2, 2),
        "never": (None, 0, 4),
        "extra": (0.2, 1, 3),
    }


def test_merged_aggregators_equal_one() -> None:
    samples = [{"a": 1.0}, {"b": 0.5}, None, {"a": 0.0, "b": 0.25}]
    whole, first, second = ScoreAggregator(), ScoreAggregator(), ScoreAggregator()
    for index, scores in enumerate(samples):
        whole.add(scores)
        (first if index < 2 else second).add(scores)
    first.merge(second)
    assert first.aggregate() == whole.aggregate()
    assert whole.aggregate() == whole.aggregate()
