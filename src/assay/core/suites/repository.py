"""SQL of suites."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from assay.core.ownership import visible_to
from assay.core.projects.types import Principal
from assay.core.suites.models import SuiteRow, SuiteVersionRow
from assay.db.paging import Page, fetch_page


async def find_suite(
    session: AsyncSession, principal: Principal, *, suite_id: UUID, lock: bool = False
) -> SuiteRow | None:
    """The row of a visible suite, locked against other changes when asked."""
    query = select(SuiteRow).where(SuiteRow.id == suite_id, visible_to(principal, SuiteRow))
    return await session.scalar(query.with_for_update() if lock else query)


async def list_suites(session: AsyncSession, principal: Principal, *, after: UUID | None, limit: int) -> Page[SuiteRow]:
    """Visible suites, newest first."""
    return await fetch_page(
        session,
        select(SuiteRow).where(visible_to(principal, SuiteRow)),
        sort=[SuiteRow.id],
        after=after,
        limit=limit,
        within=visible_to(principal, SuiteRow, include_deleted=True),
    )


async def find_version(session: AsyncSession, *, suite_id: UUID, version: int) -> SuiteVersionRow | None:
    """One version of a suite that the caller was already found to see."""
    query = select(SuiteVersionRow).where(SuiteVersionRow.suite_id == suite_id, SuiteVersionRow.version == version)
    return await session.scalar(query)


async def list_versions(
    session: AsyncSession, *, suite_id: UUID, after: UUID | None, limit: int
) -> Page[SuiteVersionRow]:
    """Versions of a suite, newest first."""
    return await fetch_page(
        session,
        select(SuiteVersionRow).where(SuiteVersionRow.suite_id == suite_id),
        sort=[SuiteVersionRow.id],
        after=after,
        limit=limit,
        within=SuiteVersionRow.suite_id == suite_id,
    )
