"""What a user can do with the schedules of an agent (M§3.5).

Everything here only writes rows; the clock is told through the outbox, in the same transaction, to read them again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from assay.core.agents import repository, scheduling
from assay.core.agents.errors import (
    AgentInputError,
    AgentNotFoundError,
    AgentScheduleNotFoundError,
    AgentScheduleStateError,
    EmptyUpdateError,
)
from assay.core.agents.models import AgentScheduleRow
from assay.core.agents.starting import check_new_run
from assay.core.agents.timing import fires_once, to_cadence
from assay.core.agents.types import (
    ABSENT,
    AgentSchedule,
    AgentScheduleChanges,
    NewAgentSchedule,
    NewRun,
    ScheduleStatus,
)
from assay.core.ownership import owner_columns
from assay.core.projects.types import Principal
from assay.core.schedules.cadence import find_due, next_due
from assay.db.paging import OffsetPage, Page
from assay.kit.clock import utc_now
from assay.kit.ids import new_id

MAX_NAME_LENGTH = 120
PAST_TOLERANCE = timedelta(minutes=1)
"""How long ago a ``run_at`` may be: requests take time, and are sent again. Such a schedule fires at once."""


async def create_schedule(
    session: AsyncSession, principal: Principal, *, agent_id: UUID, new: NewAgentSchedule
) -> AgentSchedule:
    """Make a schedule, active. Its first fire comes after this moment.

    Raises:
        AgentNotFoundError: Not visible to the caller, or deleted.
        AgentInputError, MetadataError: A field is out of its bounds.
    """
    if await repository.lock_agent(session, principal, agent_id, against_deletion=True) is None:
        raise AgentNotFoundError
    now = utc_now()
    row = AgentScheduleRow(
        id=new_id(),
        **owner_columns(principal),
        agent_id=agent_id,
        name=new.name,
        status=ScheduleStatus.ACTIVE.value,
        spec=dict(new.spec),
        input=new.input,
        conversation=new.conversation,
        previous_response_id=new.previous_response_id,
        context_management=new.context_management,
        labels=None if new.metadata is None else dict(new.metadata),
        anchor_at=now,
        revision=1,
        settled_until=now,
        run_count=0,
        missed_count=0,
        created_at=now,
        updated_at=now,
    )
    _check(row)
    _restart(row, now)
    session.add(row)
    await scheduling.tell_clock(session, row)
    return scheduling.to_schedule(row)


async def get_schedule(
    session: AsyncSession, principal: Principal, *, agent_id: UUID, schedule_id: UUID
) -> AgentSchedule:
    """One schedule.

    Raises:
        AgentScheduleNotFoundError: Not visible to the caller, or deleted.
    """
    return scheduling.to_schedule(await _get_row(session, principal, agent_id, schedule_id))


async def list_schedules(
    session: AsyncSession, principal: Principal, *, agent_id: UUID, page: OffsetPage
) -> Page[AgentSchedule]:
    """The schedules of an agent, by age; without deleted ones.

    Raises:
        AgentNotFoundError: Not visible to the caller.
    """
    if await repository.find_agent(session, principal, agent_id, include_deleted=True) is None:
        raise AgentNotFoundError
    rows = await scheduling.list_schedules(session, principal, agent_id=agent_id, page=page)
    return rows.map(scheduling.to_schedule)


async def update_schedule(
    session: AsyncSession, principal: Principal, *, agent_id: UUID, schedule_id: UUID, changes: AgentScheduleChanges
) -> AgentSchedule:
    """Change a schedule. Another time counts from now on, and makes a completed schedule active again.

    Raises:
        AgentNotFoundError, AgentScheduleNotFoundError: Not visible to the caller, or deleted.
        EmptyUpdateError: Nothing is to be changed.
        AgentInputError, MetadataError: A field is out of its bounds.
    """
    row = await _lock_row(session, principal, agent_id, schedule_id)
    given = _given(changes)
    now = utc_now()
    if "spec" in given:
        _write_off(row, now)
    for name, value in given.items():
        setattr(row, "labels" if name == "metadata" else name, value)
    if "spec" in given:
        row.anchor_at = now
        if row.status == ScheduleStatus.COMPLETED.value:
            row.status = ScheduleStatus.ACTIVE.value
    _check(row, timing="spec" in given)
    if "spec" in given:
        _restart(row, now)
    await _save(session, row, now)
    return scheduling.to_schedule(row)


async def delete_schedule(session: AsyncSession, principal: Principal, *, agent_id: UUID, schedule_id: UUID) -> None:
    """Hide a schedule and stop it. Its runs stay.

    Raises:
        AgentScheduleNotFoundError: Not visible to the caller, or deleted.
    """
    row = await _get_row(session, principal, agent_id, schedule_id, lock=True)
    now = utc_now()
    _stop(row, ScheduleStatus.DELETED, now)
    row.deleted_at = now
    await _save(session, row, now)


async def pause_schedule(
    session: AsyncSession, principal: Principal, *, agent_id: UUID, schedule_id: UUID
) -> AgentSchedule:
    """Stop a schedule for now; one that is paused stays so (R40).

    Raises:
        AgentScheduleNotFoundError: Not visible to the caller, or deleted.
        AgentScheduleStateError: It is completed.
    """
    row = await _get_row(session, principal, agent_id, schedule_id, lock=True)
    _refuse_completed(row, "paused")
    if row.status == ScheduleStatus.ACTIVE.value:
        await _pause(session, row)
    return scheduling.to_schedule(row)


async def resume_schedule(
    session: AsyncSession, principal: Principal, *, agent_id: UUID, schedule_id: UUID
) -> AgentSchedule:
    """Let a paused schedule go on; what passed meanwhile is not made good. One that is active stays so (R40).

    Raises:
        AgentNotFoundError, AgentScheduleNotFoundError: Not visible to the caller, or deleted.
        AgentScheduleStateError: It is completed, or its only instant passed while it was paused.
    """
    row = await _lock_row(session, principal, agent_id, schedule_id)
    _refuse_completed(row, "resumed")
    if row.status == ScheduleStatus.ACTIVE.value:
        return scheduling.to_schedule(row)
    now = utc_now()
    row.status, row.anchor_at = ScheduleStatus.ACTIVE.value, now
    row.settled_until = now
    row.next_due_at = next_due(scheduling.cadence_of(row), now)
    if row.next_due_at is None:
        raise AgentScheduleStateError(
            "The schedule's time passed while it was paused. Give it another `schedule`, then resume it.",
            status=ScheduleStatus.PAUSED,
        )
    await _save(session, row, now)
    return scheduling.to_schedule(row)


async def pause_schedules_of_agent(session: AsyncSession, agent_id: UUID) -> int:
    """Pause every active schedule of an agent that is being deleted (R39).

    Returns:
        How many there were.
    """
    rows = await scheduling.lock_active_of_agent(session, agent_id)
    for row in rows:
        await _pause(session, row)
    return len(rows)


async def _get_row(
    session: AsyncSession, principal: Principal, agent_id: UUID, schedule_id: UUID, *, lock: bool = False
) -> AgentScheduleRow:
    row = await scheduling.find_schedule(session, principal, agent_id=agent_id, schedule_id=schedule_id, lock=lock)
    if row is None:
        raise AgentScheduleNotFoundError("The agent has no such schedule.", param="schedule_id")
    return row


async def _lock_row(session: AsyncSession, principal: Principal, agent_id: UUID, schedule_id: UUID) -> AgentScheduleRow:
    """The row, for changes that a deleted agent does not allow."""
    if await repository.lock_agent(session, principal, agent_id, against_deletion=True) is None:
        raise AgentNotFoundError
    return await _get_row(session, principal, agent_id, schedule_id, lock=True)


async def _pause(session: AsyncSession, row: AgentScheduleRow) -> None:
    now = utc_now()
    _stop(row, ScheduleStatus.PAUSED, now)
    await _save(session, row, now)


def _stop(row: AgentScheduleRow, status: ScheduleStatus, now: datetime) -> None:
    _write_off(row, now)
    row.status, row.next_due_at = status.value, None


def _write_off(row: AgentScheduleRow, now: datetime) -> None:
    """Count as missed what is due at this moment and will not be carried out, because the schedule changes."""
    if row.status != ScheduleStatus.ACTIVE.value:
        return
    due = find_due(scheduling.cadence_of(row), after=row.settled_until, until=now)
    if due is not None:
        row.missed_count += due.count
        row.settled_until = due.latest


def _restart(row: AgentScheduleRow, now: datetime) -> None:
    """Count from now on; for a schedule that fires once, from a little earlier, so that it fires at once."""
    row.settled_until = now - PAST_TOLERANCE if fires_once(row.spec) else now
    active = row.status == ScheduleStatus.ACTIVE.value
    row.next_due_at = next_due(scheduling.cadence_of(row), row.settled_until) if active else None


async def _save(session: AsyncSession, row: AgentScheduleRow, now: datetime) -> None:
    row.revision += 1
    row.updated_at = now
    await scheduling.tell_clock(session, row)


def _given(changes: AgentScheduleChanges) -> Mapping[str, Any]:
    wanted = {field.name: getattr(changes, field.name) for field in fields(changes)}
    given = {name: value for name, value in wanted.items() if value is not ABSENT}
    if not given:
        raise EmptyUpdateError("The update is empty; send at least one field to change.")
    return given


def _check(row: AgentScheduleRow, *, timing: bool = True) -> None:
    if row.name is not None and not (row.name.strip() and len(row.name) <= MAX_NAME_LENGTH):
        raise AgentInputError(f"`name` must have 1 to {MAX_NAME_LENGTH} characters.", param="name")
    check_new_run(
        NewRun(
            input=row.input,
            conversation=row.conversation,
            previous_response_id=row.previous_response_id,
            context_management=row.context_management,
            metadata=row.labels,
        )
    )
    cadence = to_cadence(row.spec, anchor=row.anchor_at)
    if timing and fires_once(row.spec) and next_due(cadence, utc_now() - PAST_TOLERANCE) is None:
        raise AgentInputError("`schedule.run_at` has passed; give a time to come.", param="schedule.run_at")


def _refuse_completed(row: AgentScheduleRow, what: str) -> None:
    status = ScheduleStatus(row.status)
    if status is ScheduleStatus.COMPLETED:
        raise AgentScheduleStateError(f"The schedule is completed and cannot be {what}.", status=status)
