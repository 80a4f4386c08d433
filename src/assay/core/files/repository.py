"""SQL of files."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, and_, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from assay.core.files.models import FileRow
from assay.core.files.types import FilePurpose
from assay.core.ownership import visible_to
from assay.core.projects.types import Principal
from assay.db.paging import Order, Page, fetch_page


async def find_file(session: AsyncSession, principal: Principal, file_id: UUID, *, now: datetime) -> FileRow | None:
    """A file that the caller may see."""
    return (await session.scalars(select(FileRow).where(FileRow.id == file_id, _visible(principal, now)))).one_or_none()


async def lock_file(session: AsyncSession, principal: Principal, file_id: UUID, *, now: datetime) -> FileRow | None:
    """A file that the caller may see, locked for a change."""
    return (
        await session.scalars(
            select(FileRow).where(FileRow.id == file_id, _visible(principal, now)).with_for_update(key_share=True)
        )
    ).one_or_none()


async def list_files(
    session: AsyncSession,
    principal: Principal,
    *,
    after: UUID | None,
    limit: int,
    order: Order,
    purpose: FilePurpose | None,
    sha256: str | None,
    now: datetime,
) -> Page[FileRow]:
    """One page of the files that the caller may see, by time of creation."""
    statement = select(FileRow).where(_visible(principal, now))
    if purpose is not None:
        statement = statement.where(FileRow.purpose == purpose)
    if sha256 is not None:
        statement = statement.where(FileRow.sha256 == sha256)
    return await fetch_page(
        session,
        statement,
        sort=(FileRow.created_at, FileRow.id),
        after=after,
        limit=limit,
        order=order,
        within=visible_to(principal, FileRow, include_deleted=True),
    )


async def delete_expired(session: AsyncSession, *, now: datetime) -> int:
    """Soft-delete the files whose time is over; how many there were."""
    expired = await session.scalars(
        update(FileRow)
        .where(FileRow.expires_at <= now, FileRow.deleted_at.is_(None))
        .values(deleted_at=now)
        .returning(FileRow.id)
    )
    return len(expired.all())


async def list_unswept(session: AsyncSession, *, deleted_before: datetime, limit: int) -> Sequence[FileRow]:
    """Deleted files whose content may still be in the store, longest deleted first; locked, others' locks skipped."""
    return (
        await session.scalars(
            select(FileRow)
            .where(FileRow.deleted_at < deleted_before, FileRow.content_removed_at.is_(None))
            .order_by(FileRow.deleted_at)
            .limit(limit)
            .with_for_update(key_share=True, skip_locked=True)
        )
    ).all()


def _visible(principal: Principal, now: datetime) -> ColumnElement[bool]:
    unexpired = or_(FileRow.expires_at.is_(None), FileRow.expires_at > now)
    return and_(visible_to(principal, FileRow), unexpired)
