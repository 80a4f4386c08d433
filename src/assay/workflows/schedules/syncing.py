"""Keeping the clock equal to the rows, and the ledger whole when the clock was not.

``sync`` follows a change through the outbox, within milliseconds. ``Reconciler`` goes through everything every half
minute, in one process at a time:

1. lists what Temporal holds; while Temporal does not answer, nothing else is done, so that being down counts as down
2. puts what is missing, stale or wrongly paused (after the loss of Temporal's database: everything), deletes orphans
3. settles schedules that are overdue although the clock should have struck, one catch-up each
4. starts pending fires whose active run has ended without anybody taking note
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar
from uuid import UUID

import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from temporalio.service import RPCError

from assay.core.schedules import repository
from assay.core.schedules.firing import fire_due, start_pending
from assay.core.schedules.models import FireRow, ScheduleRow
from assay.db.engine import SessionFactory
from assay.db.session import transaction
from assay.gateway.catalog import Catalog
from assay.kit.clock import utc_now
from assay.workflows.schedules import shared
from assay.workflows.schedules.adapter import ClockDefinition, ClockEntry, TemporalClock

EVERY_SECONDS = 30.0
OVERDUE_AFTER = timedelta(seconds=20)
"""How long the clock may take to strike before the schedule is settled without it."""
BATCH = 500
CONCURRENT_CALLS = 16
LOCK_KEY = 0x41535343  # "ASSC"; any number that nothing else uses in this database
_KIND = "eval_schedule/"

_log = structlog.stdlib.get_logger(__name__)

Item = TypeVar("Item")
Step = Callable[[AsyncSession, UUID], Awaitable[FireRow | None]]


@dataclass(frozen=True, slots=True)
class Repairs:
    """What a round did."""

    put: int = 0
    deleted: int = 0
    settled: int = 0
    started: int = 0


def clock_name(schedule_id: UUID) -> str:
    """A schedule's name at the clock."""
    return f"{_KIND}{schedule_id}"


async def sync_schedule(sessions: SessionFactory, clock: TemporalClock, schedule_id: UUID) -> None:
    """Make the clock agree with a schedule's row as it is now.

    Raises:
        temporalio.service.RPCError: Temporal is away or refuses.
    """
    async with sessions() as session:
        row = await repository.find_row(session, schedule_id)
    if row is None or row.deleted_at is not None:
        await clock.delete(clock_name(schedule_id))
    else:
        await clock.put(_define(row), now=utc_now())


class Reconciler:
    """Repairs drift.

    Args:
        engine: Gives the connection that holds the lock.
        sessions: Makes sessions.
        clock: The schedules at Temporal.
        catalog: Where models are looked up.
        wake_dispatcher: Told when runs were queued.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        sessions: SessionFactory,
        clock: TemporalClock,
        *,
        catalog: Catalog,
        wake_dispatcher: Callable[[], None],
    ) -> None:
        self._engine = engine
        self._sessions = sessions
        self._clock = clock
        self._catalog = catalog
        self._wake = wake_dispatcher

    async def run_forever(self) -> None:
        """Reconcile until cancelled, at once and then every half minute."""
        while True:
            try:
                repairs = await self.reconcile()
                if repairs is not None and repairs != Repairs():
                    _log.info(
                        "schedules_repaired",
                        put=repairs.put,
                        deleted=repairs.deleted,
                        settled=repairs.settled,
                        started=repairs.started,
                    )
            except Exception as error:
                # Services that are away come back, and a fault in one round must not end the others.
                _log.warning("reconciliation_postponed", error=repr(error))
            await asyncio.sleep(EVERY_SECONDS)

    async def reconcile(self) -> Repairs | None:
        """One round.

        Returns:
            What was done; None when another process is at it.
        """
        async with self._exclusive() as mine:
            if not mine:
                return None
            held = {entry.name: entry async for entry in self._clock.list_entries() if entry.name.startswith(_KIND)}
            put, deleted = await self._repair(held)
            settled = await self._settle_overdue()
            started = await self._start_pending()
        if settled or started:
            self._wake()
        return Repairs(put, deleted, settled, started)

    async def _repair(self, held: dict[str, ClockEntry]) -> tuple[int, int]:
        now = utc_now()
        # Read after the listing: whatever is listed without a live row has none any more.
        async with self._sessions() as session:
            wanted = {clock_name(row.id): _define(row) for row in await repository.list_live(session)}
        wrong = [
            definition
            for name, definition in wanted.items()
            if (entry := held.get(name)) is None
            or entry.note != definition.note(now)
            or entry.paused is not definition.paused
        ]
        orphans = [name for name in held if name not in wanted]
        await _each(wrong, lambda definition: self._clock.put(definition, now=now))
        await _each(orphans, self._clock.delete)
        return len(wrong), len(orphans)

    async def _settle_overdue(self) -> int:
        async def step(session: AsyncSession, schedule_id: UUID) -> FireRow | None:
            return await fire_due(session, catalog=self._catalog, schedule_id=schedule_id)

        before = utc_now() - OVERDUE_AFTER
        async with self._sessions() as session:
            overdue = await repository.list_overdue(session, before=before, limit=BATCH)
        done = await self._take_steps(overdue, step)
        # A full batch that got somewhere may not have been all.
        return done + (await self._settle_overdue() if len(overdue) == BATCH and done else 0)

    async def _start_pending(self) -> int:
        async def step(session: AsyncSession, schedule_id: UUID) -> FireRow | None:
            return await start_pending(session, catalog=self._catalog, schedule_id=schedule_id)

        async with self._sessions() as session:
            startable = await repository.list_startable(session, limit=BATCH)
        return await self._take_steps(startable, step)

    async def _take_steps(self, schedule_ids: Sequence[UUID], step: Step) -> int:
        done = 0
        for schedule_id in schedule_ids:
            try:
                async with transaction(self._sessions) as session:
                    done += await step(session, schedule_id) is not None
            except Exception:
                _log.exception("schedule_not_settled", schedule_id=str(schedule_id))
        return done

    @asynccontextmanager
    async def _exclusive(self) -> AsyncGenerator[bool]:
        """Whether this process is the one; its lock ends with the connection, also when the process dies."""
        async with self._engine.connect() as plain:
            connection = await plain.execution_options(isolation_level="AUTOCOMMIT")
            mine = bool(await connection.scalar(text("SELECT pg_try_advisory_lock(:key)"), {"key": LOCK_KEY}))
            try:
                yield mine
            finally:
                if mine:
                    await connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": LOCK_KEY})


def _define(row: ScheduleRow) -> ClockDefinition:
    return ClockDefinition(
        name=clock_name(row.id),
        revision=row.revision,
        cadence=repository.to_timing(row).cadence,
        paused=not row.enabled,
        workflow=shared.WORKFLOW,
        argument=shared.FireInput(str(row.id)),
    )


async def _each(items: Sequence[Item], act: Callable[[Item], Awaitable[None]]) -> None:
    """Do something for every item, some at a time; one that fails is left for the next round."""
    slots = asyncio.Semaphore(CONCURRENT_CALLS)

    async def act_on(item: Item) -> None:
        async with slots:
            try:
                await act(item)
            except RPCError as error:
                _log.warning("clock_not_repaired", item=str(item), error=str(error))

    async with asyncio.TaskGroup() as group:
        for item in items:
            group.create_task(act_on(item))
