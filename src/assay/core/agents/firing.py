"""What the due instants of agents' schedules come to, by the same rule as those of suites (``core.schedules.firing``).

Under a lock on the schedule's row, in one transaction: work out what is due since it was last settled, queue one run
for the latest instant, move ``settled_until`` on. Asking again finds nothing due, and a unique index on (schedule,
instant) stands behind that. Of several instants that passed while nothing ran, only the latest is made good. Runs may
overlap.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from assay.core.agents import scheduling
from assay.core.agents.models import AgentScheduleRow
from assay.core.agents.starting import Cause, create_failed_run, create_run
from assay.core.agents.timing import fires_once
from assay.core.agents.types import AgentPolicy, AgentRun, NewRun, RunOrigin, ScheduleStatus
from assay.core.ownership import act_as_owner
from assay.core.schedules.cadence import due_until, find_due, next_due
from assay.kit.clock import utc_now
from assay.kit.errors import DomainError, ErrorKind


async def fire_due(
    session: AsyncSession, *, schedule_id: UUID, policy: AgentPolicy, scheduled_at: datetime | None = None
) -> AgentRun | None:
    """Settle everything that is due by now.

    Args:
        session: A session inside a transaction.
        schedule_id: The schedule.
        policy: Bounds of its runs.
        scheduled_at: The instant for which the clock woke us.

    Returns:
        The run of the latest due instant, which has failed already when it could not be made; None when nothing was
        due, or the schedule is not active.

    Raises:
        DomainError: Only of kind ``unavailable``; nothing is recorded then, and trying again is right.
    """
    row = await scheduling.lock_schedule(session, schedule_id)
    if row is None or row.status != ScheduleStatus.ACTIVE.value:
        return None
    now = utc_now()
    due_at = _settle(row, due_until(now, scheduled_at))
    if due_at is None:
        return None
    run = await _start(session, row, due_at, policy)
    row.last_run_id, row.last_run_at = run.id, run.created_at
    row.run_count += 1
    if fires_once(row.spec):
        row.status, row.next_due_at = ScheduleStatus.COMPLETED.value, None
        row.revision += 1
        await scheduling.tell_clock(session, row)
    row.updated_at = now
    await session.flush()
    return run


async def skip_due(session: AsyncSession, *, schedule_id: UUID) -> None:
    """Count what is due by now as missed, without another attempt at it: carrying it out is beyond us."""
    row = await scheduling.lock_schedule(session, schedule_id)
    if row is not None and row.status == ScheduleStatus.ACTIVE.value and _settle(row, utc_now()) is not None:
        row.missed_count += 1
        await session.flush()


def _settle(row: AgentScheduleRow, until: datetime) -> datetime | None:
    cadence = scheduling.cadence_of(row)
    due = find_due(cadence, after=row.settled_until, until=until)
    if due is None:
        return None
    row.missed_count += due.count - 1
    row.settled_until = due.latest
    row.next_due_at = next_due(cadence, due.latest)
    return due.latest


async def _start(session: AsyncSession, row: AgentScheduleRow, due_at: datetime, policy: AgentPolicy) -> AgentRun:
    owner = await act_as_owner(session, row)
    new = NewRun(
        input=row.input,
        conversation=row.conversation,
        previous_response_id=row.previous_response_id,
        context_management=row.context_management,
        metadata=row.labels,
    )
    cause = Cause(RunOrigin.SCHEDULE, schedule_id=row.id, due_at=due_at)
    try:
        async with session.begin_nested():
            return await create_run(session, owner, agent_id=row.agent_id, new=new, policy=policy, cause=cause)
    except DomainError as error:
        if error.kind is ErrorKind.UNAVAILABLE:
            raise
        return await create_failed_run(
            session, owner, agent_id=row.agent_id, new=new, policy=policy, cause=cause, error=error
        )
