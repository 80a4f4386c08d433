"""SQL of suites."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import ColumnElement, select
from sqlalchemy.ext.asyncio import AsyncSession

from assay.core.suites.models import SuiteRow, SuiteVersionRow
from assay.db.paging import Page, fetch_page


async def find_suite(
    session: AsyncSession, access: ColumnElement[bool], *, suite_id: UUID, lock: bool = False
) -> SuiteRow | None:
    """The row of a suite, if the condition allows it; locked against other changes when asked."""
    query = select(SuiteRow).where(SuiteRow.id == suite_id, access)
    return await session.scalar(query.with_for_update() if lock else query)


async def list_suites(
    session: AsyncSession,
    access: ColumnElement[bool],
    *,
    within: ColumnElement[bool],
    after: UUID | None,
    limit: int,
) -> Page[SuiteRow]:
    """Suites that the condition allows, newest first; ``within`` is where ``after`` may point."""
    query = select(SuiteRow).where(access)
    return await fetch_page(session, query, sort=[SuiteRow.id], after=after, limit=limit, within=within)


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
