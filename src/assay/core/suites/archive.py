"""Suites of results from elsewhere, whose tasks can be read and compared but not run here.

Their manifests fit the schema and name datasets that are not on this installation, which a user's own may not.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from assay.core.projects.types import Principal
from assay.core.suites import service
from assay.core.suites.manifest import parse_manifest
from assay.core.suites.types import SuiteVersion


async def create_archived_suite(
    session: AsyncSession, principal: Principal, *, name: str, description: str | None, manifest: Mapping[str, Any]
) -> SuiteVersion:
    """Make a suite; gives its first version.

    Raises:
        SuiteInputError: Name or description out of bounds.
        ManifestError: The manifest does not fit the schema.
    """
    checked = parse_manifest(manifest)
    suite = await service.store_suite(session, principal, name=name, description=description, metadata={})
    return await service.store_version(session, suite, checked, as_sent=manifest, metadata={})


async def append_archived_version(
    session: AsyncSession, principal: Principal, *, suite_id: UUID, manifest: Mapping[str, Any]
) -> SuiteVersion:
    """Append a version and make it the active one.

    Raises:
        SuiteNotFoundError: Not the caller's own.
        ManifestError: The manifest does not fit the schema.
    """
    checked = parse_manifest(manifest)
    suite = await service.advance_suite(session, principal, suite_id=suite_id, make_active=True)
    return await service.store_version(session, suite, checked, as_sent=manifest, metadata={})
