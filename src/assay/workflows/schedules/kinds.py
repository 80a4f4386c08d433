"""What has schedules: suites and agents. The clock, its workflow and the reconciler are the same for both.

A kind knows its rows: which of them the clock must hold, and what to do when one has been struck. Its name is the first
part of the clock's names, ``eval_schedule/<row id>``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import ClassVar
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from assay.core.agents import firing as agent_firing
from assay.core.agents import scheduling
from assay.core.agents.models import AgentScheduleRow
from assay.core.agents.types import AgentPolicy, ScheduleStatus
from assay.core.schedules import firing, repository
from assay.core.schedules.models import FireRow, ScheduleRow
from assay.core.schedules.service import CLOCK as EVAL_CLOCK
from assay.gateway.catalog import Catalog
from assay.workflows.schedules import shared
from assay.workflows.schedules.adapter import ClockDefinition
from assay.workflows.schedules.shared import SettleReport

NOTHING_DUE = SettleReport("none")


class ClockDefinitions(ABC):
    """What the clock must hold of one kind."""

    name: ClassVar[str]

    def clock_name(self, schedule_id: UUID) -> str:
        """A schedule's name at the clock."""
        return f"{self.name}/{schedule_id}"

    @abstractmethod
    async def define(self, session: AsyncSession, schedule_id: UUID) -> ClockDefinition | None:
        """What the clock must hold of a schedule; None for nothing."""

    @abstractmethod
    async def define_all(self, session: AsyncSession) -> Sequence[ClockDefinition]:
        """What the clock must hold, of every project."""


class ScheduleKind(ABC):
    """What is done when schedules of one kind are due."""

    definitions: ClassVar[ClockDefinitions]

    @abstractmethod
    async def settle(self, session: AsyncSession, schedule_id: UUID, scheduled_at: datetime | None) -> SettleReport:
        """Carry out what is due.

        Raises:
            DomainError: Only of kind ``unavailable``: trying again is right.
        """

    @abstractmethod
    async def give_up(self, session: AsyncSession, schedule_id: UUID, reason: str) -> None:
        """Settle what is due without carrying it out."""

    @abstractmethod
    async def list_overdue(self, session: AsyncSession, *, before: datetime, limit: int) -> Sequence[UUID]:
        """Schedules whose next instant passed before a moment, the longest overdue first."""

    async def list_startable(self, session: AsyncSession, *, limit: int) -> Sequence[UUID]:
        """Schedules with something that waited and can begin."""
        return ()

    async def start_pending(self, session: AsyncSession, schedule_id: UUID) -> bool:
        """Begin what waited. Tells whether anything did."""
        return False


class EvalScheduleDefinitions(ClockDefinitions):
    """Of suites."""

    name = "eval_schedule"

    async def define(self, session: AsyncSession, schedule_id: UUID) -> ClockDefinition | None:
        """Live schedules; disabled ones are paused."""
        row = await repository.find_row(session, schedule_id)
        return None if row is None or row.deleted_at is not None else self._define(row)

    async def define_all(self, session: AsyncSession) -> Sequence[ClockDefinition]:
        """Every live schedule."""
        return [self._define(row) for row in await repository.list_live(session)]

    def _define(self, row: ScheduleRow) -> ClockDefinition:
        return ClockDefinition(
            name=self.clock_name(row.id),
            revision=row.revision,
            cadence=repository.to_timing(row).cadence,
            paused=not row.enabled,
            workflow=shared.WORKFLOW,
            argument=shared.FireInput(str(row.id), self.name),
            due_at=row.next_due_at,
        )


class AgentScheduleDefinitions(ClockDefinitions):
    """Of agents."""

    name = "agent_schedule"

    async def define(self, session: AsyncSession, schedule_id: UUID) -> ClockDefinition | None:
        """Active schedules, and paused ones."""
        row = await scheduling.find_row(session, schedule_id)
        return None if row is None or row.status not in scheduling.CLOCKED else self._define(row)

    async def define_all(self, session: AsyncSession) -> Sequence[ClockDefinition]:
        """Every active or paused schedule."""
        return [self._define(row) for row in await scheduling.list_clocked(session)]

    def _define(self, row: AgentScheduleRow) -> ClockDefinition:
        return ClockDefinition(
            name=self.clock_name(row.id),
            revision=row.revision,
            cadence=scheduling.cadence_of(row),
            paused=row.status != ScheduleStatus.ACTIVE.value,
            workflow=shared.WORKFLOW,
            argument=shared.FireInput(str(row.id), self.name),
            due_at=row.next_due_at,
        )


EVAL_SCHEDULES = EvalScheduleDefinitions()
AGENT_SCHEDULES = AgentScheduleDefinitions()
CLOCKS: Mapping[str, ClockDefinitions] = {EVAL_CLOCK: EVAL_SCHEDULES, scheduling.CLOCK: AGENT_SCHEDULES}
"""By the outbox's name."""


class EvalSchedules(ScheduleKind):
    """Runs of suites.

    Args:
        catalog: Where models are looked up.
    """

    definitions = EVAL_SCHEDULES

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    async def settle(self, session: AsyncSession, schedule_id: UUID, scheduled_at: datetime | None) -> SettleReport:
        """One record for each instant, and a run if the overlap policy lets it."""
        fire = await firing.fire_due(session, catalog=self._catalog, schedule_id=schedule_id, scheduled_at=scheduled_at)
        return NOTHING_DUE if fire is None else _report(fire)

    async def give_up(self, session: AsyncSession, schedule_id: UUID, reason: str) -> None:
        """A failed fire, with the reason."""
        await firing.fail_due(session, schedule_id=schedule_id, reason=reason)

    async def list_overdue(self, session: AsyncSession, *, before: datetime, limit: int) -> Sequence[UUID]:
        """Enabled schedules."""
        return await repository.list_overdue(session, before=before, limit=limit)

    async def list_startable(self, session: AsyncSession, *, limit: int) -> Sequence[UUID]:
        """Buffered fires whose active run has ended."""
        return await repository.list_startable(session, limit=limit)

    async def start_pending(self, session: AsyncSession, schedule_id: UUID) -> bool:
        """The buffered fire."""
        return await firing.start_pending(session, catalog=self._catalog, schedule_id=schedule_id) is not None


class AgentSchedules(ScheduleKind):
    """Runs of agents.

    Args:
        policy: Bounds of the runs.
    """

    definitions = AGENT_SCHEDULES

    def __init__(self, policy: AgentPolicy) -> None:
        self._policy = policy

    async def settle(self, session: AsyncSession, schedule_id: UUID, scheduled_at: datetime | None) -> SettleReport:
        """One run for the latest instant."""
        run = await agent_firing.fire_due(
            session, schedule_id=schedule_id, policy=self._policy, scheduled_at=scheduled_at
        )
        return NOTHING_DUE if run is None else SettleReport("failed" if run.error else "run", str(run.id))

    async def give_up(self, session: AsyncSession, schedule_id: UUID, reason: str) -> None:
        """Counted as missed."""
        await agent_firing.skip_due(session, schedule_id=schedule_id)

    async def list_overdue(self, session: AsyncSession, *, before: datetime, limit: int) -> Sequence[UUID]:
        """Active schedules."""
        return await scheduling.list_overdue(session, before=before, limit=limit)


def _report(fire: FireRow) -> SettleReport:
    return SettleReport(fire.outcome, None if fire.run_id is None else str(fire.run_id))
