"""Reading from the clock when schedules fire next, for answers to people.

Temporal is asked, briefly and for all schedules of a page at once. Where it does not have the row's newest revision yet
(right after a change) our own reckoning stands in, which is what Temporal will say; where it does not answer, nobody
knows. Strikes at local times that come a second time are passed over: they are not due.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from temporalio.service import RPCError

from assay.core.schedules.cadence import next_due
from assay.core.schedules.types import Schedule
from assay.kit.clock import utc_now
from assay.workflows.schedules.adapter import ClockEntry, TemporalClock
from assay.workflows.schedules.kinds import EVAL_SCHEDULES

TIMEOUT = timedelta(seconds=1)
REMEMBERED_SECONDS = 3.0
CAPACITY = 10_000
_INSTANT = timedelta(microseconds=1)


class ClockReadings:
    """Implements ``core.schedules.types.ClockReader`` on Temporal."""

    def __init__(self, clock: TemporalClock) -> None:
        self._clock = clock
        self._remembered: dict[tuple[UUID, int], tuple[float, ClockEntry | None]] = {}

    async def next_fires(self, schedules: Sequence[Schedule]) -> Mapping[UUID, datetime | None]:
        """The next fire of each schedule; None where it is disabled or Temporal does not answer."""
        found = await asyncio.gather(*(self._next_fire(schedule) for schedule in schedules))
        return {schedule.id: at for schedule, at in zip(schedules, found, strict=True)}

    async def _next_fire(self, schedule: Schedule) -> datetime | None:
        if not schedule.enabled:
            return None
        now = utc_now()
        try:
            entry = await self._read(schedule)
        except (RPCError, RuntimeError, TimeoutError):
            return None
        if entry is None or entry.paused or not entry.note.startswith(f"revision {schedule.revision},"):
            return _reckon(schedule, now)
        due = (at for at in entry.next_fires if at > now and _is_due(schedule, at))
        return next(due, None) or _reckon(schedule, now)

    async def _read(self, schedule: Schedule) -> ClockEntry | None:
        key = (schedule.id, schedule.revision)
        remembered = self._remembered.get(key)
        if remembered is not None and time.monotonic() < remembered[0]:
            return remembered[1]
        async with asyncio.timeout(TIMEOUT.total_seconds()):
            entry = await self._clock.describe(EVAL_SCHEDULES.clock_name(schedule.id), timeout=TIMEOUT)
        if len(self._remembered) >= CAPACITY:
            self._remembered.clear()
        self._remembered[key] = (time.monotonic() + REMEMBERED_SECONDS, entry)
        return entry


def _reckon(schedule: Schedule, now: datetime) -> datetime | None:
    return next_due(schedule.timing.cadence, now)


def _is_due(schedule: Schedule, at: datetime) -> bool:
    return next_due(schedule.timing.cadence, at - _INSTANT) == at
