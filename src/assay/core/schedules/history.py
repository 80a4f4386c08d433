"""A schedule's history: what each fire came to, and how each run did compared with the one before it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from assay.core.projects.types import Principal
from assay.core.runs.types import RunStatus
from assay.core.schedules import repository
from assay.core.schedules.models import FireRow
from assay.core.schedules.repository import RunFacts
from assay.core.schedules.service import get_schedule
from assay.core.schedules.types import HistoryEntry
from assay.db.paging import Page


async def list_history(
    session: AsyncSession, principal: Principal, *, schedule_id: UUID, after: UUID | None = None, limit: int = 20
) -> Page[HistoryEntry]:
    """The fires of a schedule, newest first.

    Raises:
        ScheduleNotFoundError: Not visible to the caller.
        UnknownCursorError: ``after`` is no fire of this schedule.
    """
    await get_schedule(session, principal, schedule_id=schedule_id)
    page = await repository.list_fires(session, schedule_id=schedule_id, after=after, limit=limit)
    run_ids = [row.run_id for row in page.items if row.run_id is not None]
    facts = {found.id: found for found in await repository.list_run_facts(session, run_ids)}
    # Twice the page: runs of this page, and as many before them for the oldest to be compared with.
    measured = (
        await repository.list_measured_runs(session, schedule_id=schedule_id, not_after=max(run_ids), limit=2 * limit)
        if run_ids
        else []
    )
    return page.map(lambda row: _to_entry(row, facts, measured))


def _to_entry(row: FireRow, facts: Mapping[UUID, RunFacts], measured: Sequence[RunFacts]) -> HistoryEntry:
    run = None if row.run_id is None else facts.get(row.run_id)
    previous = None if run is None else next((one for one in measured if one.id < run.id), None)
    metrics = None if run is None else _numbers(run.overall)
    return HistoryEntry(
        fire=repository.to_fire(row),
        run_status=None if run is None else RunStatus(run.status),
        suite_version=None if run is None else run.suite_version,
        metrics=metrics,
        previous_run_id=None if previous is None else previous.id,
        change=None if previous is None or metrics is None else _change(metrics, _numbers(previous.overall) or {}),
    )


def _change(now: Mapping[str, float], before: Mapping[str, float]) -> dict[str, float]:
    return {name: value - before[name] for name, value in now.items() if name in before}


def _numbers(overall: Mapping[str, Any] | None) -> dict[str, float] | None:
    if overall is None:
        return None
    return {
        name: value for name, value in overall.items() if isinstance(value, int | float) and not isinstance(value, bool)
    }
