"""SQL that reads and changes runs as their owners see them. What workers write is in ``ledger``."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    CursorResult,
    Double,
    Row,
    and_,
    case,
    cast,
    func,
    insert,
    literal,
    literal_column,
    select,
    tuple_,
    update,
)
from sqlalchemy.ext.asyncio import AsyncSession

from assay.core.ownership import visible_to
from assay.core.projects.models import ProjectRow
from assay.core.projects.types import Principal
from assay.core.runs.errors import RunNotFoundError
from assay.core.runs.models import ItemRow, RunRow, SampleAttemptRow, SampleRow
from assay.core.runs.types import (
    Run,
    RunConfig,
    RunFilter,
    RunStatus,
    Sample,
    SampleFilter,
    SampleStatus,
    TokenCounts,
)
from assay.core.suites.models import SuiteVersionRow
from assay.core.suites.sharing import readable_by
from assay.db.paging import Page, fetch_page
from assay.kit.clock import utc_now


async def find_run(session: AsyncSession, principal: Principal, *, run_id: UUID, lock: bool = False) -> RunRow | None:
    """The row of a visible run, locked against other changes when asked; only its owner can lock one.

    Locks of a run's row neither keep its samples from being inserted nor wait for that, so a run can be cancelled while
    it is being laid out.
    """
    access = visible_to(principal, RunRow) if lock else readable_by(principal, RunRow, RunRow.suite_id)
    query = select(RunRow).where(RunRow.id == run_id, access)
    return await session.scalar(query.with_for_update(key_share=True) if lock else query)


class RunForWork(NamedTuple):
    """A run as a worker needs it."""

    run: RunRow
    organization_id: UUID
    manifest: dict[str, Any]


async def find_run_for_work(session: AsyncSession, run_id: UUID) -> RunForWork | None:
    """A run with its suite version's manifest, whoever owns it."""
    query = (
        select(RunRow, ProjectRow.organization_id, SuiteVersionRow.manifest)
        .join(ProjectRow, ProjectRow.id == RunRow.project_id)
        .join(SuiteVersionRow, SuiteVersionRow.id == RunRow.suite_version_id)
        .where(RunRow.id == run_id)
    )
    found = (await session.execute(query)).one_or_none()
    return None if found is None else RunForWork(found[0], found[1], found[2])


async def find_manifest(session: AsyncSession, suite_version_id: UUID) -> dict[str, Any]:
    """The manifest of a suite version that a run of the caller's names."""
    query = select(SuiteVersionRow.manifest).where(SuiteVersionRow.id == suite_version_id)
    return (await session.execute(query)).scalar_one()


async def lock_run(session: AsyncSession, run_id: UUID) -> RunRow:
    """A run's row, locked against other changes, whoever owns it.

    Raises:
        RunNotFoundError: It does not exist.
    """
    query = select(RunRow).where(RunRow.id == run_id).with_for_update(key_share=True)
    row = await session.scalar(query.execution_options(populate_existing=True))
    if row is None:
        raise RunNotFoundError(f"Run {run_id} does not exist.")
    return row


async def list_silent_runs(session: AsyncSession, *, since: datetime, limit: int) -> Sequence[RunRow]:
    """Runs that Assay carries out itself, are not over, and of which nothing was written since the given instant."""
    live = [status.value for status in RunStatus if not status.is_terminal]
    query = (
        select(RunRow)
        .where(RunRow.status.in_(live), RunRow.updated_at < since, RunRow.agent_name.is_(None))
        .order_by(RunRow.updated_at)
        .limit(limit)
    )
    return (await session.scalars(query)).all()


async def list_runs(
    session: AsyncSession, principal: Principal, run_filter: RunFilter, *, after: UUID | None, limit: int
) -> Page[RunRow]:
    """Visible runs, newest first."""
    return await fetch_page(
        session,
        select(RunRow).where(_listed_for(principal, run_filter), *_run_conditions(run_filter)),
        sort=[RunRow.id],
        after=after,
        limit=limit,
        within=readable_by(principal, RunRow, RunRow.suite_id, include_deleted=True),
    )


def _listed_for(principal: Principal, run_filter: RunFilter) -> ColumnElement[bool]:
    if run_filter.owned_only:
        return visible_to(principal, RunRow)
    return readable_by(principal, RunRow, RunRow.suite_id)


def _run_conditions(run_filter: RunFilter) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if run_filter.suite_id is not None:
        conditions.append(RunRow.suite_id == run_filter.suite_id)
    if run_filter.suite_version is not None:
        conditions.append(RunRow.suite_version == run_filter.suite_version)
    if run_filter.status is not None:
        conditions.append(RunRow.status == run_filter.status.value)
    return conditions


SampleKey = tuple[int, int, int, int]
"""Task ordinal, model ordinal, index, repeat."""
_SAMPLE_KEY = (SampleRow.task_no, SampleRow.model_no, SampleRow.sample_index, SampleRow.repeat_no)


async def find_sample_key(session: AsyncSession, *, run_id: UUID, sample_id: UUID) -> SampleKey | None:
    """The place of a sample within its run."""
    query = select(*_SAMPLE_KEY).where(SampleRow.id == sample_id, SampleRow.run_id == run_id)
    found = (await session.execute(query)).one_or_none()
    return None if found is None else (found[0], found[1], found[2], found[3])


async def list_samples(
    session: AsyncSession,
    run: Run,
    task_order: Sequence[str],
    *,
    sample_filter: SampleFilter,
    after: SampleKey | None,
    limit: int,
) -> Page[Sample]:
    """Samples in the order of their key."""
    query = (
        select(SampleRow, ItemRow.dataset_row, ItemRow.prompt, ItemRow.target)
        .join(
            ItemRow,
            and_(
                ItemRow.run_id == SampleRow.run_id,
                ItemRow.task_no == SampleRow.task_no,
                ItemRow.sample_index == SampleRow.sample_index,
            ),
        )
        .where(SampleRow.run_id == run.id, *_sample_conditions(sample_filter, run.config.models, task_order))
        .order_by(*_SAMPLE_KEY)
        .limit(limit + 1)
    )
    if after is not None:
        query = query.where(tuple_(*_SAMPLE_KEY) > after)
    rows = (await session.execute(query)).all()
    samples = tuple(_to_sample(found, run, task_order) for found in rows[:limit])
    return Page(items=samples, has_more=len(rows) > limit)


def _sample_conditions(
    sample_filter: SampleFilter, models: Sequence[str], task_order: Sequence[str]
) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if sample_filter.task_id is not None:
        conditions.append(SampleRow.task_no == _ordinal(task_order, sample_filter.task_id))
    if sample_filter.model is not None:
        conditions.append(SampleRow.model_no == _ordinal(models, sample_filter.model))
    if sample_filter.status is not None:
        # A literal, so that the planner can use the partial index of failed samples.
        conditions.append(SampleRow.status == literal_column(f"'{sample_filter.status.value}'"))
    if sample_filter.sample_indexes is not None:
        conditions.append(SampleRow.sample_index.in_(sample_filter.sample_indexes))
    if sample_filter.score_metric is not None:
        conditions.extend(_score_conditions(sample_filter, sample_filter.score_metric))
    return conditions


def _score_conditions(sample_filter: SampleFilter, metric: str) -> list[ColumnElement[bool]]:
    value = numeric_score(metric)
    conditions: list[ColumnElement[bool]] = [value.is_not(None)]
    if sample_filter.score_min is not None:
        conditions.append(value >= sample_filter.score_min)
    if sample_filter.score_max is not None:
        conditions.append(value <= sample_filter.score_max)
    return conditions


def numeric_score(metric: str) -> ColumnElement[float | None]:
    """SQL for a sample's value of a metric, null unless it is a number."""
    value = SampleRow.scores[metric]
    return case((func.jsonb_typeof(value) == "number", cast(value, Double)), else_=None)


def _ordinal(names: Sequence[str], name: str) -> int:
    """Position of a name, or -1, which no row has."""
    return names.index(name) if name in names else -1


class OverviewCounts(NamedTuple):
    """What the samples of a run add up to."""

    total: int
    completed: int
    failed: int
    errored: int
    average: float | None
    cost_usd: Decimal | None
    input: int | None
    output: int | None
    cached: int | None
    reasoning: int | None


async def overview_counts(session: AsyncSession, run_id: UUID, metric: str) -> OverviewCounts:
    """Samples by outcome, the average of the metric, cost and token sums."""
    query = select(
        func.count().label("total"),
        func.count().filter(SampleRow.status == SampleStatus.COMPLETED.value).label("completed"),
        func.count().filter(SampleRow.status == SampleStatus.FAILED.value).label("failed"),
        func.count(SampleRow.error).label("errored"),
        func.avg(numeric_score(metric)).label("average"),
        func.sum(SampleRow.cost_usd).label("cost_usd"),
        func.sum(SampleRow.input_tokens).label("input"),
        func.sum(SampleRow.output_tokens).label("output"),
        func.sum(SampleRow.cached_tokens).label("cached"),
        func.sum(SampleRow.reasoning_tokens).label("reasoning"),
    ).where(SampleRow.run_id == run_id)
    return OverviewCounts(*(await session.execute(query)).one())


async def count_retried(session: AsyncSession, run_id: UUID) -> int:
    """Distinct samples that were run again at least once."""
    query = select(func.count(func.distinct(SampleAttemptRow.sample_id))).where(SampleAttemptRow.run_id == run_id)
    return (await session.execute(query)).scalar_one()


async def requeue_failed_samples(session: AsyncSession, run: RunRow) -> int:
    """Snapshot every failed sample, then queue it again in place, under the same id.

    Returns:
        How many there were.
    """
    failed = and_(SampleRow.run_id == run.id, SampleRow.status == SampleStatus.FAILED.value)
    now = utc_now()
    snapshot = select(
        SampleRow.run_id,
        SampleRow.id,
        literal(run.execution),
        func.to_jsonb(literal_column(SampleRow.__tablename__)),
        literal(now),
    ).where(failed)
    await session.execute(
        insert(SampleAttemptRow).from_select(["run_id", "sample_id", "execution", "snapshot", "created_at"], snapshot)
    )
    cleared = {column: None for column in _RESULT_COLUMNS}
    requeued = await session.execute(
        update(SampleRow)
        .where(failed)
        .values(status=SampleStatus.QUEUED.value, tokens_estimated=False, **cleared)
        .execution_options(synchronize_session=False)
    )
    return requeued.rowcount if isinstance(requeued, CursorResult) else 0


_RESULT_COLUMNS = (
    "output_text",
    "extracted_output",
    "reasoning",
    "response_id",
    "scores",
    "judge",
    "error",
    "attempts",
    "cost_usd",
    "input_tokens",
    "output_tokens",
    "cached_tokens",
    "reasoning_tokens",
    "phase_timings",
    "started_at",
    "completed_at",
    "vectors",
)


async def lock_live_runs_of_suite(session: AsyncSession, suite_id: UUID) -> Sequence[RunRow]:
    """Runs of a suite that have not ended, locked against other changes."""
    live = [status.value for status in RunStatus if not status.is_terminal]
    query = select(RunRow).where(RunRow.suite_id == suite_id, RunRow.status.in_(live)).with_for_update(key_share=True)
    return (await session.scalars(query)).all()


async def hide_runs_of_suite(session: AsyncSession, suite_id: UUID) -> list[UUID]:
    """Soft-delete every run of a suite; returns the ids that were visible until now."""
    hidden = await session.scalars(
        update(RunRow)
        .where(RunRow.suite_id == suite_id, RunRow.deleted_at.is_(None))
        .values(deleted_at=utc_now())
        .returning(RunRow.id)
        .execution_options(synchronize_session=False)
    )
    return list(hidden)


def to_run(row: RunRow, organization_id: UUID) -> Run:
    """The value of a run's row."""
    return Run(
        id=row.id,
        organization_id=organization_id,
        project_id=row.project_id,
        suite_id=row.suite_id,
        suite_version_id=row.suite_version_id,
        suite_version=row.suite_version,
        status=RunStatus(row.status),
        config=to_config(row),
        total=row.total,
        completed=row.completed,
        failed=row.failed,
        metrics=row.metrics,
        error=row.error,
        result_file_id=row.result_file_id,
        samples_file_id=row.samples_file_id,
        metadata=row.labels,
        dataset_revisions=row.dataset_revisions,
        agent_name=row.agent_name,
        agent_version=row.agent_version,
        agent_effort=row.agent_effort,
        cost_usd=row.cost_usd,
        tokens=TokenCounts(row.input_tokens, row.output_tokens, row.cached_tokens, row.reasoning_tokens),
        execution=row.execution,
        created_at=row.created_at,
        started_at=row.started_at,
        completed_at=row.completed_at,
        cancelled_at=row.cancelled_at,
        failed_at=row.failed_at,
    )


def to_config(row: RunRow) -> RunConfig:
    """How the run is to be carried out."""
    return RunConfig(
        models=row.models,
        task_ids=row.task_ids,
        judge_model=row.judge_model,
        embedding_model=row.embedding_model,
        generation=row.generation,
        generation_concurrency=row.generation_concurrency,
        concurrency=row.concurrency,
        grader_concurrency=row.grader_concurrency,
        max_samples_per_task=row.max_samples_per_task,
        max_workflow_sample_activities=row.max_workflow_sample_activities,
        repeats=row.repeats,
        budget_usd=row.budget_usd,
    )


def _to_sample(found: Row[SampleRow, dict[str, Any], str, str | None], run: Run, task_order: Sequence[str]) -> Sample:
    row, dataset_row, prompt, target = found
    return Sample(
        id=row.id,
        run_id=row.run_id,
        task_id=task_order[row.task_no],
        model=run.config.models[row.model_no],
        sample_index=row.sample_index,
        repeat_no=row.repeat_no,
        repeats=run.config.effective_repeats,
        status=SampleStatus(row.status),
        dataset_row=dataset_row,
        prompt=prompt,
        target=target,
        response_id=row.response_id,
        output_text=row.output_text,
        extracted_output=row.extracted_output,
        reasoning=row.reasoning,
        scores=row.scores or {},
        judge=row.judge,
        error=row.error,
        attempts=row.attempts or [],
        cost_usd=row.cost_usd,
        input_tokens=row.input_tokens,
        output_tokens=row.output_tokens,
        cached_tokens=row.cached_tokens,
        reasoning_tokens=row.reasoning_tokens,
        tokens_estimated=row.tokens_estimated,
        phase_timings=row.phase_timings,
        created_at=row.created_at,
        started_at=row.started_at,
        completed_at=row.completed_at,
    )
