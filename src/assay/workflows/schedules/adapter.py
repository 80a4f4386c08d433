"""Temporal Schedules behind five verbs: put, delete, describe, list, trigger.

A definition says what to start and when. It carries a revision, which is written into the schedule's note, so that one
listing shows which schedules are not what they should be. Ids begin with the task queue: installations that share a
namespace have different queues, and none must take another's schedules for orphans of its own.

Overlap is ``BUFFER_ONE`` for every schedule. What is started is only the strike of the clock, which lasts milliseconds;
when no worker is there to take it, one waits and one is buffered, and the rest is dropped instead of piling up by the
million. Whoever is struck finds out what it missed from its own records.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleCalendarSpec,
    ScheduleIntervalSpec,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleRange,
    ScheduleSpec,
    ScheduleState,
    ScheduleUpdate,
    ScheduleUpdateInput,
)
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.service import RPCError, RPCStatusCode

from assay.core.schedules.cadence import Cadence, CronCadence, IntervalCadence, OnceCadence
from assay.kit.clock import utc_now

CATCH_UP_WINDOW = timedelta(seconds=60)
"""How late Temporal may still strike; what it drops after that, the records of whoever is struck make good."""
CALL_TIMEOUT = timedelta(seconds=10)
NEAR = timedelta(seconds=15)
"""How long Temporal may take to begin with a schedule."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_CORRECTED_YEARS = 2


@dataclass(frozen=True, slots=True)
class ClockDefinition:
    """What the clock should do for one object."""

    name: str
    """Unique on the task queue, such as ``eval_schedule/<row id>``."""
    revision: int
    cadence: Cadence
    paused: bool
    workflow: str
    argument: Any
    due_at: datetime | None = None
    """The first instant that is not settled yet."""

    def note(self, now: datetime) -> str:
        """What tells this definition from an older one; changes with the year, when corrections must be renewed."""
        return f"revision {self.revision}, corrected until {_corrected_until(now).year}"


@dataclass(frozen=True, slots=True)
class ClockEntry:
    """What the clock holds."""

    name: str
    note: str
    paused: bool
    next_fires: tuple[datetime, ...]


class TemporalClock:
    """The schedules of one task queue.

    Args:
        client: A client of the namespace.
        task_queue: Where the workflows go.
    """

    def __init__(self, client: Client, *, task_queue: str) -> None:
        self._client = client
        self._task_queue = task_queue

    async def put(self, definition: ClockDefinition, *, now: datetime) -> None:
        """Create the schedule, or make the one that is there equal to the definition.

        Temporal strikes for the instants after it has begun to work on a schedule, which may be a second after it took
        it. For an instant so near, or past, there is a strike of our own. It does no harm where Temporal strikes too:
        whoever is struck a second time finds nothing due.

        Raises:
            temporalio.service.RPCError: Temporal is away or refuses.
        """
        schedule = self._to_schedule(definition, now)
        try:
            await self._client.create_schedule(self.id_of(definition.name), schedule, rpc_timeout=CALL_TIMEOUT)
        except ScheduleAlreadyRunningError:
            await self._update(definition, schedule)
        wait = None if definition.paused or definition.due_at is None else definition.due_at - utc_now()
        if wait is not None and wait < NEAR:
            await self._strike_after(definition, max(wait, timedelta()))

    async def _strike_after(self, definition: ClockDefinition, wait: timedelta) -> None:
        await self._client.start_workflow(
            definition.workflow,
            definition.argument,
            id=f"{definition.workflow}/{definition.name.rpartition('/')[2]}/first",
            task_queue=self._task_queue,
            start_delay=wait,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            rpc_timeout=CALL_TIMEOUT,
        )

    async def _update(self, definition: ClockDefinition, schedule: Schedule) -> None:
        def replace(found: ScheduleUpdateInput) -> ScheduleUpdate | None:
            # Two processes may do this at once; what an older reading of the row says must not win.
            newer = _revision_of(found.description.schedule.state.note or "") > definition.revision
            return None if newer else ScheduleUpdate(schedule=schedule)

        handle = self._client.get_schedule_handle(self.id_of(definition.name))
        await handle.update(replace, rpc_timeout=CALL_TIMEOUT)

    async def delete(self, name: str) -> None:
        """Remove a schedule; one that is not there is no fault.

        Raises:
            temporalio.service.RPCError: Temporal is away.
        """
        try:
            await self._client.get_schedule_handle(self.id_of(name)).delete(rpc_timeout=CALL_TIMEOUT)
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise

    async def trigger(self, name: str) -> None:
        """Strike at once.

        Raises:
            temporalio.service.RPCError: It is not there, or Temporal is away.
        """
        await self._client.get_schedule_handle(self.id_of(name)).trigger(rpc_timeout=CALL_TIMEOUT)

    async def describe(self, name: str, *, timeout: timedelta = CALL_TIMEOUT) -> ClockEntry | None:
        """What the clock holds under a name; None for nothing.

        Raises:
            temporalio.service.RPCError: Temporal is away or slower than the timeout.
        """
        try:
            found = await self._client.get_schedule_handle(self.id_of(name)).describe(rpc_timeout=timeout)
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise
            return None
        state = found.schedule.state
        return ClockEntry(name, state.note or "", state.paused, tuple(found.info.next_action_times))

    async def list_entries(self) -> AsyncIterator[ClockEntry]:
        """Everything the clock holds for this task queue. New entries may take a second to appear.

        Raises:
            temporalio.service.RPCError: Temporal is away.
        """
        prefix = self.id_of("")
        async for found in await self._client.list_schedules(page_size=1000, rpc_timeout=CALL_TIMEOUT):
            if found.id.startswith(prefix) and found.schedule is not None:
                state = found.schedule.state
                upcoming = () if found.info is None else tuple(found.info.next_action_times)
                yield ClockEntry(found.id.removeprefix(prefix), state.note or "", state.paused, upcoming)

    def id_of(self, name: str) -> str:
        """Temporal's id of a schedule."""
        return f"{self._task_queue}/{name}"

    def _to_schedule(self, definition: ClockDefinition, now: datetime) -> Schedule:
        return Schedule(
            action=ScheduleActionStartWorkflow(
                definition.workflow,
                definition.argument,
                id=f"{definition.workflow}/{definition.name.rpartition('/')[2]}",
                task_queue=self._task_queue,
            ),
            spec=to_spec(definition.cadence, now=now),
            policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.BUFFER_ONE, catchup_window=CATCH_UP_WINDOW),
            state=ScheduleState(note=definition.note(now), paused=definition.paused),
        )


def to_spec(cadence: Cadence, *, now: datetime) -> ScheduleSpec:
    """A cadence in Temporal's terms.

    Temporal may strike more often than a cadence says (at repeated local times), and never less: where its own rules
    for the changes of the clocks would leave an instant out, that instant is added in UTC, for the next two years.
    """
    if isinstance(cadence, IntervalCadence):
        offset = (cadence.anchor.replace(microsecond=0) - _EPOCH) % cadence.every
        interval = ScheduleIntervalSpec(every=cadence.every, offset=offset)
        # One that begins later must not strike until then, which may be every second for years.
        return ScheduleSpec(intervals=[interval], start_at=cadence.anchor if cadence.anchor > now else None)
    if isinstance(cadence, OnceCadence):
        return ScheduleSpec(intervals=[_at(cadence.at)])
    if isinstance(cadence, CronCadence):
        corrections = cadence.corrections(now, _corrected_until(now))
        return ScheduleSpec(
            calendars=[_to_calendar(cadence)],
            intervals=[_at(instant) for instant in corrections],
            time_zone_name=cadence.timezone,
        )
    raise TypeError(f"no Temporal schedule for a {type(cadence).__name__}")


def _to_calendar(cadence: CronCadence) -> ScheduleCalendarSpec:
    expression = cadence.expression
    return ScheduleCalendarSpec(
        minute=_ranges(expression.minutes),
        hour=_ranges(expression.hours),
        day_of_month=_ranges(expression.days),
        month=_ranges(expression.months),
        day_of_week=_ranges(expression.weekdays),
    )


def _ranges(numbers: tuple[int, ...]) -> list[ScheduleRange]:
    ranges: list[ScheduleRange] = []
    for number in numbers:
        if ranges and ranges[-1].end == number - 1:
            ranges[-1] = ScheduleRange(ranges[-1].start, number)
        else:
            ranges.append(ScheduleRange(number, number))
    return ranges


def _at(instant: datetime) -> ScheduleIntervalSpec:
    """One instant in UTC, which Temporal can say only as an interval counted from 1970: it comes again in the 2080s.

    An offset would not do: before its first instant Temporal takes the second one for the next.
    """
    return ScheduleIntervalSpec(every=instant.replace(microsecond=0) - _EPOCH)


def _corrected_until(now: datetime) -> datetime:
    return datetime(now.year + _CORRECTED_YEARS, 1, 1, tzinfo=UTC)


def _revision_of(note: str) -> int:
    word, _, rest = note.partition(" ")
    number = rest.partition(",")[0]
    return int(number) if word == "revision" and number.isdecimal() else 0
