"""Comparisons of runs: beyond the published API."""

from __future__ import annotations

from typing import Literal

from assay.dialects.mka1.wire.base import ResponseModel


class WireSide(ResponseModel):
    """One of two that are compared."""

    run_id: str
    model: str


class WireTaskComparison(ResponseModel):
    """One task: candidate minus baseline."""

    task_id: str
    metric: str
    higher_is_better: bool
    verdict: Literal["better", "worse", "not_decided"]
    difference: float | None
    low: float | None
    high: float | None
    level: float
    interval_method: str
    p: float | None
    adjusted_p: float | None
    test_method: str | None
    n: int
    unscored: int
    unpaired: int
    more_items: int | None
    baseline_mean: float | None
    candidate_mean: float | None


class WireComparison(ResponseModel):
    """A comparison."""

    object: Literal["eval.run.comparison"]
    candidate: WireSide
    baseline: WireSide
    alpha: float
    tasks: list[WireTaskComparison]
