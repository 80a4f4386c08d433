"""What a user can do with schedules.

Everything here only writes rows; the clock is told through the outbox, in the same transaction, to read them again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from assay.core.metadata import check_metadata
from assay.core.outbox.service import enqueue
from assay.core.outbox.types import Action, WorkflowCommand
from assay.core.ownership import OwnerColumns, owner_columns
from assay.core.projects.types import Principal
from assay.core.runs.errors import RunInputError
from assay.core.runs.repository import to_run
from assay.core.runs.service import check_run_config
from assay.core.runs.types import Run, RunFilter
from assay.core.schedules import repository
from assay.core.schedules.cadence import check_timezone, next_due
from assay.core.schedules.cron import parse_cron
from assay.core.schedules.errors import ScheduleInputError, ScheduleNotFoundError
from assay.core.schedules.firing import drop_pending, fire_manually, write_off
from assay.core.schedules.models import ScheduleRow
from assay.core.schedules.runconfig import to_run_config
from assay.core.schedules.types import (
    ABSENT,
    MAX_INTERVAL_SECONDS,
    MIN_INTERVAL_SECONDS,
    NewSchedule,
    Schedule,
    ScheduleChanges,
    ScheduleFilter,
)
from assay.core.suites.service import get_suite_version
from assay.core.webhooks.service import find_endpoints, remove_endpoint, save_endpoint
from assay.core.webhooks.types import KEEP, Endpoint, EndpointOwner, OwnerKind, WebhookTools
from assay.db.paging import Page
from assay.gateway.catalog import Catalog
from assay.kit.clock import utc_now
from assay.kit.ids import new_id

CLOCK = "schedule_clock"
"""The outbox's name for the clock of schedules."""

MAX_NAME_LENGTH = 255
MAX_DESCRIPTION_LENGTH = 10_000


async def create_schedule(
    session: AsyncSession, principal: Principal, *, new: NewSchedule, webhooks: WebhookTools
) -> Schedule:
    """Make a schedule. Its first fire comes after this moment.

    Args:
        session: A session inside a transaction.
        principal: The caller.
        new: The definition.
        webhooks: Checks the webhook's URL and encrypts its secret.

    Raises:
        SuiteNotFoundError, SuiteVersionNotFoundError: Not visible to the caller.
        ScheduleInputError, CronError: A field is out of bounds; not exactly one cadence.
        RunInputError: The run's configuration is out of bounds, or names a task that does not exist.
        MetadataError: The metadata is out of bounds.
        UrlRefusedError, WebhookSecretError: The webhook's URL or secret is out of bounds.
        SecretStorageError: A secret was sent and there is no key to encrypt it with.
    """
    await _check_run(session, principal, suite_id=new.suite_id, suite_version=new.suite_version, run=new.run)
    now = utc_now()
    row = ScheduleRow(
        id=new_id(),
        **owner_columns(principal),
        name=_check_name(new.name),
        description=_check_description(new.description),
        suite_id=new.suite_id,
        suite_version=new.suite_version,
        cron=new.cron,
        interval_seconds=new.interval_seconds,
        timezone=check_timezone(new.timezone),
        anchor_at=now,
        overlap_policy=new.overlap_policy.value,
        enabled=new.enabled,
        run=dict(new.run),
        labels=check_metadata(new.metadata),
        revision=1,
        settled_until=now,
        created_at=now,
        updated_at=now,
    )
    _check_cadence(row)
    _restart(row, now)
    session.add(row)
    await _tell_clock(session, row)
    await save_endpoint(session, _owner(row), tools=webhooks, url=new.webhook_url, secret=new.webhook_secret)
    return await _to_schedule(session, principal, row)


async def get_schedule(session: AsyncSession, principal: Principal, *, schedule_id: UUID) -> Schedule:
    """One schedule.

    Raises:
        ScheduleNotFoundError: Not visible to the caller.
    """
    return await _to_schedule(session, principal, await _get_row(session, principal, schedule_id))


async def list_schedules(
    session: AsyncSession,
    principal: Principal,
    *,
    schedule_filter: ScheduleFilter,
    after: UUID | None = None,
    limit: int = 20,
) -> Page[Schedule]:
    """Visible schedules, newest first."""
    page = await repository.list_schedules(session, principal, schedule_filter, after=after, limit=limit)
    found = await repository.with_last_run(session, page.items)
    endpoints = await _endpoints(session, page.items)
    schedules = tuple(
        repository.to_schedule(one, principal.organization_id, endpoints.get(one.row.id)) for one in found
    )
    return Page(items=schedules, has_more=page.has_more)


async def update_schedule(
    session: AsyncSession,
    principal: Principal,
    *,
    schedule_id: UUID,
    changes: ScheduleChanges,
    webhooks: WebhookTools,
) -> Schedule:
    """Change a schedule (M§7 R8).

    When it changes when the schedule is due, what is due at this moment by the old definition is recorded as missed.

    Raises:
        ScheduleNotFoundError: Not visible to the caller.
        ScheduleInputError, CronError, RunInputError, MetadataError: As for ``create_schedule``.
        SuiteVersionNotFoundError: The suite has no such version.
    """
    row = await _get_row(session, principal, schedule_id, lock=True)
    timing, was_enabled = repository.to_timing(row), row.enabled
    _apply_texts(row, changes)
    _apply_cadence(row, changes)
    if changes.run is not ABSENT or changes.suite_version is not ABSENT:
        await _apply_run(session, principal, row, changes)
    now = utc_now()
    if changes.enabled is not ABSENT and changes.enabled is not row.enabled:
        row.enabled, row.anchor_at = changes.enabled, now if changes.enabled else row.anchor_at
    if not row.enabled:
        await drop_pending(session, row, reason="The schedule was disabled before the active run ended.")
    if (repository.to_timing(row), row.enabled) != (timing, was_enabled):
        if was_enabled:
            write_off(session, row, timing, reason="The schedule was changed at that moment.")
        _restart(row, now)
    row.revision += 1
    row.updated_at = now
    await _tell_clock(session, row)
    await save_endpoint(
        session,
        _owner(row),
        tools=webhooks,
        url=KEEP if changes.webhook_url is ABSENT else changes.webhook_url,
        secret=KEEP if changes.webhook_secret is ABSENT else changes.webhook_secret,
    )
    return await _to_schedule(session, principal, row)


async def delete_schedule(session: AsyncSession, principal: Principal, *, schedule_id: UUID) -> None:
    """Hide a schedule and stop it. Its runs and its history stay.

    Raises:
        ScheduleNotFoundError: Not visible to the caller.
    """
    await _retire(session, await _get_row(session, principal, schedule_id, lock=True))


async def delete_schedules_of_suite(session: AsyncSession, suite_id: UUID) -> int:
    """Disable and hide every schedule of a suite that is being deleted (R24).

    Returns:
        How many there were.
    """
    rows = await repository.lock_schedules_of_suite(session, suite_id)
    for row in rows:
        await _retire(session, row)
    return len(rows)


async def trigger_schedule(
    session: AsyncSession, principal: Principal, *, schedule_id: UUID, catalog: Catalog
) -> Schedule:
    """Fire a schedule now, besides its cadence and also while it is disabled. ``skip`` does not stop it (R25).

    Raises:
        ScheduleNotFoundError: Not visible to the caller.
        UnknownModelError, SuiteVersionNotFoundError, RunInputError: The run cannot be made.
    """
    row = await _get_row(session, principal, schedule_id, lock=True)
    await fire_manually(session, row, catalog=catalog)
    return await _to_schedule(session, principal, row)


async def list_schedule_runs(
    session: AsyncSession,
    principal: Principal,
    *,
    schedule_id: UUID,
    run_filter: RunFilter,
    after: UUID | None = None,
    limit: int = 20,
) -> Page[Run]:
    """The runs that a schedule made, newest first.

    Raises:
        ScheduleNotFoundError: Not visible to the caller.
        RunInputError: The filter names another suite than the schedule's.
    """
    row = await _get_row(session, principal, schedule_id)
    if run_filter.suite_id is not None and run_filter.suite_id != row.suite_id:
        raise RunInputError("`suite_id` is not the suite of this schedule.", param="suite_id")
    page = await repository.list_runs(
        session, principal, schedule_id=schedule_id, run_filter=run_filter, after=after, limit=limit
    )
    return page.map(lambda run: to_run(run, principal.organization_id))


async def _get_row(
    session: AsyncSession, principal: Principal, schedule_id: UUID, *, lock: bool = False
) -> ScheduleRow:
    row = await repository.find_schedule(session, principal, schedule_id=schedule_id, lock=lock)
    if row is None:
        raise ScheduleNotFoundError("No such schedule.", param="schedule_id")
    return row


async def _to_schedule(session: AsyncSession, principal: Principal, row: ScheduleRow) -> Schedule:
    await session.flush()
    [found] = await repository.with_last_run(session, [row])
    endpoints = await _endpoints(session, [row])
    return repository.to_schedule(found, principal.organization_id, endpoints.get(row.id))


async def _endpoints(session: AsyncSession, rows: Sequence[ScheduleRow]) -> Mapping[UUID, Endpoint]:
    return await find_endpoints(session, owner_kind=OwnerKind.SCHEDULE, owner_ids=[row.id for row in rows])


def _owner(row: ScheduleRow) -> EndpointOwner:
    columns = OwnerColumns(project_id=row.project_id, created_by=row.created_by, on_behalf_of=row.on_behalf_of)
    return EndpointOwner(OwnerKind.SCHEDULE, row.id, columns)


async def _retire(session: AsyncSession, row: ScheduleRow) -> None:
    if row.enabled:
        timing = repository.to_timing(row)
        write_off(session, row, timing, reason="The schedule was deleted at that moment.")
    await drop_pending(session, row, reason="The schedule was deleted before the active run ended.")
    row.enabled = False
    row.next_due_at = None
    row.deleted_at = row.updated_at = utc_now()
    row.revision += 1
    await _tell_clock(session, row)
    await remove_endpoint(session, owner_kind=OwnerKind.SCHEDULE, owner_id=row.id)


async def _tell_clock(session: AsyncSession, row: ScheduleRow) -> None:
    await session.flush()
    command = WorkflowCommand(
        action=Action.SYNC, workflow=CLOCK, workflow_id=f"{CLOCK}/{row.id}", arguments={"schedule_id": str(row.id)}
    )
    await enqueue(session, command)


def _restart(row: ScheduleRow, now: datetime) -> None:
    """Count from now on: whatever the new definition says about the past was never due."""
    row.settled_until = now
    row.next_due_at = next_due(repository.to_timing(row).cadence, now) if row.enabled else None


def _apply_texts(row: ScheduleRow, changes: ScheduleChanges) -> None:
    if changes.name is not ABSENT:
        row.name = _check_name(changes.name)
    if changes.description is not ABSENT:
        row.description = _check_description(changes.description)
    if changes.overlap_policy is not ABSENT:
        row.overlap_policy = changes.overlap_policy.value
    if changes.metadata is not ABSENT:
        row.labels = check_metadata(changes.metadata)


def _apply_cadence(row: ScheduleRow, changes: ScheduleChanges) -> None:
    """Giving one cadence and leaving the other out switches to it."""
    cron = row.cron if changes.cron is ABSENT else changes.cron
    interval = row.interval_seconds if changes.interval_seconds is ABSENT else changes.interval_seconds
    if changes.interval_seconds is ABSENT and changes.cron is not ABSENT and changes.cron is not None:
        interval = None
    if changes.cron is ABSENT and changes.interval_seconds is not ABSENT and changes.interval_seconds is not None:
        cron = None
    if changes.timezone is not ABSENT:
        row.timezone = check_timezone(changes.timezone)
    if (cron, interval) != (row.cron, row.interval_seconds):
        row.cron, row.interval_seconds = cron, interval
        _check_cadence(row)


async def _apply_run(session: AsyncSession, principal: Principal, row: ScheduleRow, changes: ScheduleChanges) -> None:
    run = row.run if changes.run is ABSENT else dict(changes.run)
    version = row.suite_version if changes.suite_version is ABSENT else changes.suite_version
    await _check_run(session, principal, suite_id=row.suite_id, suite_version=version, run=run)
    row.run, row.suite_version = run, version


async def _check_run(
    session: AsyncSession, principal: Principal, *, suite_id: UUID, suite_version: int | None, run: Mapping[str, Any]
) -> None:
    version = await get_suite_version(session, principal, suite_id=suite_id, version=suite_version)
    check_run_config(to_run_config(run), version)


def _check_name(name: str) -> str:
    if not name.strip() or len(name) > MAX_NAME_LENGTH:
        raise ScheduleInputError(f"`name` must have 1 to {MAX_NAME_LENGTH} characters.", param="name")
    return name


def _check_description(description: str | None) -> str | None:
    if description is not None and len(description) > MAX_DESCRIPTION_LENGTH:
        raise ScheduleInputError(
            f"`description` may have at most {MAX_DESCRIPTION_LENGTH} characters.", param="description"
        )
    return description


def _check_cadence(row: ScheduleRow) -> None:
    if (row.cron is None) == (row.interval_seconds is None):
        given = "neither" if row.cron is None else "both"
        raise ScheduleInputError(
            f"A schedule has exactly one of `cron` and `interval_seconds`; this one has {given}.", param="cron"
        )
    if row.cron is not None:
        parse_cron(row.cron)
    seconds = row.interval_seconds
    if seconds is not None and not MIN_INTERVAL_SECONDS <= seconds <= MAX_INTERVAL_SECONDS:
        raise ScheduleInputError(
            f"`interval_seconds` must be {MIN_INTERVAL_SECONDS} to {MAX_INTERVAL_SECONDS}.", param="interval_seconds"
        )
