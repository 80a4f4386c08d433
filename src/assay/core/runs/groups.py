"""Scoring a whole group at once: all answers of one model to one task go to ``grade_batch`` (M§4.7)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from uuid import UUID

import orjson
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from assay.core.files.store import FileStore
from assay.core.runs import ledger, repository
from assay.core.runs.answers import Answer
from assay.core.runs.errors import RunInputError, RunStoppedError
from assay.core.runs.judging import RunModels
from assay.core.runs.lane import LaneTools
from assay.core.runs.ledger import WorkItem
from assay.core.runs.plan import RunPlan, load_plan
from assay.core.runs.scoring import graded_result, grading_case
from assay.core.runs.types import RunStatus, SampleStatus
from assay.core.suites.compile import GraderPlan
from assay.db.session import transaction
from assay.sandbox.contract import BatchGraded, CodeFailure, GradeOutcome, Limits, ModelAccess

MAX_GROUP_SAMPLES = 50_000
WRITE_BATCH = 1000


async def score_group(
    tools: LaneTools,
    *,
    store: FileStore,
    run_id: UUID,
    task_no: int,
    model_no: int,
    heartbeat: Callable[[], None],
) -> int:
    """Score the answers of one model to one task, if that has not been done.

    A grader that fails as a whole fails each of its samples, with its reason.

    Returns:
        How many samples were scored.

    Raises:
        RunStoppedError: The run was cancelled meanwhile.
        RunInputError: The group has more than 50,000 samples.
    """
    async with tools.sessions() as session:
        status = await ledger.read_status(session, run_id)
        if status is not RunStatus.IN_PROGRESS:
            raise RunStoppedError(status)
        plan = await load_plan(session, store, run_id)
        items = await _load_group(session, run_id, task_no=task_no, model_no=model_no)
    grader = plan.tasks[task_no].grader
    if not items or grader is None:
        return 0
    graded = await _grade(tools, plan, grader, items)
    failure = graded if isinstance(graded, CodeFailure) else None
    outcomes: list[GradeOutcome] = [failure] * len(items) if failure is not None else []
    if isinstance(graded, BatchGraded):
        outcomes = graded.outcomes
        await _keep_metrics(tools, run_id, f"{task_no}/{model_no}", graded.metrics)
    results = [graded_result(item, outcome, {}) for item, outcome in zip(items, outcomes, strict=True)]
    for start in range(0, len(results), WRITE_BATCH):
        heartbeat()
        async with transaction(tools.sessions) as session:
            await ledger.record_scores(session, run_id, results[start : start + WRITE_BATCH])
    return len(items)


async def _grade(
    tools: LaneTools, plan: RunPlan, grader: GraderPlan, items: list[WorkItem]
) -> BatchGraded | CodeFailure:
    task = plan.tasks[items[0].task_no]
    access = None
    if grader.allows_models:
        access = ModelAccess(RunModels(tools.gateway, plan).for_one_execution(), grader.max_model_calls)
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


async def _keep_metrics(tools: LaneTools, run_id: UUID, group: str, metrics: Mapping[str, float]) -> None:
    async with transaction(tools.sessions) as session:
        run = await repository.lock_run(session, run_id)
        run.group_metrics = {**run.group_metrics, group: dict(metrics)}


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
            status=SampleStatus.READY_TO_SCORE,
            dataset_row=orjson.loads(row[2]),
            prompt=row[3],
            target=row[4],
            output_text=row[5],
            extracted_output=row[6],
            response_id=row[7],
        )
        for row in rows
    ]


_LOAD_GROUP = text("""
    SELECT s.id, s.sample_index, i.dataset_row::text, i.prompt, i.target, s.output_text, s.extracted_output,
           s.response_id
    FROM run_samples s
    JOIN run_items i ON i.run_id = s.run_id AND i.task_no = s.task_no AND i.sample_index = s.sample_index
    WHERE s.run_id = :run_id AND s.task_no = :task_no AND s.model_no = :model_no AND s.status = 'ready_to_score'
    ORDER BY s.sample_index
    LIMIT :limit
""")
