"""Rows and thresholds from a run's metrics."""

from __future__ import annotations

from typing import Any

import pytest

from assay.cli.evaluation.summary import (
    Interval,
    Threshold,
    ThresholdError,
    missed_thresholds,
    parse_threshold,
    result_rows,
)


def result(metrics: dict[str, float | None], intervals: dict[str, Any] | None = None) -> dict[str, Any]:
    return {
        "metrics": metrics,
        "intervals": intervals or {},
        "counts": {"total": 10, "completed": 9, "failed": 1, "scored": 9},
        "tokens": {"input": 50, "output": None},
        "cost_usd": 0.25,
    }


def interval(low: float | None, high: float | None) -> dict[str, Any]:
    return {"low": low, "high": high, "level": 0.95, "method": "wilson", "n": 8, "unscored": 1}


def run_of(**models: dict[str, Any]) -> dict[str, Any]:
    return {"models": list(models), "metrics": {"by_task": {"t": {"by_model": models}}}}


def manifest(**fields: Any) -> dict[str, Any]:
    return {"tasks": [{"id": "t", "type": "qa", **fields}]}


@pytest.mark.parametrize(
    ("task", "values", "expected"),
    [
        pytest.param({}, {"exact_match": 1.0, "f1": 1.0}, "exact_match", id="usual"),
        pytest.param(
            {"metrics": [{"id": "f1"}, {"id": "exact_match"}]}, {"exact_match": 1.0, "f1": 1.0}, "f1", id="first"
        ),
        pytest.param(
            {"metrics": [{"id": "f1", "aggregation": "none"}]}, {"exact_match": 1.0}, "exact_match", id="none"
        ),
        pytest.param({"grader": {"metric_id": "wit"}}, {"a": 1.0, "wit": 1.0}, "wit", id="grader"),
        pytest.param({"grader": {}}, {"a": 1.0, "score": 1.0}, "score", id="grader default"),
        pytest.param({"grader": {}}, {"b": 1.0, "a": 1.0}, "a", id="by name"),
        pytest.param({}, {}, None, id="nothing scored"),
        pytest.param({"type": "classification"}, {"accuracy": 1.0, "f1_macro": 1.0}, "accuracy", id="labels"),
    ],
)
def test_main_metric(task: dict[str, Any], values: dict[str, float | None], expected: str | None) -> None:
    (row,) = result_rows(run_of(m=result(values)), manifest(**task))
    assert row.metric == expected


def test_row_carries_counts_interval_and_cost() -> None:
    (row,) = result_rows(run_of(m=result({"f1": 0.5}, {"f1": interval(0.2, 0.8)})), manifest())
    assert (row.n, row.unscored, row.failed, row.total) == (8, 1, 1, 10)
    assert (row.input_tokens, row.output_tokens, row.cost_usd) == (50, None, 0.25)
    assert row.interval == Interval(0.2, 0.8, 0.95, "wilson")


def test_run_without_metrics_has_no_rows() -> None:
    assert result_rows({"models": ["m"], "metrics": None}, manifest()) == []


def test_thresholds() -> None:
    run = run_of(a=result({"f1": 0.5, "wit": None}), b=result({"f1": 0.7}))
    assert missed_thresholds(run, [Threshold("f1", 0.5)]) == []
    assert missed_thresholds(run, [Threshold("f1", 0.6)]) == ["t: f1 of a is 0.5, under 0.6"]
    assert missed_thresholds(run, [Threshold("wit", 0.1)]) == ["t: wit of a has no value, under 0.1"]
    assert "no task reports 'wits'; there are f1, wit" in missed_thresholds(run, [Threshold("wits", 0.1)])[0]


def test_threshold_of_a_metric_whose_name_holds_an_equals_sign() -> None:
    assert parse_threshold("k=5=0.25") == Threshold("k=5", 0.25)


@pytest.mark.parametrize("text", ["f1", "=0.5", "f1=", "f1=high", "f1=nan"])
def test_threshold_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(ThresholdError, match=r"accuracy=0\.8"):
        parse_threshold(text)
