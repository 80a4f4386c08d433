"""The ledger: what a schedule's due instants come to.

Everything happens under a lock on the schedule's row, in one transaction: working out what is due since the row was
last settled, deciding by the overlap policy, writing the record, queueing the run, moving ``settled_until`` on. Asking
again, after a crash or because the clock delivered twice, finds nothing due.

    nothing due        → nothing
    several due        → all but the latest are recorded as one ``missed`` stretch: at most one run catches up (R25)
    the latest         → a run, ``skipped``, ``buffered``, or ``failed`` with the reason
"""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from assay.core.ownership import act_as_owner
from assay.core.runs.service import create_run
from assay.core.schedules import repository
from assay.core.schedules.cadence import Due, due_until, find_due, next_due
from assay.core.schedules.models import FireRow, ScheduleRow
from assay.core.schedules.runconfig import to_run_config
from assay.core.schedules.types import FireKind, FireOutcome, OverlapPolicy, Timing
from assay.core.webhooks.service import find_endpoints
from assay.core.webhooks.types import OwnerKind
from assay.gateway.catalog import Catalog
from assay.kit.clock import utc_now
from assay.kit.errors import DomainError, ErrorKind
from assay.kit.ids import new_id

LATE_AFTER = timedelta(seconds=60)
"""A fire that is carried out later than this is a catch-up."""

_MISSED = "The schedule was not carried out in time; only the latest missed fire is caught up."
_PENDING = "A run of this schedule was active, and one fire was pending already."
_ACTIVE = "A run of this schedule was active."
_WAITED = "Waited for the active run to end."


async def fire_due(
    session: AsyncSession, *, catalog: Catalog, schedule_id: UUID, scheduled_at: datetime | None = None
) -> FireRow | None:
    """Settle everything that is due by now.

    Args:
        session: A session inside a transaction.
        catalog: Where models are looked up.
        schedule_id: The schedule.
        scheduled_at: The instant for which the clock woke us, so that a clock that is slightly ahead is believed.

    Returns:
        The record of the latest due instant; None when nothing was due, or the schedule is disabled or deleted.

    Raises:
        DomainError: Only of kind ``unavailable``; nothing is recorded then, and trying again is right.
    """
    row = await repository.lock_schedule(session, schedule_id)
    if row is None or row.deleted_at is not None or not row.enabled:
        return None
    now = utc_now()
    due = settle(session, row, until=due_until(now, scheduled_at), now=now)
    if due is None:
        return None
    kind = FireKind.CATCH_UP if now - due.latest > LATE_AFTER else FireKind.CADENCE
    fire = _new_fire(row, kind, due.latest, now=now)
    await _decide(session, row, fire, catalog=catalog)
    session.add(fire)
    await session.flush()
    return fire


async def fail_due(session: AsyncSession, *, schedule_id: UUID, reason: str) -> None:
    """Settle what is due by now as failed, without another attempt at it."""
    row = await repository.lock_schedule(session, schedule_id)
    if row is None or row.deleted_at is not None or not row.enabled:
        return
    now = utc_now()
    due = settle(session, row, until=now, now=now)
    if due is not None:
        fire = _new_fire(row, FireKind.CADENCE, due.latest, now=now)
        fire.outcome, fire.reason = FireOutcome.FAILED.value, reason
        session.add(fire)
        await session.flush()


async def fire_manually(session: AsyncSession, row: ScheduleRow, *, catalog: Catalog) -> FireRow:
    """Fire a locked schedule at once, besides its cadence.

    Raises:
        DomainError: The run cannot be made; whoever asked for it is told, and nothing is recorded.
    """
    now = utc_now()
    fire = _new_fire(row, FireKind.MANUAL, now, now=now)
    await _decide(session, row, fire, catalog=catalog)
    session.add(fire)
    await session.flush()
    return fire


async def start_pending(session: AsyncSession, *, catalog: Catalog, schedule_id: UUID) -> FireRow | None:
    """Start the fire that waits for the schedule's active run, if that has ended.

    Returns:
        Its record, now a run or a failure; None when there is nothing to start.

    Raises:
        DomainError: Only of kind ``unavailable``.
    """
    row = await repository.lock_schedule(session, schedule_id)
    if row is None or await repository.find_active_run(session, row.id) is not None:
        return None
    return await _start_pending(session, row, catalog=catalog)


async def start_after_run(session: AsyncSession, *, catalog: Catalog, run_id: UUID) -> None:
    """Start what waited for a run that has just ended. Harmless for runs that no schedule made."""
    schedule_id = await repository.find_waiting_schedule(session, run_id)
    if schedule_id is not None:
        await start_pending(session, catalog=catalog, schedule_id=schedule_id)


def settle(session: AsyncSession, row: ScheduleRow, *, until: datetime, now: datetime) -> Due | None:
    """Move a locked schedule on to ``until``; all that was due but the latest is recorded as missed."""
    cadence = repository.to_timing(row).cadence
    due = find_due(cadence, after=row.settled_until, until=until)
    if due is None:
        return None
    if due.before_latest is not None:
        session.add(_missed(row, due.earliest, due.before_latest, count=due.count - 1, reason=_MISSED, now=now))
    row.settled_until = due.latest
    row.next_due_at = next_due(cadence, due.latest)
    return due


def write_off(session: AsyncSession, row: ScheduleRow, timing: Timing, *, reason: str) -> None:
    """Record as missed what is due by now and will not be carried out, because a locked schedule is being changed.

    Args:
        session: A session inside a transaction.
        row: The schedule, which was enabled until now.
        timing: As it was until now.
        reason: What became of it.
    """
    now = utc_now()
    due = find_due(timing.cadence, after=row.settled_until, until=now)
    if due is not None:
        session.add(_missed(row, due.earliest, due.latest, count=due.count, reason=reason, now=now))
        row.settled_until = due.latest


async def drop_pending(session: AsyncSession, row: ScheduleRow, *, reason: str) -> None:
    """Give up the fire that waits, because a locked schedule is disabled or deleted."""
    pending = await repository.find_pending_fire(session, row.id)
    if pending is not None:
        pending.outcome, pending.reason = FireOutcome.SKIPPED.value, reason
        await session.flush()


async def _decide(session: AsyncSession, row: ScheduleRow, fire: FireRow, *, catalog: Catalog) -> None:
    policy = OverlapPolicy(row.overlap_policy)
    fire.blocked_by = await repository.find_active_run(session, row.id)
    if policy is OverlapPolicy.BUFFER_ONE and fire.blocked_by is None:
        # The run before has ended, but what waited for it has not been started yet: its turn comes first.
        started = await _start_pending(session, row, catalog=catalog)
        fire.blocked_by = None if started is None else started.run_id
    if policy is OverlapPolicy.ALLOW_ALL or (policy is OverlapPolicy.SKIP and fire.kind == FireKind.MANUAL.value):
        fire.blocked_by = None
    if fire.blocked_by is None:
        await _start(session, row, fire, catalog=catalog)
    elif policy is OverlapPolicy.SKIP:
        fire.outcome, fire.reason = FireOutcome.SKIPPED.value, _ACTIVE
    elif await repository.find_pending_fire(session, row.id) is not None:
        fire.outcome, fire.reason = FireOutcome.SKIPPED.value, _PENDING
    else:
        fire.outcome, fire.reason = FireOutcome.BUFFERED.value, _ACTIVE


async def _start_pending(session: AsyncSession, row: ScheduleRow, *, catalog: Catalog) -> FireRow | None:
    pending = await repository.find_pending_fire(session, row.id)
    if pending is None:
        return None
    pending.reason = _WAITED
    # A trigger that had to wait has nobody left to tell: its failure is recorded like any other.
    await _start(session, row, pending, catalog=catalog, recorded=True)
    await session.flush()
    return pending


async def _start(
    session: AsyncSession, row: ScheduleRow, fire: FireRow, *, catalog: Catalog, recorded: bool = False
) -> None:
    """Queue the run; what keeps it from being made is the fire's reason, or for a trigger the caller's error."""
    try:
        async with session.begin_nested():
            run = await create_run(
                session,
                await act_as_owner(session, row),
                catalog=catalog,
                suite_id=row.suite_id,
                config=to_run_config(row.run),
                suite_version=row.suite_version,
                metadata=row.labels,
                webhook_endpoint_id=await _webhook(session, row),
            )
    except DomainError as error:
        manual = fire.kind == FireKind.MANUAL.value and not recorded
        if manual or error.kind is ErrorKind.UNAVAILABLE:
            raise
        fire.outcome, fire.reason = FireOutcome.FAILED.value, error.message
        return
    fire.outcome, fire.run_id, fire.started_at = FireOutcome.RUN.value, run.id, run.created_at
    row.last_run_id = run.id


async def _webhook(session: AsyncSession, row: ScheduleRow) -> UUID | None:
    """Whom the run's changes are told to; also a disabled endpoint, whose deliveries then say why nothing was sent."""
    endpoints = await find_endpoints(session, owner_kind=OwnerKind.SCHEDULE, owner_ids=[row.id])
    endpoint = endpoints.get(row.id)
    return None if endpoint is None or endpoint.url is None else endpoint.id


def _new_fire(row: ScheduleRow, kind: FireKind, due_at: datetime, *, now: datetime) -> FireRow:
    return FireRow(
        id=new_id(), schedule_id=row.id, due_at=due_at, last_due_at=due_at, count=1, kind=kind.value, recorded_at=now
    )


def _missed(row: ScheduleRow, first: datetime, last: datetime, *, count: int, reason: str, now: datetime) -> FireRow:
    return FireRow(
        id=new_id(),
        schedule_id=row.id,
        due_at=first,
        last_due_at=last,
        count=count,
        kind=FireKind.CADENCE.value,
        outcome=FireOutcome.MISSED.value,
        reason=reason,
        recorded_at=now,
    )
