"""Tenancy in one place: the columns that say whose a row is, and the one condition that decides who sees it.

Every table whose rows belong to a project takes ``OwnedMixin``; every query on such a table carries ``visible_to``, and
every insert ``owner_columns``. A row that the condition leaves out does not exist for the caller: services answer
not-found, never forbidden, so that ids cannot be probed.
"""

from __future__ import annotations

from datetime import datetime
from typing import TypedDict
from uuid import UUID

from sqlalchemy import ColumnElement, ForeignKey, and_
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from assay.core.projects.service import find_organization
from assay.core.projects.types import Principal, Role, Scope
from assay.kit.clock import utc_now


class OwnedMixin:
    """Columns of a row that belongs to a project.

    Tables add their own index that begins with ``project_id``, in the order in which they are listed.
    """

    project_id: Mapped[UUID] = mapped_column(ForeignKey("projects.id"))
    created_by: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))
    """The key's user; None for rows that a capture token made."""
    on_behalf_of: Mapped[str | None]
    """The end user for whom the row was made; only they, and direct callers of the project, see it."""
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
    deleted_at: Mapped[datetime | None]
    """When it was deleted; the row stays for references and recovery."""


class OwnerColumns(TypedDict):
    """Values of the owner columns of a new row."""

    project_id: UUID
    created_by: UUID | None
    on_behalf_of: str | None


def owner_columns(principal: Principal) -> OwnerColumns:
    """The owner columns of a row that this caller makes, for a constructor, an insert or a COPY."""
    return OwnerColumns(
        project_id=principal.project_id, created_by=principal.user_id, on_behalf_of=principal.on_behalf_of
    )


def columns_of(row: OwnedMixin) -> OwnerColumns:
    """The owner columns of a row that is made because of another one."""
    return OwnerColumns(project_id=row.project_id, created_by=row.created_by, on_behalf_of=row.on_behalf_of)


async def act_as_owner(session: AsyncSession, row: OwnedMixin) -> Principal:
    """Whoever made a row, for work done later in their name: it is theirs, and sees what they see."""
    return Principal(
        organization_id=await find_organization(session, row.project_id),
        project_id=row.project_id,
        user_id=row.created_by,
        role=Role.OWNER,
        scopes=frozenset({Scope.ALL}),
        key_id=None,
        on_behalf_of=row.on_behalf_of,
    )


def visible_to(principal: Principal, model: type[OwnedMixin], *, include_deleted: bool = False) -> ColumnElement[bool]:
    """The condition that keeps a query to what the caller may see.

    Args:
        principal: The caller.
        model: A table with ``OwnedMixin``, or an alias of one.
        include_deleted: Also match soft-deleted rows, for example to restore one or to page past one.
    """
    conditions: list[ColumnElement[bool]] = [model.project_id == principal.project_id]
    if principal.on_behalf_of is not None:
        conditions.append(model.on_behalf_of == principal.on_behalf_of)
    if not include_deleted:
        conditions.append(model.deleted_at.is_(None))
    return and_(*conditions)
