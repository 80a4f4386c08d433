"""SQL of jobs and their iterations."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from assay.core.jobs.models import JobIterationRow, JobRow, JobStepRow
from assay.core.ownership import visible_to
from assay.core.projects.types import Principal
from assay.core.targets.service import agent_text
from assay.db.listing import Columns, ListQuery, SortBy, list_rows
from assay.db.slices import Counted, Slice
from assay.kit.clock import utc_now

JOB_COLUMNS: Columns = {
    name: getattr(JobRow, name)
    for name in (
        "id",
        "analyzer_model",
        "baseline_score",
        "best_score",
        "created_at",
        "data_source",
        "improvement",
        "num_iterations",
        "prompt_slug",
        "status",
        "updated_at",
    )
} | {"agent": JobRow.agent_id, "project": JobRow.project_id, "job_type": JobRow.kind}
ITERATION_COLUMNS: Columns = {
    "id": JobIterationRow.id,
    "job": JobIterationRow.job_id,
    "status": JobIterationRow.status,
    "iteration_name": JobIterationRow.name,
    "order": JobIterationRow.position,
    "avg_score": JobIterationRow.avg_score,
    "created_at": JobIterationRow.created_at,
}


async def find_job(session: AsyncSession, principal: Principal, job_id: UUID, *, lock: bool = False) -> JobRow | None:
    """One job of the caller."""
    statement = select(JobRow).where(JobRow.id == job_id, visible_to(principal, JobRow))
    return (await session.scalars(statement.with_for_update() if lock else statement)).one_or_none()


async def list_jobs(session: AsyncSession, principal: Principal, query: ListQuery, part: Slice) -> Counted[JobRow]:
    """Jobs, newest first unless ordered otherwise."""
    return await list_rows(
        session,
        select(JobRow).where(visible_to(principal, JobRow)),
        query,
        part,
        columns=JOB_COLUMNS,
        searched=(JobRow.prompt_slug, JobRow.analyzer_model, agent_text(JobRow.agent_id)),
        otherwise=(SortBy("created_at", descending=True),),
    )


async def find_iteration(
    session: AsyncSession, principal: Principal, iteration_id: UUID, *, lock: bool = False
) -> JobIterationRow | None:
    """One iteration of the caller."""
    iteration = JobIterationRow
    statement = select(iteration).where(iteration.id == iteration_id, visible_to(principal, iteration))
    return (await session.scalars(statement.with_for_update() if lock else statement)).one_or_none()


async def list_iterations(
    session: AsyncSession, principal: Principal, query: ListQuery, part: Slice
) -> Counted[JobIterationRow]:
    """Iterations by position, unless ordered otherwise."""
    iteration = JobIterationRow
    return await list_rows(
        session,
        select(iteration).where(visible_to(principal, iteration)),
        query,
        part,
        columns=ITERATION_COLUMNS,
        searched=(iteration.name, iteration.description),
        otherwise=(SortBy("order"), SortBy("created_at")),
    )


async def iterations_of(session: AsyncSession, job_ids: Sequence[UUID]) -> dict[UUID, list[JobIterationRow]]:
    """The iterations of jobs that the caller may see, by position and age."""
    iteration = JobIterationRow
    statement = select(iteration).where(iteration.job_id.in_(job_ids), iteration.deleted_at.is_(None))
    found: dict[UUID, list[JobIterationRow]] = defaultdict(list)
    for row in await session.scalars(statement.order_by(iteration.position, iteration.created_at, iteration.id)):
        found[row.job_id].append(row)
    return found


async def touch_job(session: AsyncSession, job_id: UUID) -> None:
    """Move a job's time of change, and nothing else of it."""
    await session.execute(update(JobRow).where(JobRow.id == job_id).values(updated_at=utc_now()))


async def hide_iterations(session: AsyncSession, job_id: UUID) -> None:
    """Delete a job's iterations with it."""
    owned = JobIterationRow.job_id == job_id
    await session.execute(update(JobIterationRow).where(owned).values(deleted_at=utc_now()))


async def forget_steps(session: AsyncSession, job_id: UUID, *, only_failed: bool) -> None:
    """Let a worker do again what it has done, or what failed of it."""
    statement = delete(JobStepRow).where(JobStepRow.job_id == job_id)
    await session.execute(statement.where(JobStepRow.failed) if only_failed else statement)


async def write_job(session: AsyncSession, job_id: UUID, execution: int, values: dict[str, Any]) -> str | None:
    """Write columns of a job that a worker still carries out.

    Returns:
        The status that it has then; None if this execution is over or the job is gone.
    """
    statement = (
        update(JobRow)
        .where(JobRow.id == job_id, JobRow.execution == execution, JobRow.deleted_at.is_(None))
        .where(JobRow.status.in_(("pending", "running")))
        .values(**values, updated_at=utc_now())
        .returning(JobRow.status)
    )
    return await session.scalar(statement)


async def steps_of(session: AsyncSession, job_id: UUID) -> Iterable[JobStepRow]:
    """All that was done for a job."""
    return await session.scalars(select(JobStepRow).where(JobStepRow.job_id == job_id))
