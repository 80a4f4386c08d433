"""SIGKILL to the worker and to Temporal while an agent's schedule fires: no instant fires twice or is forgotten."""

from __future__ import annotations

import os
import signal
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import select
from tests.support.evals import Evals, kill, open_evals, spawn_worker
from tests.support.model_server import ModelServer
from tests.support.services import supervised_services
from tests.support.waiting import eventually

from assay.core.agents import service
from assay.core.agents.models import AgentRunRow, AgentScheduleRow
from assay.core.agents.schedules import create_schedule, pause_schedule
from assay.core.agents.sealing import ToolSealer
from assay.core.agents.types import AgentConfiguration, NewAgentSchedule
from assay.core.schedules.cadence import whole_seconds
from assay.db import migrate
from assay.db.session import transaction

PATIENCE = 60
SECOND = timedelta(seconds=1)

pytestmark = pytest.mark.timeout(180)


async def test_no_instant_fires_twice(tmp_path: Path, models: ModelServer) -> None:
    async with supervised_services(tmp_path / "services") as (report, _):
        await migrate.upgrade(report["database_url"])
        async with open_evals(
            database_url=report["database_url"],
            temporal_address=report["temporal_address"],
            home=tmp_path / "evals",
            models=models,
        ) as evals:
            agent_id, schedule_id = await _make(evals)
            worker = await spawn_worker(evals.place)
            await _until(evals, schedule_id, 2)
            await kill(worker)
            worker = await spawn_worker(evals.place)
            try:
                await _until(evals, schedule_id, 4)
                os.kill(report["pids"]["temporal"], signal.SIGKILL)
                await _until(evals, schedule_id, 7)
                async with transaction(evals.runtime.sessions) as session:
                    await pause_schedule(session, evals.principal, agent_id=agent_id, schedule_id=schedule_id)
            finally:
                await kill(worker)
            await _check(evals, schedule_id)


async def _make(evals: Evals) -> tuple[UUID, UUID]:
    async with transaction(evals.runtime.sessions) as session:
        configuration = AgentConfiguration(name="a", model="openai/mock")
        agent = await service.create_agent(
            session, evals.principal, configuration=configuration, sealer=ToolSealer(None)
        )
        new = NewAgentSchedule(spec={"type": "interval", "interval_seconds": 1}, input="go")
        schedule = await create_schedule(session, evals.principal, agent_id=agent.id, new=new)
    return agent.id, schedule.id


async def _until(evals: Evals, schedule_id: UUID, count: int) -> None:
    async def check() -> bool:
        return (await _row(evals, schedule_id)).run_count >= count

    await eventually(check, timeout=PATIENCE)


async def _row(evals: Evals, schedule_id: UUID) -> AgentScheduleRow:
    async with evals.runtime.sessions() as session:
        return await session.get_one(AgentScheduleRow, schedule_id)


async def _check(evals: Evals, schedule_id: UUID) -> None:
    """Each instant up to the last one settled has one run, or is counted as missed."""
    row = await _row(evals, schedule_id)
    async with evals.runtime.sessions() as session:
        query = select(AgentRunRow.due_at).where(AgentRunRow.schedule_id == schedule_id)
        fired = [at for at in await session.scalars(query) if at is not None]
    anchor = whole_seconds(row.anchor_at)
    assert len(fired) == len(set(fired)) == row.run_count
    assert all((at - anchor) % SECOND == timedelta() and at > anchor for at in fired)
    assert row.run_count + row.missed_count == (row.settled_until - anchor) // SECOND
