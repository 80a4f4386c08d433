"""A project with a suite, and schedules whose past can be moved."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select, text, update
from sqlalchemy.ext.asyncio import AsyncSession
from tests.support.gateways import gateway_opener

from assay.core.files.service import upload_file
from assay.core.files.store import open_file_store
from assay.core.projects.service import create_organization, get_operator
from assay.core.projects.types import Principal
from assay.core.runs.models import RunRow
from assay.core.runs.types import RunStatus
from assay.core.schedules import repository, service
from assay.core.schedules.firing import fire_due, start_after_run, start_pending
from assay.core.schedules.models import FireRow
from assay.core.schedules.types import Fire, NewSchedule, OverlapPolicy, Schedule, ScheduleChanges
from assay.core.suites.service import create_suite
from assay.core.suites.types import NewSuite
from assay.core.webhooks.types import WebhookTools
from assay.db.engine import SessionFactory
from assay.db.session import transaction
from assay.gateway.catalog import Catalog
from assay.outbound.policy import OutboundPolicy

NO_SECRETS = WebhookTools(OutboundPolicy.of([], []), None)

MODEL = "simulator/strong"
FAR = 10**9


@dataclass
class Ledger:
    """Asks the ledger, each time in a transaction of its own."""

    sessions: SessionFactory
    catalog: Catalog
    principal: Principal
    suite_id: UUID

    async def make(
        self, *, policy: OverlapPolicy = OverlapPolicy.SKIP, models: Sequence[str] = (MODEL,), **fields: Any
    ) -> Schedule:
        """A schedule that is due once a minute, unless the fields say otherwise."""
        given: dict[str, Any] = {"interval_seconds": 60, **fields}
        run = {"models": list(models)}
        new = NewSchedule(name="s", suite_id=self.suite_id, run=run, overlap_policy=policy, **given)
        async with transaction(self.sessions) as session:
            return await service.create_schedule(session, self.principal, new=new, webhooks=NO_SECRETS)

    async def age(self, schedule: Schedule, *, seconds: float) -> None:
        """Let the schedule be that much older."""
        moved = {
            "schedules": ("id", ("anchor_at", "settled_until", "next_due_at")),
            "schedule_fires": ("schedule_id", ("due_at", "last_due_at")),
        }
        async with transaction(self.sessions) as session:
            for table, (key, columns) in moved.items():
                shifts = ", ".join(f"{column} = {column} - make_interval(secs => :seconds)" for column in columns)
                statement = text(f"UPDATE {table} SET {shifts} WHERE {key} = :id")
                # By way of the far past, so that no row is moved to where another still is.
                for step in (seconds + FAR, -FAR):
                    await session.execute(statement, {"seconds": step, "id": schedule.id})

    async def fire(self, schedule: Schedule) -> Fire | None:
        """Settle what is due."""
        async with transaction(self.sessions) as session:
            row = await fire_due(session, catalog=self.catalog, schedule_id=schedule.id)
            return None if row is None else repository.to_fire(row)

    async def fire_at_once(self, schedule: Schedule) -> Fire:
        """Let one more minute pass, and settle it."""
        await self.age(schedule, seconds=60)
        fire = await self.fire(schedule)
        assert fire is not None
        return fire

    async def trigger(self, schedule: Schedule) -> Schedule:
        """Fire by hand."""
        async with transaction(self.sessions) as session:
            return await service.trigger_schedule(
                session, self.principal, schedule_id=schedule.id, catalog=self.catalog
            )

    async def update(self, schedule: Schedule, **changes: Any) -> Schedule:
        """Change a schedule."""
        async with transaction(self.sessions) as session:
            return await service.update_schedule(
                session,
                self.principal,
                schedule_id=schedule.id,
                changes=ScheduleChanges(**changes),
                webhooks=NO_SECRETS,
            )

    async def delete(self, schedule: Schedule) -> None:
        """Delete a schedule."""
        async with transaction(self.sessions) as session:
            await service.delete_schedule(session, self.principal, schedule_id=schedule.id)

    async def end(self, run_id: UUID | None, status: RunStatus = RunStatus.COMPLETED) -> None:
        """End a run."""
        async with transaction(self.sessions) as session:
            await session.execute(update(RunRow).where(RunRow.id == run_id).values(status=status.value))

    async def after(self, run_id: UUID | None) -> None:
        """What is done when a run has ended."""
        assert run_id is not None
        async with transaction(self.sessions) as session:
            await start_after_run(session, catalog=self.catalog, run_id=run_id)

    async def start_pending(self, schedule: Schedule) -> None:
        """What the reconciler does."""
        async with transaction(self.sessions) as session:
            await start_pending(session, catalog=self.catalog, schedule_id=schedule.id)

    async def fires(self, schedule: Schedule) -> list[Fire]:
        """Every record, oldest first."""
        query = select(FireRow).where(FireRow.schedule_id == schedule.id).order_by(FireRow.id)
        async with self.sessions() as session:
            return [repository.to_fire(row) for row in await session.scalars(query)]

    async def run_count(self) -> int:
        """Runs of the suite."""
        async with self.sessions() as session:
            return len((await session.scalars(select(RunRow.id).where(RunRow.suite_id == self.suite_id))).all())


@pytest.fixture
async def ledger(sessions: SessionFactory, tmp_path: Path) -> AsyncIterator[Ledger]:
    """A ledger on a database of its own."""
    async with transaction(sessions) as session:
        credentials = await create_organization(session, name="o")
        principal = await get_operator(session, project=credentials.project_id)
        suite_id = await make_suite(session, principal, tmp_path)
    async with gateway_opener(tmp_path)() as gateway:
        yield Ledger(sessions, gateway.catalog, principal, suite_id)


async def make_suite(session: AsyncSession, principal: Principal, folder: Path) -> UUID:
    """A suite of one question."""

    async def chunks() -> AsyncIterator[bytes]:
        yield b'{"question": "q", "answer": "a"}\n'

    store = open_file_store(None, folder=folder)
    file = await upload_file(
        session, principal, store=store, filename="d.jsonl", purpose="evals", chunks=chunks(), max_bytes=1000
    )
    manifest = {"tasks": [{"id": "t", "type": "qa", "dataset": {"file_id": f"file_{file.id.hex}"}}]}
    return (await create_suite(session, principal, store=store, new=NewSuite(name="s", manifest=manifest))).id
