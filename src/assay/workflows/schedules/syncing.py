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

from assay.db.engine import SessionFactory
from assay.db.session import transaction
from assay.kit.clock import utc_now
from assay.workflows.schedules.adapter import ClockEntry, TemporalClock
from assay.workflows.schedules.kinds import NOTHING_DUE, ClockDefinitions, ScheduleKind

EVERY_SECONDS = 30.0
OVERDUE_AFTER = timedelta(seconds=20)
"""How long the clock may take to strike before the schedule is settled without it."""
BATCH = 500
CONCURRENT_CALLS = 16
LOCK_KEY = 0x41535343  # "ASSC"; any number that nothing else uses in this database

_log = structlog.stdlib.get_logger(__name__)

Item = TypeVar("Item")
Step = Callable[[AsyncSession, UUID], Awaitable[bool]]


@dataclass(frozen=True, slots=True)
class Repairs:
    """What a round did."""

    put: int = 0
    deleted: int = 0
    settled: int = 0
    started: int = 0


async def sync_schedule(
    sessions: SessionFactory, clock: TemporalClock, definitions: ClockDefinitions, schedule_id: UUID
) -> None:
    """Make the clock agree with a schedule's row as it is now.

    Raises:
        temporalio.service.RPCError: Temporal is away or refuses.
    """
    async with sessions() as session:
        definition = await definitions.define(session, schedule_id)
    if definition is None:
        await clock.delete(definitions.clock_name(schedule_id))
    else:
        await clock.put(definition, now=utc_now())


class Reconciler:
    """Repairs drift.

    Args:
        engine: Gives the connection that holds the lock.
        sessions: Makes sessions.
        clock: The schedules at Temporal.
        kinds: Everything that has schedules.
        wake_dispatcher: Told when runs were queued.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        sessions: SessionFactory,
        clock: TemporalClock,
        *,
        kinds: Sequence[ScheduleKind],
        wake_dispatcher: Callable[[], None],
    ) -> None:
        self._engine = engine
        self._sessions = sessions
        self._clock = clock
        self._kinds = {kind.definitions.name: kind for kind in kinds}
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
            held = {entry.name: entry async for entry in self._clock.list_entries() if self._knows(entry.name)}
            put, deleted = await self._repair(held)
            settled = started = 0
            for kind in self._kinds.values():
                settled += await self._settle_overdue(kind)
                started += await self._start_pending(kind)
        if settled or started:
            self._wake()
        return Repairs(put, deleted, settled, started)

    def _knows(self, name: str) -> bool:
        return name.partition("/")[0] in self._kinds

    async def _repair(self, held: dict[str, ClockEntry]) -> tuple[int, int]:
        now = utc_now()
        # Read after the listing: whatever is listed without a live row has none any more.
        async with self._sessions() as session:
            found = [await kind.definitions.define_all(session) for kind in self._kinds.values()]
        wanted = {definition.name: definition for definitions in found for definition in definitions}
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

    async def _settle_overdue(self, kind: ScheduleKind) -> int:
        async def step(session: AsyncSession, schedule_id: UUID) -> bool:
            return await kind.settle(session, schedule_id, None) != NOTHING_DUE

        before = utc_now() - OVERDUE_AFTER
        async with self._sessions() as session:
            overdue = await kind.list_overdue(session, before=before, limit=BATCH)
        done = await self._take_steps(overdue, step)
        # A full batch that got somewhere may not have been all.
        return done + (await self._settle_overdue(kind) if len(overdue) == BATCH and done else 0)

    async def _start_pending(self, kind: ScheduleKind) -> int:
        async with self._sessions() as session:
            startable = await kind.list_startable(session, limit=BATCH)
        return await self._take_steps(startable, kind.start_pending)

    async def _take_steps(self, schedule_ids: Sequence[UUID], step: Step) -> int:
        done = 0
        for schedule_id in schedule_ids:
            try:
                async with transaction(self._sessions) as session:
                    done += await step(session, schedule_id)
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
