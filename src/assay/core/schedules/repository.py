"""SQL of schedules and their fires."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, Row, Select, exists, select, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from assay.core.ownership import visible_to
from assay.core.projects.types import Principal
from assay.core.runs.models import LIVE, RunRow
from assay.core.runs.types import RunFilter, RunStatus
from assay.core.schedules.models import FireRow, ScheduleRow
from assay.core.schedules.types import (
    Fire,
    FireKind,
    FireOutcome,
    OverlapPolicy,
    Schedule,
    ScheduleFilter,
    Timing,
)
from assay.core.webhooks.types import Endpoint
from assay.db.paging import Page, fetch_page

_LIVE = text(f"runs.{LIVE}")


async def find_schedule(
    session: AsyncSession, principal: Principal, *, schedule_id: UUID, lock: bool = False
) -> ScheduleRow | None:
    """The row of a visible schedule, locked against other changes when asked."""
    query = select(ScheduleRow).where(ScheduleRow.id == schedule_id, visible_to(principal, ScheduleRow))
    return await session.scalar(_locked(query) if lock else query)


async def lock_schedule(session: AsyncSession, schedule_id: UUID) -> ScheduleRow | None:
    """A schedule's row, deleted or not, whoever owns it, locked against other changes."""
    return await session.scalar(_locked(select(ScheduleRow).where(ScheduleRow.id == schedule_id)))


def _locked(query: Select[ScheduleRow]) -> Select[ScheduleRow]:
    # KEY SHARE locks of the fires' foreign key must not wait for this.
    return query.with_for_update(key_share=True).execution_options(populate_existing=True)


async def lock_schedules_of_suite(session: AsyncSession, suite_id: UUID) -> Sequence[ScheduleRow]:
    """The live schedules of a suite, locked in the order of their ids."""
    query = select(ScheduleRow).where(ScheduleRow.suite_id == suite_id, ScheduleRow.deleted_at.is_(None))
    return (await session.scalars(_locked(query.order_by(ScheduleRow.id)))).all()


async def find_row(session: AsyncSession, schedule_id: UUID) -> ScheduleRow | None:
    """A schedule's row, deleted or not, whoever owns it."""
    return await session.get(ScheduleRow, schedule_id)


async def list_live(session: AsyncSession) -> Sequence[ScheduleRow]:
    """Every schedule that is not deleted, of every project."""
    return (await session.scalars(select(ScheduleRow).where(ScheduleRow.deleted_at.is_(None)))).all()


async def list_overdue(session: AsyncSession, *, before: datetime, limit: int) -> list[UUID]:
    """Enabled schedules whose next instant passed before a moment, the longest overdue first."""
    query = (
        select(ScheduleRow.id)
        .where(ScheduleRow.enabled, ScheduleRow.deleted_at.is_(None), ScheduleRow.next_due_at < before)
        .order_by(ScheduleRow.next_due_at)
        .limit(limit)
    )
    return list(await session.scalars(query))


async def list_startable(session: AsyncSession, *, limit: int) -> list[UUID]:
    """Schedules with a pending fire and no active run."""
    query = (
        select(FireRow.schedule_id)
        .where(FireRow.outcome == FireOutcome.BUFFERED.value, ~_has_active_run(FireRow.schedule_id))
        .limit(limit)
    )
    return list(await session.scalars(query))


def _has_active_run(schedule_id: Any) -> ColumnElement[bool]:
    other = aliased(FireRow)
    return exists(
        select(RunRow.id).join(other, other.run_id == RunRow.id).where(other.schedule_id == schedule_id, _LIVE)
    )


async def find_active_run(session: AsyncSession, schedule_id: UUID) -> UUID | None:
    """A run of the schedule that has not ended."""
    query = (
        select(RunRow.id)
        .join(FireRow, FireRow.run_id == RunRow.id)
        .where(FireRow.schedule_id == schedule_id, _LIVE)
        .limit(1)
    )
    return await session.scalar(query)


async def find_pending_fire(session: AsyncSession, schedule_id: UUID) -> FireRow | None:
    """The fire that waits for the active run to end."""
    query = select(FireRow).where(FireRow.schedule_id == schedule_id, FireRow.outcome == FireOutcome.BUFFERED.value)
    return await session.scalar(query)


async def find_waiting_schedule(session: AsyncSession, run_id: UUID) -> UUID | None:
    """The schedule that made a run, if one of its fires is pending."""
    pending = aliased(FireRow)
    query = (
        select(FireRow.schedule_id)
        .join(pending, pending.schedule_id == FireRow.schedule_id)
        .where(FireRow.run_id == run_id, pending.outcome == FireOutcome.BUFFERED.value)
    )
    return await session.scalar(query)


class ScheduleWithRun(NamedTuple):
    """A schedule's row with what is shown of its latest run."""

    row: ScheduleRow
    last_run_at: datetime | None
    last_run_status: str | None


async def with_last_run(session: AsyncSession, rows: Sequence[ScheduleRow]) -> list[ScheduleWithRun]:
    """The same rows with when their latest runs were made, and how these stand."""
    run_ids = [row.last_run_id for row in rows if row.last_run_id is not None]
    query = select(RunRow.id, RunRow.created_at, RunRow.status).where(RunRow.id.in_(run_ids))
    found = {run_id: (at, status) for run_id, at, status in await session.execute(query)} if run_ids else {}
    nothing = (None, None)
    return [
        ScheduleWithRun(row, *(found.get(row.last_run_id, nothing) if row.last_run_id else nothing)) for row in rows
    ]


async def list_schedules(
    session: AsyncSession, principal: Principal, schedule_filter: ScheduleFilter, *, after: UUID | None, limit: int
) -> Page[ScheduleRow]:
    """Visible schedules, newest first."""
    conditions: list[ColumnElement[bool]] = [visible_to(principal, ScheduleRow)]
    if schedule_filter.suite_id is not None:
        conditions.append(ScheduleRow.suite_id == schedule_filter.suite_id)
    if schedule_filter.enabled is not None:
        conditions.append(ScheduleRow.enabled == schedule_filter.enabled)
    return await fetch_page(
        session,
        select(ScheduleRow).where(*conditions),
        sort=[ScheduleRow.id],
        after=after,
        limit=limit,
        within=visible_to(principal, ScheduleRow, include_deleted=True),
    )


async def list_runs(
    session: AsyncSession,
    principal: Principal,
    *,
    schedule_id: UUID,
    run_filter: RunFilter,
    after: UUID | None,
    limit: int,
) -> Page[RunRow]:
    """The visible runs that a schedule made, newest first."""
    made = select(FireRow.run_id).where(FireRow.schedule_id == schedule_id, FireRow.run_id.is_not(None))
    conditions = [visible_to(principal, RunRow), RunRow.id.in_(made)]
    if run_filter.suite_version is not None:
        conditions.append(RunRow.suite_version == run_filter.suite_version)
    if run_filter.status is not None:
        conditions.append(RunRow.status == run_filter.status.value)
    return await fetch_page(
        session,
        select(RunRow).where(*conditions),
        sort=[RunRow.id],
        after=after,
        limit=limit,
        within=visible_to(principal, RunRow, include_deleted=True) & RunRow.id.in_(made),
    )


async def list_fires(session: AsyncSession, *, schedule_id: UUID, after: UUID | None, limit: int) -> Page[FireRow]:
    """The fires of a schedule, newest first."""
    return await fetch_page(
        session,
        select(FireRow).where(FireRow.schedule_id == schedule_id),
        sort=[FireRow.id],
        after=after,
        limit=limit,
        within=FireRow.schedule_id == schedule_id,
    )


class RunFacts(NamedTuple):
    """What the history shows of a run."""

    id: UUID
    status: str
    suite_version: int
    overall: dict[str, Any] | None


async def list_run_facts(session: AsyncSession, run_ids: Sequence[UUID]) -> list[RunFacts]:
    """What the history shows of these runs."""
    query = _run_facts().where(RunRow.id.in_(run_ids))
    return [_facts(found) for found in await session.execute(query)]


async def list_measured_runs(
    session: AsyncSession, *, schedule_id: UUID, not_after: UUID, limit: int
) -> list[RunFacts]:
    """Runs of a schedule that have metrics, newest first, from a run on."""
    query = (
        _run_facts()
        .join(FireRow, FireRow.run_id == RunRow.id)
        .where(FireRow.schedule_id == schedule_id, RunRow.id <= not_after, RunRow.metrics.is_not(None))
        .order_by(RunRow.id.desc())
        .limit(limit)
    )
    return [_facts(found) for found in await session.execute(query)]


def _run_facts() -> Select[UUID, str, int, Any]:
    return select(RunRow.id, RunRow.status, RunRow.suite_version, RunRow.metrics["overall"])


def _facts(found: Row[UUID, str, int, Any]) -> RunFacts:
    return RunFacts(found[0], found[1], found[2], found[3])


def to_timing(row: ScheduleRow) -> Timing:
    """When the schedule is due."""
    return Timing(cron=row.cron, interval_seconds=row.interval_seconds, timezone=row.timezone, anchor_at=row.anchor_at)


def to_schedule(found: ScheduleWithRun, organization_id: UUID, endpoint: Endpoint | None) -> Schedule:
    """The value of a schedule's row, with its webhook, if any."""
    row = found.row
    return Schedule(
        id=row.id,
        organization_id=organization_id,
        project_id=row.project_id,
        name=row.name,
        description=row.description,
        suite_id=row.suite_id,
        suite_version=row.suite_version,
        timing=to_timing(row),
        overlap_policy=OverlapPolicy(row.overlap_policy),
        enabled=row.enabled,
        webhook_url=None if endpoint is None else endpoint.url,
        has_webhook_secret=endpoint is not None and endpoint.has_secret,
        run=row.run,
        metadata=row.labels,
        revision=row.revision,
        next_due_at=row.next_due_at,
        last_run_id=row.last_run_id,
        last_run_at=found.last_run_at,
        last_run_status=None if found.last_run_status is None else RunStatus(found.last_run_status),
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def to_fire(row: FireRow) -> Fire:
    """The value of a fire's row."""
    return Fire(
        id=row.id,
        schedule_id=row.schedule_id,
        due_at=row.due_at,
        last_due_at=row.last_due_at,
        count=row.count,
        kind=FireKind(row.kind),
        outcome=FireOutcome(row.outcome),
        reason=row.reason,
        run_id=row.run_id,
        blocked_by=row.blocked_by,
        recorded_at=row.recorded_at,
        started_at=row.started_at,
    )
