"""SQL of agents' schedules, and what their rows mean."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import Select, select
from sqlalchemy.ext.asyncio import AsyncSession

from assay.core.agents.models import AgentScheduleRow
from assay.core.agents.timing import to_cadence
from assay.core.agents.types import AgentSchedule, ScheduleStatus
from assay.core.outbox.service import enqueue
from assay.core.outbox.types import Action, WorkflowCommand
from assay.core.ownership import visible_to
from assay.core.projects.types import Principal
from assay.core.schedules.cadence import Cadence
from assay.db.paging import OffsetPage, Page, fetch_slice

CLOCK = "agent_schedule_clock"
"""The outbox's name for the clock of agents' schedules."""
CLOCKED = (ScheduleStatus.ACTIVE.value, ScheduleStatus.PAUSED.value)
"""What the clock has to know of."""


async def lock_schedule(session: AsyncSession, schedule_id: UUID) -> AgentScheduleRow | None:
    """A schedule's row, whoever owns it, locked against other changes."""
    return await session.scalar(_locked(select(AgentScheduleRow).where(AgentScheduleRow.id == schedule_id)))


async def find_schedule(
    session: AsyncSession, principal: Principal, *, agent_id: UUID, schedule_id: UUID, lock: bool = False
) -> AgentScheduleRow | None:
    """The row of a visible schedule of an agent."""
    query = select(AgentScheduleRow).where(
        AgentScheduleRow.id == schedule_id,
        AgentScheduleRow.agent_id == agent_id,
        visible_to(principal, AgentScheduleRow),
    )
    return await session.scalar(_locked(query) if lock else query)


async def list_schedules(
    session: AsyncSession, principal: Principal, *, agent_id: UUID, page: OffsetPage
) -> Page[AgentScheduleRow]:
    """The visible schedules of an agent by age."""
    query = select(AgentScheduleRow).where(
        AgentScheduleRow.agent_id == agent_id, visible_to(principal, AgentScheduleRow)
    )
    return await fetch_slice(session, query, sort=[AgentScheduleRow.id], page=page)


async def lock_active_of_agent(session: AsyncSession, agent_id: UUID) -> Sequence[AgentScheduleRow]:
    """The active schedules of an agent, locked in the order of their ids."""
    query = select(AgentScheduleRow).where(
        AgentScheduleRow.agent_id == agent_id, AgentScheduleRow.status == ScheduleStatus.ACTIVE.value
    )
    return (await session.scalars(_locked(query.order_by(AgentScheduleRow.id)))).all()


async def find_row(session: AsyncSession, schedule_id: UUID) -> AgentScheduleRow | None:
    """A schedule's row, whoever owns it."""
    return await session.get(AgentScheduleRow, schedule_id)


async def list_clocked(session: AsyncSession) -> Sequence[AgentScheduleRow]:
    """Every schedule that the clock has to know of, of every project."""
    return (await session.scalars(select(AgentScheduleRow).where(AgentScheduleRow.status.in_(CLOCKED)))).all()


async def list_overdue(session: AsyncSession, *, before: datetime, limit: int) -> list[UUID]:
    """Active schedules whose next instant passed before a moment, the longest overdue first."""
    query = (
        select(AgentScheduleRow.id)
        .where(AgentScheduleRow.status == ScheduleStatus.ACTIVE.value, AgentScheduleRow.next_due_at < before)
        .order_by(AgentScheduleRow.next_due_at)
        .limit(limit)
    )
    return list(await session.scalars(query))


def cadence_of(row: AgentScheduleRow) -> Cadence:
    """The instants of a stored schedule."""
    return to_cadence(row.spec, anchor=row.anchor_at)


async def tell_clock(session: AsyncSession, row: AgentScheduleRow) -> None:
    """Have the clock read the row again after the commit."""
    await session.flush()
    command = WorkflowCommand(
        action=Action.SYNC, workflow=CLOCK, workflow_id=f"{CLOCK}/{row.id}", arguments={"schedule_id": str(row.id)}
    )
    await enqueue(session, command)


def to_schedule(row: AgentScheduleRow) -> AgentSchedule:
    """The value of a schedule's row."""
    return AgentSchedule(
        id=row.id,
        agent_id=row.agent_id,
        name=row.name,
        status=ScheduleStatus(row.status),
        spec=row.spec,
        input=row.input,
        conversation=row.conversation,
        previous_response_id=row.previous_response_id,
        context_management=row.context_management,
        metadata=row.labels,
        revision=row.revision,
        next_due_at=row.next_due_at,
        last_run_at=row.last_run_at,
        last_run_id=row.last_run_id,
        run_count=row.run_count,
        created_at=row.created_at,
        updated_at=row.updated_at,
        deleted_at=row.deleted_at,
    )


def _locked(query: Select[AgentScheduleRow]) -> Select[AgentScheduleRow]:
    # KEY SHARE locks of the runs' foreign key must not wait for this.
    return query.with_for_update(key_share=True).execution_options(populate_existing=True)
