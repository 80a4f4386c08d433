"""Deleting a suite: it is hidden, its live runs are stopped first, and all its runs are hidden with it (M§2.2, R24)."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from assay.core.projects.types import Principal
from assay.core.runs import repository
from assay.core.runs.service import stop_row
from assay.core.suites.service import hide_suite
from assay.core.suites.types import DeletedSuite


async def delete_suite(session: AsyncSession, principal: Principal, *, suite_id: UUID) -> DeletedSuite:
    """Soft-delete a suite with all its runs.

    Raises:
        SuiteNotFoundError: Not visible to the caller.
    """
    await hide_suite(session, principal, suite_id=suite_id)
    for row in await repository.lock_live_runs_of_suite(session, suite_id):
        await stop_row(session, row)
    await session.flush()
    hidden = await repository.hide_runs_of_suite(session, suite_id)
    return DeletedSuite(id=suite_id, deleted_runs=len(hidden))
