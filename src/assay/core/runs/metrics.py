"""A run's metrics, summed up by the database and given intervals here (M§7 R9).

    overall:  metric → mean over every scored sample of the run
    by_model: model → metric → mean
    by_task:  task → metrics, intervals, counts, tokens, cost, and the same by_model; label tasks add ``classification``

Means run over completed samples that have a number for the metric. Each comes with its interval, the number of samples
it rests on and the number of completed samples that lack it; a mean over nothing is null, never 0. Where prompts were
repeated, intervals count items instead of samples, and ``repeats`` has pass@k and pass^k.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from typing import Any, cast
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from assay.core.runs.plan import RunPlan
from assay.core.runs.pooled import pool_groups
from assay.core.runs.repeated import Repeated, measure_repeats
from assay.core.suites.compile import CompiledTask
from assay.core.suites.manifest.schema import Aggregation, Metric
from assay.core.suites.rendering import choices_for
from assay.scoring.aggregation import Aggregate, MetricAccumulator, accumulator_from_moments
from assay.scoring.classification import ClassificationAccumulator
from assay.scoring.pooling import pooled_kinds
from assay.scoring.scorers import LabelScorer
from assay.scoring.scores import Scored, ScoredOutput

Group = tuple[int, int]
"""Ordinals of task and model."""


@dataclass(frozen=True, slots=True)
class MeasuredTask:
    """What metrics need to know of a task."""

    id: str
    metrics: tuple[Metric, ...]
    """As its author stated them."""
    labels: CompiledTask | None = None
    """Set when answers are labels, which are read again for the confusion matrix."""
    pooled: tuple[str, ...] = ()
    """Kinds of counts that its samples keep for metrics of the whole task."""


@dataclass(frozen=True, slots=True)
class MeasuredRun:
    """What metrics need to know of a run; a sample's ordinals are places in ``tasks`` and ``models``."""

    run_id: UUID
    models: Sequence[str]
    tasks: Sequence[MeasuredTask]
    repeats: int = 1
    """Samples per item and model."""


def measured(plan: RunPlan) -> MeasuredRun:
    """A run that was carried out here."""
    tasks = [
        MeasuredTask(
            task.id,
            task.metrics,
            task if isinstance(task.scorer, LabelScorer) else None,
            () if task.scorer is None else pooled_kinds(task.type),
        )
        for task in plan.tasks
    ]
    return MeasuredRun(plan.run_id, plan.models, tasks, plan.config.effective_repeats)


@dataclass(slots=True)
class _Tally:
    """Counts and sums of some samples."""

    total: int = 0
    completed: int = 0
    failed: int = 0
    scored: int = 0
    input: int | None = None
    output: int | None = None
    cached: int | None = None
    reasoning: int | None = None
    estimated: bool = False
    cost_usd: Decimal | None = None
    """Of answers and judges; None when no price is known."""
    accumulators: dict[str, MetricAccumulator] = field(default_factory=dict[str, MetricAccumulator])

    def merge(self, other: _Tally) -> None:
        """Take in what another tally counted."""
        self.total += other.total
        self.completed += other.completed
        self.failed += other.failed
        self.scored += other.scored
        self.estimated = self.estimated or other.estimated
        for name in ("input", "output", "cached", "reasoning", "cost_usd"):
            mine, theirs = getattr(self, name), getattr(other, name)
            setattr(self, name, theirs if mine is None else mine + (theirs or 0))
        for metric, accumulator in other.accumulators.items():
            self.accumulators.setdefault(metric, MetricAccumulator()).merge(accumulator)

    def aggregates(self) -> dict[str, Aggregate]:
        """Each metric's aggregate; completed samples without the metric are its unscored ones."""
        found: dict[str, Aggregate] = {}
        for metric in sorted(self.accumulators):
            accumulator = MetricAccumulator()
            accumulator.merge(self.accumulators[metric])
            accumulator.unscored = self.completed - accumulator.count
            found[metric] = accumulator.aggregate()
        return found


async def compute_metrics(
    session: AsyncSession, run: MeasuredRun, *, group_metrics: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    """All metrics of a run, JSON-ready.

    Args:
        session: Where its samples are.
        run: The run.
        group_metrics: Metrics of whole groups, by ``"<task ordinal>/<model ordinal>"``: bare numbers from graders, from
            protocols with what they rest on.
    """
    tallies = await _tally_groups(session, run.run_id)
    await _add_metrics(session, run, tallies)
    labels = {
        task_no: await _classify(session, run.run_id, task_no, task.labels)
        for task_no, task in enumerate(run.tasks)
        if task.labels is not None
    }
    repeated = Repeated() if run.repeats == 1 else await measure_repeats(session, run.run_id, repeats=run.repeats)
    kinds = {task_no: task.pooled for task_no, task in enumerate(run.tasks) if task.pooled}
    whole = await pool_groups(session, run.run_id, kinds)
    by_model = {model: _merged(tallies, model_no=number) for number, model in enumerate(run.models)}
    return {
        "overall": _means(_merged(tallies).aggregates()),
        "by_model": {model: _means(tally.aggregates()) for model, tally in by_model.items()},
        "by_task": {
            task.id: _task_metrics(run, task_no, tallies, group_metrics, labels.get(task_no, {}), whole, repeated)
            for task_no, task in enumerate(run.tasks)
        },
    }


def _task_metrics(
    run: MeasuredRun,
    task_no: int,
    tallies: Mapping[Group, _Tally],
    group_metrics: Mapping[str, Mapping[str, Any]],
    labels: Mapping[int, dict[str, Any]],
    whole: Mapping[Group, Mapping[str, Aggregate]],
    repeated: Repeated,
) -> dict[str, Any]:
    described = _describe(_merged(tallies, task_no=task_no))
    repeated.put_intervals(described["intervals"], task_no, None)
    by_model: dict[str, dict[str, Any]] = {}
    for model_no, model in enumerate(run.models):
        one = _describe(tallies.get((task_no, model_no), _Tally()))
        _add_group_metrics(one, group_metrics.get(f"{task_no}/{model_no}", {}), omitted=_omitted(run.tasks[task_no]))
        if model_no in labels:
            one["classification"] = labels[model_no]
            one["metrics"].update(_label_metrics(labels[model_no]))
            one["intervals"].update(_label_intervals(labels[model_no]))
        repeated.put_intervals(one["intervals"], task_no, model_no)
        one.update(repeated.describe(task_no, model_no))
        _add_aggregates(one, whole.get((task_no, model_no), {}), omitted=_omitted(run.tasks[task_no]))
        by_model[model] = one
    if len(run.models) == 1:
        # With one model there is nothing to mix, so its label metrics and group metrics are the task's.
        only = by_model[run.models[0]]
        described.update({name: only[name] for name in ("metrics", "intervals", "repeats") if name in only})
    return {**described, "by_model": by_model}


def _add_group_metrics(described: dict[str, Any], found: Mapping[str, Any], *, omitted: set[str]) -> None:
    """Take over what was computed over a whole group: bare numbers, or numbers with what they rest on."""
    for metric, value in found.items():
        if not isinstance(value, Mapping):
            described["metrics"][metric] = value
        elif metric not in omitted:
            rest = cast("Mapping[str, Any]", value)
            described["metrics"][metric] = rest["value"]
            described["intervals"][metric] = {name: part for name, part in rest.items() if name != "value"}


def _add_aggregates(described: dict[str, Any], aggregates: Mapping[str, Aggregate], *, omitted: set[str]) -> None:
    for metric, aggregate in aggregates.items():
        if metric not in omitted:
            described["metrics"][metric] = aggregate.value
            described["intervals"][metric] = describe_interval(aggregate)


def _describe(tally: _Tally) -> dict[str, Any]:
    aggregates = tally.aggregates()
    return {
        "metrics": _means(aggregates),
        "intervals": {metric: describe_interval(aggregate) for metric, aggregate in aggregates.items()},
        "counts": {
            "total": tally.total,
            "completed": tally.completed,
            "failed": tally.failed,
            "scored": tally.scored,
        },
        "tokens": _describe_tokens(tally),
        "cost_usd": None if tally.cost_usd is None else float(tally.cost_usd),
    }


def _describe_tokens(tally: _Tally) -> dict[str, Any]:
    return {
        "input": tally.input,
        "output": tally.output,
        "cached": tally.cached,
        "reasoning": tally.reasoning,
        "estimated": tally.estimated,
    }


async def refresh_tokens(session: AsyncSession, run: MeasuredRun, metrics: Mapping[str, Any]) -> dict[str, Any]:
    """The same metrics with the token sums of their tasks taken from the samples anew."""
    tallies = await _tally_groups(session, run.run_id)
    refreshed = copy.deepcopy(dict(metrics))
    by_task: dict[str, Any] = refreshed.get("by_task", {})
    for task_no, task in enumerate(run.tasks):
        if task.id not in by_task:
            continue
        by_task[task.id]["tokens"] = _describe_tokens(_merged(tallies, task_no=task_no))
        by_model: dict[str, Any] = by_task[task.id].get("by_model", {})
        for model_no, model in enumerate(run.models):
            if model in by_model:
                by_model[model]["tokens"] = _describe_tokens(tallies.get((task_no, model_no), _Tally()))
    return refreshed


def describe_interval(aggregate: Aggregate) -> dict[str, Any]:
    """What a mean rests on and how far it may be off."""
    described = asdict(aggregate)
    described["method"] = aggregate.method.value
    del described["value"]
    return described


def _means(aggregates: Mapping[str, Aggregate]) -> dict[str, float | None]:
    return {metric: aggregate.value for metric, aggregate in aggregates.items()}


def _merged(tallies: Mapping[Group, _Tally], *, task_no: int | None = None, model_no: int | None = None) -> _Tally:
    merged = _Tally()
    for (task, model), tally in tallies.items():
        if task_no in {None, task} and model_no in {None, model}:
            merged.merge(tally)
    return merged


async def _tally_groups(session: AsyncSession, run_id: UUID) -> dict[Group, _Tally]:
    found = await session.execute(_TALLY, {"run_id": run_id})
    return {
        (row.task_no, row.model_no): _Tally(
            row.total,
            row.completed,
            row.failed,
            row.scored,
            row.input,
            row.output,
            row.cached,
            row.reasoning,
            row.estimated,
            row.cost_usd,
        )
        for row in found
    }


_TALLY = text("""
    SELECT task_no, model_no, count(*) AS total,
           count(*) FILTER (WHERE status = 'completed') AS completed,
           count(*) FILTER (WHERE status = 'failed') AS failed,
           count(*) FILTER (WHERE status = 'completed' AND scores <> '{}') AS scored,
           sum(input_tokens) AS input, sum(output_tokens) AS output, sum(cached_tokens) AS cached,
           sum(reasoning_tokens) AS reasoning, bool_or(tokens_estimated) AS estimated,
           sum(coalesce(cost_usd, 0) + coalesce(CAST(judge->>'cost_usd' AS numeric), 0))
               FILTER (WHERE cost_usd IS NOT NULL OR judge->>'cost_usd' IS NOT NULL) AS cost_usd
    FROM run_samples WHERE run_id = :run_id GROUP BY task_no, model_no ORDER BY task_no, model_no
""")


async def _add_metrics(session: AsyncSession, run: MeasuredRun, tallies: Mapping[Group, _Tally]) -> None:
    found = await session.execute(_MOMENTS, {"run_id": run.run_id})
    for row in found:
        task = run.tasks[int(row.task_no)]
        if row.metric in _omitted(task):
            continue
        tallies[row.task_no, row.model_no].accumulators[row.metric] = accumulator_from_moments(
            count=row.n,
            mean=float(row.mean),
            variance=None if row.variance is None else float(row.variance),
            binary=row.is_binary,
        )
    for (task_no, _), tally in tallies.items():
        for metric in run.tasks[task_no].metrics:
            if metric.aggregation is Aggregation.MEAN:
                tally.accumulators.setdefault(metric.id, MetricAccumulator())


def _omitted(task: MeasuredTask) -> set[str]:
    return {metric.id for metric in task.metrics if metric.aggregation is Aggregation.NONE}


# Summed as decimals, which are exact: the same scores have the same mean in whichever order the database holds them.
_MOMENTS = text("""
    SELECT task_no, model_no, metric, count(*) AS n, avg(value) AS mean, var_samp(value) AS variance,
           bool_and(value IN (0, 1)) AS is_binary
    FROM (
        SELECT s.task_no, s.model_no, score.key AS metric, CAST(score.value AS numeric) AS value
        FROM run_samples s CROSS JOIN LATERAL jsonb_each(s.scores) AS score
        WHERE s.run_id = :run_id AND s.status = 'completed' AND jsonb_typeof(score.value) = 'number'
    ) AS scores
    GROUP BY task_no, model_no, metric
""")


async def _classify(session: AsyncSession, run_id: UUID, task_no: int, task: CompiledTask) -> dict[int, dict[str, Any]]:
    """Confusion matrix and F1 of a label task, by model ordinal."""
    if task.scorer is None:
        return {}
    accumulators: dict[int, ClassificationAccumulator] = {}
    for row in await session.execute(_LABELS, {"run_id": run_id, "task_no": task_no}):
        accumulator = accumulators.setdefault(row.model_no, ClassificationAccumulator(labels=task.choices or ()))
        choices = choices_for(task, {"choices": row.choices})
        outcome = task.scorer.score(ScoredOutput(row.extracted or "", row.extracted, row.target, choices))
        if isinstance(outcome, Scored) and outcome.expected is not None:
            accumulator.add(outcome.expected, outcome.predicted, count=row.n)
        else:
            accumulator.add_unscored(row.n)
    return {model_no: _describe_labels(accumulator) for model_no, accumulator in accumulators.items()}


_LABELS = text("""
    SELECT s.model_no, i.target, s.extracted_output AS extracted, i.dataset_row->'choices' AS choices,
           count(*) AS n
    FROM run_samples s
    JOIN run_items i ON i.run_id = s.run_id AND i.task_no = s.task_no AND i.sample_index = s.sample_index
    WHERE s.run_id = :run_id AND s.task_no = :task_no AND s.status = 'completed'
    GROUP BY s.model_no, i.target, s.extracted_output, i.dataset_row->'choices'
""")


def _describe_labels(accumulator: ClassificationAccumulator) -> dict[str, Any]:
    report = accumulator.report()
    aggregates = {
        "accuracy": report.accuracy,
        "f1_macro": report.f1_macro,
        "f1_micro": report.f1_micro,
        "f1_weighted": report.f1_weighted,
    }
    described: dict[str, Any] = {
        name: {"value": aggregate.value, **describe_interval(aggregate)}
        for name, aggregate in aggregates.items()
        if aggregate is not None
    }
    matrix = report.confusion
    described["confusion"] = None if matrix is None else {"labels": matrix.labels, "counts": matrix.counts}
    return described


def _label_metrics(described: Mapping[str, Any]) -> dict[str, Any]:
    return {name: part["value"] for name, part in described.items() if name != "confusion"}


def _label_intervals(described: Mapping[str, Any]) -> dict[str, Any]:
    parts = {name: part for name, part in described.items() if name != "confusion"}
    return {name: {key: value for key, value in part.items() if key != "value"} for name, part in parts.items()}
