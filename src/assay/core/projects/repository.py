"""SQL of organizations, projects, users, memberships and API keys."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, Select, or_, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from assay.core.projects.models import ApiKeyRow, MembershipRow, ProjectRow, UserRow
from assay.core.projects.types import Principal, Role, Scope

_BOOTSTRAP_LOCK = 0x415353415901  # as the migration lock's, with a suffix


@dataclass(frozen=True, slots=True)
class KeyOwner:
    """A key with what its principal is made of."""

    key: ApiKeyRow
    organization_id: UUID
    role: str

    def principal(self) -> Principal:
        """The caller that the key stands for."""
        return Principal(
            organization_id=self.organization_id,
            project_id=self.key.project_id,
            user_id=self.key.user_id,
            role=Role(self.role),
            scopes=stored_scopes(self.key),
            key_id=self.key.id,
            may_delegate=self.key.may_delegate,
        )


def stored_scopes(row: ApiKeyRow) -> frozenset[Scope]:
    """The key's scopes, without those that this version no longer knows."""
    return frozenset(scope for scope in Scope if scope.value in row.scopes)


class Member(NamedTuple):
    """A user and their role in one organization."""

    user: UserRow
    role: str


async def lock_bootstrap(session: AsyncSession) -> None:
    """Make concurrent bootstraps wait for this transaction's end."""
    await session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _BOOTSTRAP_LOCK})


def with_digest(digest: bytes) -> ColumnElement[bool]:
    """Of the key whose text has this digest."""
    return ApiKeyRow.digest == digest


def with_id(key_id: UUID) -> ColumnElement[bool]:
    """Of the key with this id."""
    return ApiKeyRow.id == key_id


async def find_key_owner(session: AsyncSession, which: ColumnElement[bool], *, now: datetime) -> KeyOwner | None:
    """The live key of which the condition is true, if its user is active and still a member."""
    found = (
        await session.execute(
            select(ApiKeyRow, ProjectRow.organization_id, MembershipRow.role)
            .join(ProjectRow, ProjectRow.id == ApiKeyRow.project_id)
            .join(UserRow, UserRow.id == ApiKeyRow.user_id)
            .join(
                MembershipRow,
                (MembershipRow.user_id == UserRow.id) & (MembershipRow.organization_id == ProjectRow.organization_id),
            )
            .where(
                which,
                ApiKeyRow.revoked_at.is_(None),
                or_(ApiKeyRow.expires_at.is_(None), ApiKeyRow.expires_at > now),
                UserRow.deactivated_at.is_(None),
                ProjectRow.deleted_at.is_(None),
            )
        )
    ).one_or_none()
    return None if found is None else KeyOwner(key=found[0], organization_id=found[1], role=found[2])


async def find_key_by_digest(session: AsyncSession, digest: bytes) -> ApiKeyRow | None:
    """The key with this digest, in whatever state."""
    return (await session.scalars(select(ApiKeyRow).where(ApiKeyRow.digest == digest))).one_or_none()


async def touch_key(session: AsyncSession, key_id: UUID, *, now: datetime) -> None:
    """Note the use of a key; skipped when another transaction is just doing so, rather than waiting for it."""
    free = select(ApiKeyRow.id).where(ApiKeyRow.id == key_id).with_for_update(key_share=True, skip_locked=True)
    await session.execute(
        update(ApiKeyRow)
        .where(ApiKeyRow.id == free.scalar_subquery())
        .values(last_used_at=now)
        .execution_options(synchronize_session=False)
    )


async def has_keys(session: AsyncSession, project_id: UUID) -> bool:
    """Whether a key was ever made for the project."""
    return await session.scalar(select(ApiKeyRow.id).where(ApiKeyRow.project_id == project_id).limit(1)) is not None


async def list_keys(session: AsyncSession, project_id: UUID) -> Sequence[ApiKeyRow]:
    """All keys of a project, newest first."""
    return (
        await session.scalars(
            select(ApiKeyRow)
            .where(ApiKeyRow.project_id == project_id)
            .order_by(ApiKeyRow.created_at.desc(), ApiKeyRow.id.desc())
        )
    ).all()


async def lock_key(session: AsyncSession, key_id: UUID, *, project_id: UUID) -> ApiKeyRow | None:
    """A key of the project, locked for a change."""
    return (
        await session.scalars(
            select(ApiKeyRow)
            .where(ApiKeyRow.id == key_id, ApiKeyRow.project_id == project_id)
            .with_for_update(key_share=True)
        )
    ).one_or_none()


async def find_first_project(session: AsyncSession) -> ProjectRow | None:
    """The oldest project: the one that the bootstrap made."""
    living = select(ProjectRow).where(ProjectRow.deleted_at.is_(None))
    return (await session.scalars(living.order_by(ProjectRow.number).limit(1))).one_or_none()


async def find_project(session: AsyncSession, reference: UUID | int) -> ProjectRow | None:
    """A project by id or by number. No number outside PostgreSQL's ``integer`` is one."""
    if isinstance(reference, int) and not 0 < reference < 2**31:
        return None
    column = ProjectRow.number if isinstance(reference, int) else ProjectRow.id
    living = ProjectRow.deleted_at.is_(None)
    return (await session.scalars(select(ProjectRow).where(column == reference, living))).one_or_none()


async def find_organization(session: AsyncSession, project_id: UUID) -> UUID:
    """The organization that a project belongs to."""
    query = select(ProjectRow.organization_id).where(ProjectRow.id == project_id)
    return (await session.execute(query)).scalar_one()


async def find_project_by_capture_token(session: AsyncSession, token: str) -> ProjectRow | None:
    """The project that a capture token sends to."""
    living = ProjectRow.deleted_at.is_(None)
    return (await session.scalars(select(ProjectRow).where(ProjectRow.capture_token == token, living))).one_or_none()


async def list_projects(session: AsyncSession, organization_id: UUID) -> Sequence[ProjectRow]:
    """All projects of an organization, oldest first."""
    return (
        await session.scalars(
            select(ProjectRow)
            .where(ProjectRow.organization_id == organization_id, ProjectRow.deleted_at.is_(None))
            .order_by(ProjectRow.number)
        )
    ).all()


async def lock_project(session: AsyncSession, project_id: UUID) -> ProjectRow:
    """A project that is known to be there, locked for a change."""
    return (await session.scalars(select(ProjectRow).where(ProjectRow.id == project_id).with_for_update())).one()


async def slugs_like(session: AsyncSession, organization_id: UUID, slug: str, *, but: UUID) -> set[str]:
    """The slugs of the organization's other projects that begin with this one."""
    taken = select(ProjectRow.slug).where(
        ProjectRow.organization_id == organization_id,
        ProjectRow.id != but,
        ProjectRow.slug.startswith(slug, autoescape=True),
        ProjectRow.deleted_at.is_(None),
    )
    return {found for found in await session.scalars(taken) if found is not None}


async def find_owner(session: AsyncSession, organization_id: UUID) -> UserRow | None:
    """The longest-standing active owner of an organization."""
    return (
        await session.scalars(_members(organization_id).where(MembershipRow.role == Role.OWNER).limit(1))
    ).one_or_none()


async def find_member(session: AsyncSession, user_id: UUID, *, organization_id: UUID) -> Member | None:
    """A user of the organization, active or not: what they made stays theirs."""
    found = await list_members(session, [user_id], organization_id=organization_id)
    return found[0] if found else None


async def find_member_by_number(session: AsyncSession, number: int, *, organization_id: UUID) -> Member | None:
    """A user of the organization, active or not. No number outside PostgreSQL's ``integer`` is one."""
    if not 0 < number < 2**31:
        return None
    found = await session.execute(
        select(UserRow, MembershipRow.role)
        .join(MembershipRow, MembershipRow.user_id == UserRow.id)
        .where(UserRow.number == number, MembershipRow.organization_id == organization_id)
    )
    row = found.one_or_none()
    return None if row is None else Member(user=row[0], role=row[1])


async def list_members(session: AsyncSession, user_ids: Sequence[UUID], *, organization_id: UUID) -> list[Member]:
    """Those of the users who are of the organization, active or not, in no order."""
    found = await session.execute(
        select(UserRow, MembershipRow.role)
        .join(MembershipRow, MembershipRow.user_id == UserRow.id)
        .where(UserRow.id.in_(user_ids), MembershipRow.organization_id == organization_id)
    )
    return [Member(user=user, role=role) for user, role in found]


def _members(organization_id: UUID) -> Select[UserRow]:
    return (
        select(UserRow)
        .join(MembershipRow, MembershipRow.user_id == UserRow.id)
        .where(MembershipRow.organization_id == organization_id, UserRow.deactivated_at.is_(None))
        .order_by(MembershipRow.created_at, UserRow.id)
    )
