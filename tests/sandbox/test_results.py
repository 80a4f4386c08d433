"""Return values of user code, over all of JSON."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.sandbox import BatchGraded, CodeFailure, Graded
from assay.sandbox.results import ResultError, decode, parse_batch, parse_grade, parse_row, parse_rows

JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)
NUMBER = st.booleans() | st.integers(-(10**9), 10**9) | st.floats(allow_nan=False, allow_infinity=False)
NAME = st.text(min_size=1, max_size=20).filter(lambda name: "\0" not in name)


@given(JSON)
def test_a_value_is_a_finite_verdict_or_refused(value: Any) -> None:
    try:
        graded = parse_grade(decode(json.dumps(value)), metric_id="m")
    except ResultError:
        return
    assert graded.scores
    assert all(math.isfinite(number) for number in graded.scores.values())


@given(st.dictionaries(NAME, NUMBER, min_size=1, max_size=5))
def test_every_map_of_numbers_is_a_verdict(scores: dict[str, float]) -> None:
    assert parse_grade(scores, metric_id="m") == Graded({name: float(number) for name, number in scores.items()})
    assert parse_grade({"scores": scores}, metric_id="m").scores == scores


@given(st.lists(JSON, max_size=5))
def test_a_batch_element_fails_alone(values: list[Any]) -> None:
    batch = parse_batch([*values, 1], count=len(values) + 1, metric_id="m")
    assert batch.outcomes[-1] == Graded({"m": 1.0})
    assert len(batch.outcomes) == len(values) + 1
    assert all(isinstance(outcome, Graded | CodeFailure) for outcome in batch.outcomes)


def test_a_batch_without_metrics() -> None:
    assert parse_batch({"samples": [True], "metrics": {}}, count=1, metric_id="m") == BatchGraded([Graded({"m": 1.0})])


@given(JSON)
def test_rows_can_be_stored(value: Any) -> None:
    try:
        row = parse_row(decode(json.dumps(value))).row
    except ResultError:
        return
    text = json.dumps(row, allow_nan=False)
    assert "\\u0000" not in text.replace("\\\\", "")
    assert parse_rows([row]).rows == [row]


@pytest.mark.parametrize("text", ["9" * 5000, "[" * 100_000 + "]" * 100_000])
def test_unreadable_text_is_refused(text: str) -> None:
    with pytest.raises(ResultError, match="cannot be read"):
        decode(text)
