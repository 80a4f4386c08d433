"""Shares: an organization may read another's suite, with all its versions and runs (M§2.2).

Reading and changing differ in one condition. Whatever reads suites or their runs carries ``readable_by``; whatever
changes them carries ``visible_to``, so that to its readers a shared suite cannot be changed because, there, it does not
exist. Callers on behalf of an end user see that user's own objects only, and so nothing that is shared.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, Uuid, and_, any_, func, or_, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from assay.core.ownership import OwnedMixin, visible_to
from assay.core.projects.models import OrganizationRow, ProjectRow
from assay.core.projects.types import Principal, Role
from assay.core.suites import repository
from assay.core.suites.errors import (
    RecipientNotFoundError,
    ShareLimitError,
    ShareNotFoundError,
    SuiteInputError,
    SuiteNotFoundError,
)
from assay.core.suites.models import SuiteRow, SuiteShareRow
from assay.kit.clock import utc_now
from assay.kit.errors import ForbiddenError
from assay.kit.ids import new_id

MAX_SHARES = 100
"""Of one suite."""


class DelegatedSharingError(ForbiddenError):
    """Shares are between organizations; end users have no part in them."""

    code = "delegated_sharing"

    def __init__(self) -> None:
        super().__init__("Shares cannot be seen on behalf of an end user; leave out `X-On-Behalf-Of`.")


@dataclass(frozen=True, slots=True)
class Share:
    """Leave for an organization to read a suite."""

    id: UUID
    suite_id: UUID
    organization_id: UUID
    """Who may read."""
    granted_by: UUID
    """The user who shared it."""
    created_at: datetime


def readable_by(
    principal: Principal,
    model: type[OwnedMixin],
    suite_id: InstrumentedAttribute[UUID],
    *,
    include_deleted: bool = False,
) -> ColumnElement[bool]:
    """The condition that keeps a query to what the caller may read: their own, and what is shared with them.

    Args:
        principal: The caller.
        model: The table of suites, or of something that belongs to one.
        suite_id: Its column that names the suite.
        include_deleted: Also match soft-deleted rows.
    """
    own = visible_to(principal, model, include_deleted=include_deleted)
    if principal.is_delegated:
        return own
    shared = select(SuiteShareRow.suite_id).where(SuiteShareRow.organization_id == principal.organization_id)
    # As an array, it is looked up once and then serves the index on the suite; a subquery in OR would not.
    within = suite_id == any_(func.array(shared.scalar_subquery(), type_=ARRAY(Uuid)))
    return or_(own, within if include_deleted else and_(within, model.deleted_at.is_(None)))


async def organizations_of(
    session: AsyncSession, principal: Principal, project_ids: Collection[UUID]
) -> Mapping[UUID, UUID]:
    """The organization of each project; nothing is asked when all are the caller's own."""
    foreign = {project_id for project_id in project_ids if project_id != principal.project_id}
    organizations = {principal.project_id: principal.organization_id}
    if foreign:
        query = select(ProjectRow.id, ProjectRow.organization_id).where(ProjectRow.id.in_(foreign))
        organizations.update((row[0], row[1]) for row in await session.execute(query))
    return organizations


async def share_suite(session: AsyncSession, principal: Principal, *, suite_id: UUID, organization_id: UUID) -> Share:
    """Let an organization read a suite; sharing again finds the first grant.

    Raises:
        MissingRoleError: The caller is no admin of the organization, or acts on behalf of an end user.
        SuiteNotFoundError: Not the caller's own.
        SuiteInputError: The organization owns the suite.
        RecipientNotFoundError: It does not exist.
        ShareLimitError: It is shared with 100 organizations.
    """
    principal.require_role(Role.ADMIN)
    await _get_own(session, principal, suite_id, lock=True)
    if organization_id == principal.organization_id:
        raise SuiteInputError("`org_id` is the organization that owns the suite.", param="org_id")
    if await session.get(OrganizationRow, organization_id) is None:
        raise RecipientNotFoundError("`org_id` names no organization of this installation.", param="org_id")
    shares = {share.organization_id: share for share in await _list_rows(session, suite_id)}
    if organization_id in shares:
        return _to_share(shares[organization_id])
    if len(shares) >= MAX_SHARES:
        raise ShareLimitError(MAX_SHARES)
    if principal.user_id is None:
        raise ForbiddenError("Only a user can share a suite; use an API key that belongs to one.")
    row = SuiteShareRow(
        id=new_id(),
        suite_id=suite_id,
        organization_id=organization_id,
        granted_by=principal.user_id,
        created_at=utc_now(),
    )
    session.add(row)
    await session.flush()
    return _to_share(row)


async def list_shares(session: AsyncSession, principal: Principal, *, suite_id: UUID) -> tuple[Share, ...]:
    """All grants of a suite, newest first.

    Raises:
        DelegatedSharingError: The caller acts on behalf of an end user.
        SuiteNotFoundError: Not the caller's own; those who read it through a share do not learn who else does.
    """
    if principal.is_delegated:
        raise DelegatedSharingError
    await _get_own(session, principal, suite_id)
    return tuple(_to_share(row) for row in await _list_rows(session, suite_id))


async def unshare_suite(session: AsyncSession, principal: Principal, *, suite_id: UUID, organization_id: UUID) -> Share:
    """Withdraw a grant, which is gone at once.

    Raises:
        MissingRoleError: The caller is no admin of the organization, or acts on behalf of an end user.
        SuiteNotFoundError: Not the caller's own.
        ShareNotFoundError: It is not shared with that organization.
    """
    principal.require_role(Role.ADMIN)
    await _get_own(session, principal, suite_id, lock=True)
    query = select(SuiteShareRow).where(
        SuiteShareRow.suite_id == suite_id, SuiteShareRow.organization_id == organization_id
    )
    row = await session.scalar(query)
    if row is None:
        raise ShareNotFoundError("The suite is not shared with this organization.", param="org_id")
    await session.delete(row)
    await session.flush()
    return _to_share(row)


async def _get_own(session: AsyncSession, principal: Principal, suite_id: UUID, *, lock: bool = False) -> SuiteRow:
    row = await repository.find_suite(session, visible_to(principal, SuiteRow), suite_id=suite_id, lock=lock)
    if row is None:
        raise SuiteNotFoundError("No such suite.", param="suite_id")
    return row


async def _list_rows(session: AsyncSession, suite_id: UUID) -> list[SuiteShareRow]:
    query = select(SuiteShareRow).where(SuiteShareRow.suite_id == suite_id).order_by(SuiteShareRow.id.desc())
    return list(await session.scalars(query))


def _to_share(row: SuiteShareRow) -> Share:
    return Share(
        id=row.id,
        suite_id=row.suite_id,
        organization_id=row.organization_id,
        granted_by=row.granted_by,
        created_at=row.created_at,
    )
