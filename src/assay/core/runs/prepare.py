"""Laying out a run: read each task's rows, preprocess, render, and insert every item and sample, all or nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from assay.core.datasets.hub.service import HubReader
from assay.core.files.store import FileStore
from assay.core.runs import ledger, repository
from assay.core.runs.embedding.layout import EmbeddingRows, TextItem, lay_out_texts
from assay.core.runs.errors import RunInputError, RunStoppedError
from assay.core.runs.ledger import Execution, NewItem, NewSample
from assay.core.runs.models import RunRow
from assay.core.runs.plan import RunPlan, load_plan
from assay.core.runs.rows import RowSource, blame, storable
from assay.core.runs.transitions import announce
from assay.core.runs.types import RunStatus
from assay.core.suites.compile import CompiledTask, PreprocessPlan
from assay.core.suites.manifest.schema import Dataset
from assay.core.suites.rendering import RowRenderer
from assay.db.engine import SessionFactory
from assay.db.session import transaction
from assay.kit import json
from assay.kit.clock import utc_now
from assay.kit.errors import UnavailableError
from assay.kit.ids import new_id
from assay.sandbox.contract import CodeFailure, EntryPoint, Limits, Sandbox

COPY_BATCH = 2000
TRANSFORM_BATCH = 500
SAMPLES_PER_LANE = 64
"""Concurrency of one lane: more than one process's worth of calls is spread over several workers."""

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Preparation:
    """What there is to do."""

    lanes: int
    score_groups: list[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class _TaskRows:
    """The rows of one task, preprocessed."""

    evaluated: Sequence[Row]
    fewshot_pool: Sequence[Row] = ()
    texts: Sequence[TextItem] = ()
    """Of an embedding task: what is embedded, the evaluated rows among it."""


class PreparationBusyError(UnavailableError):
    """Another worker, perhaps one that was thought dead, is laying out the same run."""

    code = "preparation_busy"


async def prepare_run(
    sessions: SessionFactory, *, store: FileStore, sandbox: Sandbox, hub: HubReader, execution: Execution
) -> Preparation:
    """Insert a run's samples if that has not been done, and cut what is outstanding into chunks.

    Doing it again, after a crash or for a rerun, finds the samples there and only plans anew. Files are read and
    preprocessed before the transaction begins, and the run's row is locked only at its end, so that a run can be
    cancelled however long this takes.

    Raises:
        DomainError: A dataset, preprocessor or template is at fault; the message names task and row.
        RunStoppedError: The run was cancelled meanwhile.
        PreparationBusyError: Another worker is at it; trying again later helps.
    """
    async with transaction(sessions) as session:
        plan = await load_plan(session, store, execution)
        run = await repository.lock_run(session, execution.run_id)
        _check_goes_on(run, execution)
        laid_out = run.prepared
    source = RowSource(sessions, plan, store, hub)
    rows = [] if laid_out else [await _task_rows(source, task, sandbox=sandbox) for task in plan.tasks]
    async with transaction(sessions) as session:
        await ledger.allow_long_statements(session)
        if not laid_out:
            await _claim_layout(session, plan)
        total = None if laid_out else await _lay_out(session, plan, rows)
        run = await repository.lock_run(session, execution.run_id)
        _check_goes_on(run, execution)
        if total is not None:
            run.total, run.prepared = total, True
        if RunStatus(run.status) is RunStatus.QUEUED:
            # Otherwise another attempt has planned the chunks, and lanes may be at work on them.
            await session.flush()
            await ledger.plan_chunks(session, execution.run_id)
            run.status = RunStatus.IN_PROGRESS.value
            run.started_at = run.started_at or utc_now()
            await announce(session, run)
        chunks = await ledger.count_chunks(session, execution.run_id)
    wanted = -(-plan.config.effective_generation_concurrency // SAMPLES_PER_LANE)
    return Preparation(max(1, min(wanted, chunks)), plan.score_groups)


def _check_goes_on(run: RunRow, execution: Execution) -> None:
    goes_on = RunStatus(run.status) in {RunStatus.QUEUED, RunStatus.IN_PROGRESS}
    if not goes_on or run.execution != execution.number:
        raise RunStoppedError(RunStatus(run.status))


async def _claim_layout(session: AsyncSession, plan: RunPlan) -> None:
    """Keep other attempts from inserting the same rows; raises when one of them is at it or has done it."""
    if not await ledger.try_lock_layout(session, plan.run_id) or await ledger.has_items(session, plan.run_id):
        raise PreparationBusyError("Another worker is laying out the same run.")


async def _lay_out(session: AsyncSession, plan: RunPlan, tasks: Sequence[_TaskRows]) -> int:
    total = 0
    for task_no, (task, rows) in enumerate(zip(plan.tasks, tasks, strict=True)):
        repeats = 1 if task.embedding is not None else plan.config.effective_repeats
        items = _text_items(task_no, rows.texts) if task.embedding is not None else _row_items(task, task_no, rows)
        while batch := list(islice(items, COPY_BATCH)):
            await _insert(session, plan, batch, repeats=repeats)
            total += len(batch) * len(plan.models) * repeats
    return total


def _row_items(task: CompiledTask, task_no: int, rows: _TaskRows) -> Iterator[NewItem]:
    renderer = RowRenderer(task, rows.evaluated, fewshot_pool=rows.fewshot_pool)
    for index, row in enumerate(rows.evaluated):
        rendered = renderer.render(index)
        yield NewItem(task_no, index, json.dumps(row), rendered.prompt, rendered.target)


def _text_items(task_no: int, texts: Sequence[TextItem]) -> Iterator[NewItem]:
    for index, one in enumerate(texts):
        yield NewItem(task_no, index, json.dumps(one.row), one.prompt, one.target, json.dumps(one.protocol))


async def _insert(session: AsyncSession, plan: RunPlan, items: Sequence[NewItem], *, repeats: int) -> None:
    await ledger.copy_items(session, plan.run_id, items)
    now = utc_now()
    for model_no in range(len(plan.models)):
        samples = [
            NewSample(new_id(), item.task_no, model_no, item.sample_index, repeat_no)
            for item in items
            for repeat_no in range(repeats)
        ]
        await ledger.copy_samples(session, plan.run_id, samples, now)


async def _task_rows(source: RowSource, task: CompiledTask, *, sandbox: Sandbox) -> _TaskRows:
    most = source.plan.config.max_samples_per_task
    # When nothing looks at later rows they need not be read.
    limit = most if task.preprocess is None and task.fewshot is None else None
    read = await source.read(task, task.dataset, limit=limit)
    rows = await _preprocess(task, task.preprocess, read, sandbox=sandbox)
    if task.embedding is not None:
        return await _embedding_rows(source, task, rows[:most])
    # Examples come from all rows of the split, however few of them are evaluated.
    pool = rows
    if task.fewshot is not None and task.fewshot.pool_dataset is not None:
        read = await source.read(task, task.fewshot.pool_dataset, limit=None)
        pool = await _preprocess(task, task.preprocess, read, sandbox=sandbox)
    return _TaskRows(rows if most is None else rows[:most], pool)


async def _embedding_rows(source: RowSource, task: CompiledTask, evaluated: list[Row]) -> _TaskRows:
    config = task.embedding
    if config is None:
        raise ValueError(f"task {task.id} embeds nothing")

    async def read(dataset: Dataset | None) -> list[Row]:
        return [] if dataset is None else await source.read(task, dataset, limit=None)

    rows = EmbeddingRows(
        evaluated,
        train=await read(config.train_dataset),
        corpus=await read(config.corpus_dataset),
        qrels=await read(config.qrels_dataset),
        top_ranked=await read(config.top_ranked_dataset),
    )
    try:
        return _TaskRows(evaluated, texts=lay_out_texts(config, rows))
    except RunInputError as error:
        raise blame(task, error.message, error) from error


async def _preprocess(
    task: CompiledTask, plan: PreprocessPlan | None, rows: list[Row], *, sandbox: Sandbox
) -> list[Row]:
    if plan is None:
        return rows
    limits = Limits(timeout_seconds=plan.timeout_seconds)
    if plan.program.entry_point is EntryPoint.TRANSFORM_BATCH:
        outcome = await sandbox.transform_batch(plan.program, rows, limits=limits)
        if isinstance(outcome, CodeFailure):
            raise blame(task, f"the preprocessor failed: {outcome.message}")
        return storable(task, list(outcome.rows))
    transformed: list[Row] = []
    for start in range(0, len(rows), TRANSFORM_BATCH):
        outcomes = await sandbox.transform(plan.program, rows[start : start + TRANSFORM_BATCH], limits=limits)
        for index, outcome in enumerate(outcomes, start=start):
            if isinstance(outcome, CodeFailure):
                raise blame(task, f"row {index + 1}: the preprocessor failed: {outcome.message}")
            transformed.append(outcome.row)
    return storable(task, transformed)
