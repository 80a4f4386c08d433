"""Comparisons of runs: beyond the published API."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query

from assay.core.runs.comparison import ComparisonRequest, RunComparison, Side, TaskComparison, compare_runs
from assay.dialects.mka1.identifiers import Prefix, read_id, write_id
from assay.dialects.mka1.route import EvalsReader, Session, mka1_router
from assay.dialects.mka1.wire.comparison import WireComparison, WireSide, WireTaskComparison
from assay.scoring.power import DEFAULT_ALPHA

router = mka1_router("/api/v1/llm/evals", tag="runs")

Model = Annotated[str | None, Query(min_length=1, max_length=255)]
Metric = Annotated[str | None, Query(min_length=1, max_length=128)]
Alpha = Annotated[float, Query(ge=0.0001, le=0.5)]
Effect = Annotated[float | None, Query(gt=0, le=1e9, allow_inf_nan=False)]


@router.get("/runs/{run_id}/comparison")
async def compare_with_baseline(
    run_id: str,
    caller: EvalsReader,
    session: Session,
    model: Model = None,
    baseline_run_id: str | None = None,
    baseline_model: Model = None,
    task_id: str | None = None,
    metric: Metric = None,
    alpha: Alpha = DEFAULT_ALPHA,
    effect: Effect = None,
    common_only: bool = False,
) -> WireComparison:
    """Compare a run, or one of its models, with another on the same items."""
    baseline = None if baseline_run_id is None else read_id(Prefix.RUN, baseline_run_id, param="baseline_run_id")
    request = ComparisonRequest(
        run_id=read_id(Prefix.RUN, run_id, param="run_id"),
        model=model,
        baseline_run_id=baseline,
        baseline_model=baseline_model,
        task_id=task_id,
        metric=metric,
        alpha=alpha,
        effect=effect,
        common_only=common_only,
    )
    return to_comparison(await compare_runs(session, caller, request))


def to_comparison(found: RunComparison) -> WireComparison:
    """A comparison."""
    return WireComparison(
        object="eval.run.comparison",
        candidate=_to_side(found.candidate),
        baseline=_to_side(found.baseline),
        alpha=found.alpha,
        tasks=[_to_task(task, found.alpha) for task in found.tasks],
    )


def _to_side(side: Side) -> WireSide:
    return WireSide(run_id=write_id(Prefix.RUN, side.run_id), model=side.model)


def _to_task(task: TaskComparison, alpha: float) -> WireTaskComparison:
    found = task.result.comparison
    interval = found.interval
    return WireTaskComparison(
        task_id=task.task_id,
        metric=task.metric,
        higher_is_better=task.higher_is_better,
        verdict=found.verdict.value,
        difference=found.difference,
        low=None if interval is None else interval.low,
        high=None if interval is None else interval.high,
        level=1 - alpha,
        interval_method=found.interval_method.value,
        p=found.p,
        adjusted_p=task.result.adjusted_p,
        test_method=None if found.test_method is None else found.test_method.value,
        n=found.n,
        unscored=task.unscored,
        unpaired=task.unpaired,
        more_items=found.more_items,
        baseline_mean=task.baseline_mean,
        candidate_mean=task.candidate_mean,
    )
