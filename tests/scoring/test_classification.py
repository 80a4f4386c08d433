import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sklearn_metrics

from assay.scoring.aggregation import IntervalMethod
from assay.scoring.classification import MAX_CELLS, MAX_LABELS, ClassificationAccumulator, ClassificationReport
from assay.scoring.scorers import scorer_for
from assay.scoring.scores import Scored, ScoredOutput
from assay.scoring.statistics import wilson_interval

sklearn: Any = sklearn_metrics
Pairs = list[tuple[str, str | None]]


def report_on(pairs: Pairs, *, labels: tuple[str, ...] = (), seed: int = 0) -> ClassificationReport:
    accumulator = ClassificationAccumulator(labels)
    for expected, predicted in pairs:
        accumulator.add(expected, predicted)
    return accumulator.report(seed=seed)


def values_of(report: ClassificationReport) -> tuple[float | None, ...]:
    assert report.f1_macro is not None
    assert report.f1_micro is not None
    assert report.f1_weighted is not None
    return report.accuracy.value, report.f1_macro.value, report.f1_micro.value, report.f1_weighted.value


def test_by_hand() -> None:
    # Rows (expected): cat 2 cat, 1 dog; dog 1 dog, 1 unparsed.
    pairs: Pairs = [("cat", "cat"), ("cat", "cat"), ("cat", "dog"), ("dog", "dog"), ("dog", None)]
    report = report_on(pairs)
    # cat: TP 2, FP 0, FN 1 -> 4/5. dog: TP 1, FP 1, FN 1 -> 2/4.
    # macro (0.8 + 0.5) / 2; micro 2*3 / (2*3 + 1 + 2) = 6/9; weighted (3*0.8 + 2*0.5) / 5.
    assert values_of(report) == pytest.approx((0.6, 0.65, 6 / 9, 0.68))
    assert report.confusion is not None
    assert report.confusion.labels == ("cat", "dog")
    assert report.confusion.counts == ((2, 1, 0), (0, 1, 1))
    interval = wilson_interval(3, 5)
    assert interval is not None
    assert (report.accuracy.low, report.accuracy.high) == interval


def test_an_answer_that_no_target_has_is_unparsed_unless_it_is_a_choice() -> None:
    pairs: Pairs = [("a", "a"), ("a", "b"), ("a", "nonsense")]
    declared = report_on(pairs, labels=("b", "a", "c"))
    assert declared.confusion is not None
    assert declared.confusion.labels == ("b", "a", "c")
    assert declared.confusion.counts == ((0, 0, 0, 0), (1, 1, 0, 1), (0, 0, 0, 0))
    # c never occurs and enters no mean: b has F1 0, a 2/4.
    assert declared.f1_macro is not None
    assert declared.f1_macro.value == pytest.approx(0.25)
    open_set = report_on(pairs)
    assert open_set.confusion is not None
    assert open_set.confusion.counts == ((1, 2),)


label_pairs = st.lists(
    st.tuples(st.sampled_from("abcd"), st.sampled_from(["a", "b", "c", "d", "zzz"])), min_size=1, max_size=40
)


@settings(max_examples=60, deadline=None)
@given(label_pairs)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.UndefinedMetricWarning")
def test_agrees_with_scikit_learn(pairs: list[tuple[str, str]]) -> None:
    expected, predicted = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    report = report_on([*pairs], labels=("a", "b", "c", "d"))
    occurring = sorted((set(expected) | set(predicted)) - {"zzz"})
    theirs = [
        sklearn.f1_score(expected, predicted, labels=occurring, average=average, zero_division=0)
        for average in ("macro", "micro", "weighted")
    ]
    assert values_of(report) == pytest.approx((sklearn.accuracy_score(expected, predicted), *theirs))
    matrix = sklearn.confusion_matrix(expected, predicted, labels=["a", "b", "c", "d"])
    assert report.confusion is not None
    assert [list(row[:4]) for row in report.confusion.counts] == matrix.tolist()


def test_intervals_surround_the_value_and_are_repeatable() -> None:
    rng = np.random.default_rng(5)
    pairs: Pairs = []
    for expected in rng.integers(0, 3, 300).tolist():
        predicted = expected if rng.random() < 0.8 else int(rng.integers(0, 3))
        pairs.append((str(expected), str(predicted)))
    report = report_on(pairs)
    assert report == report_on(pairs[::-1])
    assert report.f1_macro != report_on(pairs, seed=1).f1_macro
    for aggregate in (report.f1_macro, report.f1_micro, report.f1_weighted):
        assert aggregate is not None
        assert aggregate.value is not None
        assert aggregate.low is not None
        assert aggregate.high is not None
        assert aggregate.method is IntervalMethod.BOOTSTRAP_PERCENTILE
        assert aggregate.low < aggregate.value < aggregate.high
    # Everything parsed, so micro F1 is accuracy, and the two methods should nearly agree.
    assert report.f1_micro is not None
    ours = (report.f1_micro.value, report.f1_micro.low, report.f1_micro.high)
    assert ours == pytest.approx((report.accuracy.value, report.accuracy.low, report.accuracy.high), abs=0.02)


def test_nothing_scored() -> None:
    accumulator = ClassificationAccumulator(("a", "b"))
    accumulator.add_unscored(4)
    report = accumulator.report()
    assert values_of(report) == (None, None, None, None)
    assert report.accuracy.unscored == 4
    assert report.confusion is not None
    assert report.confusion.counts == ((0, 0, 0), (0, 0, 0))


def test_one_sample_has_no_f1_interval() -> None:
    report = report_on([("a", "a")])
    assert values_of(report) == (1, 1, 1, 1)
    assert report.f1_macro is not None
    assert (report.f1_macro.low, report.f1_macro.method) == (None, IntervalMethod.NONE)


def test_merged_and_grouped_counts_equal_single_ones() -> None:
    pairs: Pairs = [("a", "a"), ("a", None), ("b", "a"), ("b", "b"), ("b", "b")]
    left, right = ClassificationAccumulator(), ClassificationAccumulator()
    left.add("a", "a")
    left.add("a", None)
    right.add("b", "b", count=2)
    right.add("b", "a")
    left.merge(right)
    assert left.report() == report_on(pairs)


def test_targets_that_are_free_text_leave_accuracy_only() -> None:
    report = report_on([(f"text {i}", f"text {i % 2}") for i in range(MAX_LABELS + 1)])
    assert report.accuracy.value == pytest.approx(2 / (MAX_LABELS + 1))
    assert (report.f1_macro, report.confusion) == (None, None)


def test_answers_that_are_free_text_stay_bounded() -> None:
    short = report_on([("a", f"answer {i}") for i in range(MAX_CELLS + 1)])
    assert (short.accuracy.n, short.f1_macro) == (MAX_CELLS + 1, None)
    long = report_on([("a", f"{i} " * 200) for i in range(MAX_CELLS + 1)])
    assert long.confusion is not None
    assert long.confusion.counts == ((0, MAX_CELLS + 1),)


@pytest.mark.parametrize("labels", [10, 77, 140])
def test_a_hundred_thousand_samples_are_reported_at_once(labels: int) -> None:
    rng = np.random.default_rng(0)
    accumulator = ClassificationAccumulator()
    for expected, predicted in rng.integers(0, labels, (100_000, 2)).tolist():
        accumulator.add(str(expected), str(predicted))
    started = time.perf_counter()
    report = accumulator.report()
    assert time.perf_counter() - started < 3  # about 0.3 s alone; the rest is for a busy machine
    assert report.f1_macro is not None
    # 140 x 140 filled cells are too many for a useful number of resamples.
    assert (report.f1_macro.low is None) == (labels == 140)


def test_takes_what_the_scorer_gives() -> None:
    scorer = scorer_for("classification")
    accumulator = ClassificationAccumulator(("Sports", "World"))
    for target, answer in [("0", "sports."), ("World", "A"), ("1", "no idea"), ("9", "World")]:
        result = scorer.score(ScoredOutput(answer, answer, target, ("Sports", "World")))
        if isinstance(result, Scored):
            assert result.expected is not None
            accumulator.add(result.expected, result.predicted)
        else:
            accumulator.add_unscored()
    report = accumulator.report()
    assert (report.accuracy.n, report.accuracy.unscored) == (3, 1)
    assert report.confusion is not None
    assert report.confusion.counts == ((1, 0, 0), (1, 0, 1))
