"""Use cases of jobs and their iterations.

Who carries a job out is decided when it is made (O§6.5): a *pending* one is ours, any other is a client's, which
reports what it does. Clients report from several threads, late and out of order, so a change locks the row, writes only
the columns that it names, and never brings a job that has ended back to life.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from assay.core.jobs import repository
from assay.core.jobs.errors import IterationNotFoundError, JobNotFoundError, ProjectMismatchError
from assay.core.jobs.models import JobIterationRow, JobRow
from assay.core.jobs.types import JobKind, JobStatus
from assay.core.outbox.service import enqueue
from assay.core.outbox.types import Action, WorkflowCommand
from assay.core.ownership import owner_columns
from assay.core.projects.types import Principal, Scope
from assay.core.targets.errors import UnknownReferenceError
from assay.core.targets.service import agents_by_id, check_agent
from assay.db.listing import ListQuery
from assay.db.slices import Counted, Slice
from assay.kit.clock import utc_now

WORKFLOW = "job"
_OF_ONE_EXECUTION = frozenset({"error", "error_code", "paused", "cancelled_by_user", "partial"})
"""Keys of ``result`` that say how an execution ended."""


async def create_job(session: AsyncSession, principal: Principal, values: Mapping[str, Any]) -> JobRow:
    """Make a job, and hand it to a worker if it is pending.

    Args:
        session: A session inside a transaction.
        principal: Whose it will be.
        values: Any columns; ``project_id`` must be the caller's project or None.

    Raises:
        UnknownReferenceError: ``agent_id`` names no agent of the caller.
        ProjectMismatchError: ``project_id`` is another project.
    """
    principal.require(Scope.JOB_WRITE)
    row = JobRow(**owner_columns(principal), kind=JobKind.PROMPT_TUNING.value, status=JobStatus.PENDING.value)
    row.triggered_by, row.logs = principal.user_id, []
    await _check_references(session, principal, values)
    _apply(row, values)
    if not row.prompt_slug and row.agent_id is not None:
        row.prompt_slug = (await check_agent(session, principal, row.agent_id)).slug
    session.add(row)
    await session.flush()
    if row.status == JobStatus.PENDING:
        await _hand_over(session, row)
    return row


async def update_job(session: AsyncSession, principal: Principal, job_id: UUID, values: Mapping[str, Any]) -> JobRow:
    """Change the columns that ``values`` names, and let the change of status have its effect (O§6.9).

    Raises:
        JobNotFoundError: The caller has no such job.
        UnknownReferenceError, ProjectMismatchError: As for a new job.
    """
    principal.require(Scope.JOB_WRITE)
    row = await _get_job(session, principal, job_id, lock=True)
    await _check_references(session, principal, values)
    wanted = JobStatus(values["status"]) if "status" in values else None
    _apply(row, {name: value for name, value in values.items() if name != "status"})
    if wanted is not None:
        await _change_status(session, row, wanted)
    await session.flush()
    return row


async def find_job(session: AsyncSession, principal: Principal, job_id: UUID) -> JobRow:
    """A job.

    Raises:
        JobNotFoundError: The caller has no such job.
    """
    principal.require(Scope.JOB_READ)
    return await _get_job(session, principal, job_id)


async def list_jobs(session: AsyncSession, principal: Principal, query: ListQuery, part: Slice) -> Counted[JobRow]:
    """The caller's jobs."""
    principal.require(Scope.JOB_READ)
    return await repository.list_jobs(session, principal, query, part)


async def delete_job(session: AsyncSession, principal: Principal, job_id: UUID) -> None:
    """Stop a job and hide it with its iterations; what it spent stays on record.

    Raises:
        JobNotFoundError: The caller has no such job.
    """
    principal.require(Scope.JOB_WRITE)
    row = await _get_job(session, principal, job_id, lock=True)
    if _is_at_work(row):
        await _tell(session, row, Action.CANCEL)
    row.deleted_at = utc_now()
    await repository.hide_iterations(session, job_id)
    await session.flush()


async def iterations_of(session: AsyncSession, jobs: Sequence[JobRow]) -> Mapping[UUID, Sequence[JobIterationRow]]:
    """The iterations of jobs that were found for the caller, by position, then age."""
    return await repository.iterations_of(session, [job.id for job in jobs])


async def agent_names(session: AsyncSession, principal: Principal, jobs: Sequence[JobRow]) -> dict[UUID, str]:
    """What the agents of jobs are called, by agent."""
    agents = await agents_by_id(session, principal, (job.agent_id for job in jobs))
    return {agent_id: agent.display_name or agent.name for agent_id, agent in agents.items()}


async def create_iteration(session: AsyncSession, principal: Principal, values: Mapping[str, Any]) -> JobIterationRow:
    """Add an iteration to a job in any status: clients report late.

    Args:
        session: A session inside a transaction.
        principal: The caller.
        values: With ``job_id`` and ``name``.

    Raises:
        UnknownReferenceError: The caller has no such job.
    """
    principal.require(Scope.JOB_WRITE)
    await _check_job(session, principal, values["job_id"])
    row = JobIterationRow(**owner_columns(principal), dimension_scores={})
    for name, value in values.items():
        setattr(row, name, value)
    session.add(row)
    await session.flush()
    await repository.touch_job(session, row.job_id)
    return row


async def update_iteration(
    session: AsyncSession, principal: Principal, iteration_id: UUID, values: Mapping[str, Any]
) -> JobIterationRow:
    """Change an iteration.

    Raises:
        IterationNotFoundError: The caller has no such iteration.
        UnknownReferenceError: ``job_id`` names no job of the caller.
    """
    principal.require(Scope.JOB_WRITE)
    row = await _get_iteration(session, principal, iteration_id, lock=True)
    if "job_id" in values:
        await _check_job(session, principal, values["job_id"])
    for name, value in values.items():
        setattr(row, name, value)
    await session.flush()
    await repository.touch_job(session, row.job_id)
    return row


async def find_iteration(session: AsyncSession, principal: Principal, iteration_id: UUID) -> JobIterationRow:
    """An iteration.

    Raises:
        IterationNotFoundError: The caller has no such iteration.
    """
    principal.require(Scope.JOB_READ)
    return await _get_iteration(session, principal, iteration_id)


async def list_iterations(
    session: AsyncSession, principal: Principal, query: ListQuery, part: Slice
) -> Counted[JobIterationRow]:
    """The caller's iterations, of all jobs or of one."""
    principal.require(Scope.JOB_READ)
    return await repository.list_iterations(session, principal, query, part)


async def delete_iteration(session: AsyncSession, principal: Principal, iteration_id: UUID) -> None:
    """Hide an iteration.

    Raises:
        IterationNotFoundError: The caller has no such iteration.
    """
    principal.require(Scope.JOB_WRITE)
    row = await _get_iteration(session, principal, iteration_id, lock=True)
    row.deleted_at = utc_now()
    await session.flush()
    await repository.touch_job(session, row.job_id)


async def _change_status(session: AsyncSession, row: JobRow, wanted: JobStatus) -> None:
    """What a written status does; the table is O§6.9."""
    present = JobStatus(row.status)
    match wanted:
        case JobStatus.RUNNING if present.is_terminal:
            return
        case JobStatus.PENDING if row.execution:
            # A pending job that is not paused waits for its worker already, and a running one has it.
            if present.is_terminal or row.paused_reason:
                await repository.forget_steps(session, row.id, only_failed=present is not JobStatus.COMPLETED)
                await _hand_over(session, row)
            return
        case _ if wanted.is_terminal and _is_at_work(row):
            await _tell(session, row, Action.CANCEL)
            if wanted is JobStatus.CANCELLED:
                row.result = {**_object(row.result), "cancelled_by_user": True}
        case _:
            pass
    row.status = wanted.value


async def _hand_over(session: AsyncSession, row: JobRow) -> None:
    if row.execution and (result := _object(row.result)):
        row.result = {name: value for name, value in result.items() if name not in _OF_ONE_EXECUTION}
    row.status, row.paused_reason = JobStatus.PENDING.value, None
    row.execution += 1
    row.task_reference = f"{WORKFLOW}/{row.id}/{row.execution}"
    await session.flush()
    await _tell(session, row, Action.START)


async def _tell(session: AsyncSession, row: JobRow, action: Action) -> None:
    arguments = {"job_id": str(row.id), "execution": row.execution}
    workflow_id = f"{WORKFLOW}/{row.id}/{row.execution}"
    await enqueue(session, WorkflowCommand(action, WORKFLOW, workflow_id, arguments))


def _is_at_work(row: JobRow) -> bool:
    return bool(row.execution) and not JobStatus(row.status).is_terminal and row.paused_reason is None


def _object(value: Any) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


async def _check_references(session: AsyncSession, principal: Principal, values: Mapping[str, Any]) -> None:
    if values.get("agent_id") is not None:
        await check_agent(session, principal, values["agent_id"])
    if values.get("project_id") not in (None, principal.project_id):
        raise ProjectMismatchError(values["project_id"])


async def _check_job(session: AsyncSession, principal: Principal, job_id: UUID) -> None:
    if await repository.find_job(session, principal, job_id) is None:
        raise UnknownReferenceError("job_id", job_id)


def _apply(row: JobRow, values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        # Without a project nobody would see it again.
        if name != "project_id":
            setattr(row, name, value)
    row.updated_at = utc_now()


async def _get_job(session: AsyncSession, principal: Principal, job_id: UUID, *, lock: bool = False) -> JobRow:
    row = await repository.find_job(session, principal, job_id, lock=lock)
    if row is None:
        raise JobNotFoundError
    return row


async def _get_iteration(
    session: AsyncSession, principal: Principal, iteration_id: UUID, *, lock: bool = False
) -> JobIterationRow:
    row = await repository.find_iteration(session, principal, iteration_id, lock=lock)
    if row is None:
        raise IterationNotFoundError
    return row
