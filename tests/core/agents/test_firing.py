"""The ledger of agents' schedules: every instant once, whoever asks how often."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select, text

from assay.core.agents import schedules, service, tools
from assay.core.agents.firing import fire_due, skip_due
from assay.core.agents.models import AgentRunRow, AgentScheduleRow
from assay.core.agents.sealing import ToolSealer
from assay.core.agents.types import (
    AgentConfiguration,
    AgentPolicy,
    AgentRun,
    AgentSchedule,
    NewAgentSchedule,
    RunStatus,
    ScheduleStatus,
)
from assay.core.projects.service import create_organization, get_operator
from assay.core.projects.types import Principal
from assay.db.engine import SessionFactory
from assay.db.session import transaction
from assay.kit.clock import utc_now

MINUTELY = {"type": "interval", "interval_seconds": 60}


class Ledger:
    """An agent with schedules, whose time can be let pass."""

    def __init__(self, sessions: SessionFactory, principal: Principal, agent_id: UUID) -> None:
        self.sessions = sessions
        self.principal = principal
        self.agent_id = agent_id

    async def make(self, spec: Mapping[str, Any] = MINUTELY) -> AgentSchedule:
        async with transaction(self.sessions) as session:
            new = NewAgentSchedule(spec=spec, input="go")
            return await schedules.create_schedule(session, self.principal, agent_id=self.agent_id, new=new)

    async def age(self, schedule: AgentSchedule, seconds: float) -> None:
        columns = ("anchor_at", "settled_until", "next_due_at")
        shifts = ", ".join(f"{column} = {column} - make_interval(secs => :seconds)" for column in columns)
        async with transaction(self.sessions) as session:
            statement = text(f"UPDATE agent_schedules SET {shifts} WHERE id = :id")
            await session.execute(statement, {"seconds": seconds, "id": schedule.id})

    async def fire(self, schedule: AgentSchedule) -> AgentRun | None:
        async with transaction(self.sessions) as session:
            return await fire_due(session, schedule_id=schedule.id, policy=AgentPolicy())

    async def row(self, schedule: AgentSchedule) -> AgentScheduleRow:
        async with self.sessions() as session:
            return await session.get_one(AgentScheduleRow, schedule.id)

    async def runs(self) -> list[AgentRunRow]:
        query = select(AgentRunRow).where(AgentRunRow.agent_id == self.agent_id).order_by(AgentRunRow.id)
        async with self.sessions() as session:
            return list(await session.scalars(query))


@pytest.fixture
async def ledger(sessions: SessionFactory) -> Ledger:
    async with transaction(sessions) as session:
        credentials = await create_organization(session, name="o")
        principal = await get_operator(session, project=credentials.project_id)
        configuration = AgentConfiguration(name="a", model="m")
        agent = await service.create_agent(session, principal, configuration=configuration, sealer=ToolSealer(None))
    return Ledger(sessions, principal, agent.id)


async def test_nothing_is_due_at_first(ledger: Ledger) -> None:
    assert await ledger.fire(await ledger.make()) is None


async def test_many_strikes_make_one_run(ledger: Ledger) -> None:
    schedule = await ledger.make()
    await ledger.age(schedule, 61)

    fired = await asyncio.gather(*(ledger.fire(schedule) for _ in range(5)))

    assert len([run for run in fired if run is not None]) == 1
    [run] = await ledger.runs()
    row = await ledger.row(schedule)
    assert (row.run_count, row.missed_count, row.last_run_id) == (1, 0, run.id)
    assert (run.schedule_id, run.due_at, run.input) == (schedule.id, row.settled_until, "go")
    assert row.next_due_at == row.settled_until + timedelta(seconds=60)


async def test_only_the_latest_of_what_was_missed_is_made_good(ledger: Ledger) -> None:
    schedule = await ledger.make()
    await ledger.age(schedule, 60 * 10 + 1)

    assert await ledger.fire(schedule) is not None

    row = await ledger.row(schedule)
    assert (row.run_count, row.missed_count) == (1, 9)


async def test_once_is_completed(ledger: Ledger) -> None:
    schedule = await ledger.make({"type": "once", "run_at": (utc_now() - timedelta(seconds=5)).isoformat()})

    assert await ledger.fire(schedule) is not None
    assert await ledger.fire(schedule) is None

    row = await ledger.row(schedule)
    assert (row.status, row.next_due_at, row.revision) == (ScheduleStatus.COMPLETED.value, None, 2)


async def test_what_cannot_be_made_is_a_failed_run(ledger: Ledger) -> None:
    async with transaction(ledger.sessions) as session:
        tool = await tools.create_function_tool(
            session, ledger.principal, definition={"type": "function", "name": "f", "parameters": {}}
        )
        agent = await service.get_agent(session, ledger.principal, agent_id=ledger.agent_id)
        reference = {"type": "function_reference", "function_tool_id": f"aftool_{tool.id.hex}"}
        wanted = replace(agent.configuration, name="b", tools=[reference])
        other = await service.create_agent(session, ledger.principal, configuration=wanted, sealer=ToolSealer(None))
    ledger.agent_id = other.id
    schedule = await ledger.make()
    async with transaction(ledger.sessions) as session:
        await tools.delete_function_tool(session, ledger.principal, tool_id=tool.id)
    await ledger.age(schedule, 61)

    run = await ledger.fire(schedule)

    assert run is not None
    assert run.status is RunStatus.FAILED
    assert run.error is not None
    assert run.error["code"] == "unknown_reference"
    assert (await ledger.row(schedule)).status == ScheduleStatus.ACTIVE.value


async def test_a_paused_schedule_misses_nothing(ledger: Ledger) -> None:
    schedule = await ledger.make()
    where = {"agent_id": ledger.agent_id, "schedule_id": schedule.id}
    async with transaction(ledger.sessions) as session:
        await schedules.pause_schedule(session, ledger.principal, **where)
    await ledger.age(schedule, 3600)
    assert await ledger.fire(schedule) is None
    async with transaction(ledger.sessions) as session:
        resumed = await schedules.resume_schedule(session, ledger.principal, **where)

    assert await ledger.fire(schedule) is None
    assert resumed.next_due_at is not None
    assert (await ledger.row(schedule)).missed_count == 0


async def test_giving_up_counts_as_missed(ledger: Ledger) -> None:
    schedule = await ledger.make()
    await ledger.age(schedule, 121)

    async with transaction(ledger.sessions) as session:
        await skip_due(session, schedule_id=schedule.id)

    assert (await ledger.row(schedule)).missed_count == 2
    assert await ledger.runs() == []
