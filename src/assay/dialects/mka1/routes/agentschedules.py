"""Schedules of agents (M§3.5)."""

from __future__ import annotations

from uuid import UUID

from assay.core.agents import schedules
from assay.db.paging import OffsetPage, Order
from assay.dialects.mka1 import mapping
from assay.dialects.mka1.agents import from_create_schedule, from_update_schedule, read_agent_id, to_schedule
from assay.dialects.mka1.identifiers import Prefix, read_id
from assay.dialects.mka1.query import PageLimit
from assay.dialects.mka1.route import AgentsReader, AgentsWriter, Session, State, mka1_router
from assay.dialects.mka1.wire.agents import (
    CreateAgentSchedule,
    UpdateAgentSchedule,
    WireAgentSchedule,
    WireAgentScheduleDeleted,
)
from assay.dialects.mka1.wire.base import WireList

router = mka1_router("/api/v1/agents/{agent_id}/schedules", tag="agent schedules")


@router.get("")
async def list_agent_schedules(
    agent_id: str,
    caller: AgentsReader,
    session: Session,
    state: State,
    limit: PageLimit = 20,
    order: Order = Order.DESC,
) -> WireList[WireAgentSchedule]:
    """List the schedules of an agent by age."""
    page = OffsetPage(0, limit, order)
    found = await schedules.list_schedules(session, caller, agent_id=read_agent_id(agent_id), page=page)
    return mapping.to_list(found, lambda schedule: to_schedule(schedule, state.agents.clock_id))


@router.post("", status_code=201)
async def create_agent_schedule(
    agent_id: str, body: CreateAgentSchedule, caller: AgentsWriter, session: Session, state: State
) -> WireAgentSchedule:
    """Create a schedule."""
    schedule = await schedules.create_schedule(
        session, caller, agent_id=read_agent_id(agent_id), new=from_create_schedule(body)
    )
    return to_schedule(schedule, state.agents.clock_id)


@router.get("/{schedule_id}")
async def get_agent_schedule(
    agent_id: str, schedule_id: str, caller: AgentsReader, session: Session, state: State
) -> WireAgentSchedule:
    """Retrieve a schedule."""
    schedule = await schedules.get_schedule(
        session, caller, agent_id=read_agent_id(agent_id), schedule_id=_read(schedule_id)
    )
    return to_schedule(schedule, state.agents.clock_id)


@router.post("/{schedule_id}")
async def update_agent_schedule(
    agent_id: str, schedule_id: str, body: UpdateAgentSchedule, caller: AgentsWriter, session: Session, state: State
) -> WireAgentSchedule:
    """Change a schedule; null clears, what is left out stays."""
    schedule = await schedules.update_schedule(
        session,
        caller,
        agent_id=read_agent_id(agent_id),
        schedule_id=_read(schedule_id),
        changes=from_update_schedule(body),
    )
    return to_schedule(schedule, state.agents.clock_id)


@router.delete("/{schedule_id}")
async def delete_agent_schedule(
    agent_id: str, schedule_id: str, caller: AgentsWriter, session: Session
) -> WireAgentScheduleDeleted:
    """Delete a schedule; its runs stay."""
    await schedules.delete_schedule(session, caller, agent_id=read_agent_id(agent_id), schedule_id=_read(schedule_id))
    return WireAgentScheduleDeleted(id=schedule_id, object="agent.schedule.deleted", deleted=True)


@router.post("/{schedule_id}/pause")
async def pause_agent_schedule(
    agent_id: str, schedule_id: str, caller: AgentsWriter, session: Session, state: State
) -> WireAgentSchedule:
    """Stop a schedule for now."""
    schedule = await schedules.pause_schedule(
        session, caller, agent_id=read_agent_id(agent_id), schedule_id=_read(schedule_id)
    )
    return to_schedule(schedule, state.agents.clock_id)


@router.post("/{schedule_id}/resume")
async def resume_agent_schedule(
    agent_id: str, schedule_id: str, caller: AgentsWriter, session: Session, state: State
) -> WireAgentSchedule:
    """Let a paused schedule go on."""
    schedule = await schedules.resume_schedule(
        session, caller, agent_id=read_agent_id(agent_id), schedule_id=_read(schedule_id)
    )
    return to_schedule(schedule, state.agents.clock_id)


def _read(schedule_id: str) -> UUID:
    return read_id(Prefix.AGENT_SCHEDULE, schedule_id, param="schedule_id")
