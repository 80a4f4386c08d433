"""What a project says of itself, and its end."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from assay.core.projects import repository
from assay.core.projects.errors import InvalidNameError
from assay.core.projects.models import ProjectRow
from assay.core.projects.types import Principal, Project, Role, Scope
from assay.kit.clock import utc_now

_NO_SLUG = re.compile(r"[^a-z0-9]+")


def describe_project(row: ProjectRow) -> Project:
    """A project's row as the rest of Assay knows it."""
    return Project(
        id=row.id,
        number=row.number,
        organization_id=row.organization_id,
        name=row.name,
        capture_token=row.capture_token,
        created_at=row.created_at,
        updated_at=row.updated_at or row.created_at,
        slug=row.slug or _NO_SLUG.sub("-", row.name.lower()).strip("-") or f"project-{row.number}",
        description=row.description or "",
        is_active=row.deactivated_at is None,
        settings=row.settings,
    )


async def update_project(session: AsyncSession, principal: Principal, values: Mapping[str, Any]) -> Project:
    """Change what the caller's project says of itself.

    Args:
        session: A session inside a transaction.
        principal: The caller.
        values: Some of ``name``, ``slug``, ``description``, ``is_active`` and ``settings``. A slug that another project
            of the organization has gets the next free ``-2``, ``-3``, … (O§2.5).

    Raises:
        MissingScopeError: The key lacks ``project:write``.
        MissingRoleError: The caller is no admin of the organization.
        InvalidNameError: The name is only spaces.
    """
    principal.require(Scope.PROJECT_WRITE)
    principal.require_role(Role.ADMIN)
    row = await repository.lock_project(session, principal.project_id)
    for name in ("name", "description", "settings"):
        if name in values:
            setattr(row, name, values[name])
    if not row.name.strip():
        raise InvalidNameError("name", max_length=255)
    if "slug" in values:
        row.slug = await _free_slug(session, row, values["slug"])
    if "is_active" in values:
        row.deactivated_at = None if values["is_active"] else row.deactivated_at or utc_now()
    row.updated_at = utc_now()
    await session.flush()
    return describe_project(row)


async def delete_project(session: AsyncSession, principal: Principal) -> None:
    """Delete the caller's project: all that it holds is out of reach, and its keys stop to work within seconds.

    Raises:
        MissingScopeError: The key lacks ``project:write``.
        MissingRoleError: The caller is no admin of the organization.
    """
    principal.require(Scope.PROJECT_WRITE)
    principal.require_role(Role.ADMIN)
    row = await repository.lock_project(session, principal.project_id)
    row.deleted_at = utc_now()
    await session.flush()


async def _free_slug(session: AsyncSession, row: ProjectRow, wanted: str) -> str:
    taken = await repository.slugs_like(session, row.organization_id, wanted, but=row.id)
    if wanted not in taken:
        return wanted
    return next(slug for number in range(2, len(taken) + 3) if (slug := f"{wanted}-{number}") not in taken)
