"""Laying out a run: read each task's rows, preprocess, render, and insert every item and sample, all or nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from assay.core.datasets.reading import infer_format, read_rows
from assay.core.datasets.types import DatasetFormat
from assay.core.files.service import open_content
from assay.core.files.store import FileStore
from assay.core.runs import ledger, repository
from assay.core.runs.errors import RunInputError, RunStoppedError
from assay.core.runs.ledger import NewItem, NewSample
from assay.core.runs.plan import RunPlan, load_plan
from assay.core.runs.types import RunStatus
from assay.core.suites.compile import CompiledTask, PreprocessPlan
from assay.core.suites.manifest.schema import Dataset
from assay.core.suites.rendering import RowRenderer
from assay.core.suites.sources import find_dataset_file
from assay.db.engine import SessionFactory
from assay.db.session import transaction
from assay.kit import json
from assay.kit.clock import utc_now
from assay.kit.errors import DomainError
from assay.kit.ids import new_id
from assay.kit.storable import find_unstorable, render_path
from assay.sandbox.contract import CodeFailure, EntryPoint, Limits, Sandbox

COPY_BATCH = 2000
TRANSFORM_BATCH = 500
SAMPLES_PER_LANE = 64
"""Concurrency of one lane: more than one process's worth of calls is spread over several workers."""
MAX_ROWS = 1_000_000
MAX_ROW_DEPTH = 64

Heartbeat = Callable[[], None]
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Preparation:
    """What there is to do."""

    lanes: int
    score_groups: list[tuple[int, int]]


async def prepare_run(
    sessions: SessionFactory, *, store: FileStore, sandbox: Sandbox, run_id: UUID, heartbeat: Heartbeat
) -> Preparation:
    """Insert a run's samples if that has not been done, and cut what is outstanding into chunks.

    Doing it again, after a crash or for a rerun, finds the samples there and only plans anew.

    Raises:
        DomainError: A dataset, preprocessor or template is at fault; the message names task and row.
        RunStoppedError: The run was cancelled meanwhile.
    """
    async with transaction(sessions) as session:
        plan = await load_plan(session, store, run_id)
        run = await repository.lock_run(session, run_id)
        if RunStatus(run.status) not in {RunStatus.QUEUED, RunStatus.IN_PROGRESS}:
            raise RunStoppedError(RunStatus(run.status))
        if not run.prepared:
            run.total = await _lay_out(session, plan, store=store, sandbox=sandbox, heartbeat=heartbeat)
            run.prepared = True
        await ledger.plan_chunks(session, run_id)
        run.status = RunStatus.IN_PROGRESS.value
        run.started_at = run.started_at or utc_now()
    lanes = -(-plan.config.effective_generation_concurrency // SAMPLES_PER_LANE)
    return Preparation(lanes, plan.score_groups)


async def _lay_out(
    session: AsyncSession, plan: RunPlan, *, store: FileStore, sandbox: Sandbox, heartbeat: Heartbeat
) -> int:
    total = 0
    for task_no, task in enumerate(plan.tasks):
        rows = await _task_rows(session, plan, task, store=store, sandbox=sandbox, heartbeat=heartbeat)
        pool = await _fewshot_rows(session, plan, task, store=store, sandbox=sandbox, heartbeat=heartbeat)
        limit = plan.config.max_samples_per_task or len(rows)
        evaluated = rows[:limit]
        # Examples come from all rows of the split, however few of them are evaluated.
        renderer = RowRenderer(task, evaluated, fewshot_pool=rows if pool is None else pool)
        for start in range(0, len(evaluated), COPY_BATCH):
            heartbeat()
            await _insert(
                session, plan, task_no, renderer, evaluated, range(start, min(start + COPY_BATCH, len(evaluated)))
            )
        total += len(evaluated) * len(plan.models)
    return total


async def _insert(
    session: AsyncSession,
    plan: RunPlan,
    task_no: int,
    renderer: RowRenderer,
    rows: Sequence[Row],
    indexes: range,
) -> None:
    items: list[NewItem] = []
    for index in indexes:
        rendered = renderer.render(index)
        items.append(NewItem(task_no, index, json.dumps(rows[index]), rendered.prompt, rendered.target))
    await ledger.copy_items(session, plan.run_id, items)
    now = utc_now()
    for model_no in range(len(plan.models)):
        samples = [NewSample(new_id(), task_no, model_no, index) for index in indexes]
        await ledger.copy_samples(session, plan.run_id, samples, now)


async def _task_rows(
    session: AsyncSession,
    plan: RunPlan,
    task: CompiledTask,
    *,
    store: FileStore,
    sandbox: Sandbox,
    heartbeat: Heartbeat,
) -> list[Row]:
    limit = None
    if task.preprocess is None and task.fewshot is None:
        # Nothing looks at later rows, so they need not be read.
        limit = plan.config.max_samples_per_task
    rows = await _read_dataset(session, plan, task, task.dataset, store=store, limit=limit)
    heartbeat()
    return await _preprocess(task, task.preprocess, rows, sandbox=sandbox, heartbeat=heartbeat)


async def _fewshot_rows(
    session: AsyncSession,
    plan: RunPlan,
    task: CompiledTask,
    *,
    store: FileStore,
    sandbox: Sandbox,
    heartbeat: Heartbeat,
) -> list[Row] | None:
    if task.fewshot is None or task.fewshot.pool_dataset is None:
        return None
    rows = await _read_dataset(session, plan, task, task.fewshot.pool_dataset, store=store, limit=None)
    return await _preprocess(task, task.preprocess, rows, sandbox=sandbox, heartbeat=heartbeat)


async def _read_dataset(
    session: AsyncSession,
    plan: RunPlan,
    task: CompiledTask,
    dataset: Dataset,
    *,
    store: FileStore,
    limit: int | None,
) -> list[Row]:
    if dataset.file_id is None:
        raise RunInputError(f"Task '{task.id}' has no dataset file.", data={"task_id": task.id})
    try:
        file = await find_dataset_file(session, plan.owner, file_id=dataset.file_id)
        content = await open_content(session, plan.owner, store=store, file_id=file.id)
        format_ = DatasetFormat(dataset.format) if dataset.format is not None else infer_format(file.filename)
        bound = min(dataset.max_rows or MAX_ROWS, limit or MAX_ROWS, MAX_ROWS)
        rows = read_rows(content.chunks, format=format_, max_rows=bound)
        return [row.values async for row in rows]
    except DomainError as error:
        raise _blame(task, error.message, error) from error


async def _preprocess(
    task: CompiledTask, plan: PreprocessPlan | None, rows: list[Row], *, sandbox: Sandbox, heartbeat: Heartbeat
) -> list[Row]:
    if plan is None:
        return rows
    limits = Limits(timeout_seconds=plan.timeout_seconds)
    if plan.program.entry_point is EntryPoint.TRANSFORM_BATCH:
        outcome = await sandbox.transform_batch(plan.program, rows, limits=limits)
        if isinstance(outcome, CodeFailure):
            raise _blame(task, f"the preprocessor failed: {outcome.message}")
        return _storable(task, list(outcome.rows))
    transformed: list[Row] = []
    for start in range(0, len(rows), TRANSFORM_BATCH):
        heartbeat()
        outcomes = await sandbox.transform(plan.program, rows[start : start + TRANSFORM_BATCH], limits=limits)
        for index, outcome in enumerate(outcomes, start=start):
            if isinstance(outcome, CodeFailure):
                raise _blame(task, f"row {index + 1}: the preprocessor failed: {outcome.message}")
            transformed.append(outcome.row)
    return _storable(task, transformed)


def _storable(task: CompiledTask, rows: list[Row]) -> list[Row]:
    for index, row in enumerate(rows):
        for path, reason in find_unstorable(row, max_depth=MAX_ROW_DEPTH):
            raise _blame(task, f"row {index + 1}, after preprocessing: {render_path(path)}: {reason}")
    return rows


def _blame(task: CompiledTask, reason: str, error: DomainError | None = None) -> RunInputError:
    data: dict[str, Any] = {} if error is None else error.data
    return RunInputError(f"Task '{task.id}': {reason}", data={**data, "task_id": task.id})
