"""Who leads, and in which words."""

from __future__ import annotations

from typing import Any

import pytest

from assay.cli.evaluation.standings import describe, leading_pairs
from assay.cli.evaluation.summary import ResultRow


def row(model: str, value: float | None, *, task: str = "t", higher: bool = True) -> ResultRow:
    return ResultRow(
        task_id=task,
        model=model,
        metric="f1",
        higher_is_better=higher,
        value=value,
        interval=None,
        n=9,
        unscored=0,
        failed=0,
        total=9,
        input_tokens=None,
        output_tokens=None,
        cost_usd=None,
    )


def found(verdict: str, **more: Any) -> dict[str, Any]:
    return {"verdict": verdict, "difference": 0.1, "low": 0.02, "high": 0.18, "p": 0.012, "n": 1200, **more}


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        pytest.param([], [], id="nothing"),
        pytest.param([row("a", 0.5)], [], id="one model"),
        pytest.param([row("a", 0.5), row("b", None)], [], id="one scored"),
        pytest.param([row("a", 0.2), row("b", 0.9), row("c", 0.5)], [("b", "c")], id="best two"),
        pytest.param([row("a", 0.2, higher=False), row("b", 0.1, higher=False)], [("b", "a")], id="lower is better"),
        pytest.param([row("a", 0.5), row("b", 0.5)], [("a", "b")], id="equal ones in order"),
        pytest.param(
            [row("a", 0.2), row("b", 0.9), row("a", 1.0, task="u"), row("b", 0.0, task="u")],
            [("b", "a"), ("a", "b")],
            id="each task",
        ),
    ],
)
def test_leading_pairs(rows: list[ResultRow], expected: list[tuple[str, str]]) -> None:
    assert [(first.model, second.model) for first, second in leading_pairs(rows)] == expected


@pytest.mark.parametrize(
    ("task", "verdict", "sentence"),
    [
        (
            found("better"),
            "better",
            "t: a is better than b (f1 0.900 to 0.800; by +0.020 to +0.180, p = 0.012, 1,200 pairs).",
        ),
        (
            found("better", p=0.0004, low=None, high=None),
            "better",
            "t: a is better than b (f1 0.900 to 0.800; p < 0.001, 1,200 pairs).",
        ),
        (
            found("not_decided", low=-0.02, p=0.3, more_items=2500),
            "not_decided",
            "t: a is ahead of b (f1 0.900 to 0.800): not decided (by -0.020 to +0.180, p = 0.300, 1,200 pairs); "
            "about 2,500 more rows would tell.",
        ),
        (
            found("not_decided", low=None, p=None, n=0),
            "not_decided",
            "t: a is ahead of b (f1 0.900 to 0.800): not decided (no pairs).",
        ),
        (
            found("worse", low=-0.2, high=-0.1),
            "worse",
            "t: a is ahead of b (f1 0.900 to 0.800), but worse on the rows that both have "
            "(by -0.200 to -0.100, p = 0.012, 1,200 pairs).",
        ),
        (
            found("better", metric="exact_match"),
            "better",
            "t: a is better than b (f1 0.900 to 0.800; exact_match by +0.020 to +0.180, p = 0.012, 1,200 pairs).",
        ),
        (
            None,
            None,
            "t: a is ahead of b (f1 0.900 to 0.800). This metric has no value for each item, "
            "so whether that is chance is not told.",
        ),
    ],
    ids=str,
)
def test_sentences(task: dict[str, Any] | None, verdict: str | None, sentence: str) -> None:
    standing = describe(row("a", 0.9), row("b", 0.8), task)
    assert (standing.verdict, standing.sentence) == (verdict, sentence)


def test_level() -> None:
    standing = describe(row("a", 0.9), row("b", 0.9), None, level=True)
    assert (standing.verdict, standing.sentence) == ("level", "t: a and b are level (f1 0.900 to 0.900).")
