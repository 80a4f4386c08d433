"""What a user can do with suites.

Deleting one takes its runs along, so that lives above, in ``core.runs.retirement``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from assay.core.files.store import FileStore
from assay.core.metadata import check_metadata
from assay.core.ownership import owner_columns, visible_to
from assay.core.projects.types import Principal
from assay.core.suites import repository
from assay.core.suites.compile import compile_manifest
from assay.core.suites.errors import SuiteInputError, SuiteNotFoundError, SuiteVersionNotFoundError
from assay.core.suites.manifest import Manifest, parse_manifest, refuse_unsupported
from assay.core.suites.models import SuiteRow, SuiteVersionRow
from assay.core.suites.sharing import organizations_of, readable_by
from assay.core.suites.sources import check_sources
from assay.core.suites.types import NewSuite, Suite, SuiteAccess, SuiteVersion
from assay.db.paging import Page
from assay.kit.clock import utc_now
from assay.kit.ids import new_id

MAX_NAME_LENGTH = 255
MAX_DESCRIPTION_LENGTH = 10_000


async def create_suite(session: AsyncSession, principal: Principal, *, store: FileStore, new: NewSuite) -> Suite:
    """Make a suite whose version 1 is the given manifest, and active.

    Raises:
        SuiteInputError: Name, description or metadata out of bounds.
        ManifestError: The manifest is faulty; the message names the path.
        UnsupportedManifestError: It uses a part that this version of Assay does not carry out.
    """
    metadata = check_metadata(new.metadata)
    _check_texts(new.name, new.description)
    manifest = await check_manifest(session, principal, store, new.manifest)
    row = await store_suite(session, principal, name=new.name, description=new.description, metadata=metadata)
    await store_version(session, row, manifest, as_sent=new.manifest, metadata=metadata)
    return _to_suite(row, principal, principal.organization_id)


async def store_suite(
    session: AsyncSession, principal: Principal, *, name: str, description: str | None, metadata: Mapping[str, str]
) -> SuiteRow:
    """Insert a suite that awaits its version 1.

    Raises:
        SuiteInputError: Name or description out of bounds.
    """
    _check_texts(name, description)
    now = utc_now()
    row = SuiteRow(
        id=new_id(),
        **owner_columns(principal),
        name=name,
        description=description,
        active_version=1,
        latest_version=1,
        labels=dict(metadata),
        created_at=now,
        updated_at=now,
    )
    session.add(row)
    await session.flush()
    return row


async def create_suite_version(
    session: AsyncSession,
    principal: Principal,
    *,
    store: FileStore,
    suite_id: UUID,
    manifest: Any,
    metadata: Mapping[str, str] | None = None,
    make_active: bool = True,
) -> SuiteVersion:
    """Append a version. Versions never change, so this is also how a suite is edited.

    Raises:
        SuiteNotFoundError: Not visible to the caller.
        ManifestError, UnsupportedManifestError: As for ``create_suite``.
    """
    checked_metadata = check_metadata(metadata)
    checked = await check_manifest(session, principal, store, manifest)
    suite = await advance_suite(session, principal, suite_id=suite_id, make_active=make_active)
    return await store_version(session, suite, checked, as_sent=manifest, metadata=checked_metadata)


async def advance_suite(session: AsyncSession, principal: Principal, *, suite_id: UUID, make_active: bool) -> SuiteRow:
    """Count a suite's versions one up, locking it; the new one is to be stored.

    Raises:
        SuiteNotFoundError: Not the caller's own.
    """
    suite = await _get_row(session, principal, suite_id, lock=True)
    suite.latest_version += 1
    if make_active:
        suite.active_version = suite.latest_version
    suite.updated_at = utc_now()
    return suite


async def store_version(
    session: AsyncSession,
    suite: SuiteRow,
    manifest: Manifest,
    *,
    as_sent: Mapping[str, Any],
    metadata: Mapping[str, str],
) -> SuiteVersion:
    """Insert the latest version of a suite, whose manifest was checked."""
    row = _version_row(suite, manifest, as_sent, metadata=metadata)
    session.add(row)
    await session.flush()
    return _to_version(row)


async def get_suite(session: AsyncSession, principal: Principal, *, suite_id: UUID) -> Suite:
    """One suite, the caller's own or shared with them.

    Raises:
        SuiteNotFoundError: Not visible to the caller.
    """
    row = await _get_readable(session, principal, suite_id)
    organizations = await organizations_of(session, principal, [row.project_id])
    return _to_suite(row, principal, organizations[row.project_id])


async def list_suites(
    session: AsyncSession,
    principal: Principal,
    *,
    owned_only: bool = False,
    after: UUID | None = None,
    limit: int = 20,
) -> Page[Suite]:
    """Visible suites, newest first; those that are shared with the caller too, unless ``owned_only``."""
    access = visible_to(principal, SuiteRow) if owned_only else readable_by(principal, SuiteRow, SuiteRow.id)
    within = readable_by(principal, SuiteRow, SuiteRow.id, include_deleted=True)
    page = await repository.list_suites(session, access, within=within, after=after, limit=limit)
    organizations = await organizations_of(session, principal, [row.project_id for row in page.items])
    return page.map(lambda row: _to_suite(row, principal, organizations[row.project_id]))


async def get_suite_version(
    session: AsyncSession,
    principal: Principal,
    *,
    suite_id: UUID,
    version: int | None = None,
    through_shares: bool = False,
) -> SuiteVersion:
    """One version, or the active one.

    Args:
        session: Where to read.
        principal: The caller.
        suite_id: Whose version.
        version: Which; None is the active one.
        through_shares: Whether a suite that is only shared with the caller will do: for reading, not for running.

    Raises:
        SuiteNotFoundError: The suite is not visible to the caller.
        SuiteVersionNotFoundError: It has no such version.
    """
    find = _get_readable if through_shares else _get_row
    suite = await find(session, principal, suite_id)
    wanted = suite.active_version if version is None else version
    row = await repository.find_version(session, suite_id=suite_id, version=wanted)
    if row is None:
        raise SuiteVersionNotFoundError(
            f"The suite has no version {wanted}; its latest is {suite.latest_version}.", param="suite_version"
        )
    return _to_version(row)


async def list_suite_versions(
    session: AsyncSession, principal: Principal, *, suite_id: UUID, after: UUID | None = None, limit: int = 20
) -> Page[SuiteVersion]:
    """Versions of a suite, newest first.

    Raises:
        SuiteNotFoundError: The suite is not visible to the caller.
    """
    await _get_readable(session, principal, suite_id)
    page = await repository.list_versions(session, suite_id=suite_id, after=after, limit=limit)
    return Page(items=tuple(_to_version(row) for row in page.items), has_more=page.has_more)


async def hide_suite(session: AsyncSession, principal: Principal, *, suite_id: UUID) -> None:
    """Soft-delete a suite. Its runs are the caller's concern.

    Raises:
        SuiteNotFoundError: Not visible to the caller.
    """
    row = await _get_row(session, principal, suite_id, lock=True)
    row.deleted_at = utc_now()
    await session.flush()


async def check_manifest(session: AsyncSession, principal: Principal, store: FileStore, data: Any) -> Manifest:
    """A manifest that can be run, with everything that it names; nothing is kept.

    Raises:
        ManifestError: It is faulty; the message names the path.
        UnsupportedManifestError: It uses a part that this version of Assay does not carry out.
    """
    manifest = parse_manifest(data)
    refuse_unsupported(manifest)
    sources = await check_sources(session, principal, store, manifest)
    compile_manifest(manifest, sources=sources)
    return manifest


def _check_texts(name: str, description: str | None) -> None:
    if not name.strip() or len(name) > MAX_NAME_LENGTH:
        raise SuiteInputError(f"`name` must have 1 to {MAX_NAME_LENGTH} characters.", param="name")
    if description is not None and len(description) > MAX_DESCRIPTION_LENGTH:
        raise SuiteInputError(
            f"`description` may have at most {MAX_DESCRIPTION_LENGTH} characters.", param="description"
        )


async def _get_row(session: AsyncSession, principal: Principal, suite_id: UUID, *, lock: bool = False) -> SuiteRow:
    return _found(await repository.find_suite(session, visible_to(principal, SuiteRow), suite_id=suite_id, lock=lock))


async def _get_readable(session: AsyncSession, principal: Principal, suite_id: UUID) -> SuiteRow:
    access = readable_by(principal, SuiteRow, SuiteRow.id)
    return _found(await repository.find_suite(session, access, suite_id=suite_id))


def _found(row: SuiteRow | None) -> SuiteRow:
    if row is None:
        raise SuiteNotFoundError("No such suite.", param="suite_id")
    return row


def _version_row(
    suite: SuiteRow, manifest: Manifest, as_sent: Mapping[str, Any], *, metadata: Mapping[str, str]
) -> SuiteVersionRow:
    return SuiteVersionRow(
        id=new_id(),
        suite_id=suite.id,
        version=suite.latest_version,
        manifest=dict(as_sent),
        dataset_file_ids=list(manifest.dataset_file_ids),
        labels=dict(metadata),
        created_at=suite.updated_at,
    )


def _to_suite(row: SuiteRow, principal: Principal, organization_id: UUID) -> Suite:
    return Suite(
        id=row.id,
        organization_id=organization_id,
        project_id=row.project_id,
        name=row.name,
        description=row.description,
        access=SuiteAccess.OWNER if row.project_id == principal.project_id else SuiteAccess.SHARED,
        active_version=row.active_version,
        latest_version=row.latest_version,
        metadata=row.labels,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def _to_version(row: SuiteVersionRow) -> SuiteVersion:
    return SuiteVersion(
        id=row.id,
        suite_id=row.suite_id,
        version=row.version,
        manifest=row.manifest,
        dataset_file_ids=tuple(row.dataset_file_ids),
        metadata=row.labels,
        created_at=row.created_at,
    )
