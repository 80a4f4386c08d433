"""Which runs a board may count."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from assay.core.projects.types import Principal
from assay.core.runs.models import RunRow
from assay.core.runs.types import RunStatus
from assay.core.suites.service import get_suite, get_suite_version
from assay.core.suites.sharing import readable_by


async def completed_runs(
    session: AsyncSession, principal: Principal, *, suite_id: UUID, suite_version: int | None
) -> list[UUID]:
    """Ids of a suite's completed runs that the caller may read.

    Raises:
        SuiteNotFoundError, SuiteVersionNotFoundError: Not visible to the caller.
    """
    await get_suite(session, principal, suite_id=suite_id)
    query = select(RunRow.id).where(
        RunRow.suite_id == suite_id,
        RunRow.status == RunStatus.COMPLETED.value,
        readable_by(principal, RunRow, RunRow.suite_id),
    )
    if suite_version is not None:
        await get_suite_version(session, principal, suite_id=suite_id, version=suite_version, through_shares=True)
        query = query.where(RunRow.suite_version == suite_version)
    return list(await session.scalars(query))
