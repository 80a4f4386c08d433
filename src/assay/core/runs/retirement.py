"""Deleting a suite: its schedules and live runs are stopped, and it is hidden with all of them (M§2.2, R24)."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from assay.core.projects.types import Principal
from assay.core.runs import repository
from assay.core.runs.service import stop_row
from assay.core.schedules.service import delete_schedules_of_suite
from assay.core.suites.service import get_suite, hide_suite
from assay.core.suites.types import DeletedSuite


async def delete_suite(session: AsyncSession, principal: Principal, *, suite_id: UUID) -> DeletedSuite:
    """Soft-delete a suite with all its schedules and runs.

    Raises:
        SuiteNotFoundError: Not visible to the caller.
    """
    await get_suite(session, principal, suite_id=suite_id)
    # Before the suite is locked: a fire locks its schedule first, and the suite when it makes the run.
    await delete_schedules_of_suite(session, suite_id)
    await hide_suite(session, principal, suite_id=suite_id)
    for row in await repository.lock_live_runs_of_suite(session, suite_id):
        await stop_row(session, row)
    await session.flush()
    hidden = await repository.hide_runs_of_suite(session, suite_id)
    return DeletedSuite(id=suite_id, deleted_runs=len(hidden))
