"""Two runs, or two models of one run, on the same items.

Items are paired by task and by what they hold: dataset row and target. So runs of different prompts, suite versions or
suites can be compared, as long as their data is the same. Equal rows are paired in their order. Repeats of an item
enter by their mean.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from assay.core.projects.types import Principal
from assay.core.runs.errors import ItemsDifferError, RunInputError, RunStateError
from assay.core.runs.models import RunRow
from assay.core.runs.service import get_run_row
from assay.core.runs.types import RunStatus
from assay.core.suites.manifest import Task, parse_manifest
from assay.core.suites.scorings import is_higher_better, main_sample_metric
from assay.core.suites.service import get_suite_version
from assay.db.paging import Page
from assay.scoring.comparing import AdjustedComparison, PairedScores, compare_all
from assay.scoring.power import DEFAULT_ALPHA

MAX_PAIRS = 200_000
"""Of all tasks together: more take longer than a client waits."""


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two: a run's answers by one of its models."""

    run_id: UUID
    model: str


@dataclass(frozen=True, slots=True)
class ComparisonRequest:
    """What is to be compared, and how."""

    run_id: UUID
    model: str | None = None
    """May be left out when the run has one."""
    baseline_run_id: UUID | None = None
    """The same run by default."""
    baseline_model: str | None = None
    task_id: str | None = None
    """One task instead of all."""
    metric: str | None = None
    """By default each task's main metric of those that samples have."""
    alpha: float = DEFAULT_ALPHA
    effect: float | None = None
    """The smallest difference worth finding."""
    common_only: bool = False
    """Leave out items and tasks that only one side has, instead of refusing."""


@dataclass(frozen=True, slots=True)
class TaskComparison:
    """One task."""

    task_id: str
    metric: str
    higher_is_better: bool
    baseline_mean: float | None
    candidate_mean: float | None
    unscored: int
    """Paired items without a number of the metric on one side or both; they are left out."""
    unpaired: int
    """Items that only one side has; they are left out, and 0 unless ``common_only`` was asked for."""
    result: AdjustedComparison


@dataclass(frozen=True, slots=True)
class RunComparison:
    """What a comparison came to."""

    candidate: Side
    baseline: Side
    alpha: float
    tasks: Sequence[TaskComparison]


@dataclass(frozen=True, slots=True)
class _Loaded:
    row: RunRow
    model_no: int
    tasks: dict[str, Task]

    @property
    def side(self) -> Side:
        return Side(self.row.id, self.row.models[self.model_no])


async def compare_runs(session: AsyncSession, principal: Principal, request: ComparisonRequest) -> RunComparison:
    """Compare a candidate with its baseline, task by task.

    Raises:
        RunNotFoundError: A run is not visible to the caller.
        RunStateError: A run has not completed.
        RunInputError: A model, task or metric is missing or unknown, or there are too many items.
        ItemsDifferError: The sides do not have the same items or tasks.
    """
    candidate = await _load(session, principal, request.run_id, request.model, param="model")
    baseline = await _load(
        session, principal, request.baseline_run_id or request.run_id, request.baseline_model, param="baseline_model"
    )
    if candidate.side == baseline.side:
        raise RunInputError(
            "Both sides are the same model of the same run; name another `baseline_run_id` or `baseline_model`.",
            param="baseline_run_id",
        )
    task_ids = _common_tasks(candidate, baseline, request)
    found = [await _pair_task(session, candidate, baseline, task_id, request) for task_id in task_ids]
    pairs = [PairedScores(task.baseline, task.candidate, task.higher_is_better) for task in found]
    if sum(len(pair.baseline) for pair in pairs) > MAX_PAIRS:
        raise RunInputError(f"There are more than {MAX_PAIRS:,} items; compare task by task.", param="task_id")
    results = await asyncio.to_thread(compare_all, pairs, alpha=request.alpha, effect=request.effect)
    tasks = [task.compared(result) for task, result in zip(found, results, strict=True)]
    return RunComparison(candidate.side, baseline.side, request.alpha, tasks)


@dataclass(frozen=True, slots=True)
class ChangedItem:
    """An item that the two sides answered with different scores."""

    prompt: str
    """The candidate's."""
    target: str | None
    baseline_score: float
    candidate_score: float
    baseline_output: str | None
    """Of the first repeat."""
    candidate_output: str | None
    baseline_sample_id: UUID
    candidate_sample_id: UUID


async def list_changed_items(
    session: AsyncSession, principal: Principal, request: ComparisonRequest, *, skip: int = 0, limit: int = 20
) -> Page[ChangedItem]:
    """The items of one task whose scores differ, those that differ most first.

    Args:
        session: Where to read.
        principal: The caller.
        request: What is compared; it names one task.
        skip: How many to leave out; at most ``MAX_PAIRS``.
        limit: Most to give.

    Raises:
        RunNotFoundError, RunStateError, RunInputError: As ``compare_runs``.
    """
    if request.task_id is None:
        raise RunInputError("Name the task whose items are wanted.", param="task_id")
    candidate = await _load(session, principal, request.run_id, request.model, param="model")
    baseline = await _load(
        session, principal, request.baseline_run_id or request.run_id, request.baseline_model, param="baseline_model"
    )
    _common_tasks(candidate, baseline, request)
    metric, _ = _metric(candidate, request.task_id, request.metric)
    values = _places(candidate, baseline, request.task_id) | {"metric": metric, "skip": skip, "limit": limit + 1}
    rows = (await session.execute(_CHANGES, values)).all()
    items = tuple(
        ChangedItem(
            prompt=row.prompt,
            target=row.target,
            baseline_score=row.a,
            candidate_score=row.b,
            baseline_output=row.output_a,
            candidate_output=row.output_b,
            baseline_sample_id=UUID(int=row.id_a.int),
            candidate_sample_id=UUID(int=row.id_b.int),
        )
        for row in rows[:limit]
    )
    return Page(items=items, has_more=len(rows) > limit)


async def _load(session: AsyncSession, principal: Principal, run_id: UUID, model: str | None, *, param: str) -> _Loaded:
    row = await get_run_row(session, principal, run_id)
    if RunStatus(row.status) is not RunStatus.COMPLETED:
        raise RunStateError(f"Only completed runs are compared; run {run_id} is {row.status}.", RunStatus(row.status))
    if model is None and len(row.models) > 1:
        models = ", ".join(row.models)
        raise RunInputError(f"The run has several models; say which by `{param}`: {models}.", param=param)
    if model is not None and model not in row.models:
        raise RunInputError(f"The run has no model '{model[:100]}'; it has {', '.join(row.models)}.", param=param)
    model_no = 0 if model is None else row.models.index(model)
    version = await get_suite_version(session, principal, suite_id=row.suite_id, version=row.suite_version)
    return _Loaded(row, model_no, {task.id: task for task in parse_manifest(version.manifest).tasks})


def _common_tasks(candidate: _Loaded, baseline: _Loaded, request: ComparisonRequest) -> list[str]:
    mine, theirs = candidate.row.task_order, baseline.row.task_order
    if request.task_id is not None:
        if request.task_id not in mine or request.task_id not in theirs:
            raise RunInputError(f"Not both sides have a task '{request.task_id[:100]}'.", param="task_id")
        return [request.task_id]
    common = [task_id for task_id in mine if task_id in theirs]
    alone = sorted({*mine, *theirs} - set(common))
    if not common or (alone and not request.common_only):
        raise ItemsDifferError(
            f"Only one side has the task{'s' if len(alone) > 1 else ''} {', '.join(alone)[:500]}; name a `task_id`"
            + (", or leave them out with `common_only`." if common else "."),
            data={"tasks": alone},
        )
    return common


@dataclass(frozen=True, slots=True)
class _PairedTask:
    task_id: str
    metric: str
    higher_is_better: bool
    baseline: list[float]
    candidate: list[float]
    unscored: int
    unpaired: int

    def compared(self, result: AdjustedComparison) -> TaskComparison:
        return TaskComparison(
            task_id=self.task_id,
            metric=self.metric,
            higher_is_better=self.higher_is_better,
            baseline_mean=_mean(self.baseline),
            candidate_mean=_mean(self.candidate),
            unscored=self.unscored,
            unpaired=self.unpaired,
            result=result,
        )


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


async def _pair_task(
    session: AsyncSession, candidate: _Loaded, baseline: _Loaded, task_id: str, request: ComparisonRequest
) -> _PairedTask:
    metric, higher_is_better = _metric(candidate, task_id, request.metric)
    values = _places(candidate, baseline, task_id) | {"metric": metric, "limit": MAX_PAIRS + 1}
    counts = (await session.execute(_COUNT_PAIRS, values)).one()
    _check_items(task_id, counts, request)
    rows = (await session.execute(_LOAD_PAIRS, values)).all()
    if counts.paired and not rows:
        raise RunInputError(
            f"No item of task '{task_id}' has a number of the metric '{metric[:100]}' on both sides.", param="metric"
        )
    return _PairedTask(
        task_id,
        metric,
        higher_is_better,
        [row.a for row in rows],
        [row.b for row in rows],
        unscored=counts.paired - len(rows) if len(rows) <= MAX_PAIRS else 0,
        unpaired=counts.only_a + counts.only_b,
    )


def _places(candidate: _Loaded, baseline: _Loaded, task_id: str) -> dict[str, Any]:
    """Where the answers of both sides are."""
    values: dict[str, Any] = {}
    for name, loaded in (("a", baseline), ("b", candidate)):
        values[f"run_{name}"] = loaded.row.id
        values[f"task_{name}"] = loaded.row.task_order.index(task_id)
        values[f"model_{name}"] = loaded.model_no
    return values


def _check_items(task_id: str, counts: Any, request: ComparisonRequest) -> None:
    alone = counts.only_a + counts.only_b
    if alone and (not request.common_only or not counts.paired):
        advice = " Leave them out with `common_only`." if counts.paired else ""
        raise ItemsDifferError(
            f"The items of task '{task_id}' differ: {counts.paired} are on both sides, {counts.only_b} only in the run "
            f"and {counts.only_a} only in the baseline. Items are the same if row and target are.{advice}",
            data={
                "task_id": task_id,
                "paired": counts.paired,
                "only_run": counts.only_b,
                "only_baseline": counts.only_a,
            },
        )


def _metric(loaded: _Loaded, task_id: str, wanted: str | None) -> tuple[str, bool]:
    """A task's metric, and whether more of it is better."""
    task = loaded.tasks.get(task_id)
    metric = wanted if wanted is not None or task is None else main_sample_metric(task)
    if metric is None:
        raise RunInputError(f"The main metric of task '{task_id}' is not known; name a `metric`.", param="metric")
    return metric, is_higher_better(task, metric)


def _side(name: str) -> str:
    """SQL for the items of a side with their mean score; null where none of their samples has one.

    The mean is one of decimals, so that the same scores of repeats are the same mean in whichever order they are read:
    otherwise a last digit would be a win.
    """
    return f"""
        SELECT md5(i.dataset_row::text || coalesce('+' || i.target, '-')) AS content,
               row_number() OVER (
                   PARTITION BY md5(i.dataset_row::text || coalesce('+' || i.target, '-')) ORDER BY i.sample_index
               ) AS copy,
               i.sample_index,
               (SELECT CAST(avg(CASE jsonb_typeof(s.scores->CAST(:metric AS text)) WHEN 'number'
                                THEN CAST(s.scores->CAST(:metric AS text) AS numeric) END) AS double precision)
                FROM run_samples s
                WHERE s.run_id = :run_{name} AND s.task_no = :task_{name} AND s.model_no = :model_{name}
                  AND s.sample_index = i.sample_index AND s.status = 'completed') AS score
        FROM run_items i WHERE i.run_id = :run_{name} AND i.task_no = :task_{name}
    """


_JOINED = f"""
    WITH a AS ({_side("a")}), b AS ({_side("b")})
    SELECT a.score AS a, b.score AS b, a.content IS NOT NULL AS in_a, b.content IS NOT NULL AS in_b,
           a.sample_index AS index_a, b.sample_index AS index_b, coalesce(b.sample_index, a.sample_index) AS place
    FROM a FULL JOIN b USING (content, copy)
"""
# Constants of this module, no text of a user.
_COUNT_PAIRS = text(f"""
    SELECT count(*) FILTER (WHERE in_a AND in_b) AS paired, count(*) FILTER (WHERE NOT in_b) AS only_a,
           count(*) FILTER (WHERE NOT in_a) AS only_b
    FROM ({_JOINED}) AS joined
""")
_LOAD_PAIRS = text(f"""
    SELECT a, b FROM ({_JOINED}) AS joined WHERE a IS NOT NULL AND b IS NOT NULL ORDER BY place LIMIT :limit
""")
_CHANGES = text(f"""
    SELECT chosen.a, chosen.b, i.prompt, i.target, sa.output_text AS output_a, sb.output_text AS output_b,
           sa.id AS id_a, sb.id AS id_b
    FROM (
        SELECT a, b, index_a, index_b, place FROM ({_JOINED}) AS joined WHERE a <> b
        ORDER BY abs(a - b) DESC, place OFFSET :skip LIMIT :limit
    ) AS chosen
    JOIN run_items i ON i.run_id = :run_b AND i.task_no = :task_b AND i.sample_index = chosen.index_b
    JOIN run_samples sa ON sa.run_id = :run_a AND sa.task_no = :task_a AND sa.model_no = :model_a
         AND sa.sample_index = chosen.index_a AND sa.repeat_no = 0
    JOIN run_samples sb ON sb.run_id = :run_b AND sb.task_no = :task_b AND sb.model_no = :model_b
         AND sb.sample_index = chosen.index_b AND sb.repeat_no = 0
    ORDER BY abs(chosen.a - chosen.b) DESC, chosen.place
""")
