"""Use cases of trace and span records: what clients report of the cases that they ran (O§2.7, legacy)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from assay.core.jobs import repository
from assay.core.jobs.errors import TraceNotFoundError
from assay.core.jobs.models import JobIterationRow, JobRow, SpanRecordRow, TraceRecordRow
from assay.core.ownership import owner_columns, visible_to
from assay.core.projects.types import Principal, Scope
from assay.core.targets.errors import UnknownReferenceError
from assay.core.targets.service import agents_by_id, check_agent
from assay.db.listing import Columns, ListQuery, SortBy, list_rows
from assay.db.slices import Counted, Slice
from assay.kit.clock import utc_now

Row = TypeVar("Row", TraceRecordRow, SpanRecordRow)

TRACE_COLUMNS: Columns = {
    name: getattr(TraceRecordRow, name) for name in ("id", "trace_id", "trace_group", "score", "created_at")
} | {
    "agent": TraceRecordRow.agent_id,
    "job": TraceRecordRow.job_id,
    "iteration": TraceRecordRow.iteration_id,
    "total_latency_ms": TraceRecordRow.latency_ms,
    "total_tokens": TraceRecordRow.tokens,
    "total_cost": TraceRecordRow.cost,
}
SPAN_COLUMNS: Columns = {
    name: getattr(SpanRecordRow, name) for name in ("id", "trace", "span_type", "name", "created_at")
} | {"order": SpanRecordRow.position}


async def create_traces(
    session: AsyncSession, principal: Principal, records: Sequence[Mapping[str, Any]]
) -> list[TraceRecordRow]:
    """Keep records, all or none.

    Args:
        session: A session inside a transaction.
        principal: Whose they will be.
        records: Each with ``trace_id`` and ``agent_id``.

    Raises:
        UnknownReferenceError: A record names an agent or a job that is not the caller's.
    """
    principal.require(Scope.JOB_WRITE)
    for agent_id in {record["agent_id"] for record in records}:
        await check_agent(session, principal, agent_id)
    for job_id in {record.get("job_id") for record in records} - {None}:
        if job_id is not None and await repository.find_job(session, principal, job_id) is None:
            raise UnknownReferenceError("job_id", job_id)
    rows = [TraceRecordRow(**owner_columns(principal), **record) for record in records]
    session.add_all(rows)
    await session.flush()
    return rows


async def known_links(
    session: AsyncSession,
    principal: Principal,
    *,
    agent_ids: Iterable[UUID],
    job_ids: Iterable[UUID],
    iteration_ids: Iterable[UUID],
) -> set[UUID]:
    """Which of these ids are the caller's agents, jobs and iterations: what spans may be linked to."""
    agents = await agents_by_id(session, principal, agent_ids)
    jobs = await session.scalars(select(JobRow.id).where(JobRow.id.in_(job_ids), visible_to(principal, JobRow)))
    iteration = JobIterationRow
    iterations = await session.scalars(
        select(iteration.id).where(iteration.id.in_(iteration_ids), visible_to(principal, iteration))
    )
    return {*agents, *jobs, *iterations}


async def create_span(session: AsyncSession, principal: Principal, values: Mapping[str, Any]) -> SpanRecordRow:
    """Keep a span, with ``trace``, ``span_type`` and ``name``. Its trace may come later, or never."""
    principal.require(Scope.JOB_WRITE)
    row = SpanRecordRow(**owner_columns(principal), **values)
    session.add(row)
    await session.flush()
    return row


async def find_trace(session: AsyncSession, principal: Principal, trace_id: UUID) -> TraceRecordRow:
    """A record by its own id.

    Raises:
        TraceNotFoundError: The caller has no such record.
    """
    principal.require(Scope.JOB_READ)
    return await _get(session, principal, TraceRecordRow, trace_id)


async def find_span(session: AsyncSession, principal: Principal, span_id: UUID) -> SpanRecordRow:
    """A span by its own id.

    Raises:
        TraceNotFoundError: The caller has no such span.
    """
    principal.require(Scope.JOB_READ)
    return await _get(session, principal, SpanRecordRow, span_id)


async def list_traces(
    session: AsyncSession, principal: Principal, query: ListQuery, part: Slice
) -> Counted[TraceRecordRow]:
    """The caller's records, newest first unless ordered otherwise."""
    principal.require(Scope.JOB_READ)
    return await list_rows(
        session,
        select(TraceRecordRow).where(visible_to(principal, TraceRecordRow)),
        query,
        part,
        columns=TRACE_COLUMNS,
        searched=(TraceRecordRow.trace_id, TraceRecordRow.trace_group),
        otherwise=(SortBy("created_at", descending=True),),
    )


async def list_spans(
    session: AsyncSession, principal: Principal, query: ListQuery, part: Slice
) -> Counted[SpanRecordRow]:
    """The caller's spans, by trace and place unless ordered otherwise."""
    principal.require(Scope.JOB_READ)
    return await list_rows(
        session,
        select(SpanRecordRow).where(visible_to(principal, SpanRecordRow)),
        query,
        part,
        columns=SPAN_COLUMNS,
        searched=(SpanRecordRow.name,),
        otherwise=(SortBy("created_at", descending=True),),
    )


async def delete_trace(session: AsyncSession, principal: Principal, trace_id: UUID) -> None:
    """Hide a record.

    Raises:
        TraceNotFoundError: The caller has no such record.
    """
    principal.require(Scope.JOB_WRITE)
    (await _get(session, principal, TraceRecordRow, trace_id)).deleted_at = utc_now()
    await session.flush()


async def _get(session: AsyncSession, principal: Principal, model: type[Row], row_id: UUID) -> Row:
    statement = select(model).where(model.id == row_id, visible_to(principal, model))
    row = (await session.scalars(statement)).one_or_none()
    if row is None:
        raise TraceNotFoundError
    return row
