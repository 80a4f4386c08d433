"""Scoring a whole group at once: all answers of one model to one task go to ``grade_batch`` (M§4.7).

The vectors of an embedding task are scored by ``embedding.scoring`` instead.

The group is graded as a whole or not at all: its scores and its metrics are written in one transaction. When failed
samples have been run again, the grader sees the whole group, so its metrics are those of all answers; samples that had
been scored keep their scores.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from assay.core.files.store import FileStore
from assay.core.runs import ledger, repository
from assay.core.runs.answer import Answer
from assay.core.runs.embedding.scoring import score_vectors
from assay.core.runs.errors import RunBudgetReachedError, RunInputError, RunStoppedError
from assay.core.runs.judging import JudgeCalls, RunModels
from assay.core.runs.lane import LaneTools
from assay.core.runs.ledger import Execution, SampleResult, WorkItem
from assay.core.runs.plan import RunPlan, load_plan
from assay.core.runs.scoring import graded_result, grading_case
from assay.core.runs.types import RunStatus, SampleStatus
from assay.core.suites.compile import GraderPlan
from assay.db.session import transaction
from assay.sandbox.contract import BatchGraded, CodeFailure, Limits, ModelAccess

MAX_GROUP_SAMPLES = 50_000
WRITE_BATCH = 1000


async def score_group(
    tools: LaneTools,
    *,
    store: FileStore,
    execution: Execution,
    task_no: int,
    model_no: int,
) -> int:
    """Score the answers of one model to one task, if that has not been done.

    A grader that fails as a whole fails each of its samples, with its reason.

    Returns:
        How many samples were scored.

    Raises:
        RunStoppedError: The run was cancelled or deleted meanwhile.
        RunInputError: The group has more than 50,000 samples.
        RunBudgetReachedError: The run has cost more than it may.
    """
    async with tools.sessions() as session:
        status = await ledger.read_status(session, execution)
        if status is not RunStatus.IN_PROGRESS:
            raise RunStoppedError(status)
        plan = await load_plan(session, store, execution)
        await _refuse_when_spent(session, plan)
    task = plan.tasks[task_no]
    if task.embedding is not None:
        return await score_vectors(
            tools.sessions, task.embedding, execution=execution, task_no=task_no, model_no=model_no
        )
    async with tools.sessions() as session:
        items = await _load_group(session, execution.run_id, task_no=task_no, model_no=model_no)
    grader = task.grader
    unscored = sum(item.status is SampleStatus.READY_TO_SCORE for item in items)
    if not unscored or grader is None:
        return 0
    judge = RunModels(tools.gateway, plan).for_one_execution()
    graded = await _grade(tools, plan, grader, items, judge=judge)
    outcomes = [graded] * len(items) if isinstance(graded, CodeFailure) else graded.outcomes
    results = [graded_result(item, outcome, {}) for item, outcome in zip(items, outcomes, strict=True)]
    _charge(results, items, judge.summary())
    metrics = {} if isinstance(graded, CodeFailure) else graded.metrics
    async with transaction(tools.sessions) as session:
        await _write(session, execution, results, group=f"{task_no}/{model_no}", metrics=metrics)
    return unscored


async def _refuse_when_spent(session: AsyncSession, plan: RunPlan) -> None:
    budget = plan.config.budget_usd
    if budget is not None and (spent := await ledger.read_spent(session, plan.run_id)) > budget:
        raise RunBudgetReachedError(spent, budget)


def _charge(results: Sequence[SampleResult], items: Sequence[WorkItem], spent: Mapping[str, Any]) -> None:
    """Keep what judging the group cost with the first sample that it scores, so that the run's sum has it once."""
    first = next(number for number, item in enumerate(items) if item.status is SampleStatus.READY_TO_SCORE)
    if spent:
        values = results[first].values
        values["judge"] = {"scored_with_group": True, **spent, **(values.get("judge") or {})}


async def _write(
    session: AsyncSession,
    execution: Execution,
    results: Sequence[SampleResult],
    *,
    group: str,
    metrics: Mapping[str, float],
) -> None:
    run = await repository.lock_run(session, execution.run_id)
    if RunStatus(run.status) is not RunStatus.IN_PROGRESS or run.execution != execution.number:
        raise RunStoppedError(RunStatus(run.status))
    run.group_metrics = {**run.group_metrics, group: dict(metrics)}
    await session.flush()
    for start in range(0, len(results), WRITE_BATCH):
        # Samples that are scored already are left alone.
        await ledger.record_scores(session, execution, results[start : start + WRITE_BATCH])


async def _grade(
    tools: LaneTools, plan: RunPlan, grader: GraderPlan, items: list[WorkItem], *, judge: JudgeCalls
) -> BatchGraded | CodeFailure:
    task = plan.tasks[items[0].task_no]
    access = None
    if grader.allows_models:
        access = ModelAccess(judge, grader.max_model_calls)
    cases = [
        grading_case(
            task,
            item,
            Answer(item.output_text, {"extracted_output": item.extracted_output, "response_id": item.response_id}),
            plan,
        )
        for item in items
    ]
    return await tools.sandbox.grade_batch(
        grader.program,
        cases,
        metric_id=grader.metric_id,
        models=access,
        metadata=plan.metadata,
        limits=Limits(timeout_seconds=grader.timeout_seconds),
    )


async def _load_group(session: AsyncSession, run_id: UUID, *, task_no: int, model_no: int) -> list[WorkItem]:
    values = {"run_id": run_id, "task_no": task_no, "model_no": model_no, "limit": MAX_GROUP_SAMPLES + 1}
    rows = (await session.execute(_LOAD_GROUP, values)).all()
    if len(rows) > MAX_GROUP_SAMPLES:
        raise RunInputError(
            f"A grader of whole groups can score at most {MAX_GROUP_SAMPLES} samples of one task and model; "
            "lower `max_samples_per_task`, or grade sample by sample."
        )
    return [
        WorkItem(
            id=row[0],
            task_no=task_no,
            model_no=model_no,
            sample_index=row[1],
            status=SampleStatus(row[2]),
            dataset_row=orjson.loads(row[3]),
            prompt=row[4],
            target=row[5],
            output_text=row[6],
            extracted_output=row[7],
            response_id=row[8],
            repeat_no=row[9],
        )
        for row in rows
    ]


_LOAD_GROUP = text("""
    SELECT s.id, s.sample_index, s.status, i.dataset_row::text, i.prompt, i.target, s.output_text, s.extracted_output,
           s.response_id, s.repeat_no
    FROM run_samples s
    JOIN run_items i ON i.run_id = s.run_id AND i.task_no = s.task_no AND i.sample_index = s.sample_index
    WHERE s.run_id = :run_id AND s.task_no = :task_no AND s.model_no = :model_no
      AND s.status IN ('ready_to_score', 'completed')
    ORDER BY s.sample_index, s.repeat_no
    LIMIT :limit
""")
